//! The events of all threads of a trace, about in the order in which they happened.
//!
//! Clocks of two threads are never compared for a verdict: the order at an address is that of its steps. What is
//! gained by going along with time is that hardly an event comes before its turn.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;

use whofreed_trace::Event;
use whofreed_trace::Events;
use whofreed_trace::Run;

/// So many events of a thread are held in memory.
const AT_ONCE: usize = 128;

/// One thread's way through its runs.
struct Thread {
    runs: Vec<Run>,
    /// The run that is being read, and how many of its events have been.
    run: usize,
    read: u64,
    held: Vec<Event>,
    /// The next of `held`, and the number of the first one.
    next: usize,
    first: u64,
}

impl Thread {
    /// Makes sure that the next event is at hand; returns its time. `unread` counts what cannot be read.
    fn fill(&mut self, events: &dyn Events, unread: &mut u64) -> Option<u64> {
        loop {
            if let Some(event) = self.held.get(self.next) {
                return Some(event.time_ns);
            }
            let run = self.runs.get(self.run)?;
            let left = run.count - self.read;
            if left == 0 {
                self.run += 1;
                self.read = 0;
                continue;
            }
            self.held.clear();
            self.next = 0;
            self.first = run.first + self.read;
            let wanted = left.min(AT_ONCE as u64);
            events.read(self.first, wanted as usize, &mut self.held);
            let short = wanted - self.held.len() as u64;
            self.read += if short == 0 { wanted } else { left };
            if short > 0 {
                *unread += left - self.held.len() as u64;
            }
        }
    }
}

/// Hands out all events with their numbers. Returns how many could not be read.
pub(crate) fn each_event(events: &dyn Events, mut each: impl FnMut(u64, &Event)) -> u64 {
    let mut by_thread: BTreeMap<u32, Vec<Run>> = BTreeMap::new();
    for run in events.runs() {
        by_thread.entry(run.thread).or_default().push(run);
    }
    let mut unread = 0;
    let mut threads: Vec<Thread> = Vec::new();
    let mut heads: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    for mut runs in by_thread.into_values() {
        // Chunks that are used again need not lie in the order of time.
        runs.sort_by_key(|run| (run.time_ns, run.first));
        let mut thread = Thread {
            runs,
            run: 0,
            read: 0,
            held: Vec::with_capacity(AT_ONCE),
            next: 0,
            first: 0,
        };
        if let Some(time) = thread.fill(events, &mut unread) {
            heads.push(Reverse((time, threads.len())));
        }
        threads.push(thread);
    }
    while let Some(mut head) = heads.pop() {
        let until = heads.peek().map_or(u64::MAX, |Reverse((time, _))| *time);
        let thread = &mut threads[head.0.1];
        // Until another thread's turn comes.
        let time = loop {
            while let Some(event) = thread.held.get(thread.next)
                && event.time_ns <= until
            {
                each(thread.first + thread.next as u64, event);
                thread.next += 1;
            }
            match thread.fill(events, &mut unread) {
                Some(time) if time <= until => {}
                next => break next,
            }
        };
        if let Some(time) = time {
            head.0.0 = time;
            heads.push(head);
        }
    }
    unread
}
