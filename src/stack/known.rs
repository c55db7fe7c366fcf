//! The numbers of stacks that were met before, by their return addresses as they are in the process: most events need
//! not look further.
//!
//! What a return address means changes when a library is unloaded. A number is from one epoch
//! ([`unwind::rules`](super::unwind::rules)); in a later one the stack is named anew, once, and keeps its entry.
//!
//! **Architecture Invariant:** no lock, no allocation; entries are written before they are offered to the index, and
//! only the number of an entry changes afterwards, which is one word.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::AtomicUsize;

use crate::arena::Arena;
use crate::arena::ZeroInit;
use crate::index::Index;
use crate::index::Inserted;
use crate::index::MappedSlots;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;
use crate::sys;
use crate::sys::mix;

/// Most different stacks that are known.
const MOST: u32 = 1 << 20;
/// Words for all of them. Only what is used is ever backed.
const WORDS: u32 = 1 << 27;

/// A stack as it is known: words that tell it, and a hash of them.
#[derive(Clone, Copy, Debug)]
pub struct Key<'words> {
    /// Of the words.
    pub hash: u64,
    /// What tells this stack from others in a few bits.
    pub shape: u64,
    /// Return addresses.
    pub native: &'words [usize],
    /// Frames of an interpreter.
    pub interpreted: &'words [u64],
}

/// How many stacks a thread keeps at hand.
const RECENT: usize = 256;

/// Where a thread found its last stacks, so that most are not looked for in the index. Valid as zeros.
#[derive(Debug)]
pub struct Recent {
    trace: Cell<u64>,
    /// By hash: the number of an entry plus 1.
    entries: [Cell<u32>; RECENT],
}

impl Recent {
    #[inline]
    fn place(&self, trace: u64, key: Key<'_>) -> &Cell<u32> {
        if self.trace.replace(trace) != trace {
            for entry in &self.entries {
                entry.set(0);
            }
        }
        let folded = key.hash ^ key.hash >> 32;
        &self.entries[(folded ^ folded >> 16) as usize % RECENT]
    }
}

#[derive(Debug)]
#[repr(C)]
struct Entry {
    shape: AtomicU64,
    /// Where the words lie, and how many of them are native and how many are not.
    start: AtomicU64,
    lens: AtomicU64,
    /// The epoch and the number of the stack.
    number: AtomicU64,
}

// SAFETY: zeroed memory is four valid atomics, which may be shared.
unsafe impl ZeroInit for Entry {}

/// The stacks of one trace that were met.
#[derive(Debug)]
pub struct Known {
    entries: Arena<Entry>,
    index: Index<MappedSlots>,
    words: NonNull<u64>,
    len: usize,
    next: AtomicUsize,
}

// SAFETY: words are written by the one thread that was given their place, and read only once it has offered them to the
// index; they are never given back.
unsafe impl Send for Known {}
// SAFETY: as above.
unsafe impl Sync for Known {}

impl Known {
    /// None are known yet.
    #[must_use]
    pub fn new() -> Option<Self> {
        let most = sys::affordable(MOST);
        let len = sys::affordable(WORDS) as usize;
        let (words, len) = sys::reserve_items(len, 1, size_of::<u64>())?;
        Some(Self {
            entries: Arena::new(most)?,
            index: Index::new(MappedSlots::new(most as usize)?),
            words: words.cast(),
            len,
            next: AtomicUsize::new(0),
        })
    }

    /// The number of a stack, if it was met in this epoch. `recent` is the thread's, for stacks of this trace.
    #[inline]
    pub fn find(&self, recent: &Recent, trace: u64, key: Key<'_>, epoch: u32) -> Option<u32> {
        let place = recent.place(trace, key);
        // What the thread has had from the index once, it sees whole for ever.
        let entry = match place.get().checked_sub(1) {
            Some(entry) if self.is(entry, key) => entry,
            _ => {
                let entry = self
                    .index
                    .find(mix(key.hash), |entry| self.is(entry, key))?;
                place.set(entry + 1);
                entry
            }
        };
        let number = self.entries.get(entry).number.load(Ordering::Relaxed);
        let (of_epoch, number) = ((number >> 32) as u32, number as u32);
        (of_epoch == epoch).then_some(number)
    }

