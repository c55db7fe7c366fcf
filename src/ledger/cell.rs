//! One atomic transition for a state that may be larger than a word.
//!
//! A cell is one word. A state that is small enough lies in it ([`Small`]), with its step, so that no two moments look
//! alike. Any other lies in a record of atomic words, and the cell is `version << 32 | record`. Who changes the state
//! reads it, writes a new record where it needs one, which nobody else knows yet, and swings the cell by compare and
//! exchange. Whoever loses starts again. The old record belongs to the winner, who may use it again at once: a reader
//! that still looks at it reads nonsense, but then the cell has moved on, its exchange fails, and the nonsense is
//! thrown away.
//!
//! **Architecture Invariant:** the exchange is the one moment at which an event happens; it alone decides between
//! racing frees and numbers the events of an address.

use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// The record of a cell that has none yet: its state is the initial one.
pub const NO_RECORD: u32 = u32::MAX;

/// Set in a word that is a state itself.
const IS_SMALL: u64 = 1 << 63;
const VERSION_MASK: u64 = (1 << 31) - 1;

/// Where records lie.
pub trait Records {
    /// The words of a record.
    fn words(&self, record: u32) -> &[AtomicU64];
}

/// What a cell held at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    word: u64,
}

impl Seen {
    /// The record with the state, or [`NO_RECORD`]. Meaningless where the state is in the cell.
    #[must_use]
    #[inline]
    pub const fn record(self) -> u32 {
        // Stored as its complement, so that a cell of zeros has no record.
        !(self.word as u32)
    }

    /// The 63 bits of a state that lies in the cell.
    #[must_use]
    #[inline]
    pub const fn small(self) -> Option<u64> {
        if self.word & IS_SMALL == 0 {
            None
        } else {
            Some(self.word & !IS_SMALL)
        }
    }

    /// Whether nothing was ever put into the cell.
    #[must_use]
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.word == 0
    }

    /// The record that whoever replaces this owns from then on.
    #[must_use]
    #[inline]
    pub const fn leaves(self) -> Option<u32> {
        if self.word & IS_SMALL != 0 || self.record() == NO_RECORD {
            None
        } else {
            Some(self.record())
        }
    }

    /// A version for the record that comes next, where nothing else numbers the states of a cell.
    #[must_use]
    pub const fn next_version(self) -> u64 {
        (self.word >> 32).wrapping_add(1)
    }
}

/// What a cell is to hold next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    word: u64,
}

impl Next {
    /// A state in the cell itself, of 63 bits.
    #[must_use]
    #[inline]
    pub const fn small(bits: u64) -> Self {
        Self {
            word: bits | IS_SMALL,
        }
    }

    /// A state in a record. `version` tells moments apart at which the same record is used: each is greater than the
    /// one before, whatever the cell held in between.
    #[must_use]
    #[inline]
    pub const fn record(version: u64, record: u32) -> Self {
        Self {
            word: (version & VERSION_MASK) << 32 | !record as u64,
        }
    }

    /// Whether the state is in a record.
    #[must_use]
    #[inline]
    pub const fn is_record(self) -> bool {
        self.word & IS_SMALL == 0
    }
}

/// Looks at a cell.
#[must_use]
#[inline]
pub fn look(cell: &AtomicU64) -> Seen {
    // Acquire: pairs with the Release in `swing`, so that the record's words are seen.
    Seen {
        word: cell.load(Ordering::Acquire),
    }
}

/// Replaces what was `seen` by `next`. When true, the caller owns the old record; when false it still owns
/// that of `next`, and the cell has changed.
#[must_use]
#[inline]
pub fn swing(cell: &AtomicU64, seen: Seen, next: Next) -> bool {
    cell.compare_exchange(seen.word, next.word, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}
