//! Entries by (device, number): insert-only, found again without a lock, in the one cache line that they lie in.
//!
//! A key is one word, `(device + 1) << 48 | number`. One that does not fit has a number in a wider index, and that is
//! its key here.

use crate::items::Items;
use crate::items::ZeroInit;
use crate::ledger::lines;
use crate::ledger::lines::Claimed;
use crate::ledger::lines::Keyed;
use crate::ledger::lines::Lines;
use crate::ledger::wide::Wide;
use crate::mix::mix;
use crate::primitive::AtomicU32;
use crate::primitive::AtomicU64;
use crate::primitive::AtomicUsize;
use crate::primitive::Ordering;
use crate::primitive::prefetch;

const NUMBER_BITS: u32 = 48;
/// Devices below have keys of their own; this one stands for all others in a key.
const WIDE: u64 = 0xffff;

/// An entry of a table.
pub trait InTable: Keyed + ZeroInit {
    /// Its bytes.
    const SIZE: usize;
    /// For each level, how many times smaller it is than half of what a table is to hold, as a power of two: one that
    /// is all that most hosts need, larger ones, two that take what did not spread evenly, and the last.
    const SHIFTS: &'static [u32];
    /// Whether most keys that are asked for are new. Of these, each page is written before it is read: the kernel would
    /// lend a page of zeros to the reader, and take it back from all processors when something is written there.
    const ARE_MOSTLY_NEW: bool = false;
}

/// Entries of a key in each level.
const CHOICE: usize = 8;
/// Of so many new keys one is counted.
const COUNTED: u64 = 32;

/// A map from (device, number) to an entry that begins as zeros.
#[derive(Debug)]
pub struct Table<E> {
    lines: MappedLines<E>,
    /// Where most of the keys are: a search begins there.
    likely: AtomicUsize,
    /// About how many keys came to each level beyond, as long as the likely one is before it.
    beyond: [AtomicU32; LEVELS],
    wide: Wide,
}

/// One multiplication whose halves are laid over each other: both the low bits of a number and its high ones decide.
#[inline(always)]
const fn fold(number: u64) -> u64 {
    let wide = (number ^ 0x2545_f491_4f6c_dd1d) as u128 * 0x9e37_79b9_7f4a_7c15;
    wide as u64 ^ (wide >> 64) as u64
}

/// Where the lines of a key are. What is near each other, as addresses of one heap, of pages or numbers that count up,
/// comes to one page, wherever that is, and there to lines that are near each other: a host that goes through many keys
/// in their order goes through few pages at a time, and one that has few keys touches few.
#[inline(always)]
const fn hash_of(key: u64) -> u64 {
    const LINES: u64 = LINES_OF_PAGE as u64;
    /// Numbers that are aligned alike, by steps of sixteen times, are neighbours; beyond a megabyte, all are.
    const STEP: u32 = 4;
    const MOST: u32 = 20;
    let aligned = key.trailing_zeros() / STEP * STEP;
    let aligned = if aligned < MOST { aligned } else { MOST };
    let key = key >> aligned;
    // So many neighbours that they leave room for others in the page.
    let page = (key / (2 * LINES)) ^ ((aligned as u64) << (64 - 8));
    fold(page) ^ (key / 2 % LINES)
}

impl<E: InTable> Table<E> {
    const GROUP: usize = MappedLines::<E>::GROUP;

    pub fn new(capacity: u32) -> Option<Self> {
        Some(Self {
            lines: MappedLines::new(capacity as usize)?,
            likely: AtomicUsize::new(0),
            beyond: std::array::from_fn(|_| AtomicU32::new(0)),
            wide: Wide::new(capacity)?,
        })
    }

    /// The key of what fits into one.
    #[inline(always)]
    fn narrow(device: u32, number: u64) -> Option<u64> {
        let device = u64::from(device) + 1;
        let fits = device < WIDE && number >> NUMBER_BITS == 0;
        fits.then_some(device << NUMBER_BITS | number)
    }

    #[cold]
    fn widen(item: u32) -> u64 {
        WIDE << NUMBER_BITS | u64::from(item)
    }

    /// The entry of a key, if it was ever asked for by [`Table::entry_for`].
    #[inline]
    pub fn find(&self, device: u32, number: u64) -> Option<&E> {
        let key = match Self::narrow(device, number) {
            Some(key) => key,
            None => Self::widen(self.wide.find(device, number)?),
        };
        let hash = hash_of(key);
        let likely = self.likely.load(Ordering::Relaxed);
        lines::find_at(&self.lines, likely, key, hash)
            .or_else(|| lines::find(&self.lines, key, hash))
    }

