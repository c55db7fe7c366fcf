//! Which process this is: whom everything that there is once per process asks whether it is still its own, or was
//! inherited by a forked child.
//!
//! The kernel's number of a process does not tell: in a new namespace a child may have its parent's, and numbers are given
//! again. So processes have numbers of ours, in a page that the kernel wipes in a child, however that was made. One that
//! shares our memory (vfork) is the same to us, as it should be: it goes on in its parent's place.

use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use crate::sys;

/// What a forked child finds as zeros.
#[derive(Debug)]
#[repr(C)]
struct Page {
    /// The number of the process, once somebody has asked for it.
    number: AtomicU32,
    /// 1 once ledger and trace of this process are there.
    is_made: AtomicU32,
}

static PAGE: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());
/// The last number that was given. A child has a copy, and takes a higher one.
static GIVEN: AtomicU32 = AtomicU32::new(0);

/// The number of a process in which there is no page yet, and the first one that is given.
const FIRST: u32 = 1;
const SIZE: usize = 4096;

/// Makes the page. Called once, when the library is loaded.
pub fn start() {
    /// Where there is none, a child is told by the handlers of fork alone.
    static IN_PLACE_OF_PAGE: Page = Page {
        number: AtomicU32::new(0),
        is_made: AtomicU32::new(0),
    };
    let page = match sys::reserve(SIZE) {
        Some(page) => {
            // SAFETY: the page is a private anonymous mapping of our own. On a kernel without the advice it stays as it is
            // in a child, and the handler tells as well.
            unsafe { libc::madvise(page.as_ptr().cast(), SIZE, libc::MADV_WIPEONFORK) };
            page.cast().as_ptr()
        }
        None => ptr::from_ref(&IN_PLACE_OF_PAGE).cast_mut(),
    };
    PAGE.store(page, Ordering::Release);
}

#[inline]
fn page() -> Option<&'static Page> {
    // SAFETY: null, or what is never given back and holds atomics.
    unsafe { PAGE.load(Ordering::Acquire).as_ref() }
}

/// In a forked child, where the handlers of fork are run.
pub fn forked() {
    if let Some(page) = page() {
        page.is_made.store(0, Ordering::Relaxed);
        page.number.store(0, Ordering::Relaxed);
    }
}

/// The number of this process: another one than those of all that it was forked from.
#[must_use]
pub fn number() -> u32 {
    let Some(page) = page() else {
        return FIRST;
    };
    match page.number.load(Ordering::Relaxed) {
        0 => {
            let new = GIVEN.fetch_add(1, Ordering::Relaxed) + FIRST;
            // Another thread, or a handler, may have been given one meanwhile.
            let given = page
                .number
                .compare_exchange(0, new, Ordering::Relaxed, Ordering::Relaxed);
            given.map_or_else(|other| other, |_| new)
        }
        number => number,
    }
}

/// Ledger and trace of this process are there from now on.
pub fn is_made() {
    if let Some(page) = page() {
        page.is_made.store(1, Ordering::Release);
    }
}

/// Whether they may be: true as well before there is a page to tell.
#[inline]
#[must_use]
pub fn may_be_made() -> bool {
    page().is_none_or(|page| page.is_made.load(Ordering::Relaxed) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_has_a_number_of_its_own() {
        start();
        let own = number();
        assert_eq!(number(), own);
        // SAFETY: the child does nothing but look at atomics and leave.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_other = number() > own && number() == number();
            // SAFETY: as above.
            unsafe { libc::_exit(i32::from(!is_other)) };
        }
        let mut status = 0;
        // SAFETY: the place for the status is valid.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_eq!(number(), own);
    }
}
