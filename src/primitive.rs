//! The atomics of everything lock-free in the shim: those of the standard library, or loom's under
//! `--cfg loom`, where the tests run every interleaving.
//!
//! The gap: loom knows no memory that is born zero, so the tests bring their own storage through the traits
//! [`Slots`](crate::index::Slots) and [`Records`](crate::ledger::cell::Records).

#[cfg(loom)]
pub use loom::sync::atomic::AtomicU64;
#[cfg(loom)]
pub use loom::sync::atomic::Ordering;
#[cfg(not(loom))]
pub use std::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub use std::sync::atomic::Ordering;

/// Says that a place will be read soon. It may be anywhere.
#[cfg(not(loom))]
#[inline(always)]
pub fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing that a program could see, and no address makes it fail.
    unsafe {
        use std::arch::x86_64::_MM_HINT_T0;
        use std::arch::x86_64::_mm_prefetch;
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Says that a place will be written soon, where another processor has it now. It may be anywhere.
#[cfg(not(loom))]
#[inline(always)]
pub fn prefetch_to_write<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction changes nothing that a program could see, no address makes it fail, and processors that
    // do not have it pass it by.
    unsafe {
        std::arch::asm!("prefetchw [{place}]", place = in(reg) place, options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}
