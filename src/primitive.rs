//! The atomics of everything lock-free in the shim: those of the standard library, or loom's under
//! `--cfg loom`, where the tests run every interleaving.
//!
//! The gap: loom knows no memory that is born zero, so the tests bring their own storage through the traits
//! [`Slots`](crate::index::Slots) and [`Records`](crate::ledger::cell::Records).

#[cfg(loom)]
pub use loom::sync::atomic::AtomicU64;
#[cfg(loom)]
pub use loom::sync::atomic::Ordering;
#[cfg(not(loom))]
pub use std::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub use std::sync::atomic::Ordering;
