//! Of an expression's program, what threads share: what it is right for, and whose turn it is to make one.

use crate::primitive::AtomicBool;
use crate::primitive::AtomicU32;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// Of a program that stays right whatever else is loaded.
pub const WHATEVER: u32 = u32::MAX;

/// The generation of loaded libraries that a program is right in, and how many objects are loaded then, or
/// [`WHATEVER`].
#[derive(Debug)]
pub struct Validity {
    generation: AtomicU64,
    loaded: AtomicU32,
}

impl Validity {
    /// Of a program that nobody knows yet.
    #[must_use]
    pub fn new(generation: u64, loaded: u32) -> Self {
        Self {
            generation: AtomicU64::new(generation),
            loaded: AtomicU32::new(loaded),
        }
    }

    /// The program is right once more. For whoever has the turn.
    pub fn renew(&self, generation: u64, loaded: u32) {
        self.loaded.store(loaded, Ordering::Relaxed);
        // Release: who sees the generation does not see the number of an earlier one.
        self.generation.store(generation, Ordering::Release);
    }

    /// Whether it is right in a generation, and while so many objects are loaded.
    #[inline]
    pub fn is_for(&self, generation: impl FnOnce() -> u64, loaded: impl FnOnce() -> u32) -> bool {
        // First, as it was written last.
        if self.generation.load(Ordering::Acquire) != generation() {
            return false;
        }
        let right_for = self.loaded.load(Ordering::Relaxed);
        right_for == WHATEVER || right_for == loaded()
    }
}

/// Whose turn it is: nobody waits for it.
#[derive(Debug)]
pub struct Turn(pub AtomicBool);

impl Turn {
    /// Runs what one thread at a time may do; None where another one is at it.
    pub fn take<T>(&self, action: impl FnOnce() -> Option<T>) -> Option<T> {
        // Acquire and Release: each sees what those before it did.
        if self.0.swap(true, Ordering::Acquire) {
            return None;
        }
        let result = action();
        self.0.store(false, Ordering::Release);
        result
    }
}
