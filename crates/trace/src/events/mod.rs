//! The events of a trace, wherever they lie: in memory, or in the file that they were read from.
//!
//! A trace can hold more events than fit into memory. So whoever reads them asks for a few at a time, and keeps
//! their numbers.

mod blocks;
mod file;

use std::fmt;

use crate::Event;

pub use self::file::FileEvents;
pub(crate) use self::file::Table;

/// Events of one thread that lie in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The number of the first one.
    pub first: u64,
    /// How many there are: at least one.
    pub count: u64,
    /// The thread.
    pub thread: u32,
    /// When the first one happened.
    pub time_ns: u64,
}

/// The events of a trace, numbered from 0 in the order of the threads' chunks, not of time.
pub trait Events: fmt::Debug {
    /// How many there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All events as runs, by their numbers.
    fn runs(&self) -> Vec<Run>;

    /// Appends the `count` events from number `first` on, which lie in one run. Fewer, where a file cannot be read
    /// any more.
    fn read(&self, first: u64, count: usize, into: &mut Vec<Event>);

    /// The event with this number; `None` where there is none, or where it cannot be read any more.
    fn event(&self, index: u64) -> Option<Event>;
}

impl Events for Vec<Event> {
    fn len(&self) -> u64 {
        Self::len(self) as u64
    }

    fn runs(&self) -> Vec<Run> {
        let mut first = 0;
        self.chunk_by(|a, b| a.thread == b.thread)
            .map(|run| {
                let count = run.len() as u64;
                first += count;
                Run {
                    first: first - count,
                    count,
                    thread: run[0].thread,
                    time_ns: run[0].time_ns,
                }
            })
            .collect()
    }

    fn read(&self, first: u64, count: usize, into: &mut Vec<Event>) {
        let rest = usize::try_from(first).ok().and_then(|at| self.get(at..));
        let rest = rest.unwrap_or_default();
        into.extend_from_slice(&rest[..count.min(rest.len())]);
    }

    fn event(&self, index: u64) -> Option<Event> {
        self.get(usize::try_from(index).ok()?).copied()
    }
}
