//! Calls that are scopes: what a thread does while one is under way carries its label.
//!
//! A call that is left by an exception, or with its thread, is told so by the thunk. One that is left by a longjmp is
//! found out by the next hooked call that does not come from within it, by where the two lie on the stack.

use super::Frame;
use super::engine;
use super::expression::load;
use super::session::Forward;
use super::session::Session;
use crate::hook;

/// How many scopes within scopes are followed; deeper ones are none.
const MAX_DEPTH: usize = 16;
/// As for attempts.
const STACK_REACH: usize = 64 << 20;

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where the call's return address lies.
    slot: usize,
    /// The number that leaves it.
    number: u64,
}

/// The scopes that a thread is in by hooked calls, the innermost last.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Scopes {
    depth: usize,
    open: [Open; MAX_DEPTH],
}

impl Scopes {
    /// In none.
    #[cfg(test)]
    pub(super) const NONE: Self = Self {
        open: [Open { slot: 0, number: 0 }; MAX_DEPTH],
        depth: 0,
    };

    pub(super) const fn is_idle(&self) -> bool {
        self.depth == 0
    }

    pub(super) const fn forget_all(&mut self) {
        self.depth = 0;
    }

    /// Forgets the scopes that a call at `slot` cannot be in; the number of the outermost of them.
    fn forget_left(&mut self, slot: usize) -> Option<u64> {
        let left = |open: &Open| slot.wrapping_sub(open.slot) <= STACK_REACH;
        let mut outermost = None;
        while let Some(open) = self.open[..self.depth].last().filter(|open| left(open)) {
            outermost = Some(open.number);
            self.depth -= 1;
        }
        outermost
    }

    fn push(&mut self, open: Open) {
        if let Some(place) = self.open.get_mut(self.depth) {
            *place = open;
            self.depth += 1;
        }
    }

    /// Forgets the scope whose return address lies at `slot`, and those within it; its number.
    fn pop(&mut self, slot: usize) -> Option<u64> {
        let place = self.open[..self.depth]
            .iter()
            .rposition(|open| open.slot == slot)?;
        self.depth = place;
        Some(self.open[place].number)
    }
}

impl Session<'_> {
    /// Leaves the scopes that ended without a word.
    #[inline]
    pub(super) fn leave_scopes(&mut self, frame: &Frame) {
        if !self.inside.state().preload.scopes.is_idle() {
            self.leave_ended(frame);
        }
    }

    #[inline(never)]
    fn leave_ended(&mut self, frame: &Frame) {
        let scopes = &mut self.inside.state().preload.scopes;
        if let Some(number) = scopes.forget_left(frame.return_address_slot) {
            hook::scope_leave_inside(self.inside, number);
        }
    }

    /// Before the real function is called.
    #[inline(never)]
    pub(super) fn begin_scope(&mut self, frame: &mut Frame) -> Forward {
        let call = self.call(frame, false);
        if !self.is_event(&call) || self.inside.state().preload.scopes.depth == MAX_DEPTH {
            return Forward::Yes;
        }
        let number = if self.hooked.hook.label_at == 0 {
            let label = self.hooked.table.text(self.hooked.hook.label);
            hook::scope_enter_inside(self.inside, |room| write(room, label.iter().copied()))
        } else {
            let Some(at) = call.value(self.hooked.expressions.label_at) else {
                self.unreadable();
                return Forward::Yes;
            };
            let bytes = (at..).map_while(|place| load(place, 1));
            let bytes = bytes.map_while(|byte| u8::try_from(byte).ok().filter(|byte| *byte != 0));
            hook::scope_enter_inside(self.inside, |room| write(room, bytes))
        };
        if number != 0 {
            let slot = frame.return_address_slot;
            self.inside
                .state()
                .preload
                .scopes
                .push(Open { slot, number });
            frame.ticket |= engine::REPORT;
        }
        Forward::Yes
    }

    /// The call is over, in whatever way.
    pub(super) fn end_scope(&mut self, frame: &Frame) {
        let scopes = &mut self.inside.state().preload.scopes;
        if let Some(number) = scopes.pop(frame.return_address_slot) {
            hook::scope_leave_inside(self.inside, number);
        }
    }
}

fn write(room: &mut [u8], bytes: impl Iterator<Item = u8>) -> usize {
    let mut written = 0;
    for (place, byte) in room.iter_mut().zip(bytes) {
        *place = byte;
        written += 1;
    }
    written
}
