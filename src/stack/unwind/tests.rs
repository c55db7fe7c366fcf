//! Stacks held against those of the C++ runtime's unwinder.

use std::hint::black_box;

use super::*;
use crate::mix::mix;

/// Pseudo-random numbers.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 += 1;
        mix(self.0) % bound
    }
}

pub(super) struct Checked {
    pub(super) stacks: Box<Stacks>,
    pub(super) checks: u32,
    is_broken: bool,
}

impl Checked {
    pub(super) fn new() -> Self {
        // SAFETY: zeros are valid, as its description says.
        let stacks = unsafe { Box::new_zeroed().assume_init() };
        Self {
            stacks,
            checks: 0,
            is_broken: false,
        }
    }

    /// Captures here, and compares.
    #[inline(never)]
    pub(super) fn check(&mut self) {
        unsafe extern "C" fn at(context: *mut c_void, slot: usize, frame_pointer: usize) -> bool {
            // SAFETY: the context is the one below.
            let checked = unsafe { &mut *context.cast::<Checked>() };
            if checked.is_broken {
                // The last stack is taken for this one.
                return true;
            }
            let start = Start {
                slot,
                frame_pointer,
            };
            // SAFETY: the call that the slot is of is `check`'s.
            let done = unsafe { checked.stacks.capture(start) };
            assert_eq!(done, Some(()));
            true
        }
        // SAFETY: `at` takes the context as it is.
        unsafe { from_here((&raw mut *self).cast(), at) };
        let mut expected = Vec::new();
        // SAFETY: the closure does not unwind.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                expected.extend(Some(frame.ip() as usize).filter(|&address| address != 0));
                true
            });
        }
        let got: Vec<usize> = self.stacks.addresses().iter().rev().copied().collect();
        // The innermost ones of the other are in the unwinder itself, and in this function at another place.
        let at = expected.len().saturating_sub(got.len());
        let is_same = got[1..] == expected[at + 1..];
        assert!(is_same != self.is_broken, "{got:x?}\n{expected:x?}");
        self.checks += 1;
    }
}

/// Calls itself and others in a way that the numbers say, with frames of many sizes.
#[inline(never)]
pub(super) fn wander(random: &mut Random, checked: &mut Checked, depth: u32) {
    let mut memory = [0_u8; 64];
    black_box(&mut memory);
    for _ in 0..1 + random.below(2) {
        if depth == 0 {
            checked.check();
            continue;
        }
        match random.below(5) {
            0 => wander(random, checked, depth - 1),
            1 => through_large_frame(random, checked, depth - 1),
            2 => [1].iter().for_each(|_| wander(random, checked, depth - 1)),
            3 => through_closure(&mut || wander(random, checked, depth - 1)),
            _ => checked.check(),
        }
    }
    black_box(&mut memory);
}

#[inline(never)]
fn through_large_frame(random: &mut Random, checked: &mut Checked, depth: u32) {
    let mut memory = [0_u8; 70_000];
    black_box(&mut memory);
    wander(random, checked, depth);
    black_box(&mut memory);
}

#[inline(never)]
fn through_closure(action: &mut dyn FnMut()) {
    action();
    black_box(());
}

#[test]
fn every_stack_is_that_of_a_full_unwind() {
    let mut checked = Checked::new();
    for seed in 0..100 {
        wander(&mut Random(seed << 32), &mut checked, 12);
    }
    assert!(checked.checks > 1_000, "{}", checked.checks);
}

#[test]
fn a_stack_that_is_not_brought_up_to_date_is_noticed() {
    let mut checked = Checked::new();
    through_closure(&mut || checked.check());
    checked.is_broken = true;
    checked.check();
}

#[test]
fn a_new_epoch_forgets() {
    let mut checked = Checked::new();
    for _ in 0..3 {
        checked.check();
        rules::begin_epoch();
        checked.check();
    }
}

#[test]
fn the_hash_is_of_all_addresses_and_their_order() {
    let mut checked = Checked::new();
    let mut seen = std::collections::HashMap::new();
    let mut random = Random(7);
    for _ in 0..200 {
        through_closure(&mut || {
            wander(&mut random, &mut checked, 3);
            checked.check();
        });
        let addresses = checked.stacks.addresses().to_vec();
        let hash = checked.stacks.hash();
        assert_eq!(seen.entry(hash).or_insert(addresses.clone()), &addresses);
    }
}
