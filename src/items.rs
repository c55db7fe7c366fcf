//! Items in a row that begin as zeros, in memory of the shim's own that the kernel never gets back.
//!
//! Under a checker of interleavings, whose atomics are more than their words, each item is made by itself.

#[cfg(not(modelled))]
use std::marker::PhantomData;
#[cfg(not(modelled))]
use std::ptr::NonNull;

#[cfg(not(modelled))]
use crate::sys;

/// A type that is valid as zeros, which is its default as well, and is changed through shared references by atomics
/// only.
///
/// # Safety
/// Zeroed memory must be a valid value, and sharing `&Self` between threads must be sound.
pub unsafe trait ZeroInit: Sync + Default {}

// SAFETY: zeroed memory is a valid atomic, which may be shared.
unsafe impl ZeroInit for crate::primitive::AtomicU64 {}

/// The items.
#[derive(Debug)]
pub struct Items<T> {
    #[cfg(not(modelled))]
    base: NonNull<T>,
    #[cfg(not(modelled))]
    items: PhantomData<T>,
    #[cfg(modelled)]
    items: Vec<T>,
}

#[cfg(not(modelled))]
// SAFETY: the items are Sync by `ZeroInit`, and the memory is never given back.
unsafe impl<T: ZeroInit> Send for Items<T> {}
#[cfg(not(modelled))]
// SAFETY: as above.
unsafe impl<T: ZeroInit> Sync for Items<T> {}

impl<T: ZeroInit> Items<T> {
    /// None at all.
    pub const NONE: Self = Self {
        #[cfg(not(modelled))]
        base: NonNull::dangling(),
        #[cfg(not(modelled))]
        items: PhantomData,
        #[cfg(modelled)]
        items: Vec::new(),
    };

    /// Room for `count` times `each` items, or for half as many, and so on down to `least` times. Also says how many
    /// times there are.
    #[must_use]
    pub fn reserve(count: usize, least: usize, each: usize) -> Option<(Self, usize)> {
        #[cfg(modelled)]
        {
            let items = (0..count * each).map(|_| T::default()).collect();
            let _ = least;
            Some((Self { items }, count))
        }
        #[cfg(not(modelled))]
        {
            let (base, count) = sys::reserve_items(count, least, each * size_of::<T>())?;
            let items = Self {
                base: base.cast(),
                items: PhantomData,
            };
            Some((items, count))
        }
    }

    /// Items in a row.
    ///
    /// # Safety
    /// There was room for all of them.
    #[must_use]
    #[inline(always)]
    pub unsafe fn slice(&self, start: usize, len: usize) -> &[T] {
        #[cfg(modelled)]
        {
            &self.items[start..start + len]
        }
        #[cfg(not(modelled))]
        // SAFETY: the caller says that they are inside the memory, which is zeroed or was changed by atomics, and T is
        // valid as either by `ZeroInit`; it is never given back.
        unsafe {
            std::slice::from_raw_parts(self.base.as_ptr().add(start), len)
        }
    }

    /// One of the items.
    ///
    /// # Safety
    /// There was room for it.
    #[must_use]
    #[inline(always)]
    pub unsafe fn item(&self, item: usize) -> &T {
        #[cfg(modelled)]
        {
            &self.items[item]
        }
        #[cfg(not(modelled))]
        // SAFETY: as in `slice`.
        unsafe {
            &*self.base.as_ptr().add(item)
        }
    }
}
