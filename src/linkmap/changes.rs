//! How often something was loaded or unloaded, in two loads: for hosts whose `dlclose` is not hooked.
//!
//! Place on an event's way: the stack stop asks before it believes what it remembers of return addresses.
//!
//! The linker counts each object that it adds, before any code of it runs, and never takes that back; and it counts
//! those that are there. `dl_iterate_phdr` tells the first number, under a lock that its callers' callbacks hold. It
//! lies in `_rtld_global` behind the locks of the loader (`struct rtld_global` of glibc, ldsodefs.h, up to now): it
//! is taken from there where everything around it is what it has to be.
//!
//! A thread that runs code of a new object has been told of it by the one that loaded it, so it sees its count.

use super::HIGHEST;
use super::LOWEST;
use super::find_object;
use super::global::counted;
use super::global::rtld_global;
use super::peek;
use std::ops::RangeInclusive;
use std::ptr;
use std::ptr::with_exposed_provenance_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

const WORD: usize = size_of::<usize>();
/// How many words of the record are looked at: the namespaces take 320 of them, the locks up to 18 more.
const MOST_WORDS: usize = 512;
/// A lock, in words.
const LOCK: usize = size_of::<libc::pthread_mutex_t>() / WORD;
/// Where in a lock the kind of it is.
const KIND: usize = 2;
/// How many locks lie before the count: of loading, of the list, and since glibc 2.35 of thread-local storage.
const LOCKS: RangeInclusive<usize> = 2..=3;
/// Namespaces that there can be.
const NAMESPACES: RangeInclusive<usize> = 1..=16;

static ADDED: AtomicPtr<u64> = AtomicPtr::new(ptr::null_mut());

/// Looks for the linker's count, once and before the first event.
pub fn start() {
    if let Some(added) = look_for_added() {
        ADDED.store(with_exposed_provenance_mut(added), Ordering::Relaxed);
    }
}

/// A word that differs whenever an object was loaded or unloaded in between. `None` where the linker's counts are not
/// known.
#[inline]
pub fn so_far() -> Option<u64> {
    // Relaxed: the address is the whole message.
    let added = ADDED.load(Ordering::Relaxed);
    if added.is_null() {
        return None;
    }
    // SAFETY: this was found to be the linker's count, aligned, and is never unmapped.
    let added = unsafe { AtomicU64::from_ptr(added) }.load(Ordering::Relaxed);
    Some(added << 32 | u64::from(counted()?))
}

/// Where the count of what was added lies.
fn look_for_added() -> Option<usize> {
    let record = rtld_global()?;
    let there = counted()? as usize;
    let end = find_object(record)?.end;
    let len = MOST_WORDS.min(end.checked_sub(record)? / WORD);
    // SAFETY: the linker's data up to the end of its mapping, which is never unmapped. Locks may be taken meanwhile: a
    // word of them may be old or new.
    let word = |index: usize| unsafe { peek::<usize>(record + index * WORD) };
    let mut found = LOCKS.flat_map(|locks| {
        let last = len.saturating_sub(locks * LOCK + 3);
        (0..last).filter_map(move |at| {
            let words = |index: usize| word(at + index);
            is_count_behind(words, locks, there).then_some(at + 1 + locks * LOCK)
        })
    });
    let at = found.next()?;
    // One that is not the only one is none.
    found.next().is_none().then_some(record + at * WORD)
}

/// Whether these words are: how many namespaces there are, so many recursive locks, the count of what was added, and
/// the object to be initialized first.
fn is_count_behind(words: impl Fn(usize) -> usize, locks: usize, there: usize) -> bool {
    let is_recursive = |lock: usize| {
        let kind = words(1 + lock * LOCK + KIND) & 0xffff_ffff;
        kind == libc::PTHREAD_MUTEX_RECURSIVE as usize
    };
    let added = words(1 + locks * LOCK);
    let first = words(2 + locks * LOCK);
    NAMESPACES.contains(&words(0))
        && (0..locks).all(is_recursive)
        && (there..=u32::MAX as usize).contains(&added)
        && (first == 0 || (LOWEST..HIGHEST).contains(&first) && first.is_multiple_of(WORD))
}

#[cfg(test)]
mod tests {
    use std::ffi::c_int;
    use std::ffi::c_void;

    use super::*;

    /// What `dl_iterate_phdr` says.
    fn told() -> u64 {
        unsafe extern "C" fn tell(
            info: *mut libc::dl_phdr_info,
            _size: usize,
            to: *mut c_void,
        ) -> c_int {
            // SAFETY: the linker's record, and the variable below.
            unsafe { *to.cast::<u64>() = (*info).dlpi_adds };
            1
        }
        let mut added = 0_u64;
        // SAFETY: `tell` takes the variable as it is.
        unsafe { libc::dl_iterate_phdr(Some(tell), (&raw mut added).cast()) };
        added
    }

    #[test]
    fn the_linkers_count_of_what_was_added_is_found_and_moves() {
        start();
        // Other tests load things meanwhile.
        let count = || {
            let least = told();
            let count = so_far().expect("this C library's record is known");
            assert!((least..=told()).contains(&(count >> 32)), "{count:x}");
            count
        };
        let before = count();
        // SAFETY: nothing in that library runs by itself.
        let library = unsafe { libc::dlopen(c"libanl.so.1".as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null());
        let opened = count();
        assert!(opened >> 32 > before >> 32);
        // SAFETY: it was opened above.
        unsafe { libc::dlclose(library) };
        assert_ne!(count(), opened);
    }

    /// Words as they are in glibc 2.36: two namespaces, three locks, seven objects.
    fn record(locks: usize) -> Vec<usize> {
        let mut words = vec![2];
        for _ in 0..locks {
            let mut lock = [0; LOCK];
            lock[KIND] = libc::PTHREAD_MUTEX_RECURSIVE as usize;
            words.extend(lock);
        }
        words.extend([7, 0]);
        words
    }

    #[test]
    fn a_count_is_one_only_where_all_around_it_fits() {
        let is_count = |words: &[usize], locks| is_count_behind(|index| words[index], locks, 6);
        for locks in LOCKS {
            let right = record(locks);
            assert!(is_count(&right, locks));
            let count = right.len() - 2;
            for (at, wrong) in [
                (0, 0),
                (0, 17),
                (1 + KIND, 0),
                (count, 5),
                (count, 1 << 32),
                (count + 1, 12),
            ] {
                let mut words = right.clone();
                words[at] = wrong;
                assert!(!is_count(&words, locks), "{wrong} at {at}");
            }
        }
    }
}
