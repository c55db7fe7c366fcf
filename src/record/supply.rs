//! What a thread does that needs a chunk when the writer thread has none ready: it has filled those that were, faster
//! than new ones came, or the file system does not answer.
//!
//! The writer asks for chunks ahead of need, so it is mostly the one whom a file system that does not answer holds up.
//! Threads that see it asking wait for it, and when it has asked for long their events are counted instead of kept, at
//! once and without waiting, until there are chunks again. Where the writer does not get to run, one thread at a time
//! asks for itself.

use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Recorder;
use super::sink::Sink;
use crate::options;
use crate::options::Overflow;
use crate::sys;

/// How long a thread lets the writer come before it asks for itself.
const WRITER_COMES_IN: u64 = 1_000_000;
/// Who asks for longer does not get an answer: no event waits for longer.
const MOST_PATIENCE: u64 = 1_000_000_000;
/// How often a thread looks.
const LOOK_EVERY: Duration = Duration::from_micros(50);

/// Since when somebody asks the file system for chunks, on the monotonic clock; 0 while nobody does.
#[derive(Debug, Default)]
pub(super) struct Asking {
    writer: AtomicU64,
    /// One of the host's threads.
    thread: AtomicU64,
}

impl Asking {
    /// The writer asks.
    pub(super) fn by_writer<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.writer.store(sys::monotonic_ns(), Ordering::Relaxed);
        let answer = ask();
        self.writer.store(0, Ordering::Relaxed);
        answer
    }

    /// A thread asks, unless another one does.
    fn by_thread<T>(&self, now: u64, ask: impl FnOnce() -> T) -> Option<T> {
        let free = self
            .thread
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        free.ok()?;
        let answer = ask();
        self.thread.store(0, Ordering::Relaxed);
        Some(answer)
    }

    /// Since when somebody asks who has not got an answer.
    fn since(&self) -> Option<u64> {
        let asking = [&self.writer, &self.thread].map(|since| since.load(Ordering::Relaxed));
        asking.into_iter().filter(|since| *since != 0).min()
    }
}

impl Recorder {
    /// A chunk, when none was ready. `for_event`: what it is for is counted when there is none.
    #[cold]
    pub(super) fn chunk_beyond_ready(&self, for_event: bool) -> Option<NonNull<u8>> {
        let is_file = matches!(self.sink, Sink::File(_));
        if !is_file || !self.mail.has_writer() {
            return self.grow(1);
        }
        if for_event && options::get().overflow == Overflow::Drop {
            return None;
        }
        // To sleep is to be cancelled.
        let _no_cancel = sys::NoCancel::new();
        let begun = sys::monotonic_ns();
        loop {
            if let Some(chunk) = self.ready.take() {
                return Some(chunk);
            }
            let now = sys::monotonic_ns();
            // Who has been told that there is no room, is so at once.
            let is_refused = self.refusals.load(Ordering::Relaxed) != 0;
            let waited = now.saturating_sub(begun);
            match self.asking.since() {
                Some(since) if now.saturating_sub(since) > MOST_PATIENCE => return None,
                None if is_refused || waited > WRITER_COMES_IN => {
                    if let Some(answer) = self.asking.by_thread(now, || self.grow(1)) {
                        return answer;
                    }
                }
                // Others come first, again and again.
                _ if waited > MOST_PATIENCE => return None,
                _ => {}
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_asks_at_a_time_and_who_asks_is_seen() {
        let asking = Asking::default();
        assert_eq!(asking.since(), None);
        let nested = asking.by_thread(7, || {
            assert_eq!(asking.since(), Some(7));
            asking.by_thread(8, || "a second one")
        });
        assert_eq!(nested, Some(None));
        assert_eq!(asking.since(), None);
        asking.by_writer(|| assert!(asking.since().is_some()));
        assert_eq!(asking.since(), None);
    }
}
