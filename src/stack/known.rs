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
use crate::mix::mix;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;
use crate::sys;

/// Most different stacks that are known.
const MOST: u32 = 1 << 20;
/// Words for all of them. Only what is used is ever backed.
const WORDS: u32 = 1 << 27;

/// A stack as it is known: words that tell it, and a hash of them.
#[derive(Clone, Copy, Debug)]
pub struct Key<'words> {
    /// Of the words. Those that are the same in all of it are the same.
    pub hash: u128,
    /// What tells this stack from others in a few bits.
    pub shape: Shape,
    /// Return addresses.
    pub native: &'words [usize],
    /// Frames of an interpreter.
    pub interpreted: &'words [u64],
}

/// What tells stacks from each other that have the same words: how many of them are of which sort, how many frames were
/// wanted, and whether there are more. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(u64);

impl Shape {
    /// Of a stack of which at most `depth` frames are wanted. All numbers are less than 65,535.
    #[must_use]
    #[inline]
    pub const fn new(depth: usize, is_cut: bool, native: &[usize], interpreted: &[u64]) -> Self {
        let numbers = (native.len() as u64) << 16 | (interpreted.len() as u64) << 32;
        Self((depth as u64 + 1) | numbers | (is_cut as u64) << 48)
    }
}

/// The hash of a stack whose native frames have this one. The frames of an interpreter follow each other: what one of
/// them adds depends on all before it.
#[must_use]
#[inline]
pub fn hash_on(native: u128, interpreted: &[u64]) -> u128 {
    let (mut first, mut second) = (native as u64, (native >> 64) as u64);
    for word in interpreted {
        first = fold(first ^ word, 0x9e37_79b9_7f4a_7c15);
        second = fold(second.wrapping_add(*word), 0xd1b5_4a32_d192_ed03);
    }
    u128::from(first) | u128::from(second) << 64
}

#[inline]
const fn fold(word: u64, by: u64) -> u64 {
    let product = (word ^ 0x2545_f491_4f6c_dd1d) as u128 * by as u128;
    product as u64 ^ (product >> 64) as u64
}

/// How many stacks a thread keeps at hand.
const RECENT: usize = 256;

/// The numbers of a thread's last stacks, so that most are not looked for in the index. Valid as zeros.
///
/// The index compares all words of a stack. Here their hash does: it is twice as long as what would do for all stacks
/// of a process, and to compare twenty words would cost more than all else about a stack that is at hand.
#[derive(Debug)]
pub struct Recent {
    trace: Cell<u64>,
    /// By hash, two in a cache line: the one that was wanted last, and one that it took the place of.
    stacks: [RecentPair; RECENT / 2],
}

#[derive(Debug)]
#[repr(align(64))]
struct RecentPair([RecentStack; 2]);

/// Of shape 0, as none is, where there is no stack.
#[derive(Debug)]
#[repr(C)]
struct RecentStack {
    hash: Cell<u128>,
    shape: Cell<u64>,
    /// As in [`Entry`].
    number: Cell<u64>,
}

impl Recent {
    #[inline]
    fn places(&self, trace: u64, key: Key<'_>) -> &[RecentStack; 2] {
        if self.trace.replace(trace) != trace {
            self.forget();
        }
        let folded = key.hash as u64 ^ (key.hash as u64) >> 32;
        &self.stacks[(folded ^ folded >> 16) as usize % (RECENT / 2)].0
    }

    #[cold]
    #[inline(never)]
    fn forget(&self) {
        for stack in self.stacks.iter().flat_map(|pair| &pair.0) {
            stack.shape.set(0);
        }
    }
}

impl RecentStack {
    /// The number of a stack that is this one, in this epoch.
    #[inline]
    fn number(&self, key: Key<'_>, epoch: u32) -> Option<u32> {
        let (of_epoch, number) = parted(self.number.get());
        let is_it =
            self.hash.get() == key.hash && self.shape.get() == key.shape.0 && of_epoch == epoch;
        is_it.then_some(number)
    }
}

/// The epoch that a number is of, and the number.
#[inline]
const fn parted(number: u64) -> (u32, u32) {
    ((number >> 32) as u32, number as u32)
}

#[derive(Debug, Default)]
#[repr(C)]
struct Entry {
    shape: AtomicU64,
    /// Where the words lie.
    start: AtomicU64,
    /// The epoch and the number of the stack.
    number: AtomicU64,
}

