//! The verdict stop of an event's way: what one event does to one address, and how it is judged.
//!
//! This is the only place in the project that knows when a deallocate is legitimate. The live ledger inside
//! the host and the offline replay both run [`Address::apply`]; neither has its own idea of a verdict.
//!
//! **Architecture Invariant:** no I/O, no threads, no clock, no heap of its own. Memory comes in through
//! [`Holders`], so that the ledger can run it on a fixed buffer and the replay on a `Vec`.

mod address;
mod holders;
mod verdict;

pub use address::Address;
pub use address::Event;
pub use address::Outcome;
pub use address::REMEMBERED_LATE_OWNERS;
pub use address::REMEMBERED_OWNERS;
pub use holders::FixedHolders;
pub use holders::Full;
pub use holders::Holder;
pub use holders::Holders;
pub use holders::Listed;
pub use holders::Standing;
pub use verdict::Verdict;
