//! The hook stop of an event's way, for hosts that do not know us: what happens between a host's call of a hooked
//! function and `hook`.
//!
//! `whofreed run` writes a small library that exports the functions which the chosen adapters name (crates/adapter).
//! Each is a stub that jumps to a thunk of libwhofreed.so (crates/shared) with its number. The thunk saves the
//! registers in a [`Frame`] and asks [`enter`] what to do. A hook that is an event before the real function runs ends
//! in a jump there, and no frame of ours is left on the stack; one that has to see the result is called through, and
//! [`leave`] looks at what came of it, or [`left`] when it was left by an exception. What a resolver hands out leads
//! to a spare stub of the same library (`resolver`).
//!
//! **Architecture Invariant:** no Rust frame lies between the host's caller and the real function, so exceptions,
//! cancellation and longjmp pass as if we were not there. No name or layout of any runtime is known here.

mod attempts;
pub(crate) mod audit;
mod by_site;
mod devices;
mod engine;
mod expression;
mod generation;
mod layer;
#[path = "machine_x86_64.rs"]
mod machine;
mod memory;
mod originals;
mod plain;
mod realloc;
mod resolver;
mod scope;
mod session;
pub mod spare;
mod table;
mod told;

use std::mem::offset_of;

pub use attempts::PerThread;
pub use audit::audit_at_exit;
pub use engine::enter;
pub use engine::leave;
pub use engine::left;

/// Whether we are told when a library is unloaded: `dlclose` is hooked in every run.
pub fn sees_unloading() -> bool {
    table::table().is_some()
}

/// The registers of a call, as a thunk saves them on the stack.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Frame {
    /// The integer arguments, in order.
    pub arguments: [u64; 6],
    /// `rax`: how many vector registers a variadic call uses.
    pub variadic: u64,
    /// `r10`: the static chain of nested functions.
    pub chain: u64,
    /// What the real function returned, or what to return when it is not called.
    pub result: u64,
    /// The second register of a result of two.
    pub result_high: u64,
    /// Where the return address lies.
    pub return_address_slot: usize,
    /// The caller's frame pointer register.
    pub frame_pointer: usize,
    /// How many words of stack arguments to hand on, when called through.
    pub stack_words: u64,
    /// What [`enter`] wants to find again in [`leave`]; 0 when there is nothing to do then, and so no frame to be left.
    pub ticket: u64,
    /// The vector arguments; afterwards the first two are the vector results.
    pub vectors: [u128; 8],
}

/// Where the thunks find the fields of a [`Frame`].
pub mod offset {
    use super::Frame;
    use super::offset_of;

    /// The size of the whole frame.
    pub const SIZE: usize = size_of::<Frame>();
    /// Of [`Frame::variadic`].
    pub const VARIADIC: usize = offset_of!(Frame, variadic);
    /// Of [`Frame::chain`].
    pub const CHAIN: usize = offset_of!(Frame, chain);
    /// Of [`Frame::result`].
    pub const RESULT: usize = offset_of!(Frame, result);
    /// Of [`Frame::result_high`].
    pub const RESULT_HIGH: usize = offset_of!(Frame, result_high);
    /// Of [`Frame::return_address_slot`].
    pub const SLOT: usize = offset_of!(Frame, return_address_slot);
    /// Of [`Frame::frame_pointer`].
    pub const FRAME_POINTER: usize = offset_of!(Frame, frame_pointer);
    /// Of [`Frame::stack_words`].
    pub const STACK_WORDS: usize = offset_of!(Frame, stack_words);
    /// Of [`Frame::ticket`].
    pub const TICKET: usize = offset_of!(Frame, ticket);
    /// Of [`Frame::vectors`].
    pub const VECTORS: usize = offset_of!(Frame, vectors);
}
