//! The originals stop of a hooked call, at its shortest: the real functions that the callers at return addresses mean,
//! where nothing that is opened changes it. What [`originals`](super::originals) says, without a look for the object
//! that calls.

use crate::mix::mix;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// A place for a function, and for what it was found for, mixed and laid over it.
pub type Place = [AtomicU64; 2];

#[cfg(not(modelled))]
const KEPT: usize = 1024;

#[cfg(not(modelled))]
static SITES: [Place; KEPT] = [const { [const { AtomicU64::new(0) }; 2] }; KEPT];

fn key(number: usize, site: usize, generation: u64) -> u64 {
    // One within the other: laid over each other, a site and a generation could stand for another pair of them.
    mix(site as u64 ^ mix(number as u64 ^ mix(generation)))
}

#[cfg(not(modelled))]
#[inline]
pub(super) fn find(number: usize, site: usize, generation: u64) -> Option<usize> {
    find_in(&SITES, number, site, generation)
}

#[cfg(not(modelled))]
pub(super) fn remember(number: usize, site: usize, generation: u64, function: usize) {
    remember_in(&SITES, number, site, generation, function);
}

/// The function that a stub's caller at a site means in a generation, where it is remembered in one of the places.
///
/// Of halves that two threads wrote, the one does not fit the other (Hyatt and Mann, "A lock-less transposition table
/// implementation", 2002). Zeros fit nothing.
#[inline(always)]
pub fn find_in(places: &[Place], number: usize, site: usize, generation: u64) -> Option<usize> {
    let key = key(number, site, generation);
    let place = &places[key as usize % places.len()];
    let function = place[0].load(Ordering::Relaxed);
    let is_it = function != 0 && place[1].load(Ordering::Relaxed) ^ function == key;
    is_it.then_some(function as usize)
}

/// From now on it is, until somebody else's comes to the same place.
pub fn remember_in(places: &[Place], number: usize, site: usize, generation: u64, function: usize) {
    let key = key(number, site, generation);
    let place = &places[key as usize % places.len()];
    place[0].store(function as u64, Ordering::Relaxed);
    place[1].store(function as u64 ^ key, Ordering::Relaxed);
}

#[cfg(all(test, not(modelled)))]
mod tests {
    use super::*;

    #[test]
    fn an_original_is_found_for_its_stub_its_site_and_its_generation_alone() {
        remember(7, 0x5555_0000, 3, 0x7f00_1000);
        assert_eq!(find(7, 0x5555_0000, 3), Some(0x7f00_1000));
        assert_eq!(find(8, 0x5555_0000, 3), None);
        assert_eq!(find(7, 0x5555_0001, 3), None);
        assert_eq!(find(7, 0x5555_0000, 4), None);
        // What a site lacks, a stub or a generation does not make up for.
        for bits in 0..48 {
            for changed in 1..8 {
                let site = 0x5555_0000 ^ changed << bits;
                for (number, generation) in [(7 ^ changed, 3), (7, 3 ^ changed as u64)] {
                    assert_eq!(find(number, site, generation), None, "{site:#x}");
                }
            }
        }
        // Whatever else comes to lie at the same place is found for itself, or nothing is.
        for site in 0x6000_0000..0x6000_1000 {
            remember(7, site, 3, site + 1);
        }
        for site in 0x6000_0000..0x6000_1000 {
            let found = find(7, site, 3);
            assert!(
                found.is_none_or(|function| function == site + 1),
                "{site:#x}"
            );
        }
    }
}
