//! The calling thread's stack in tens of nanoseconds, without frame pointers: what is remembered of the last one is
//! verified, and only what has changed is unwound.
//!
//! Place on an event's way: [`StackBuffer::capture`](super::StackBuffer::capture) asks here first, and the C++
//! runtime's unwinder (the `backtrace` crate) where this has no answer.
//!
//! An unwind is a pure function of where it begins, of the words that it reads, and of the rules that the compiler
//! left for each return address. So a remembered frame is right if its slot is reached again and still holds the same
//! return address, and if the rule for that leads on to the same place. Frames are verified from the innermost
//! outward, and each word is read only after everything that leads to it has been: nothing is read that a full unwind
//! would not read. That is why longjmp, exceptions, coroutines and signals need no special treatment: they change
//! words, or the place where the unwind begins.
//!
//! - [`rule`]: what the compiler says about a return address, in one word.
//! - [`eh_frame`], [`row`], [`way`]: make that word from the tables in the loaded object, for a [`machine`].
//! - [`rules`], [`entries`]: those words by return address, for all threads.
//! - [`changes`]: the same, as the thread met them at their places in its stack.
//! - [`remembered`]: the frames of a stack, and how they are brought up to date.
//! - [`stacks`]: those of the stacks that the thread was on last.

mod changes;
#[cfg(test)]
mod coroutine_tests;
mod eh_frame;
pub mod entries;
#[cfg(fuzzing)]
pub mod fuzzing;
mod machine;
#[cfg(test)]
mod machine_tests;
mod remembered;
mod row;
pub mod rule;
pub mod rules;
#[cfg(test)]
mod snapshot_tests;
mod stacks;
#[cfg(test)]
mod tests;
mod way;

use std::ffi::c_void;
use std::ptr;

use self::remembered::Remembered;

pub use self::stacks::Stacks;

/// Where an unwind begins: in the function that returns to the address at `slot`.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Where the return address lies.
    pub slot: usize,
    /// The frame pointer register, as it was when the function was called.
    pub frame_pointer: usize,
}

/// Brings a stack up to date that begins with the caller of this function. False where that cannot be done.
#[inline(never)]
pub fn from_caller(stacks: &mut Stacks) -> bool {
    unsafe extern "C" fn at(stacks: *mut c_void, slot: usize, frame_pointer: usize) -> bool {
        let start = Start {
            slot,
            frame_pointer,
        };
        // SAFETY: they are the stacks that were given below, and the slot that of the call which calls us.
        unsafe { (*stacks.cast::<Stacks>()).capture(start) }.is_some()
    }
    // SAFETY: `at` takes the context as it is.
    unsafe { from_here(ptr::from_mut(stacks).cast(), at) }
}

/// Calls `then(context, slot, frame pointer)` for where its own call returns to.
#[unsafe(naked)]
unsafe extern "C" fn from_here(
    context: *mut c_void,
    then: unsafe extern "C" fn(*mut c_void, usize, usize) -> bool,
) -> bool {
    // A jump and no call: there is no frame to be unwound.
    std::arch::naked_asm!(
        "endbr64",
        "mov rax, rsi",
        "mov rsi, rsp",
        "mov rdx, rbp",
        "jmp rax",
    )
}
