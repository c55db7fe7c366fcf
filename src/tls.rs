//! Seven words per thread, reached without a call: the thread's states and how it stands to the shim.
//!
//! Rust's `thread_local!` in a shared library goes through `__tls_get_addr`, which may allocate on the host's
//! heap at a thread's first touch. Initial-exec storage does not; glibc keeps a little of it free even for
//! libraries that are opened late, and this takes 56 bytes. Stable Rust cannot ask for that model, hence the
//! assembly; other machines use `thread_local!` with a constant, which needs no destructor either.

use std::cell::Cell;

use crate::thread::Seat;

/// What a thread carries. All zero at its start.
#[derive(Debug)]
#[repr(C)]
pub struct Slot {
    /// The state that the thread has borrowed, or null.
    pub seat: Cell<*mut Seat>,
    /// The one for a signal handler that interrupts an event, or null.
    pub nested: Cell<*mut Seat>,
    /// How far inside the shim the thread is; 0 outside.
    pub busy: Cell<usize>,
    /// 1 when the thread is ending and has given its states back; 0 before.
    pub ending: Cell<usize>,
    /// Where on the stack the event lies that is under way; 0 when there is none.
    pub event: Cell<usize>,
    /// The same of an event of a signal handler that interrupts one.
    pub handler: Cell<usize>,
    /// Where the thread's errno lies; null before that was asked.
    pub errno: Cell<*mut libc::c_int>,
}

const _: () = assert!(size_of::<Slot>() == 7 * size_of::<usize>());

#[cfg(target_arch = "x86_64")]
mod storage {
    use super::Slot;

    std::arch::global_asm!(
        ".pushsection .tbss,\"awT\",@nobits",
        ".balign 8",
        ".globl whofreed_tls_slot",
        ".hidden whofreed_tls_slot",
        ".type whofreed_tls_slot,@object",
        ".size whofreed_tls_slot,56",
        "whofreed_tls_slot: .zero 56",
        ".popsection",
    );

    #[inline]
    pub fn address() -> *const Slot {
        let address: *const Slot;
        // SAFETY: the two instructions are the initial-exec sequence of the x86-64 TLS ABI; they read the global
        // offset table and the thread pointer and change nothing else.
        unsafe {
            std::arch::asm!(
                "mov {address}, qword ptr [rip + whofreed_tls_slot@GOTTPOFF]",
                "add {address}, qword ptr fs:[0]",
                address = out(reg) address,
                options(pure, readonly, nostack),
            );
        }
        address
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod storage {
    use std::cell::Cell;
    use std::ptr;

    use super::Slot;

    thread_local! {
        static SLOT: Slot = const {
            Slot {
                seat: Cell::new(ptr::null_mut()),
                nested: Cell::new(ptr::null_mut()),
                busy: Cell::new(0),
                ending: Cell::new(0),
                event: Cell::new(0),
                handler: Cell::new(0),
                errno: Cell::new(ptr::null_mut()),
            }
        };
    }

    pub fn address() -> *const Slot {
        SLOT.with(ptr::from_ref)
    }
}

/// The calling thread's slot.
#[inline]
pub fn slot<'thread>() -> &'thread Slot {
    // SAFETY: the storage lives as long as the thread, `Slot` is valid as zeros, it is shared with nobody but the
    // signal handlers of the same thread, and Cell makes their plain stores sound on one thread.
    unsafe { &*storage::address() }
}
