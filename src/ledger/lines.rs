//! Entries that lie in the table itself: claimed by one exchange of their key, and never given back.
//!
//! Entries stand in lines of one cache line, lines in levels, each larger than the one before. A key has a few lines in
//! every level, and many in the last; a new key takes the first free entry of the first line that has one. So a line
//! with a free entry ends a search: the key is in no later line. A search may begin anywhere, since a key that is found
//! is the one, wherever that was; only its absence must be shown from the beginning.
//!
//! **Architecture Invariant:** no lock, no wait for another thread, no allocation. What lies beside a key is valid as
//! zeros, so a claimed entry is whole at once.

use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// An entry: something beside a key.
pub trait Keyed {
    /// The key's word; 0 as long as nobody has claimed the entry.
    fn key(&self) -> &AtomicU64;
}

/// Where the lines lie. All of their words are 0 at the beginning.
pub trait Lines {
    /// What lies in them.
    type Entry: Keyed;
    /// Lines of one key in each level, all in one aligned group.
    const GROUP: usize;

    /// The line of a key with this hash at `place` in the order of search, or `None` behind the last. Places `n *
    /// GROUP` begin a level.
    fn line(&self, place: usize, hash: u64) -> Option<&[Self::Entry]>;
}

/// What one line says of a key.
enum Said<'line, E> {
    /// Its entry.
    Here(&'line E),
    /// Not here, and an entry is free.
    Free(&'line E),
    /// Not here; later lines may know.
    Full,
}

/// As [`look`], one entry after the other: for lines that are mostly full of other keys, which can be foretold.
#[inline(always)]
fn look_through<E: Keyed>(line: &[E], key: u64) -> Said<'_, E> {
    for entry in line {
        // Relaxed: as in `look`.
        match entry.key().load(Ordering::Relaxed) {
            word if word == key => return Said::Here(entry),
            0 => return Said::Free(entry),
            _ => {}
        }
    }
    Said::Full
}

/// Looks at the whole line before it decides anything: which of its entries it is cannot be foretold.
#[inline(always)]
fn look<E: Keyed>(line: &[E], key: u64) -> Said<'_, E> {
    let (mut here, mut free) = (0_u32, 0_u32);
    for (index, entry) in line.iter().enumerate() {
        // Relaxed: nothing was written beside a key before it was claimed, and the cell has an order of its own.
        let word = entry.key().load(Ordering::Relaxed);
        here |= u32::from(word == key) << index;
        free |= u32::from(word == 0) << index;
    }
    let first = |bits: u32| line.get(bits.trailing_zeros() as usize);
    match (first(here), first(free)) {
        (Some(entry), _) => Said::Here(entry),
        (None, Some(entry)) => Said::Free(entry),
        (None, None) => Said::Full,
    }
}

/// The entry of `key`, if it is in the level that begins at `place`.
#[inline(always)]
pub fn find_at<L: Lines>(lines: &L, place: usize, key: u64, hash: u64) -> Option<&L::Entry> {
    for place in place..place + L::GROUP {
        match look(lines.line(place, hash)?, key) {
            Said::Here(entry) => return Some(entry),
            Said::Free(_) => return None,
            Said::Full => {}
        }
    }
    None
}

/// The entry of `key`, if it was claimed.
#[inline]
pub fn find<L: Lines>(lines: &L, key: u64, hash: u64) -> Option<&L::Entry> {
    let mut place = 0;
    while let Some(line) = lines.line(place, hash) {
        match look_through(line, key) {
            Said::Here(entry) => return Some(entry),
            Said::Free(_) => return None,
            Said::Full => place += 1,
        }
    }
    None
}

/// What a claim came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed<E> {
    /// The entry at this place is the key's from now on.
    New(E, usize),
    /// The key had this entry before.
    Found(E),
    /// Every line of this key is full.
    Full,
}

/// The entry of `key`, made where there is none.
#[inline]
pub fn claim<L: Lines>(lines: &L, key: u64, hash: u64) -> Claimed<&L::Entry> {
    let mut place = 0;
    while let Some(line) = lines.line(place, hash) {
        match look_through(line, key) {
            Said::Here(entry) => return Claimed::Found(entry),
            Said::Full => place += 1,
            // Somebody who takes it first, perhaps with the same key, is seen when the line is looked at again.
            Said::Free(entry) => {
                let key_word = entry.key();
                let won = key_word.compare_exchange(0, key, Ordering::AcqRel, Ordering::Relaxed);
                if won.is_ok() {
                    return Claimed::New(entry, place);
                }
            }
        }
    }
    Claimed::Full
}
