//! What the writer thread is asked to do while somebody waits, and how many messages it has dealt with.

use crate::primitive::AtomicU32;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// Nobody has begun.
const WAITING: u32 = 0;
/// The writer is at it.
const TAKEN: u32 = 1;
/// It is done.
const DONE: u32 = 2;
/// Whoever wanted it has helped itself.
const GIVEN_UP: u32 = 3;

/// How far an errand is: one of two does it, and the other one knows.
#[derive(Debug)]
pub struct Progress {
    state: AtomicU32,
    result: AtomicU32,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            state: AtomicU32::new(WAITING),
            result: AtomicU32::new(0),
        }
    }
}

impl Progress {
    fn claim(&self, state: u32) -> bool {
        self.state
            .compare_exchange(WAITING, state, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Begins it, unless whoever wanted it has helped itself.
    pub fn begin(&self) -> bool {
        self.claim(TAKEN)
    }

    /// Says that nobody needs it any more, unless it was begun.
    pub fn give_up(&self) -> bool {
        self.claim(GIVEN_UP)
    }

    /// It is done, with 0 or a negative errno. From now on the errand may be gone.
    pub fn finish(&self, result: i32) {
        self.result.store(result.cast_unsigned(), Ordering::Relaxed);
        // Release: the result is there, and nothing of the errand is looked at afterwards.
        self.state.store(DONE, Ordering::Release);
    }

    /// What it came to, once it is done.
    pub fn result(&self) -> Option<i32> {
        let is_done = self.state.load(Ordering::Acquire) == DONE;
        is_done.then(|| self.result.load(Ordering::Relaxed).cast_signed())
    }
}

/// How many messages are on their way.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    handled: AtomicU64,
}

impl Counts {
    /// A message is about to be sent by `send`, which says whether it was.
    ///
    /// It counts before it can be handled: else others' messages, handled before they count, would stand for those of
    /// who asks whether all was done.
    pub fn sending(&self, send: impl FnOnce() -> bool) -> bool {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let is_sent = send();
        if !is_sent {
            self.sent.fetch_sub(1, Ordering::Relaxed);
        }
        is_sent
    }

    /// A message was dealt with.
    pub fn handled(&self) {
        self.handled.fetch_add(1, Ordering::Release);
    }

    /// Whether everything has been done that the caller sent, or knows of.
    #[must_use]
    pub fn are_even(&self) -> bool {
        // In this order: what is sent in between only makes it wait.
        let handled = self.handled.load(Ordering::Acquire);
        handled >= self.sent.load(Ordering::Relaxed)
    }
}
