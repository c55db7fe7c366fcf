//! The trace stop of an event's way: the file format, its writer's half and its reader's half.
//!
//! [`layout`] and [`blob`] say what lies in the file, byte by byte (in words: `docs/trace-format.md`).
//! [`read`] turns the bytes of a file, however it ended, into a [`Trace`]; [`frame`] is the vocabulary in which
//! symbols are told later. [`Events`] are read a few at a time. The shim uses `layout` and `blob` alone.

pub mod blob;
mod clock;
mod events;
mod finish;
pub mod frame;
pub mod layout;
pub mod live_name;
pub mod loss;
pub mod read;
pub mod segment;
mod trace;

pub use events::Events;
pub use events::FileEvents;
pub use events::Run;
pub use finish::compress_rest;
pub use finish::unused;
pub use frame::Frame;
pub use frame::Language;
pub use frame::StackNames;
pub use loss::Loss;

pub use trace::*;
