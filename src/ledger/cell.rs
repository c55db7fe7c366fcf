//! One atomic transition for a state that is larger than a word.
//!
//! A state lies in a record of atomic words; its cell is one word, `version << 32 | record`. Who changes the
//! state reads the record, writes a new one that nobody else knows yet, and swings the cell by compare and
//! exchange. Whoever loses starts again. The old record belongs to the winner, who may use it again at once: a
//! reader that still looks at it reads nonsense, but then the cell has moved on, its exchange fails, and the
//! nonsense is thrown away.
//!
//! **Architecture Invariant:** the exchange is the one moment at which an event happens; it alone decides
//! between racing frees and numbers the events of an address.

use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// The record of a cell that has none yet: its state is the initial one.
pub const NO_RECORD: u32 = u32::MAX;

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
    /// The record with the state, or [`NO_RECORD`].
    #[must_use]
    pub const fn record(self) -> u32 {
        // Stored as its complement, so that a cell of zeros has no record.
        !(self.word as u32)
    }
}

/// Looks at a cell.
#[must_use]
pub fn look(cell: &AtomicU64) -> Seen {
    // Acquire: pairs with the Release in `swing`, so that the record's words are seen.
    Seen {
        word: cell.load(Ordering::Acquire),
    }
}

/// Replaces what was `seen` by `record`. When true, the caller owns the old record; when false it still owns
/// `record`, and the cell has changed.
#[must_use]
pub fn swing(cell: &AtomicU64, seen: Seen, record: u32) -> bool {
    let version = (seen.word >> 32).wrapping_add(1) << 32;
    let next = version | u64::from(!record);
    cell.compare_exchange(seen.word, next, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}
