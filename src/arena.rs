//! Items that are numbered as they come and stay for ever: the memory behind an [`Index`](crate::index::Index).

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use crate::sys;

/// A type that is valid as zeros and is changed through shared references by atomics only.
///
/// # Safety
/// Zeroed memory must be a valid value, and sharing `&Self` between threads must be sound.
pub unsafe trait ZeroInit: Sync {}

/// Up to a fixed number of items in reserved memory.
#[derive(Debug)]
pub struct Arena<T> {
    base: NonNull<T>,
    capacity: u32,
    next: AtomicU32,
    items: PhantomData<T>,
}

// SAFETY: the items are Sync by `ZeroInit`, and the memory is never given back.
unsafe impl<T: ZeroInit> Send for Arena<T> {}
// SAFETY: as above.
unsafe impl<T: ZeroInit> Sync for Arena<T> {}

impl<T: ZeroInit> Arena<T> {
    /// Reserves memory for `capacity` items, or for fewer where the host does not grant that much.
    #[must_use]
    pub fn new(capacity: u32) -> Option<Self> {
        let (base, capacity) = sys::reserve_items(capacity as usize, 1, size_of::<T>())?;
        Some(Self {
            base: base.cast(),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            next: AtomicU32::new(0),
            items: PhantomData,
        })
    }

    /// Takes the next item, zeroed; `None` when all are taken.
    #[must_use]
    pub fn take(&self) -> Option<u32> {
        // The first look keeps the counter from running round when everybody knocks at a full arena.
        if self.next.load(Ordering::Relaxed) >= self.capacity {
            return None;
        }
        let item = self.next.fetch_add(1, Ordering::Relaxed);
        (item < self.capacity).then_some(item)
    }

    /// The item with this number, which [`Arena::take`] has given out.
    ///
    /// # Panics
    /// When the number is none of this arena.
    #[must_use]
    pub fn get(&self, item: u32) -> &T {
        assert!(item < self.capacity, "no such item");
        // SAFETY: the item lies inside the reserved memory, which is zeroed or was changed by atomics, and T is
        // valid as either by `ZeroInit`.
        unsafe { &*self.base.as_ptr().add(item as usize) }
    }

    /// The item with this number, taken or not: where numbers come from elsewhere.
    #[must_use]
    #[inline(always)]
    pub fn at(&self, item: u32) -> Option<&T> {
        // SAFETY: as in `get`.
        (item < self.capacity).then(|| unsafe { &*self.base.as_ptr().add(item as usize) })
    }

    /// How many items were taken.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.next.load(Ordering::Relaxed).min(self.capacity)
    }
}
