//! The excess frees that came last, at whatever address.

use whofreed_trace::Verdict;

use crate::replay::Place;
use crate::replay::Step;
use crate::sources::EventRef;
use crate::stacks::StackNumber;

/// So many are told.
const LATEST: usize = 500;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Late {
    pub(super) time_ns: u64,
    pub(super) at: EventRef,
    pub(super) place: Place,
    pub(super) thread: u32,
    pub(super) stack: StackNumber,
    pub(super) verdict: Verdict,
}

/// As many as are told, and some more: the replay goes from trace to trace, so the last one is not the latest.
#[derive(Debug, Default)]
pub(super) struct Latest(Vec<Late>);

impl Latest {
    /// An excess free.
    pub(super) fn add(&mut self, place: Place, step: &Step<'_>, stack: StackNumber) {
        self.0.push(Late {
            time_ns: step.event.time_ns,
            at: step.at,
            place,
            thread: step.event.thread,
            stack,
            verdict: step.verdict,
        });
        if self.0.len() >= 4 * LATEST {
            self.keep_last();
        }
    }

    fn keep_last(&mut self) {
        self.0.sort_by_key(|late| (late.time_ns, late.at));
        self.0.drain(..self.0.len().saturating_sub(LATEST));
    }

    /// All traces were told.
    pub(super) fn end(&mut self) {
        self.keep_last();
    }

    /// The latest one last.
    pub(super) fn all(&self) -> &[Late] {
        &self.0
    }
}
