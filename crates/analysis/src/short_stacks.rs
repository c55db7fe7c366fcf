//! Stacks that a low `depth` has cut short: a call site beyond the cut has no name.

use whofreed_trace::Stack;
use whofreed_trace::Trace;

use crate::ShortStacks;

/// What is left of a stack with so many frames is enough to name its call site.
const ENOUGH: usize = 16;

/// Counts the different stacks of allocates and legitimate frees that were cut.
pub(crate) fn short_stacks<E>(traces: &[Trace<E>]) -> ShortStacks {
    let all = || {
        let stacks = traces.iter().flat_map(|trace| &trace.stacks);
        stacks.filter(|stack| !stack.native.is_empty())
    };
    let is_cut = |stack: &&Stack| stack.truncated && stack.native.len() < ENOUGH;
    let depth = all().filter(is_cut).map(|stack| stack.native.len()).max();
    let Some(depth) = depth else {
        return ShortStacks::default();
    };
    // A longer one was taken at an excess free, which has a limit of its own.
    let limited = all().filter(|stack| stack.native.len() <= depth);
    ShortStacks {
        cut: all().filter(is_cut).count() as u64,
        of: limited.count() as u64,
        depth: depth as u64,
    }
}
