//! The Python part of a stack.
//!
//! Place on an event's way: hook.rs asks for it beside the native stack, on the host's own thread.
//! The interpreter is found at run time ([`interpreter`]), nothing of it is linked or called but
//! one getter; the walk only reads. It needs no GIL, takes no lock, no memory and no reference.
//!
//! Why reading is sound without the GIL: a frame is pushed and popped only by the thread that runs
//! it, and that thread is here, inside a native call. So its chain stands still; each frame holds
//! a reference to its code, and the code to its names and tables, which are immutable. Two things
//! end this, and both are seen to: the thread state goes away when the interpreter finalizes
//! (`Interpreter::thread_state`), and a layout that is not the expected one is caught by the type of
//! each object that is read, and by a comparison with the public API ([`verify`]).
//! A hook that runs in a signal handler may see a frame half pushed; the type checks stop there.

mod interpreter;
mod layout;
mod lines;
mod met;
mod remembered;
mod text;
mod verify;
mod walk;

pub use interpreter::Status;
pub(super) use interpreter::is_absent;
pub(super) use interpreter::known_status;
pub use interpreter::status;
pub use remembered::Remembered;

use crate::linkmap::HIGHEST;
use crate::linkmap::LOWEST;
use interpreter::Interpreter;
use std::ptr::with_exposed_provenance;

/// One Python frame of a stack, innermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawPythonFrame {
    /// What `intern_code` returned for its code.
    pub code: u32,
    /// The line that is being run; 0 where the compiler gave it none.
    pub line: u32,
    /// The outermost frame of one run of the evaluation loop: this and all frames up to the next
    /// one that is an entry stand for one native frame.
    pub is_entry: bool,
}

/// Turns a code object's file, qualified name (3.10: name) and first line into a number for it.
///
/// Both texts are UTF-8, cut to 512 bytes (of a file name the beginning is cut off).
pub type InternCode<'a> = dyn FnMut(&[u8], &[u8], u32) -> u32 + 'a;

/// Writes the calling thread's Python frames, innermost first, and returns how many. `trace` is the one that
/// `intern_code` numbers codes for.
///
/// 0 when there is no Python, not on this thread, or none that can be read ([`status`]).
pub fn capture(
    frames: &mut [RawPythonFrame],
    remembered: &mut Remembered,
    trace: u64,
    intern_code: &mut InternCode<'_>,
) -> usize {
    interpreter::with_current(|interpreter| {
        remembered.begin(trace);
        walk_into(interpreter, frames, remembered, intern_code)
    })
    .unwrap_or(0)
}

fn walk_into(
    interpreter: &Interpreter,
    frames: &mut [RawPythonFrame],
    remembered: &mut Remembered,
    intern_code: &mut InternCode<'_>,
) -> usize {
    let Some(thread_state) = interpreter.thread_state() else {
        return 0;
    };
    if interpreter::unverified() && !verify::once(interpreter, thread_state) {
        return 0;
    }
    let identity = interpreter.identity();
    let mut count = 0;
    walk::walk(interpreter, thread_state, |frame| {
        let Some(slot) = frames.get_mut(count) else {
            return false;
        };
        let told = remembered.tell(interpreter, identity, frame, intern_code);
        *slot = RawPythonFrame {
            code: told.code,
            line: told.line,
            is_entry: frame.is_entry,
        };
        count += 1;
        count < frames.len()
    });
    count
}

/// An address at which a structure of the interpreter may lie: in the user's half of the address space, and aligned to
/// a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(usize);

impl Place {
    #[inline]
    fn at(address: usize) -> Option<Place> {
        let is_one =
            (LOWEST..HIGHEST).contains(&address) && address.is_multiple_of(align_of::<usize>());
        is_one.then_some(Place(address))
    }

    /// The member at `offset`.
    ///
    /// # Safety
    /// A structure lies here that has a `T` at this offset, aligned as a `T` is.
    #[inline]
    unsafe fn read<T: Copy>(self, offset: usize) -> T {
        // SAFETY: the caller's promise.
        unsafe { with_exposed_provenance::<T>(self.0 + offset).read_volatile() }
    }
}

/// Reads plain data of the interpreter at `base + offset`; `None` for what cannot be an address.
///
/// # Safety
/// If the sum is aligned and in the user's half of the address space, it is readable there.
unsafe fn peek<T: Copy>(base: usize, offset: usize) -> Option<T> {
    if !(LOWEST..HIGHEST).contains(&base) {
        return None;
    }
    let address = base
        .checked_add(offset)
        .filter(|sum| sum.is_multiple_of(align_of::<T>()))?;
    // SAFETY: the caller's promise, and alignment as checked.
    Some(unsafe { with_exposed_provenance::<T>(address).read_volatile() })
}