    /// A key will be asked for soon.
    #[inline]
    pub fn expect(&self, device: u32, number: u64) {
        let likely = self.likely.load(Ordering::Relaxed);
        if let Some(key) = Self::narrow(device, number)
            && let Some(line) = self.lines.line(likely, hash_of(key))
        {
            prefetch(line.as_ptr());
        }
    }

    /// The entry of a key, made when it is not there, and whether it was made now; `None` when the table is at its
    /// bound.
    #[inline]
    pub fn entry_for(&self, device: u32, number: u64) -> Option<(&E, bool)> {
        let key = match Self::narrow(device, number) {
            Some(key) => key,
            None => Self::widen(self.wide.item_for(device, number)?),
        };
        let likely = self.likely.load(Ordering::Relaxed);
        let hash = hash_of(key);
        if let Some(entry) = lines::find_at(&self.lines, likely, key, hash) {
            return Some((entry, false));
        }
        self.claim(key, hash)
    }

    /// As [`Table::entry_for`], for keys that are mostly new.
    #[inline]
    pub fn entry_for_new(&self, device: u32, number: u64) -> Option<&E> {
        let key = match Self::narrow(device, number) {
            Some(key) => key,
            None => Self::widen(self.wide.item_for(device, number)?),
        };
        Some(self.claim(key, hash_of(key))?.0)
    }

    #[inline(never)]
    fn claim(&self, key: u64, hash: u64) -> Option<(&E, bool)> {
        match lines::claim(&self.lines, key, hash) {
            Claimed::New(entry, place) => {
                // One of so many counts for all of them: all threads read the line that it changes.
                if hash.is_multiple_of(COUNTED)
                    && place >= self.likely.load(Ordering::Relaxed) + Self::GROUP
                {
                    self.is_beyond(place / Self::GROUP);
                }
                Some((entry, true))
            }
            Claimed::Found(entry) => Some((entry, false)),
            Claimed::Full => None,
        }
    }

    /// A key came to a level beyond the likely one, which is likely itself once it has more keys than that has room
    /// for.
    fn is_beyond(&self, level: usize) {
        let Some(count) = self.beyond.get(level) else {
            return;
        };
        let likely = self.likely.load(Ordering::Relaxed);
        let counted = COUNTED as u32;
        let count = count.fetch_add(counted, Ordering::Relaxed) as usize;
        if count >= self.lines.room(likely / Self::GROUP) {
            // Two threads may both move it on; wherever it ends, keys are found.
            self.likely.store(level * Self::GROUP, Ordering::Relaxed);
        }
    }
}

const LINES_OF_PAGE: usize = 4096 / 64;
/// Most levels of a table.
const LEVELS: usize = 6;
/// Groups that a key has in the last level after its first one there. Keys do not spread evenly over lines; with so
/// many to choose from, the last entries are found as well, and a table holds what it was made for.
const MORE_GROUPS: usize = 64;

/// Lines in memory of the shim's own.
#[derive(Debug)]
struct MappedLines<E> {
    /// Where each level begins, and how many lines it has: a power of two, and no less than a group.
    levels: [(Items<E>, usize); LEVELS],
    /// A bit for each page that was written to, where that is noted.
    written: [Items<AtomicU64>; LEVELS],
}

impl<E: InTable> MappedLines<E> {
    const LINE: usize = 64 / E::SIZE;

    fn new(capacity: usize) -> Option<Self> {
        const { assert!(Self::LINE.is_power_of_two() && 64 % E::SIZE == 0) };
        const { assert!(cfg!(modelled) || size_of::<E>() == E::SIZE) };
        const { assert!(E::SHIFTS.len() <= LEVELS) };
        let half = (capacity / 2 / Self::LINE).next_power_of_two();
        let mut levels = [const { (Items::NONE, 0) }; LEVELS];
        let mut written = [const { Items::NONE }; LEVELS];
        for ((place, written), shift) in levels.iter_mut().zip(&mut written).zip(E::SHIFTS) {
            // Halving keeps the number of lines a power of two.
            let lines = (half >> shift).max(Self::GROUP);
            *place = Items::reserve(lines, Self::GROUP, Self::LINE)?;
            if E::ARE_MOSTLY_NEW {
                let lines = place.1;
                let words = (lines / LINES_OF_PAGE).div_ceil(u64::BITS as usize).max(1);
                (*written, _) = Items::reserve(words, words, 1)?;
            }
        }
        Some(Self { levels, written })
    }

