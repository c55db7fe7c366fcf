//! Which spare stub stands for which original of which stub: one word each, set once and never changed.
//!
//! A resolver may be asked again and again, by many threads at once; the same pointer gets the same spare each time, so
//! that a host may compare what it was given, and nothing is used up by asking twice.
//!
//! **Architecture Invariant:** no lock, no wait for another thread, no allocation.

use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// No user's address has more bits; the stub is above them.
const ADDRESS_BITS: u32 = 48;

/// `stub + 1 << 48 | original`, which is never 0; none when it does not fit.
fn word(stub: usize, original: usize) -> Option<u64> {
    let stub = u16::try_from(stub).ok()?.checked_add(1)?;
    let original = original as u64;
    (original >> ADDRESS_BITS == 0).then_some(u64::from(stub) << ADDRESS_BITS | original)
}

/// The place of the spare that stands for `original`, a function that `stub` is the hook of; none when all are taken.
pub fn claim(spares: &[AtomicU64], stub: usize, original: usize) -> Option<usize> {
    let wanted = word(stub, original)?;
    let start = (wanted.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    let mut places = (0..spares.len()).map(|step| start.wrapping_add(step) % spares.len());
    places.find(|place| {
        let spare = &spares[*place];
        let known = match spare.load(Ordering::Acquire) {
            // Of two who find it free one takes it; the other looks whether it was for the same.
            0 => match spare.compare_exchange(0, wanted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => wanted,
                Err(known) => known,
            },
            known => known,
        };
        known == wanted
    })
}

/// The stub and the original that the spare at a place stands for.
pub fn look(spares: &[AtomicU64], place: usize) -> Option<(usize, usize)> {
    let word = spares.get(place)?.load(Ordering::Acquire);
    let stub = (word >> ADDRESS_BITS).checked_sub(1)?;
    Some((
        usize::try_from(stub).ok()?,
        usize::try_from(word & ((1 << ADDRESS_BITS) - 1)).ok()?,
    ))
}

#[cfg(all(test, not(modelled)))]
mod tests {
    use super::*;

    fn spares(count: usize) -> Vec<AtomicU64> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn the_same_pair_gets_the_same_spare_and_another_one_another() {
        let spares = spares(64);
        let mut taken = Vec::new();
        for stub in 0..8 {
            for original in 0x7f00_0000_1000..0x7f00_0000_1008 {
                let place = claim(&spares, stub, original).expect("room");
                assert!(!taken.contains(&place));
                taken.push(place);
                assert_eq!(claim(&spares, stub, original), Some(place));
                assert_eq!(look(&spares, place), Some((stub, original)));
            }
        }
        // Full: those that are in are found still, others are not let in.
        assert_eq!(claim(&spares, 3, 0x7f00_0000_1003), Some(taken[27]));
        assert_eq!(claim(&spares, 8, 0x7f00_0000_1000), None);
        assert_eq!(look(&spares, 64), None);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let spares = spares(4);
        assert_eq!(claim(&spares, 0, 1 << 48), None);
        assert_eq!(claim(&spares, 65_535, 4096), None);
        assert!(claim(&spares, 65_534, (1 << 48) - 1).is_some());
        assert_eq!(claim(&[], 0, 4096), None);
        assert_eq!((0..4).filter_map(|place| look(&spares, place)).count(), 1);
    }
}
