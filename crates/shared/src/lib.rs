//! The outermost stop of an event's way: `libwhofreed.so`, what a host links against or is started under.
//!
//! Everything that acts on the whole process is here and only here: the exported C symbols (`ffi`) and the
//! entries that the dynamic linker calls at start and exit. The work is done by the root package, whose rlib has
//! none of them, so that a Rust host that links it gets no symbol and no start-up code by accident.
//!
//! **Architecture Invariant:** nothing is exported but what `include/whofreed.h` declares and the thunks that the
//! generated hook libraries jump to.

mod allocator;
mod ffi;
#[cfg(target_arch = "x86_64")]
mod thunks_x86_64;
#[cfg(target_arch = "x86_64")]
mod wide_thunks_x86_64;

use std::panic::catch_unwind;

/// Runs `body`, which stands directly under a foreign frame: a panic ends here, with `fallback` as the result.
pub(crate) fn contain<T>(fallback: T, body: impl FnOnce() -> T + std::panic::UnwindSafe) -> T {
    catch_unwind(body).unwrap_or(fallback)
}

extern "C" fn start() {
    host::hook::set_stop(ffi::wf_excess_break);
    contain((), host::start);
}

extern "C" fn exit() {
    contain((), host::thread::count_left);
    contain((), host::preload::audit_at_exit);
    contain((), host::summary_at_exit);
}

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

#[used]
#[unsafe(link_section = ".fini_array")]
static EXIT: extern "C" fn() = exit;
