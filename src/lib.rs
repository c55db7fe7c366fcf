//! whofreed names the call site that freed a buffer too often. This is the part that runs inside the host.
//!
//! # The story of one event
//!
//! A runtime frees a buffer and, by the C header or by a hook of an adapter, lands in [`hook`]. The
//! [re-entrancy guard](thread) lets it in unless the shim itself caused the event. The [`ledger`] lets it happen at
//! its address, in one atomic transition, and answers with the verdict that the host is given at once. For the record,
//! the [`stack`] says where the call came from, as the number of an interned stack, and the [`record`] puts
//! sixty-four bytes into a mapping that outlives the process. That is all that happens on the host's thread; names,
//! balances and blame come later, elsewhere, from the trace.
//!
//! [`process`] holds what there is once per process and notices forks; [`preload`] lives behind the thunks of
//! adapters; [`client`] is for Rust hosts and does nothing but forward to a loaded `libwhofreed.so`.
//!
//! **Architecture Invariant:** this crate exports no symbol and runs no code at start; `crates/shared` does, in
//! the shared library alone.

// What is lock-free and pure: checkers of interleavings build it as well (`tests/models`).
mod arena;
pub mod index;
pub mod items;
pub mod ledger;
mod mix;
pub mod primitive;

#[cfg(not(modelled))]
pub mod abi;
#[cfg(not(modelled))]
pub mod client;
#[cfg(not(modelled))]
mod clock;
#[cfg(not(modelled))]
pub mod hook;
#[cfg(not(modelled))]
mod identity;
#[cfg(not(modelled))]
pub mod linkmap;
#[cfg(not(modelled))]
pub mod options;
#[cfg(not(modelled))]
pub mod preload;
#[cfg(not(modelled))]
pub mod process;
#[cfg(not(modelled))]
pub mod record;
#[cfg(not(modelled))]
pub mod stack;
#[cfg(not(modelled))]
mod sys;
#[cfg(not(modelled))]
mod tally;
#[cfg(not(modelled))]
pub mod thread;
#[cfg(not(modelled))]
mod tls;

// Under a checker there is of these only what is pure enough.
#[cfg(modelled)]
pub mod linkmap {
    //! Of the loaded objects, what threads share.
    pub mod gate;
}
#[cfg(modelled)]
pub mod preload {
    //! Of hooks, what threads share.
    pub mod by_site;
    pub mod expression {
        //! Of expressions, what threads share.
        pub mod validity;
    }
    pub mod generation;
    pub mod spare;
}
#[cfg(modelled)]
pub mod record {
    //! Of the recorder, what threads share.
    pub mod errand;
    pub mod ready;
    pub mod sealed;
    pub mod words;
}
#[cfg(modelled)]
pub mod stack {
    //! Of stacks, what threads share.
    pub mod unwind {
        //! Of the unwinder, what threads share.
        pub mod entries;
        pub mod rule;
    }
}
#[cfg(modelled)]
pub mod thread {
    //! Of threads, what they share.
    pub mod list;
}

#[cfg(not(modelled))]
pub use hook::summary_at_exit;

/// Prepares for the host, without a file, a thread or a word unless there is something to hook in it: when the shared
/// library is loaded, or at the first event when that comes earlier. The dynamic linker runs the constructors of
/// libraries that do not know each other in an order of its own, so somebody else's may well free a buffer before ours
/// has run.
#[cfg(not(modelled))]
pub fn start() {
    static BEGUN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    if !BEGUN.swap(true, std::sync::atomic::Ordering::AcqRel) {
        // A program finds errno as the loader left it.
        sys::keeping_errno(|| {
            // What this takes of the host's heap is ours.
            thread::asking(|| {
                options::start();
                thread::start();
                stack::start();
                preload::audit::start();
            });
            preload::audit::begin_early();
        });
    }
}
