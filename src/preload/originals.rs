//! Where the real functions are: looked up once, by an own walk over the loaded objects, then remembered.
//!
//! dlsym would not do: it does not see libraries opened with RTLD_LOCAL, takes the loader's lock, and may be hooked
//! itself.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use whofreed_hooktable::Table;

use super::machine;
use super::table::Hooked;
use crate::linkmap;
use crate::linkmap::Object;

/// How many stubs and how many symbols of expressions are remembered; others are looked up each time.
const REMEMBERED: usize = 4096;

static ORIGINALS: [AtomicUsize; REMEMBERED] = [const { AtomicUsize::new(0) }; REMEMBERED];
static SYMBOLS: [AtomicUsize; REMEMBERED] = [const { AtomicUsize::new(0) }; REMEMBERED];
/// How many objects were loaded when a symbol was looked for in vain, plus one.
static MISSED_AT: [AtomicU32; REMEMBERED] = [const { AtomicU32::new(0) }; REMEMBERED];

/// The real function behind a stub.
pub(super) fn original(number: usize, hooked: &Hooked) -> Option<usize> {
    let remembered = ORIGINALS.get(number);
    let known = remembered.map_or(0, |place| place.load(Ordering::Relaxed));
    if known != 0 {
        return Some(known);
    }
    let address = find(hooked.symbol(), hooked.library())?;
    if let Some(place) = remembered {
        place.store(address, Ordering::Relaxed);
    }
    Some(address)
}

/// Forgets where everything is: a library may be gone in a moment, or be somewhere else.
pub(super) fn forget(table: &Table<'_>) {
    let known = ORIGINALS.iter().take(table.stub_count());
    let symbols = SYMBOLS.iter().take(table.list_count());
    known
        .chain(symbols)
        .for_each(|place| place.store(0, Ordering::Relaxed));
    let missed = MISSED_AT.iter().take(table.list_count());
    missed.for_each(|place| place.store(0, Ordering::Relaxed));
}

/// A symbol, in the libraries that `globs` names, else in any but the generated one.
pub(super) fn find(name: &[u8], globs: &[u8]) -> Option<usize> {
    let ours = linkmap::object_of(machine::table_address());
    let is_foreign = |object: &Object| Some(*object) != ours;
    linkmap::find_symbol_where(name, |object| is_foreign(object) && object.matches(globs))
        .or_else(|| linkmap::find_symbol_where(name, is_foreign))
}

/// How many of the adapter's libraries define a stub's symbol.
pub(super) fn definitions(hooked: &Hooked) -> usize {
    let ours = linkmap::object_of(machine::table_address());
    let name = hooked.symbol();
    linkmap::objects()
        .filter(|object| Some(*object) != ours && object.matches(hooked.library()))
        .filter(|object| object.find_symbol(name, None).is_some())
        .count()
}

/// A symbol of an expression, by its place in the table's lists: the first that exists of several alternatives.
pub(super) fn symbol(place: usize, hooked: &Hooked) -> Option<usize> {
    if let Some(remembered) = SYMBOLS.get(place) {
        let address = remembered.load(Ordering::Relaxed);
        if address != 0 {
            return Some(address);
        }
    }
    let names = hooked.table.listed(place)?;
    // A library may be opened later, so absence is remembered only as long as nothing is loaded.
    let objects = u32::try_from(linkmap::objects().count()).unwrap_or(0) + 1;
    let missed_at = MISSED_AT.get(place);
    if missed_at.is_some_and(|missed| missed.load(Ordering::Relaxed) == objects) {
        return None;
    }
    let mut names = names.split(|byte| *byte == b'|');
    let found = names.find_map(|name| find(name, hooked.library()));
    match (found, SYMBOLS.get(place), missed_at) {
        (Some(address), Some(remembered), _) => remembered.store(address, Ordering::Relaxed),
        (None, _, Some(missed)) => missed.store(objects, Ordering::Relaxed),
        _ => {}
    }
    found
}
