//! The way in for Rust hosts: the C functions, safe, and doing nothing when no library is there.
//!
//! A Rust host links this crate and is tracked when `libwhofreed.so` is in its process: because it was started by
//! `whofreed run`, or because something links the shared library. Every function here forwards to that library. In a
//! process without it, each does nothing and answers [`Verdict::Ok`], so that a host can be instrumented for good.
//!
//! ```
//! use whofreed::client;
//!
//! let owner = 7; // a unique id of the object that holds the buffer
//! client::allocate(0, 0x1000, 4096, 0, owner);
//! // ... and when it is freed:
//! if client::should_forward(client::deallocate(0, 0x1000, owner)) {
//!     // the real free
//! }
//! ```
//!
//! **Architecture Invariant:** nothing here acts on the process. No symbol is exported and no code runs at start.

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_int;
use std::io;
use std::marker::PhantomData;
use std::num::NonZeroUsize;

use once_cell::race::OnceNonZeroUsize;
pub use whofreed_lifecycle::Verdict;

use crate::abi::WF_ADDRESS_UNKNOWN;
pub use crate::abi::WfStats as Stats;
use crate::abi::WfVerdict;

/// In [`deallocate`]: the dead handle no longer tells its address, the instance that this owner held last is meant.
pub const ADDRESS_UNKNOWN: u64 = WF_ADDRESS_UNKNOWN;

/// Stands for a function that is not there. No function has this address.
const ABSENT: NonZeroUsize = NonZeroUsize::MIN;

/// One function of the library, looked up at its first use.
struct Symbol {
    name: &'static CStr,
    address: OnceNonZeroUsize,
}

impl Symbol {
    const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            address: OnceNonZeroUsize::new(),
        }
    }

    fn find(&self) -> Option<usize> {
        let address = self.address.get_or_init(|| {
            // SAFETY: the name is a C string, and RTLD_DEFAULT needs no handle.
            let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, self.name.as_ptr()) };
            NonZeroUsize::new(found as usize).unwrap_or(ABSENT)
        });
        (address != ABSENT).then_some(address.get())
    }
}

/// Calls a function of the library by its C name and type, or gives the value for its absence.
macro_rules! forward {
    ($name:literal, fn($($argument:expr => $type:ty),*) $(-> $result:ty)?, $absent:expr) => {{
        static SYMBOL: Symbol = Symbol::new($name);
        match SYMBOL.find() {
            Some(address) => {
                // SAFETY: the symbol of this name has this type in every version of the library (include/whofreed.h),
                // and is never unloaded (-z nodelete).
                let function = unsafe {
                    std::mem::transmute::<usize, unsafe extern "C" fn($($type),*) $(-> $result)?>(address)
                };
                // SAFETY: every value of a number is allowed; pointers are made here, and outlive the call.
                unsafe { function($($argument),*) }
            }
            None => $absent,
        }
    }};
}

/// The number and not the enum crosses the boundary: a newer library may know more verdicts.
fn verdict(number: c_int) -> Verdict {
    u8::try_from(number)
        .ok()
        .and_then(Verdict::from_number)
        .unwrap_or(Verdict::Invalid)
}

const OK: c_int = WfVerdict::WfOk as c_int;

/// Whether `libwhofreed.so` is in the process.
#[must_use]
pub fn is_loaded() -> bool {
    static SYMBOL: Symbol = Symbol::new(c"wf_version");
    SYMBOL.find().is_some()
}

/// Remembers that an address was handed out. Call it after the real allocate has succeeded.
pub fn allocate(device: u32, address: u64, size: u64, kind: u32, owner: u64) -> Verdict {
    verdict(forward!(
        c"wf_allocate",
        fn(device => u32, address => u64, size => u64, kind => u32, owner => u64) -> c_int,
        OK
    ))
}

/// Judges a deallocate. Call it before the real free, and skip that unless [`should_forward`] says so.
pub fn deallocate(device: u32, address: u64, owner: u64) -> Verdict {
    verdict(forward!(
        c"wf_deallocate",
        fn(device => u32, address => u64, owner => u64) -> c_int,
        OK
    ))
}

/// One more right to deallocate: a reference was taken.
pub fn retain(device: u32, address: u64, owner: u64) -> Verdict {
    verdict(forward!(
        c"wf_retain",
        fn(device => u32, address => u64, owner => u64) -> c_int,
        OK
    ))
}

