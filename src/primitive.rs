//! The atomics of everything lock-free in the shim: those of the standard library, or those of a checker that runs the
//! same code in many interleavings: loom's under `--cfg loom`, shuttle's under `--cfg shuttle`. `docs/models.md` says which
//! atomic is checked by which model.
//!
//! The gap: checkers know no memory that is born zero, so under them [`Items`](crate::items::Items) makes its items one
//! by one, and tables are small.

#[cfg(loom)]
mod observed;

#[cfg(loom)]
use self::observed as atomics;
#[cfg(shuttle)]
use shuttle::sync::atomic as atomics;
#[cfg(not(modelled))]
use std::sync::atomic as atomics;

pub use atomics::AtomicBool;
pub use atomics::AtomicPtr;
pub use atomics::AtomicU32;
pub use atomics::AtomicU64;
pub use atomics::AtomicUsize;
#[cfg(loom)]
pub use loom::sync::atomic::Ordering;
#[cfg(loom)]
pub use loom::sync::atomic::fence;
#[cfg(shuttle)]
pub use shuttle::sync::atomic::Ordering;
#[cfg(shuttle)]
pub use shuttle::sync::atomic::fence;
#[cfg(not(modelled))]
pub use std::sync::atomic::Ordering;
#[cfg(not(modelled))]
pub use std::sync::atomic::fence;

/// Says that a place will be read soon. It may be anywhere.
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
#[cfg(not(modelled))]
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