// SAFETY: zeroed memory is three valid atomics, which may be shared.
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
        let places = recent.places(trace, key);
        for place in places {
            if let Some(number) = place.number(key, epoch) {
                return Some(number);
            }
        }
        self.find_for(places, key, epoch)
    }

    /// As [`Known::find`], of a stack that is not at hand; from now on it is.
    #[cold]
    #[inline(never)]
    fn find_for(&self, places: &[RecentStack; 2], key: Key<'_>, epoch: u32) -> Option<u32> {
        let entry = self
            .index
            .find(mix(key.hash as u64), |entry| self.is(entry, key))?;
        // What comes out of the index is seen whole.
        let number = self.entries.get(entry).number.load(Ordering::Relaxed);
        let (of_epoch, known) = parted(number);
        if of_epoch != epoch {
            return None;
        }
        let [first, second] = places;
        second.hash.set(first.hash.get());
        second.shape.set(first.shape.get());
        second.number.set(first.number.get());
        first.hash.set(key.hash);
        first.shape.set(key.shape.0);
        first.number.set(number);
        Some(known)
    }

    /// From now on a stack has this number; where there is no room it is looked for anew each time.
    pub fn insert(&self, key: Key<'_>, epoch: u32, number: u32) {
        let number = u64::from(epoch) << 32 | u64::from(number);
        let hash = mix(key.hash as u64);
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
        entry.shape.store(key.shape.0, Ordering::Relaxed);
        entry.start.store(start as u64, Ordering::Relaxed);
        entry.number.store(number, Ordering::Relaxed);
        let is_same = |entry| self.is(entry, key);
        if let Inserted::Found(other) = self.index.insert(hash, is_same, new) {
            let entry = self.entries.get(other);
            entry.number.store(number, Ordering::Relaxed);
        }
    }

    fn is(&self, entry: u32, key: Key<'_>) -> bool {
        let entry = self.entries.get(entry);
        // Relaxed: the index was read with Acquire, and all of it was there before.
        if entry.shape.load(Ordering::Relaxed) != key.shape.0 {
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn key<'a>(native: &'a [usize], interpreted: &'a [u64]) -> Key<'a> {
        Key {
            hash: hash_on(native.iter().map(|word| *word as u128).sum(), interpreted),
            shape: Shape::new(MAX_DEPTH, false, native, interpreted),
            native,
            interpreted,
        }
    }

    const MAX_DEPTH: usize = 512;

    fn nothing() -> Recent {
        let none = || RecentStack {
            hash: Cell::new(0),
            shape: Cell::new(0),
            number: Cell::new(0),
        };
        Recent {
            trace: Cell::new(0),
            stacks: std::array::from_fn(|_| RecentPair([none(), none()])),
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
            shape: Shape::new(2, false, &[1, 2, 3], &[]),
            ..key(&[1, 2, 3], &[])
        };
        assert_eq!(find(&known, &recent, other_shape, 0), None);
    }

    #[test]
    fn the_index_compares_words_where_hashes_are_the_same() {
        let known = Known::new().expect("there is memory");
        let alike = |native| Key {
            hash: 1,
            ..key(native, &[])
        };
        known.insert(alike(&[1, 2, 3]), 0, 1);
        known.insert(alike(&[1, 2, 4]), 0, 2);
        assert_eq!(known.find(&nothing(), 1, alike(&[1, 2, 3]), 0), Some(1));
        assert_eq!(known.find(&nothing(), 1, alike(&[1, 2, 4]), 0), Some(2));
        assert_eq!(known.find(&nothing(), 1, alike(&[1, 2, 5]), 0), None);
    }

    proptest! {
        #[test]
        fn frames_of_an_interpreter_in_another_order_have_another_hash(words in vec(0_u64..4, 0..12), at in any::<prop::sample::Index>()) {
            let mut others = words.clone();
            if !words.is_empty() {
                others.rotate_left(at.index(words.len()));
            }
            prop_assert_eq!(hash_on(7, &words) == hash_on(7, &others), words == others);
            let (longer, native) = ([&words[..], &[0]].concat(), hash_on(8, &words));
            prop_assert_ne!(hash_on(7, &words), hash_on(7, &longer));
            prop_assert_ne!(hash_on(7, &words), native);
        }
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
