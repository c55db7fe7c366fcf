//! The words that a chunk begins with, and the order in which they change: what makes everything that is committed whole,
//! for whoever reads the chunk at any instant, and whatever was in it before.
//!
//! Of a chunk that is used again, the number of the filling changes before its content does. So who reads that number,
//! then the content, and then the same number again has read a content of this filling alone. `tests/models` reads like that.

use crate::primitive::AtomicU64;
use crate::primitive::Ordering;
use crate::primitive::fence;

/// The first words of `ChunkHeader`, which lies over them in the trace.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Words {
    /// The magic number, the kind and the span.
    pub title: AtomicU64,
    /// Bytes behind the header that are whole.
    pub committed: AtomicU64,
    /// The number of this filling; 0 where the chunk is not used again.
    pub fill: AtomicU64,
    /// What that was, where it is not used again after all.
    pub kept: AtomicU64,
}

impl Words {
    /// Begins an empty chunk. For whoever has it alone, and is going to write to it.
    pub fn begin(&self, title: u64, fill: u64) {
        // Release: who sees this nothing sees the block that stands for what was there.
        self.committed.store(0, Ordering::Release);
        // Release: who sees the new number does not see what was committed of the old filling.
        self.fill.store(fill, Ordering::Release);
        // Release: who sees a new chunk's title sees the rest of it.
        self.title.store(title, Ordering::Release);
        // Who sees any of the content that is written from now on sees the number of its filling as well.
        fence(Ordering::Release);
    }

    /// How much is committed. For the thread that writes to the chunk, or has it alone.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// So much is whole from now on.
    #[inline(always)]
    pub fn commit(&self, used: u64) {
        // Release: the content is in the chunk before the word that covers it.
        self.committed.store(used, Ordering::Release);
    }

    /// It keeps what it holds for ever.
    pub fn keep(&self) {
        self.kept
            .store(self.fill.load(Ordering::Relaxed), Ordering::Relaxed);
        self.fill.store(0, Ordering::Release);
    }

    /// A block that is committed stands for what it holds.
    pub fn empty(&self) {
        // Release: who does not see the content any more sees the block.
        self.committed.store(0, Ordering::Release);
    }
}
