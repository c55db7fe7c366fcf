//! Chunks that wait for somebody who needs one: given by the writer thread, taken by any.

use std::ptr;
use std::ptr::NonNull;

use crate::primitive::AtomicPtr;
use crate::primitive::Ordering;

/// Places for so many of them.
#[derive(Debug)]
pub struct Ready<const PLACES: usize> {
    places: [AtomicPtr<u8>; PLACES],
}

impl<const PLACES: usize> Default for Ready<PLACES> {
    fn default() -> Self {
        Self {
            places: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        }
    }
}

impl<const PLACES: usize> Ready<PLACES> {
    /// One of them, which is the caller's from now on.
    pub fn take(&self) -> Option<NonNull<u8>> {
        self.places.iter().find_map(|place| {
            // Looked at before, since many may be empty.
            if place.load(Ordering::Relaxed).is_null() {
                return None;
            }
            // Acquire: what whoever gave it did to it comes before what the caller does.
            NonNull::new(place.swap(ptr::null_mut(), Ordering::Acquire))
        })
    }

    /// Gives one. False when there is no place: it stays the caller's.
    pub fn give(&self, chunk: NonNull<u8>) -> bool {
        let free = ptr::null_mut();
        let offer = |place: &AtomicPtr<u8>| {
            // Looked at before, since most are taken.
            place.load(Ordering::Relaxed).is_null()
                && place
                    .compare_exchange(free, chunk.as_ptr(), Ordering::Release, Ordering::Relaxed)
                    .is_ok()
        };
        self.places.iter().any(offer)
    }

    /// How many places are free.
    pub fn missing(&self) -> usize {
        let free = self
            .places
            .iter()
            .filter(|place| place.load(Ordering::Relaxed).is_null());
        free.count()
    }
}