/// `owner` looks into the buffer of `parent_owner` and shares its rights.
pub fn view(device: u32, address: u64, owner: u64, parent_owner: u64) -> Verdict {
    verdict(forward!(
        c"wf_view",
        fn(device => u32, address => u64, owner => u64, parent_owner => u64) -> c_int,
        OK
    ))
}

/// Whether the real free should run: not for an excess free.
#[must_use]
pub const fn should_forward(verdict: Verdict) -> bool {
    !verdict.is_excess()
}

/// Tells that a device is in use, with its name and capacity in bytes (0: not known).
pub fn device_open(device: u32, name: &str, capacity_bytes: u64) {
    let name = c_string(name);
    forward!(
        c"wf_device_open",
        fn(device => u32, name.as_ptr() => *const c_char, capacity_bytes => u64),
        ()
    );
}

/// The runtime released everything on the device at once.
pub fn device_reset(device: u32) {
    forward!(c"wf_device_reset", fn(device => u32), ());
}

/// The device is closed.
pub fn device_close(device: u32) {
    forward!(c"wf_device_close", fn(device => u32), ());
}

/// Gives a kind of buffer a name for reports.
pub fn name_kind(kind: u32, name: &str) {
    let name = c_string(name);
    forward!(
        c"wf_name_kind",
        fn(kind => u32, name.as_ptr() => *const c_char),
        ()
    );
}

/// Declares that owners are object pointers, which may be reused, and so prove nothing.
pub fn owners_are_pointers(yes: bool) {
    forward!(c"wf_owners_are_pointers", fn(c_int::from(yes) => c_int), ());
}

/// The totals so far; all zero, the size too, when the library is absent.
#[must_use]
pub fn stats() -> Stats {
    let mut totals = Stats::default();
    forward!(c"wf_stats", fn(&raw mut totals => *mut Stats), ());
    totals
}

/// Writes the text report of everything so far to a file descriptor.
///
/// # Errors
/// What the operating system says of writing there.
pub fn dump_culprits(fd: c_int) -> io::Result<()> {
    result(forward!(c"wf_dump_culprits", fn(fd => c_int) -> c_int, 0))
}

/// Brings what was recorded to the disk, safe against power loss.
///
/// # Errors
/// What the operating system says of it.
pub fn flush() -> io::Result<()> {
    result(forward!(c"wf_flush", fn() -> c_int, 0))
}

/// The library's version; empty when it is absent.
#[must_use]
pub fn version() -> &'static str {
    let text = forward!(c"wf_version", fn() -> *const c_char, c"".as_ptr());
    // SAFETY: the library returns a static string, and so does the line above.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or_default()
}

/// A label (a test's name, an operation) on this thread's events for as long as the guard lives.
#[derive(Debug)]
#[must_use = "the label ends with the guard"]
pub struct Scope {
    number: u64,
    /// The label belongs to the thread that entered it.
    not_send: PhantomData<*const ()>,
}

impl Scope {
    /// Attaches the label to the events of this thread from here on.
    pub fn enter(label: &str) -> Self {
        let label = c_string(label);
        Self {
            number: forward!(c"wf_scope_enter", fn(label.as_ptr() => *const c_char) -> u64, 0),
            not_send: PhantomData,
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        forward!(c"wf_scope_leave", fn(self.number => u64), ());
    }
}

/// C ends a string at its first NUL, and so does this.
fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

fn result(code: c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(-code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_library_nothing_happens() {
        assert!(!is_loaded());
        let scope = Scope::enter("a\0b");
        device_open(0, "device", 1);
        assert_eq!(allocate(0, 1, 2, 3, 4), Verdict::Ok);
        assert_eq!(deallocate(0, 1, 4), Verdict::Ok);
        assert_eq!(deallocate(0, 1, 4), Verdict::Ok);
        assert_eq!(stats(), Stats::default());
        assert_eq!(version(), "");
        assert!(flush().is_ok() && dump_culprits(-1).is_ok());
        drop(scope);
    }

    #[test]
    fn numbers_that_are_not_known_are_invalid() {
        assert_eq!(verdict(2), Verdict::StaleOwner);
        assert_eq!(verdict(17), Verdict::Invalid);
        assert_eq!(verdict(-1), Verdict::Invalid);
        assert_eq!(c_string("a\0b").as_bytes(), b"a");
    }
}
