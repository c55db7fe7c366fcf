//! The rules by return address, for all threads: filled as addresses are met, and never emptied.
//!
//! An entry's address never changes, and its rule is one word that carries the epoch it is from; so whoever reads both has a
//! rule of that address, or sees that it is too old. When a library may have been unloaded a new epoch begins, and
//! rules are made anew as they are asked for. A table that is half full is followed by one four times as large: the rules in the
//! old one are made again, which is cheaper than to move them under everybody's eyes. Addresses near each other have entries near each other:
//! a program is at home in few pages of the table.
//!
//! **Architecture Invariant:** no lock, no allocation from the host's heap; a system call only where a table is made.

use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU32;

use super::eh_frame;
use super::rule::EPOCHS;
use super::rule::Rule;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;
use crate::sys;

/// Set in what is looked up where not a return address is meant but the very instruction, which a signal interrupted.
pub const EXACT: usize = 1 << 63;

/// Entries of the first table.
const FIRST: usize = 1 << 12;
/// By how much each is larger than the one before.
const GROWTH: usize = 4;
/// Entries that are looked at for an address.
const MOST_PROBES: usize = 64;

/// An address and its rule. Both 0 at the beginning.
#[derive(Debug, Default)]
#[repr(C)]
struct Entry {
    address: AtomicU64,
    rule: AtomicU64,
}

#[derive(Debug)]
#[repr(C)]
struct Table {
    entries: NonNull<Entry>,
    /// How many there are, a power of two.
    len: usize,
    used: AtomicU32,
}

/// The newest table; null before the first rule.
static TABLE: AtomicPtr<Table> = AtomicPtr::new(ptr::null_mut());
static EPOCH: AtomicU32 = AtomicU32::new(0);

/// Counts up whenever code may have been unloaded.
pub fn epoch() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}

/// Code may have been unloaded: what is known of return addresses does not count any more.
pub fn begin_epoch() {
    // Release: who sees the new number makes rules of what is loaded now.
    let epoch = EPOCH.fetch_add(1, Ordering::Release).wrapping_add(1);
    if !epoch.is_multiple_of(EPOCHS) {
        return;
    }
    // The numbers in the words begin again: what was left over from the last time must not be taken for new.
    if let Some(table) = table() {
        for entry in table.entries() {
            entry.rule.store(0, Ordering::Relaxed);
        }
    }
}

/// The rule for a return address, or for an instruction that was interrupted ([`EXACT`]).
#[inline]
pub fn find(address: usize) -> Rule {
    let epoch = epoch();
    if let Some(table) = table()
        && let Found::Rule(rule) = look_up(table.entries(), address, epoch)
    {
        return rule;
    }
    make(address, epoch)
}

#[inline]
fn table() -> Option<&'static Table> {
    // SAFETY: null or a table, which is whole before it is published and is never given back.
    unsafe { TABLE.load(Ordering::Acquire).as_ref() }
}

impl Table {
    #[inline]
    fn entries(&self) -> &[Entry] {
        // SAFETY: the mapping has that many entries, zeroed memory is valid as atomics, and it is never given back.
        unsafe { std::slice::from_raw_parts(self.entries.as_ptr(), self.len) }
    }
}

enum Found {
    Rule(Rule),
    /// A place for it, and whether the address is there already.
    Place(usize, bool),
    /// None of the entries that it could have is free.
    Full,
}

#[inline]
fn look_up(entries: &[Entry], address: usize, epoch: u32) -> Found {
    let mask = entries.len() - 1;
    let first = (address >> 2) ^ (address >> (entries.len().trailing_zeros() + 1));
    for probe in 0..MOST_PROBES {
        let place = (first + probe) & mask;
        let entry = &entries[place];
        match entry.address.load(Ordering::Acquire) {
            known if known == address as u64 => {
                return match Rule::of_word(entry.rule.load(Ordering::Relaxed), epoch) {
                    Some(rule) => Found::Rule(rule),
                    None => Found::Place(place, true),
                };
            }
            0 => return Found::Place(place, false),
            _ => {}
        }
    }
    Found::Full
}

/// Enters a rule. The address it is entered for may be somebody else's by now: then it goes on to the next place.
fn enter(entries: &[Entry], address: usize, rule: Rule, epoch: u32) -> Entered {
    loop {
        match look_up(entries, address, epoch) {
            Found::Rule(_) => return Entered::Known,
            Found::Full => return Entered::Full,
            Found::Place(place, is_there) => {
                let entry = &entries[place];
                let mine = is_there
                    || entry
                        .address
                        .compare_exchange(0, address as u64, Ordering::AcqRel, Ordering::Acquire)
                        .is_ok();
                if mine {
                    entry.rule.store(rule.of_epoch(epoch), Ordering::Relaxed);
                    return if is_there {
                        Entered::Known
                    } else {
                        Entered::New
                    };
                }
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Entered {
    New,
    Known,
    Full,
}

#[cold]
#[inline(never)]
fn make(address: usize, epoch: u32) -> Rule {
    let rule = eh_frame::rule(address & !EXACT, address & EXACT != 0);
    let Some(table) = table().or_else(|| grow(None)) else {
        return rule;
    };
    let is_crowded = match enter(table.entries(), address, rule, epoch) {
        Entered::New => {
            let used = table.used.fetch_add(1, Ordering::Relaxed) as usize;
            used >= table.len / 2
        }
        Entered::Known => false,
        Entered::Full => true,
    };
    if is_crowded {
        grow(Some(table));
    }
    rule
}

/// Publishes a larger table than this one, unless somebody has.
fn grow(small: Option<&'static Table>) -> Option<&'static Table> {
    let len = small.map_or(FIRST, |table| table.len * GROWTH);
    let head = size_of::<Table>().next_multiple_of(align_of::<[usize; 8]>());
    let bytes = head + len * size_of::<Entry>();
    let memory = sys::reserve(bytes)?;
    let new = memory.cast::<Table>();
    // SAFETY: the mapping is ours alone, aligned to a page, and has room for the head and behind it for the entries.
    unsafe {
        new.write(Table {
            entries: memory.add(head).cast(),
            len,
            used: AtomicU32::new(0),
        });
    }
    let old = small.map_or(ptr::null_mut(), |table| ptr::from_ref(table).cast_mut());
    let is_published =
        TABLE.compare_exchange(old, new.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
    if is_published.is_err() {
        // SAFETY: nobody else has seen it.
        unsafe { sys::release(memory, bytes) };
    }
    table()
}
