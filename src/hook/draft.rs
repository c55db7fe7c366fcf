//! An event on its way to the trace: filled stop by stop.

use whofreed_lifecycle::Verdict;
use whofreed_trace::EventKind;
use whofreed_trace::layout;
use whofreed_trace::layout::EventRecord;

use super::CallSite;
use crate::clock;
use crate::ledger::Judged;
use crate::options;
use crate::process::World;
use crate::record::Lost;
use crate::stack::MAX_FRAMES;
use crate::thread::MAX_SCOPES;
use crate::thread::ThreadState;

/// An event on its way to the trace.
pub(super) struct Draft {
    pub record: EventRecord,
    /// The deepest stack that was captured so far.
    captured: usize,
}

impl Draft {
    pub fn new(kind: EventKind, device: u32, address: u64, owner: u64) -> Self {
        Self {
            record: EventRecord {
                kind: kind as u8,
                device,
                address,
                owner,
                ..EventRecord::default()
            },
            captured: 0,
        }
    }

    /// Captures the stack before the verdict, where it will be wanted in any case: meanwhile what the ledger knows
    /// comes from memory.
    #[inline]
    pub fn capture_ahead(&mut self, world: &World, state: &mut ThreadState, at: CallSite) {
        world.ledger.expect(self.record.device, self.record.address);
        let options = options::get();
        if options.all_stacks {
            self.capture(options.depth, world, state, at);
        }
    }

    #[inline]
    fn capture(&mut self, depth: usize, world: &World, state: &mut ThreadState, at: CallSite) {
        if depth > self.captured {
            self.captured = depth;
            state.stack.capture(depth, at);
            self.record.stack = state.stack.intern(&world.recorder, &mut state.pen);
        }
    }

    pub const fn verdict(&mut self, verdict: Verdict) {
        self.record.verdict = verdict as u8;
    }

    /// The instance that the event is about, where it is not the caller's own.
    pub const fn root(&mut self, address: u64, owner: u64) {
        self.record.address = address;
        if owner != self.record.owner {
            self.record.extra = owner;
            self.record.flags |= layout::EVENT_HAS_ROOT;
        }
    }

    pub const fn untracked_unless(&mut self, noted: bool) {
        if !noted {
            self.record.flags |= layout::EVENT_UNTRACKED;
        }
    }

    #[inline]
    pub fn judged(&mut self, judged: &Judged) {
        self.verdict(judged.outcome.verdict);
        // Volatile, one by one: they were written a moment ago, and a wider load would wait until they have left for
        // memory.
        // SAFETY: references to whole numbers.
        unsafe {
            self.record.step = (&raw const judged.step).read_volatile();
            self.record.epoch = (&raw const judged.epoch).read_volatile();
        }
        if judged.outcome.late {
            self.record.flags |= layout::EVENT_LATE;
        }
        self.untracked_unless(!judged.untracked);
    }

    /// Takes the clock and the stack, and records the event.
    pub fn finish(&mut self, world: &World, state: &mut ThreadState, at: CallSite) {
        let recorder = &world.recorder;
        let options = options::get();
        let is_excess = self.record.kind == EventKind::Deallocate as u8
            && Verdict::from_number(self.record.verdict).is_some_and(Verdict::is_excess);
        if is_excess {
            self.capture(MAX_FRAMES, world, state, at);
        } else if options.all_stacks {
            self.capture(options.depth, world, state, at);
        }
        let innermost = state.scope_depth.min(MAX_SCOPES).checked_sub(1);
        self.record.scope = innermost.map_or(0, |index| state.scopes[index]);
        self.record.time = clock::now();
        if !state.pen.event(recorder, state.thread_id, &self.record) {
            recorder.lose(&Lost::one(state.thread_id, self.record.time));
        }
    }
}