    /// From now on a stack has this number; where there is no room it is looked for anew each time.
    pub fn insert(&self, key: Key<'_>, epoch: u32, number: u32) {
        let number = u64::from(epoch) << 32 | u64::from(number);
        let hash = mix(key.hash);
        if let Some(entry) = self.index.find(hash, |entry| self.is(entry, key)) {
            let entry = self.entries.get(entry);
            entry.number.store(number, Ordering::Relaxed);
            return;
        }
        let len = key.native.len() + key.interpreted.len();
        // The first look keeps the counter from running round when everybody knocks at full memory.
        if self.next.load(Ordering::Relaxed) + len > self.len {
            return;
        }
        let start = self.next.fetch_add(len, Ordering::Relaxed);
        if start + len > self.len {
            return;
        }
        let Some(new) = self.entries.take() else {
            return;
        };
        let native = key.native.iter().map(|&word| word as u64);
        let all = native.chain(key.interpreted.iter().copied());
        for (place, word) in (start..start + len).zip(all) {
            // SAFETY: there was room, and nobody else was given this place.
            unsafe { self.words.add(place).write(word) };
        }
        let entry = self.entries.get(new);
        entry.shape.store(key.shape, Ordering::Relaxed);
        entry.start.store(start as u64, Ordering::Relaxed);
        entry.lens.store(lens(key), Ordering::Relaxed);
        entry.number.store(number, Ordering::Relaxed);
        let is_same = |entry| self.is(entry, key);
        if let Inserted::Found(other) = self.index.insert(hash, is_same, new) {
            let entry = self.entries.get(other);
            entry.number.store(number, Ordering::Relaxed);
        }
    }

    /// Not inlined: the index looks at many places in a row, and asks this of one.
    #[inline(never)]
    fn is(&self, entry: u32, key: Key<'_>) -> bool {
        let entry = self.entries.get(entry);
        // Relaxed: the index was read with Acquire, and all of it was there before.
        let is_alike = entry.lens.load(Ordering::Relaxed) == lens(key)
            && entry.shape.load(Ordering::Relaxed) == key.shape;
        if !is_alike {
            return false;
        }
        let start = entry.start.load(Ordering::Relaxed) as usize;
        let (native, interpreted) = (key.native.len(), key.interpreted.len());
        let (of_native, others) = self.words(start, native + interpreted).split_at(native);
        // All of them, without a branch at each: they do not differ, as good as always.
        let mut differ = 0;
        for (known, &word) in of_native.iter().zip(key.native) {
            differ |= known ^ word as u64;
        }
        for (known, &word) in others.iter().zip(key.interpreted) {
            differ |= known ^ word;
        }
        differ == 0
    }

    /// The words of an entry that the index has led to.
    #[inline]
    fn words(&self, start: usize, len: usize) -> &[u64] {
        debug_assert!(start + len <= self.len, "the caller has looked for room");
        // SAFETY: `start` and `len` are those of an entry, for which there was room; its words were written before it
        // was offered to the index and are not changed afterwards, and the mapping is never given back.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().add(start), len) }
    }
}

fn lens(key: Key<'_>) -> u64 {
    key.native.len() as u64 | (key.interpreted.len() as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(native: &'a [usize], interpreted: &'a [u64]) -> Key<'a> {
        // All the same, so that it is the words that tell.
        Key {
            hash: 1,
            shape: 0,
            native,
            interpreted,
        }
    }

    fn nothing() -> Recent {
        Recent {
            trace: Cell::new(0),
            entries: [const { Cell::new(0) }; RECENT],
        }
    }

    /// The answer, which is the same for a thread that has asked before and for one that has not.
    fn find(known: &Known, recent: &Recent, key: Key<'_>, epoch: u32) -> Option<u32> {
        let found = known.find(recent, 1, key, epoch);
        assert_eq!(known.find(recent, 1, key, epoch), found);
        assert_eq!(known.find(&nothing(), 1, key, epoch), found);
        found
    }

    #[test]
    fn a_stack_is_told_by_all_its_words() {
        let known = Known::new().expect("there is memory");
        let recent = nothing();
        let stacks: [(&[usize], &[u64]); 5] = [
            (&[1, 2, 3], &[]),
            (&[1, 2], &[3]),
            (&[1, 2, 4], &[]),
            (&[], &[1, 2, 3]),
            (&[], &[]),
        ];
        for (number, (native, interpreted)) in (1..).zip(stacks) {
            assert_eq!(find(&known, &recent, key(native, interpreted), 0), None);
            known.insert(key(native, interpreted), 0, number);
        }
        for (number, (native, interpreted)) in (1..).zip(stacks) {
            assert_eq!(
                find(&known, &recent, key(native, interpreted), 0),
                Some(number)
            );
        }
        let other_shape = Key {
            shape: 1,
            ..key(&[1, 2, 3], &[])
        };
        assert_eq!(find(&known, &recent, other_shape, 0), None);
    }

    #[test]
    fn a_number_is_of_one_epoch() {
        let known = Known::new().expect("there is memory");
        let recent = nothing();
        let stack = key(&[1, 2, 3], &[]);
        known.insert(stack, 0, 7);
        assert_eq!(find(&known, &recent, stack, 1), None);
        known.insert(stack, 1, 8);
        assert_eq!(find(&known, &recent, stack, 1), Some(8));
        assert_eq!(find(&known, &recent, stack, 0), None);
        assert_eq!(known.entries.taken(), 1, "it keeps its entry");
    }
}
