//! A list that only grows, of what threads borrow one at a time.

use std::ptr;

use crate::primitive::AtomicBool;
use crate::primitive::AtomicPtr;
use crate::primitive::Ordering;

/// What stands in such a list.
///
/// # Safety
/// Sharing `&Self` between threads must be sound, with what only the borrower uses left to the one who has won it.
pub unsafe trait Listed: Sized + 'static {
    /// The one behind it.
    fn next(&self) -> &AtomicPtr<Self>;
    /// Whether somebody has it.
    fn taken(&self) -> &AtomicBool;
}

/// All of them, those that nobody has borrowed included.
///
/// # Safety
/// `head` leads to those alone that [`add`] put there.
pub unsafe fn all<L: Listed>(head: &AtomicPtr<L>) -> impl Iterator<Item = &'static L> + use<L> {
    // Acquire: what was added is seen whole.
    let mut next = head.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: the list holds what `add` was given, for ever.
        let listed: &'static L = unsafe { next.as_ref() }?;
        next = listed.next().load(Ordering::Relaxed);
        Some(listed)
    })
}

/// One that nobody has; the caller has it now.
///
/// # Safety
/// As for [`all`].
pub unsafe fn take<L: Listed>(head: &AtomicPtr<L>) -> Option<&'static L> {
    // SAFETY: the caller says so.
    unsafe { all(head) }.find(|listed| {
        // Acquire: what the one before left in it is seen.
        let taken =
            listed
                .taken()
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok()
    })
}

/// Puts a new one into the list, which the caller has.
pub fn add<L: Listed>(head: &AtomicPtr<L>, listed: &'static L) {
    listed.taken().store(true, Ordering::Relaxed);
    let mut first = head.load(Ordering::Relaxed);
    let place = ptr::from_ref(listed).cast_mut();
    loop {
        listed.next().store(first, Ordering::Relaxed);
        // Release: whoever finds it sees it taken, and what is behind it.
        match head.compare_exchange(first, place, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => first = now,
        }
    }
}

/// Gives one back.
pub fn give_back<L: Listed>(listed: &L) {
    // Release: the next one sees it as it was left.
    listed.taken().store(false, Ordering::Release);
}
