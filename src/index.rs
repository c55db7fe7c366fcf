//! A lock-free, insert-only index: from a hash to the number of an item that lies in an arena.
//!
//! What the shim must find again goes through this one structure: views, stacks, Python functions, modules. (Addresses
//! and owners lie in their tables themselves, see `ledger/lines.rs`, which are built alike.) A slot is one word,
//! `fingerprint << 32 | item + 1`. Slots stand in lines of one cache line, lines in levels, each larger than the one
//! before. A key has one line in every level, and many in the last; an insert takes the first free slot of the first
//! line that has one. Slots are never emptied, so a line with a free slot ends a search: the key is in no later line.
//!
//! **Architecture Invariant:** no lock, no wait for another thread, no allocation. What an item is, the caller knows;
//! it has filled the item before it offers it here.

use crate::items::Items;
use crate::mix::mix;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// Slots in a line: one cache line's worth.
pub const LINE: usize = if cfg!(modelled) { 2 } else { 8 };

/// Where the slots lie. All of them are 0 at the beginning.
pub trait Slots {
    /// The line of `hash` in `level`, or `None` behind the last level.
    fn line(&self, level: usize, hash: u64) -> Option<&[AtomicU64]>;
}

/// What an insert came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The offered item is in now.
    New,
    /// Somebody had inserted this item with the same key before.
    Found(u32),
    /// Every line of this key is taken.
    Full,
}

/// The index over slots that lie in `S`.
#[derive(Debug)]
pub struct Index<S> {
    slots: S,
}

const fn fingerprint(hash: u64) -> u64 {
    hash & 0xffff_ffff_0000_0000
}

impl<S: Slots> Index<S> {
    /// Starts with empty slots.
    pub const fn new(slots: S) -> Self {
        Self { slots }
    }

    /// The item for which `is_key` holds, among those with this hash.
    #[inline]
    pub fn find(&self, hash: u64, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let mut level = 0;
        while let Some(line) = self.slots.line(level, hash) {
            // The whole line at once: which of its slots it is cannot be foretold.
            let (mut alike, mut free) = (0_u32, 0_u32);
            for (index, slot) in line.iter().enumerate() {
                let word = slot.load(Ordering::Relaxed);
                alike |= u32::from(fingerprint(word ^ hash) == 0) << index;
                free |= u32::from(word == 0) << index;
            }
            while let Some(slot) = line.get(alike.trailing_zeros() as usize) {
                // Acquire: pairs with the insert, so that the item's content is seen whole.
                if let Some(item) = same_item(slot.load(Ordering::Acquire), hash, &is_key) {
                    return Some(item);
                }
                alike &= alike - 1;
            }
            if free != 0 {
                return None;
            }
            level += 1;
        }
        None
    }

    /// Enters `item`, unless one with the same key is there.
    pub fn insert(&self, hash: u64, is_key: impl Fn(u32) -> bool, item: u32) -> Inserted {
        let entry = fingerprint(hash) | (u64::from(item) + 1);
        let mut level = 0;
        while let Some(line) = self.slots.line(level, hash) {
            for slot in line {
                let mut word = slot.load(Ordering::Acquire);
                if word == 0 {
                    match slot.compare_exchange(0, entry, Ordering::AcqRel, Ordering::Acquire) {
                        Ok(_) => return Inserted::New,
                        // Somebody took this slot first; perhaps with the same key.
                        Err(other) => word = other,
                    }
                }
                if let Some(item) = same_item(word, hash, &is_key) {
                    return Inserted::Found(item);
                }
            }
            level += 1;
        }
        Inserted::Full
    }
}

fn same_item(word: u64, hash: u64, is_key: &impl Fn(u32) -> bool) -> Option<u32> {
    let item = (word as u32).wrapping_sub(1);
    (word != 0 && fingerprint(word ^ hash) == 0 && is_key(item)).then_some(item)
}

/// Slots in memory of the shim's own, in levels that grow by a factor of eight.
#[derive(Debug)]
pub struct MappedSlots {
    levels: [(Items<AtomicU64>, usize); MappedSlots::LEVELS],
}

impl MappedSlots {
    const LEVELS: usize = if cfg!(modelled) { 2 } else { 5 };
    /// Lines that a key has in the last level after its first one there. Keys do not spread evenly over lines; with so
    /// many to choose from, the last slots are found as well, and a table holds what it was made for.
    const MORE_LINES: usize = 32;

    /// Levels for up to roughly `items` items: the largest level has a slot for each of them and more.
    #[must_use]
    pub fn new(items: usize) -> Option<Self> {
        let last_lines = (items / LINE).next_power_of_two();
        let mut levels = [const { (Items::NONE, 0) }; Self::LEVELS];
        for (level, place) in levels.iter_mut().enumerate() {
            let lines = (last_lines >> (3 * (Self::LEVELS - 1 - level))).max(1);
            // Halving keeps the number of lines a power of two.
            *place = Items::reserve(lines, 1, LINE)?;
        }
        Some(Self { levels })
    }
}

impl Slots for MappedSlots {
    fn line(&self, level: usize, hash: u64) -> Option<&[AtomicU64]> {
        let more = (level + 1).saturating_sub(Self::LEVELS);
        if more > Self::MORE_LINES {
            return None;
        }
        let (memory, lines) = &self.levels[level - more];
        let place = if more == 0 {
            hash
        } else {
            mix(hash.wrapping_add(more as u64))
        };
        let line = place as usize & (lines - 1);
        // SAFETY: a level has `lines * LINE` slots, and `line < lines`, a power of two.
        Some(unsafe { memory.slice(line * LINE, LINE) })
    }
}
