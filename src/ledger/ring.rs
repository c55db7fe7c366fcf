//! The life of most buffers whose owners are known, at an address that has had many: one more owner allocates, or the
//! live one frees, and of the past owners the oldest is forgotten.
//!
//! Such a state moves from one record of the second class to the next as words, with one holder more, or one less. What
//! comes out is what [`Address::apply`](whofreed_lifecycle::Address::apply) makes of it.

use std::array;

use whofreed_lifecycle::Event;
use whofreed_lifecycle::REMEMBERED_OWNERS;

use super::state;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// The class of the records.
pub const CLASS: usize = 1;
/// Owners in one.
const ROOM: usize = super::few::MOST;
/// Words of one.
const WORDS: usize = 4 + ROOM;
const _: () = assert!(WORDS == super::pool::words_of(CLASS));
/// States with fewer holders lie elsewhere.
const LEAST: usize = state::MOST_IN_FIRST + 1;

/// What becomes of a state, to be written to a record.
#[derive(Debug)]
pub struct Next {
    /// The event's number.
    pub step: u64,
    header: u64,
    /// The place of the one live instance, if there is one: all others are past, and have no rights.
    live: Option<usize>,
    owners: [u64; ROOM],
}

/// What `event` makes of the state in a record, where it goes as told above: with the verdict that all is well, and
/// `epoch` resets of the device, all of them applied. None for all else, and where what stands there is no state.
#[inline]
pub fn next(words: &[AtomicU64; WORDS], event: Event, epoch: u32) -> Option<Next> {
    let word = |index: usize| words[index].load(Ordering::Relaxed);
    let header = state::Header(word(1));
    let len = header.len();
    let counts = u128::from(word(2)) | u128::from(word(3)) << 64;
    let is_close = header.is_close() && (LEAST..=REMEMBERED_OWNERS + 1).contains(&len);
    if !is_close || header.epoch() != epoch {
        return None;
    }
    let mut owners: [u64; ROOM] = array::from_fn(|index| word(4 + index));
    let step = word(0).wrapping_add(1);
    match event {
        Event::Allocate { owner } if owner != 0 => {
            let is_past = header.live() == 0 && counts == 0 && len <= REMEMBERED_OWNERS;
            if !is_past {
                return None;
            }
            owners[len] = owner;
            Some(Next {
                step,
                header: header.allocated(len),
                live: Some(len),
                owners,
            })
        }
        Event::Deallocate { owner } if owner != 0 => {
            let last = len - 1;
            let is_its = header.live() == 1 << last && counts == 1 << (8 * last);
            let mut past = 0_u32;
            for (index, known) in owners.iter().enumerate() {
                past |= u32::from(*known == owner) << index;
            }
            // It alone, and not among the past as well.
            if !is_its || past & ((1 << len) - 1) != 1 << last {
                return None;
            }
            let is_forgotten = len > REMEMBERED_OWNERS;
            if is_forgotten {
                owners.copy_within(1.., 0);
            }
            Some(Next {
                step,
                header: header.freed(is_forgotten),
                live: None,
                owners,
            })
        }
        _ => None,
    }
}

impl Next {
    /// Writes it into a record of [`CLASS`] that nobody else reads.
    #[inline]
    pub fn store(&self, words: &[AtomicU64; WORDS]) {
        let counts = self.live.map_or(0_u128, |live| 1 << (8 * live));
        words[0].store(self.step, Ordering::Relaxed);
        words[1].store(self.header, Ordering::Relaxed);
        words[2].store(counts as u64, Ordering::Relaxed);
        words[3].store((counts >> 64) as u64, Ordering::Relaxed);
        for (word, owner) in words[4..].iter().zip(&self.owners) {
            word.store(*owner, Ordering::Relaxed);
        }
    }
}
