//! Two events in one call: a buffer is given back before the real function runs, and what it hands out is recorded
//! after it.
//!
//! The old buffer is given back first because another thread may be handed its address as soon as the real function has
//! let go of it. A call that fails leaves the old buffer as it was: then its right is given back.

use whofreed_lifecycle::Verdict;

use super::Frame;
use super::engine;
use super::memory::Bound;
use super::session::Forward;
use super::session::Session;
use super::session::site;
use crate::hook;

impl Session<'_> {
    /// Before the real function is called.
    #[inline(never)]
    pub(super) fn begin_realloc(&mut self, frame: &mut Frame) -> Forward {
        let call = self.call(frame, false);
        match call.holds(self.hooked.expressions.when) {
            Some(true) => {}
            Some(false) => return Forward::Yes,
            None => {
                self.unreadable();
                return Forward::Yes;
            }
        }
        let (from, owner) = (
            call.value(self.hooked.expressions.from),
            call.value_or_zero(self.hooked.expressions.owner),
        );
        let device = self.device(&call);
        let (Some(address), Some(device)) = (from, device) else {
            self.unreadable();
            return Forward::Yes;
        };
        frame.ticket |= engine::REPORT;
        // Nothing is given back: it is an allocate alone.
        if address == 0 {
            return Forward::Yes;
        }
        let bound = Bound {
            owner,
            address,
            device,
        };
        let decision = self.decided(frame, bound, true);
        if !decision.forward {
            return Forward::No;
        }
        if decision.verdict == Verdict::Ok {
            frame.ticket |= engine::UNDO | u64::from(decision.kind) << engine::KIND_SHIFT;
        }
        Forward::Yes
    }

    /// After the real function returned.
    pub(super) fn end_realloc(&mut self, frame: &Frame) {
        if frame.ticket & engine::REPORT == 0 {
            return;
        }
        let call = self.call(frame, true);
        match call.holds(self.hooked.expressions.ok) {
            Some(true) => self.allocate(&call),
            // A call that asks for nothing and gets nothing has freed: that is what it did.
            Some(false) if call.value(self.hooked.expressions.size) == Some(0) => {}
            Some(false) => self.undo_realloc(frame),
            None => self.unreadable(),
        }
    }

    /// The real function did nothing: the old buffer is live again, and its holder may give it back.
    pub(super) fn undo_realloc(&mut self, frame: &Frame) {
        if frame.ticket & engine::UNDO == 0 {
            return;
        }
        let call = self.call(frame, false);
        let owner = call.value_or_zero(self.hooked.expressions.owner);
        let (Some(address), Some(device)) =
            (call.value(self.hooked.expressions.from), self.device(&call))
        else {
            return self.unreadable();
        };
        let kind = u32::try_from(frame.ticket >> engine::KIND_SHIFT).unwrap_or(0);
        let at = site(frame);
        hook::allocate_inside(self.inside, device, address, 0, kind, owner, at);
    }
}
