//! Stacks of a thread that switches between coroutines, held against those of the C++ runtime's unwinder.

use std::cell::Cell;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::ptr;

use super::tests::Checked;
use super::tests::Random;
use super::tests::wander;

/// Frames of `wander` are large.
const STACK: usize = 1 << 20;

unsafe extern "C" {
    fn getcontext(context: *mut libc::ucontext_t) -> i32;
    fn makecontext(context: *mut libc::ucontext_t, body: extern "C" fn(), arguments: i32, ...);
    fn swapcontext(from: *mut libc::ucontext_t, to: *const libc::ucontext_t) -> i32;
}

/// One that has a stack, and checks on it each time that it is entered, at another depth.
struct Coroutine {
    inside: MaybeUninit<libc::ucontext_t>,
    outside: MaybeUninit<libc::ucontext_t>,
    random: Random,
    depth: u32,
}

thread_local! {
    static ENTERED: Cell<(*mut Coroutine, *mut Checked)> = const { Cell::new((ptr::null_mut(), ptr::null_mut())) };
}

/// Checks, deep in frames of its own, each time that it is entered.
#[inline(never)]
fn dive(depth: u32) {
    let mut memory = [0_u8; 200];
    black_box(&mut memory);
    if depth > 0 {
        dive(depth - 1);
        black_box(&mut memory);
        return;
    }
    for _ in 0..3 {
        let (coroutine, checked) = ENTERED.get();
        // SAFETY: who has entered is waiting, and nobody else has references to either.
        unsafe {
            (*checked).check();
            wander(&mut (*coroutine).random, &mut *checked, 3);
            (*checked).check();
            let (inside, outside) = (
                &raw mut (*coroutine).inside,
                &raw const (*coroutine).outside,
            );
            swapcontext(inside.cast(), outside.cast());
        }
    }
}

extern "C" fn body() {
    loop {
        // SAFETY: it is the one that was entered.
        let depth = unsafe { (*ENTERED.get().0).depth };
        dive(depth);
    }
}

impl Coroutine {
    /// One on this stack.
    fn on(stack: &mut [u8], seed: u64) -> Box<Self> {
        let mut new = Box::new(Self {
            inside: MaybeUninit::zeroed(),
            outside: MaybeUninit::zeroed(),
            random: Random(seed << 40),
            depth: 3 + (seed % 20) as u32,
        });
        // SAFETY: the context is filled before it is changed, and the stack stays while the coroutine is entered.
        unsafe {
            getcontext(new.inside.as_mut_ptr());
            let inside = new.inside.assume_init_mut();
            inside.uc_stack.ss_sp = stack.as_mut_ptr().cast();
            inside.uc_stack.ss_size = stack.len();
            makecontext(inside, body, 0);
        }
        new
    }

    fn enter(&mut self, checked: &mut Checked) {
        ENTERED.set((&raw mut *self, &raw mut *checked));
        // SAFETY: the contexts are those of the coroutine, which comes back to here.
        unsafe { swapcontext(self.outside.as_mut_ptr(), self.inside.as_ptr()) };
    }
}

#[test]
fn a_thread_comes_back_to_stacks_that_it_knows() {
    let mut checked = Checked::new();
    let mut stacks = vec![0_u8; 3 * STACK];
    let mut all: Vec<_> = stacks
        .chunks_mut(STACK)
        .zip(0..)
        .map(|(stack, seed)| Coroutine::on(stack, seed))
        .collect();
    checked.check();
    for turn in 0..60 {
        all[turn % 3].enter(&mut checked);
        checked.check();
        if turn > 3 {
            assert_eq!(checked.stacks.kept(), 4);
        }
    }
    assert!(checked.checks > 240, "{}", checked.checks);
}

#[test]
fn with_one_stack_a_thread_remembers_one() {
    let mut checked = Checked::new();
    for seed in 0..10 {
        wander(&mut Random(seed << 32), &mut checked, 12);
    }
    assert_eq!(checked.stacks.kept(), 1);
}

/// More of them than are remembered, and stacks that lie where others were, with other ends.
#[test]
fn stacks_of_many_coroutines_are_those_of_a_full_unwind() {
    for seed in 0..20 {
        let mut random = Random(seed << 48);
        let mut checked = Checked::new();
        let mut memory = vec![0_u8; 8 * STACK];
        let mut all: Vec<Option<Box<Coroutine>>> = (0..7).map(|_| None).collect();
        for _ in 0..100 {
            let which = random.below(7) as usize;
            if all[which].is_none() || random.below(20) == 0 {
                // Each has its place; how much of it is another matter each time.
                let less = 16 * random.below(STACK as u64 / 64) as usize;
                let stack = &mut memory[which * STACK..][..STACK - less];
                all[which] = Some(Coroutine::on(stack, random.below(1 << 20)));
            }
            if let Some(one) = &mut all[which] {
                one.enter(&mut checked);
            }
            if random.below(3) == 0 {
                wander(&mut random, &mut checked, 5);
            }
            assert!(checked.stacks.kept() <= 4);
        }
    }
}

#[test]
fn what_is_forgotten_is_forgotten_of_all_stacks() {
    let mut checked = Checked::new();
    let mut stacks = vec![0_u8; 2 * STACK];
    let (one, other) = stacks.split_at_mut(STACK);
    let mut all = [Coroutine::on(one, 1), Coroutine::on(other, 2)];
    for _ in 0..5 {
        for coroutine in &mut all {
            coroutine.enter(&mut checked);
        }
        checked.check();
        checked.stacks.forget();
        assert_eq!(checked.stacks.kept(), 0);
        assert!(checked.stacks.addresses().is_empty());
    }
}
