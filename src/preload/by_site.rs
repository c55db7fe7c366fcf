//! The originals stop of a hooked call, at its shortest: the real functions that the callers at return addresses mean,
//! where nothing that is opened changes it. What [`originals`](super::originals) says, without a look for the object
//! that calls.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::sys::mix;

const KEPT: usize = 1024;

/// A function, and what it was found for, mixed and laid over it: of halves that two threads wrote, the one does
/// not fit the other (Hyatt and Mann, "A lock-less transposition table implementation", 2002). Zeros fit nothing.
static SITES: [[AtomicU64; 2]; KEPT] = [const { [const { AtomicU64::new(0) }; 2] }; KEPT];

fn place(number: usize, site: usize, generation: u64) -> (&'static [AtomicU64; 2], u64) {
    // One within the other: laid over each other, a site and a generation could stand for another pair of them.
    let key = mix(site as u64 ^ mix(number as u64 ^ mix(generation)));
    (&SITES[key as usize % KEPT], key)
}

#[inline]
pub(super) fn find(number: usize, site: usize, generation: u64) -> Option<usize> {
    let (place, key) = place(number, site, generation);
    let function = place[0].load(Ordering::Relaxed);
    let is_it = function != 0 && place[1].load(Ordering::Relaxed) ^ function == key;
    is_it.then_some(function as usize)
}

pub(super) fn remember(number: usize, site: usize, generation: u64, function: usize) {
    let (place, key) = place(number, site, generation);
    place[0].store(function as u64, Ordering::Relaxed);
    place[1].store(function as u64 ^ key, Ordering::Relaxed);
}

#[cfg(test)]
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
