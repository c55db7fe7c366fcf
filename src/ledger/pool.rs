//! The memory of states: records in classes of size, used again and again.
//!
//! The smallest records have eight words, and those of the other classes 16, 32, and then four times as many each. A
//! thread keeps a few free records of its own; what is over goes to a shared stack per class (Treiber's, with a counter
//! against ABA), what is missing comes from there or from fresh memory.

use std::sync::atomic::compiler_fence;

use crate::arena::Arena;
use crate::arena::ZeroInit;
use crate::ledger::cell::Records;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;
use crate::primitive::fence;

/// The number of size classes.
pub const CLASSES: usize = 7;
/// There are at least so many records of each class.
const LEAST: u32 = if cfg!(modelled) { 0 } else { 64 };
/// Free records of a class that a thread keeps.
const KEPT: usize = 8;
const CLASS_SHIFT: u32 = 29;
const INDEX_MASK: u32 = (1 << CLASS_SHIFT) - 1;

/// The words of a record of `class`.
#[must_use]
pub const fn words_of(class: usize) -> usize {
    match class {
        0 => 8,
        1 => 16,
        _ => 2 << (2 * class),
    }
}

#[derive(Debug)]
#[repr(C)]
struct Record<const WORDS: usize> {
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Default for Record<WORDS> {
    fn default() -> Self {
        Self {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

// SAFETY: zeroed memory is a valid array of atomics, which may be shared.
unsafe impl<const WORDS: usize> ZeroInit for Record<WORDS> {}

/// The records of all classes.
#[derive(Debug)]
pub struct Pool {
    class0: Arena<Record<8>>,
    class1: Arena<Record<16>>,
    class2: Arena<Record<32>>,
    class3: Arena<Record<128>>,
    class4: Arena<Record<512>>,
    class5: Arena<Record<2048>>,
    class6: Arena<Record<8192>>,
    /// Per class: a counter in the upper half, the index of the top record + 1 in the lower.
    free: [AtomicU64; CLASSES],
}

/// Free records that belong to one thread. Zeroed memory is an empty cache.
#[derive(Debug)]
pub struct Cache {
    records: [[u32; KEPT]; CLASSES],
    lens: [usize; CLASSES],
}

impl Cache {
    /// A cache with nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            records: [[0; KEPT]; CLASSES],
            lens: [0; CLASSES],
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl Pool {
    /// Reserves memory for up to `small` records of the smallest class, and fewer of the larger ones.
    #[must_use]
    pub fn new(small: u32) -> Option<Self> {
        Some(Self {
            class0: Arena::new(small)?,
            class1: Arena::new(small / 2)?,
            class2: Arena::new(small / 4)?,
            class3: Arena::new((small / 64).max(LEAST))?,
            class4: Arena::new((small / 1024).max(LEAST))?,
            class5: Arena::new((small / 8192).max(LEAST))?,
            class6: Arena::new((small / 16384).max(LEAST))?,
            free: std::array::from_fn(|_| AtomicU64::new(0)),
        })
    }

    /// The words of a record of the second class; `None` of any other.
    #[must_use]
    #[inline]
    pub fn second_class(&self, record: u32) -> Option<&[AtomicU64; 16]> {
        let is_its = record >> CLASS_SHIFT == 1;
        is_its.then(|| &self.class1.get(record & INDEX_MASK).words)
    }

    /// A record of `class` that nobody else has; its words are arbitrary.
    #[must_use]
    #[inline]
    pub fn take(&self, class: usize, cache: &mut Cache) -> Option<u32> {
        // Somebody who only asks may still be reading it: who sees anything that is written to it from now on also sees
        // that the cell has moved on.
        fence(Ordering::Release);
        if let Some(last) = cache.lens[class].checked_sub(1) {
            cache.lens[class] = last;
            return Some(cache.records[class][last]);
        }
        self.take_another(class)
    }

    #[inline(never)]
    fn take_another(&self, class: usize) -> Option<u32> {
        self.pop_free(class).or_else(|| self.fresh(class))
    }

    /// Takes a record back.
    #[inline]
    pub fn give(&self, record: u32, cache: &mut Cache) {
        let class = (record >> CLASS_SHIFT) as usize;
        let len = cache.lens[class];
        if len < KEPT {
            cache.records[class][len] = record;
            // A signal handler may jump out of here: what is counted is there.
            compiler_fence(std::sync::atomic::Ordering::SeqCst);
            cache.lens[class] = len + 1;
        } else {
            self.push_free(class, record);
        }
    }

    fn fresh(&self, class: usize) -> Option<u32> {
        let index = match class {
            0 => self.class0.take(),
            1 => self.class1.take(),
            2 => self.class2.take(),
            3 => self.class3.take(),
            4 => self.class4.take(),
            5 => self.class5.take(),
            _ => self.class6.take(),
        }?;
        Some(((class as u32) << CLASS_SHIFT) | index)
    }

    fn pop_free(&self, class: usize) -> Option<u32> {
        let top = &self.free[class];
        let mut seen = top.load(Ordering::Acquire);
        loop {
            let index = (seen as u32).checked_sub(1)?;
            let record = ((class as u32) << CLASS_SHIFT) | index;
            // Perhaps somebody has taken the record meanwhile and writes to it: then the exchange fails.
            let below = self.words(record)[0].load(Ordering::Relaxed);
            let next = ((seen >> 32).wrapping_add(1) << 32) | (below & 0xffff_ffff);
            match top.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(record),
                Err(now) => seen = now,
            }
        }
    }

    #[inline(never)]
    fn push_free(&self, class: usize, record: u32) {
        let top = &self.free[class];
        let index = u64::from(record & INDEX_MASK);
        let mut seen = top.load(Ordering::Relaxed);
        loop {
            self.words(record)[0].store(seen & 0xffff_ffff, Ordering::Relaxed);
            let next = ((seen >> 32).wrapping_add(1) << 32) | (index + 1);
            match top.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}

impl Records for Pool {
    fn words(&self, record: u32) -> &[AtomicU64] {
        let index = record & INDEX_MASK;
        match record >> CLASS_SHIFT {
            0 => &self.class0.get(index).words,
            1 => &self.class1.get(index).words,
            2 => &self.class2.get(index).words,
            3 => &self.class3.get(index).words,
            4 => &self.class4.get(index).words,
            5 => &self.class5.get(index).words,
            _ => &self.class6.get(index).words,
        }
    }
}

/// The smallest class with room for `words`, if there is one.
#[must_use]
pub fn class_for(words: usize) -> Option<usize> {
    (0..CLASSES).find(|class| words <= words_of(*class))
}

const _: () = assert!(
    CLASSES < 8,
    "the class has three bits, and 7 would clash with NO_RECORD"
);
