//! Where the real functions are: looked up once, by an own walk over the loaded objects, then remembered.
//!
//! dlsym would not do: it does not see libraries opened with RTLD_LOCAL, takes the loader's lock, and may be hooked
//! itself. The original is the one that the caller's reference would have been bound to without us: what the global
//! scope defines, in one version, is everybody's and remembered for each stub, all else for each stub and object that
//! calls.

use std::ptr::with_exposed_provenance;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use whofreed_hooktable::Table;

use super::Frame;
use super::by_site;
use super::generation;
use super::machine;
use super::memory::Bound;
use super::memory::Memory;
use super::table::Called;
use super::table::Hooked;
use crate::linkmap;
use crate::linkmap::Choice;
use crate::linkmap::Definition;
use crate::linkmap::Object;
use crate::linkmap::Shared;
use crate::primitive::AtomicU64;
use crate::primitive::AtomicUsize;

/// How many stubs and how many symbols of expressions are remembered; others are looked up each time.
const REMEMBERED: usize = 4096;

/// What every caller means, and above the bits of an address how many objects were loaded then, where another one can
/// change it; else 0.
static ORIGINALS: [AtomicUsize; REMEMBERED] = [const { AtomicUsize::new(0) }; REMEMBERED];
/// What the callers of one object mean; the owner is the generation in which that was so, the device how many objects
/// were loaded then where another one can change it, else 0.
static BY_CALLER: Memory = Memory::new();
/// For stubs that are only for some builds of a library: the function that was looked at last, twice, plus one when its
/// library is such a build.
static BUILDS: [AtomicUsize; REMEMBERED] = [const { AtomicUsize::new(0) }; REMEMBERED];
/// Counts up whenever a library may have been unloaded: what was found before does not count any more.
static GENERATION: AtomicU64 = AtomicU64::new(0);
static SYMBOLS: [AtomicUsize; REMEMBERED] = [const { AtomicUsize::new(0) }; REMEMBERED];
/// How many objects were loaded when a symbol was looked for in vain, plus one.
static MISSED_AT: [AtomicU32; REMEMBERED] = [const { AtomicU32::new(0) }; REMEMBERED];

/// The real function behind a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Original {
    pub(super) address: usize,
    /// Why nobody can be sure that it is the one. Said when it is looked up.
    pub(super) doubt: Option<&'static [u8]>,
}

/// The real function behind a stub, where it is the same for every caller and known.
#[inline]
pub(super) fn known(called: Called<'_>) -> Option<usize> {
    called.bound.or_else(|| remembered(called.hooked))
}

/// The real function behind a stub, for the caller of this frame, where it is not [`known`].
pub(super) fn original(hooked: &Hooked, frame: &Frame) -> Option<Original> {
    let sure = |address| Original {
        address,
        doubt: None,
    };
    let site = return_address(frame);
    let generation = generation();
    if let Some(address) = by_site::find(hooked.number, site, generation) {
        return Some(sure(address));
    }
    // It may be the first byte behind a function, of a call that does not return.
    let caller = linkmap::object_of(site.wrapping_sub(1));
    let key = key(hooked.number, caller);
    if let Some(known) = BY_CALLER.recall(key)
        && known.owner == generation
        && (known.device == 0 || known.device == linkmap::loaded())
        && let Ok(address) = usize::try_from(known.address)
    {
        if known.device == 0 && caller.is_some() {
            by_site::remember(hooked.number, site, generation, address);
        }
        return Some(sure(address));
    }
    let loaded = linkmap::loaded();
    let found = look_up(hooked, caller)?;
    if !remember(hooked, found, generation, loaded) {
        let bound = Bound {
            owner: generation,
            address: found.address as u64,
            device: match found.choice {
                Choice::Global | Choice::Caller => 0,
                // What is opened next may define it too.
                Choice::Only | Choice::First | Choice::Mixed => loaded,
            },
        };
        BY_CALLER.remember(key, bound);
    }
    Some(Original {
        address: found.address,
        doubt: match found.choice {
            Choice::First => Some(
                b"several libraries define it, and none of them for its caller: such calls go to the first",
            ),
            Choice::Mixed => Some(
                b"its caller is linked to several versions of it, which one hook cannot tell apart: such calls \
                  go to one of them; name each in a hook of its own, as in symbols = [\"name@VERSION\"]",
            ),
            Choice::Global | Choice::Caller | Choice::Only => None,
        },
    })
}

/// Where a call returns to.
pub(super) fn return_address(frame: &Frame) -> usize {
    let slot = with_exposed_provenance::<usize>(frame.return_address_slot);
    // SAFETY: the thunk wrote down where the return address of its call lies.
    unsafe { slot.read() }
}

/// What every caller means by a stub's symbol, where the global scope defines it.
pub(super) fn everybodys(hooked: &Hooked) -> Option<usize> {
    if let Some(address) = remembered(hooked) {
        return Some(address);
    }
    let generation = generation();
    let loaded = linkmap::loaded();
    let found = look_up(hooked, None).filter(|found| found.shared != Shared::Never)?;
    remember(hooked, found, generation, loaded);
    Some(found.address)
}

