//! The replay and blame stops of an event's way: traces in, an [`Analysis`] out.
//!
//! **Architecture Invariant:** pure functions; no terminal, no files, no clock.

mod model;

pub use model::*;

use whofreed_trace::StackNames;
use whofreed_trace::Trace;

/// Replays the traces together and names the culprits.
#[must_use]
pub fn analyse(_traces: &[Trace], _names: &dyn StackNames) -> Analysis {
    Analysis::default()
}

/// The whole life of one address, process by process, in the order of its steps.
#[must_use]
pub fn history(_traces: &[Trace], _device: u32, _address: u64) -> Vec<HistoryStep> {
    Vec::new()
}
