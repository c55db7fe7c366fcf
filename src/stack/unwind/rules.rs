//! The rules by return address, for all threads: filled as addresses are met, and never emptied.
//!
//! When a library may have been unloaded a new epoch begins, and rules are made anew as they are asked for
//! ([`entries`](super::entries)). A table that is half full is followed by one four times as large: the rules in the
//! old one are made again, which is cheaper than to move them under everybody's eyes.
//!
//! **Architecture Invariant:** no lock, no allocation from the host's heap; a system call only where a table is made.

use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use super::eh_frame;
use super::entries::Entered;
use super::entries::Entry;
use super::entries::Found;
use super::entries::enter;
use super::entries::look_up;
use super::rule::EPOCHS;
use super::rule::Rule;
use crate::sys;

/// Set in what is looked up where not a return address is meant but the very instruction, which a signal interrupted.
pub const EXACT: usize = 1 << 63;

/// Entries of the first table.
const FIRST: usize = 1 << 12;
/// By how much each is larger than the one before.
const GROWTH: usize = 4;

/// A table at the beginning of its own mapping.
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
            entry.clear();
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
