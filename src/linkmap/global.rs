//! The global scope: which objects are in it (those of the start, and those opened with RTLD_GLOBAL since) is known to
//! the linker alone.
//!
//! The first words of its own record of that (`_rtld_global`, which debuggers and checkpointers rely on too) are taken
//! only when they agree with `_r_debug`; else the main program and what it needs are the global scope.

use super::HIGHEST;
use super::LOWEST;
use super::MOST_OBJECTS;
use super::Object;
use super::Query;
use super::Version;
use super::first_object;
use super::objects;
use super::peek;
use super::scope::closure;
use std::ptr;
use std::ptr::with_exposed_provenance_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// The objects of the global scope, in the order in which the linker searches them.
pub(super) fn global() -> impl Iterator<Item = Object> {
    let listed = global_list();
    let (list, count) = listed.unwrap_or((0, 0));
    // SAFETY: the linker keeps `count` pointers here; a list that it has just replaced is one that it had.
    let entries = (0..count).filter_map(move |index| unsafe { Object::at(peek(list + 8 * index)) });
    let fallback = if listed.is_none() {
        first_object()
    } else {
        None
    };
    entries.chain(fallback.into_iter().flat_map(closure))
}

/// How many objects are loaded: it changes whenever one is opened. A few loads, where the linker's own record is known.
#[inline]
pub fn loaded() -> u32 {
    counted().unwrap_or_else(walked)
}

#[cold]
fn walked() -> u32 {
    u32::try_from(objects().count()).unwrap_or(u32::MAX)
}

/// The same, only where the linker's own record is known.
#[inline]
pub fn counted() -> Option<u32> {
    static COUNT: AtomicPtr<u32> = AtomicPtr::new(ptr::null_mut());

    // Relaxed: as for the record's address.
    let count = COUNT.load(Ordering::Relaxed);
    if count.is_null() {
        return look_for_count(&COUNT);
    }
    // SAFETY: this was found to be the linker's count of the objects of the base namespace, aligned, and is never
    // unmapped.
    Some(unsafe { AtomicU32::from_ptr(count) }.load(Ordering::Relaxed))
}

/// Reads the count, and remembers where it is once the linker's record has been found to be what it seems to be.
#[cold]
fn look_for_count(place: &AtomicPtr<u32>) -> Option<u32> {
    let [_, loaded, _] = linkers_record()?;
    // The low half of the second word.
    let half = if cfg!(target_endian = "big") { 4 } else { 0 };
    let count = rtld_global()? + size_of::<usize>() + half;
    place.store(with_exposed_provenance_mut(count), Ordering::Relaxed);
    Some(loaded as u32)
}

/// The linker's own record of the base namespace, where it is what it seems to be: its list of objects, their number in
/// the lower half of a word, and a pointer to the main program's search list.
fn linkers_record() -> Option<[usize; 3]> {
    let first = first_object()?;
    let record = Some(rtld_global()?).filter(is_plausible)?;
    // SAFETY: `_rtld_global` begins with the base namespace. The words are only used when the first one says that this
    // is so.
    let record: [usize; 3] = unsafe { peek(record) };
    (record[0] == first.link_map()).then_some(record)
}

fn is_plausible(at: &usize) -> bool {
    (LOWEST..HIGHEST).contains(at) && at.is_multiple_of(8)
}

/// The linker's own list of the global scope, where it is what it seems to be: its address and how long it is.
fn global_list() -> Option<(usize, usize)> {
    let [loaded, _, search] = linkers_record()?;
    let search = Some(search).filter(is_plausible)?;
    // SAFETY: `struct r_scope_elem`: a pointer to the objects and their number.
    let [list, count]: [usize; 2] = unsafe { peek(search) };
    let list = Some(list).filter(is_plausible)?;
    let count = count & 0xffff_ffff;
    // SAFETY: a search list begins with the object that it is the list of.
    let begins: usize = unsafe { peek(list) };
    ((1..=MOST_OBJECTS).contains(&count) && begins == loaded).then_some((list, count))
}

/// Where the linker's record of itself is.
pub(super) fn rtld_global() -> Option<usize> {
    const UNKNOWN: usize = 0;
    const ABSENT: usize = 1;
    static ADDRESS: AtomicUsize = AtomicUsize::new(UNKNOWN);

    // Relaxed: the address is the whole message, and every thread would find the same one.
    let address = match ADDRESS.load(Ordering::Relaxed) {
        UNKNOWN => {
            let query = Query::new(b"_rtld_global", Version::Default);
            let mut linkers = objects().filter(|object| object.matches(b"ld-linux*|ld.so*|ld64*"));
            let found = linkers.find_map(|object| object.tables()?.find(&query));
            let address = found.unwrap_or(ABSENT);
            ADDRESS.store(address, Ordering::Relaxed);
            address
        }
        address => address,
    };
    (address != ABSENT).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_count_of_what_is_loaded_is_understood() {
        assert!(
            linkers_record().is_some(),
            "this C library's record is known"
        );
        // The vDSO is in the list, and counted or not by release.
        let walked = objects().count() as u32;
        assert!(
            (walked - 1..=walked).contains(&loaded()),
            "{walked} {}",
            loaded()
        );
    }

    #[test]
    fn the_linkers_list_of_the_global_scope_is_understood() {
        assert!(global_list().is_some(), "this C library's record is known");
        let listed: Vec<Object> = global().collect();
        assert_eq!(listed.first(), first_object().as_ref());
        // All objects of a program that has opened none, but for the vDSO.
        let loaded: Vec<Object> = objects()
            .filter(|object| object.name() != c"linux-vdso.so.1")
            .collect();
        assert!(listed.len() <= loaded.len());
        assert!(listed.iter().all(|object| loaded.contains(object)));
    }
}
