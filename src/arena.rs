//! Items that are numbered as they come and stay for ever: the memory behind an [`Index`](crate::index::Index).

use crate::items::Items;
use crate::primitive::AtomicU32;
use crate::primitive::Ordering;

pub use crate::items::ZeroInit;

/// Up to a fixed number of items in reserved memory.
#[derive(Debug)]
pub struct Arena<T> {
    items: Items<T>,
    capacity: u32,
    next: AtomicU32,
}

impl<T: ZeroInit> Arena<T> {
    /// Reserves memory for `capacity` items, or for fewer where the host does not grant that much.
    #[must_use]
    pub fn new(capacity: u32) -> Option<Self> {
        let (items, capacity) = Items::reserve(capacity as usize, 1, 1)?;
        Some(Self {
            items,
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            next: AtomicU32::new(0),
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
        // SAFETY: there was room for `capacity` items.
        unsafe { self.items.item(item as usize) }
    }

    /// The item with this number, taken or not: where numbers come from elsewhere.
    #[must_use]
    #[inline(always)]
    pub fn at(&self, item: u32) -> Option<&T> {
        // SAFETY: as in `get`.
        (item < self.capacity).then(|| unsafe { self.items.item(item as usize) })
    }

    /// How many items were taken.
    #[cfg(not(modelled))]
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.next.load(Ordering::Relaxed).min(self.capacity)
    }
}
