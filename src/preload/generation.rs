//! Of the originals stop, what threads share: what was found out about loaded libraries counts for one generation of them,
//! as long as none may have been unloaded.

use crate::primitive::AtomicU64;
use crate::primitive::AtomicUsize;
use crate::primitive::Ordering;

/// The generation now.
#[inline]
pub fn now(generation: &AtomicU64) -> u64 {
    generation.load(Ordering::Acquire)
}

/// Remembers at `place` what was found out in the generation `found_in`; not when that is over.
pub fn remember(generation: &AtomicU64, found_in: u64, place: &AtomicUsize, word: usize) {
    place.store(word, Ordering::Relaxed);
    // Read by adding nothing: this step and that of whoever forgets are in one order. Either it comes after and empties
    // this place too, or its count is seen here.
    if generation.fetch_add(0, Ordering::AcqRel) != found_in {
        place.store(0, Ordering::Relaxed);
    }
}

/// Begins another generation; afterwards whatever was remembered has to be [emptied](empty).
pub fn begin(generation: &AtomicU64) {
    generation.fetch_add(1, Ordering::AcqRel);
}

/// Forgets what was remembered in an earlier generation.
pub fn empty(place: &AtomicUsize) {
    place.store(0, Ordering::Relaxed);
}
