//! The entries of a table of rules: what one return address has, and how threads enter one for it at the same time.
//!
//! An entry's address never changes once it is there, and its rule is one word that carries the epoch it is from; so
//! whoever reads both has a rule of that address, or sees that it is too old or not there yet. Addresses near each
//! other have entries near each other: a program is at home in few pages of the table.

use super::rule::Rule;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// Entries that are looked at for an address.
const MOST_PROBES: usize = 64;

/// An address and its rule. Both 0 at the beginning.
#[derive(Debug)]
#[repr(C)]
pub struct Entry {
    address: AtomicU64,
    rule: AtomicU64,
}

impl Entry {
    /// An entry without an address.
    pub fn new() -> Self {
        Self {
            address: AtomicU64::new(0),
            rule: AtomicU64::new(0),
        }
    }

    /// Forgets the rule, not the address.
    pub fn clear(&self) {
        self.rule.store(0, Ordering::Relaxed);
    }
}

impl Default for Entry {
    fn default() -> Self {
        Self::new()
    }
}

/// What was found of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Its rule.
    Rule(Rule),
    /// A place for it, and whether the address is there already.
    Place(usize, bool),
    /// None of the entries that it could have is free.
    Full,
}

/// Looks for the rule of an address. There is a power of two of entries.
#[inline]
pub fn look_up(entries: &[Entry], address: usize, epoch: u32) -> Found {
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

/// Enters a rule. Where somebody else takes the place first, it goes on to the next one.
pub fn enter(entries: &[Entry], address: usize, rule: Rule, epoch: u32) -> Entered {
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

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The address has an entry now.
    New,
    /// It had one.
    Known,
    /// There is no room for it.
    Full,
}