fn look_up(hooked: &Hooked, caller: Option<Object>) -> Option<Definition> {
    let ours = linkmap::object_of(machine::table_address());
    let prefer = |object: &Object| object.matches(hooked.library());
    linkmap::definition(hooked.symbol(), ours, caller, prefer)
}

/// No user's address has more bits.
const ADDRESS_BITS: u32 = 48;

/// A number of loaded objects as the upper bits of a word; never 0.
fn loaded_bits(loaded: u32) -> usize {
    let bits = (loaded as usize & 0x7fff) + 1;
    bits << ADDRESS_BITS
}

#[inline]
fn remembered(hooked: &Hooked) -> Option<usize> {
    let word = ORIGINALS.get(hooked.number)?.load(Ordering::Relaxed);
    let address = word & ((1 << ADDRESS_BITS) - 1);
    let is_right = word == address || word - address == loaded_bits(linkmap::loaded());
    (address != 0 && is_right).then_some(address)
}

/// Remembers what every caller means; false when they do not all mean the same, or there is no room.
fn remember(hooked: &Hooked, found: Definition, generation: u64, loaded: u32) -> bool {
    let Some(place) = ORIGINALS.get(hooked.number) else {
        return false;
    };
    let loaded = match found.shared {
        Shared::Always => 0,
        Shared::UntilLoaded => loaded_bits(loaded),
        Shared::Never => return false,
    };
    generation::remember(&GENERATION, generation, place, found.address | loaded);
    true
}

/// A stub and an object that calls, as one number.
fn key(number: usize, caller: Option<Object>) -> u64 {
    /// The linker's records are aligned to a word, and no user's address has more than 47 bits.
    const NUMBER_BITS: u32 = 20;
    let caller = caller.map_or(0, |caller| caller.link_map() as u64 >> 3);
    // Stubs beyond that many are not, since texts of that many symbols do not fit into an adapter.
    caller << NUMBER_BITS | ((number as u64 + 1) & ((1 << NUMBER_BITS) - 1))
}

/// Counts up whenever a library may have been unloaded.
#[inline]
pub(super) fn generation() -> u64 {
    generation::now(&GENERATION)
}

/// Forgets where everything is: a library may be gone in a moment, or be somewhere else.
pub(super) fn forget(table: &Table<'_>) {
    generation::begin(&GENERATION);
    let known = ORIGINALS.iter().take(table.stub_count());
    let builds = BUILDS.iter().take(table.stub_count());
    let symbols = SYMBOLS.iter().take(table.list_count());
    known
        .chain(builds)
        .chain(symbols)
        .for_each(generation::empty);
    let missed = MISSED_AT.iter().take(table.list_count());
    missed.for_each(|place| place.store(0, Ordering::Relaxed));
}

/// Whether the hook is for the build of the library that defines `original`.
#[inline]
pub(super) fn is_of_build(hooked: &Hooked, original: usize) -> bool {
    hooked.hook.build_id == 0 || is_of_wanted_build(hooked, original)
}

fn is_of_wanted_build(hooked: &Hooked, original: usize) -> bool {
    let wanted = hooked.table.text(hooked.hook.build_id);
    if wanted.is_empty() {
        return true;
    }
    let known = BUILDS.get(hooked.number);
    if let Some(known) = known.map(|known| known.load(Ordering::Relaxed))
        && known >> 1 == original
    {
        return known & 1 != 0;
    }
    let library = linkmap::object_of(original);
    let id = library.and_then(|library| library.build_id());
    let mut wanted = wanted.split(|byte| *byte == b'|');
    let is_it = id.is_some_and(|id| wanted.any(|digits| begins(id, digits)));
    if let Some(known) = known {
        known.store(original << 1 | usize::from(is_it), Ordering::Relaxed);
    }
    is_it
}

/// Whether a build id begins with these hexadecimal digits.
fn begins(id: &[u8], digits: &[u8]) -> bool {
    let halves = id.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let digit = |half: u8| b"0123456789abcdef"[usize::from(half & 15)];
    digits.len() <= 2 * id.len()
        && digits
            .iter()
            .copied()
            .eq(halves.map(digit).take(digits.len()))
}

/// A symbol, in the libraries that `globs` names, else in any but the generated one.
pub(super) fn find(name: &[u8], globs: &[u8]) -> Option<usize> {
    let ours = linkmap::object_of(machine::table_address());
    let is_foreign = |object: &Object| Some(*object) != ours;
    linkmap::find_symbol_where(name, |object| is_foreign(object) && object.matches(globs))
        .or_else(|| linkmap::find_symbol_where(name, is_foreign))
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
    let objects = linkmap::loaded().wrapping_add(1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_begins_with_digits() {
        let id = [0x0f, 0xa1];
        for (digits, does) in [
            (&b"0"[..], true),
            (b"0fa", true),
            (b"0fa1", true),
            (b"0fa10", false),
            (b"1", false),
            (b"0fb", false),
        ] {
            assert_eq!(begins(&id, digits), does, "{digits:?}");
        }
    }
}