    /// Writes to the page of a line before anybody reads there.
    #[inline(always)]
    fn write_first(&self, level: usize, line: usize, first: &E) {
        let page = line / LINES_OF_PAGE;
        // SAFETY: there is a bit for each page of the level.
        let word = unsafe { self.written[level].item(page / u64::BITS as usize) };
        let bit = 1 << (page % u64::BITS as usize);
        // Relaxed: who does not see the bit writes once more.
        if word.load(Ordering::Relaxed) & bit == 0 {
            // A zero for a zero; compilers make a load of an operation that changes nothing. Where a key is there by
            // now, somebody has written.
            let _ = first
                .key()
                .compare_exchange(0, 0, Ordering::Relaxed, Ordering::Relaxed);
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// How many entries a level has.
    fn room(&self, level: usize) -> usize {
        self.levels
            .get(level)
            .map_or(0, |(_, lines)| lines * Self::LINE)
    }
}

impl<E: InTable> Lines for MappedLines<E> {
    type Entry = E;
    const GROUP: usize = CHOICE / Self::LINE;

    #[inline(always)]
    fn line(&self, place: usize, hash: u64) -> Option<&[E]> {
        let levels = const { E::SHIFTS.len() };
        let (level, hash) = match place / Self::GROUP {
            level if level < levels => (level, hash),
            level => (levels - 1, more(level - levels, hash)?),
        };
        let (memory, lines) = &self.levels[level];
        let line = (hash as usize ^ (place % Self::GROUP)) & (lines - 1);
        // SAFETY: a level has `lines` lines of `LINE` entries, and `line < lines`, a power of two.
        let entries = unsafe { memory.slice(line * Self::LINE, Self::LINE) };
        if E::ARE_MOSTLY_NEW
            && let Some(first) = entries.first()
        {
            self.write_first(level, line, first);
        }
        Some(entries)
    }
}

#[cold]
#[inline(never)]
fn more(group: usize, hash: u64) -> Option<u64> {
    (group < MORE_GROUPS).then(|| mix(hash.wrapping_add(group as u64 + 1)))
}

/// What is known of an address, two to a cache line.
#[derive(Debug, Default)]
#[repr(C, align(32))]
pub struct AddressEntry {
    key: AtomicU64,
    /// The cell of the state; zero at first.
    pub cell: AtomicU64,
    /// The one owner that a state in the cell itself may have; zero at first, and set once.
    pub owner: AtomicU64,
    /// The label of the buffer that was allocated last.
    pub label: AtomicU32,
    /// Bits outside of the state's transitions, which may be set at any time and by anybody; zero at first.
    pub marks: AtomicU32,
}

// SAFETY: zeroed memory is five valid atomics, which may be shared.
unsafe impl ZeroInit for AddressEntry {}

impl AddressEntry {
    /// Whether a state of this owner may lie in the cell; if it is the first one, it is noted now.
    #[inline(always)]
    pub fn notes(&self, owner: u64) -> bool {
        owner == 0 || self.owner.load(Ordering::Relaxed) == owner || self.is_first(owner)
    }

    #[inline(never)]
    fn is_first(&self, owner: u64) -> bool {
        // AcqRel: whoever swings the cell to a state of this owner shows the owner along with it.
        let noted = self
            .owner
            .compare_exchange(0, owner, Ordering::AcqRel, Ordering::Acquire);
        noted.is_ok() || noted == Err(owner)
    }
}

impl Keyed for AddressEntry {
    #[inline(always)]
    fn key(&self) -> &AtomicU64 {
        &self.key
    }
}

impl InTable for AddressEntry {
    const SIZE: usize = 32;
    // The first one has room for all addresses of most hosts: from two levels one would always be looked at in vain.
    const SHIFTS: &'static [u32] = if cfg!(modelled) {
        &[0]
    } else {
        &[6, 3, 0, 2, 3, 0]
    };
}

/// What is known of an owner, four to a cache line.
#[derive(Debug, Default)]
#[repr(C, align(16))]
pub struct SmallEntry {
    key: AtomicU64,
    /// Where the owner held buffers last; zero at first.
    pub cell: AtomicU64,
}

// SAFETY: zeroed memory is two valid atomics, which may be shared.
unsafe impl ZeroInit for SmallEntry {}

impl Keyed for SmallEntry {
    #[inline(always)]
    fn key(&self) -> &AtomicU64 {
        &self.key
    }
}

impl InTable for SmallEntry {
    const SIZE: usize = 16;
    const ARE_MOSTLY_NEW: bool = true;
    // Many hosts have a new owner for each buffer: fewer levels say sooner that it is new.
    const SHIFTS: &'static [u32] = if cfg!(modelled) {
        &[0]
    } else {
        &[9, 3, 0, 2, 3, 0]
    };
}
