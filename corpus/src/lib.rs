//! The truth corpus: hosts whose culprits are known by construction, to measure the blame on.
//!
//! There are two kinds. The *simulated* hosts of this crate write the trace that the shim would write, thousands in a
//! minute, and the truth beside it: [`patterns::run`] makes one from a pattern, a seed and what is known of
//! owners. The *real* ones in `hosts/` are C++, Rust and Python programs whose bug lies in real code (templates,
//! inlined calls, exceptions, static destructors, forks); `tests/corpus.rs` of the workspace runs them.
//!
//! Truth is accounting by owner in the order of the log, as the contract defines it: a free is surplus if its
//! own holder has no right left. [`Host`] keeps that account beside the one that the recorder is allowed to see.

mod host;
pub mod methods;
mod names;
pub mod patterns;
mod pool;
mod random;
mod traffic;

pub use host::Buffer;
pub use host::Hits;
pub use host::Host;
pub use host::Owners;
pub use names::Names;
pub use pool::Reuse;
pub use random::Random;
