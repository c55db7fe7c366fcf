//! The C ABI: argument checks, a panic boundary, and no logic. `include/whofreed.h` is generated from here.

use std::ffi::CStr;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::panic::AssertUnwindSafe;

use host::abi::WfExcess;
use host::abi::WfExcessCallback;
use host::abi::WfStats;
use host::abi::WfVerdict;
use host::hook;
use host::hook::CallSite;

use crate::contain;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };

/// The bytes of a C string; none for NULL.
///
/// # Safety
/// `text` is NULL or points to a NUL-terminated string that stays as it is during the call.
unsafe fn bytes<'text>(text: *const c_char) -> &'text [u8] {
    if text.is_null() {
        return b"";
    }
    // SAFETY: not NULL, and the caller of the C function promises a string.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// Remembers that `address` on `device` has been handed out: one more right to deallocate it. Call it after the real
/// allocate has returned, not at all when that failed. `size` is in bytes; 0 is legal. `kind` is the host's label
/// for reports (see wf_name_kind). `owner` identifies the object that holds the buffer; 0 means not known.
/// Returns WF_OK, or WF_INVALID for WF_ADDRESS_UNKNOWN.
#[unsafe(no_mangle)]
pub extern "C" fn wf_allocate(
    device: u32,
    address: u64,
    size: u64,
    kind: u32,
    owner: u64,
) -> WfVerdict {
    contain(WfVerdict::WfOk, || {
        hook::allocate(device, address, size, kind, owner, CallSite::default()).into()
    })
}

/// Judges a deallocate and uses up a right. Call it before the real free runs, and skip that when the verdict says so:
/// WF_ALREADY_FREED, WF_STALE_OWNER and WF_FOREIGN_OWNER are excess frees; WF_UNKNOWN and WF_INVALID are not.
/// `address` may be WF_ADDRESS_UNKNOWN when the handle is dead and no longer tells, if `owner` is not 0.
#[unsafe(no_mangle)]
pub extern "C" fn wf_deallocate(device: u32, address: u64, owner: u64) -> WfVerdict {
    contain(WfVerdict::WfOk, || {
        hook::deallocate(device, address, owner, CallSite::default())
            .verdict
            .into()
    })
}

/// Adds one more right to deallocate a live buffer: a reference was taken. A retain of a dead instance gets the
/// verdict that a deallocate would get, adds nothing, and is never excess.
#[unsafe(no_mangle)]
pub extern "C" fn wf_retain(device: u32, address: u64, owner: u64) -> WfVerdict {
    contain(WfVerdict::WfOk, || {
        hook::retain(device, address, owner, CallSite::default()).into()
    })
}

/// Tells that `owner` looks into the buffer of `parent_owner` at `address` and shares its rights: a free of that address
/// by `owner` uses up one of the root's, unless `owner` has a right of its own there. An owner may have any number of
/// views, and be the parent of others. A view of a dead instance gets a verdict and is never excess.
#[unsafe(no_mangle)]
pub extern "C" fn wf_view(device: u32, address: u64, owner: u64, parent_owner: u64) -> WfVerdict {
    contain(WfVerdict::WfOk, || {
        hook::view(device, address, owner, parent_owner, CallSite::default()).into()
    })
}

/// Tells that a device is in use, its name for reports (NULL: none) and its capacity in bytes (0: not known).
/// Optional: events of a device that was never opened count as well.
/// `name` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_device_open(device: u32, name: *const c_char, capacity_bytes: u64) {
    // SAFETY: the contract of this function.
    let name = unsafe { bytes(name) };
    contain((), || hook::device_open(device, name, capacity_bytes));
}

/// Tells that the runtime released every buffer of the device at once. The first deallocate by the holder of each is
/// then late, not excess.
#[unsafe(no_mangle)]
pub extern "C" fn wf_device_reset(device: u32) {
    contain((), || hook::device_reset(device));
}

/// Tells that the device is closed: as wf_device_reset.
#[unsafe(no_mangle)]
pub extern "C" fn wf_device_close(device: u32) {
    contain((), || hook::device_close(device));
}

/// Gives a kind a name for reports ("circular buffer", "trace"). NULL is the empty name.
/// `name` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_name_kind(kind: u32, name: *const c_char) {
    // SAFETY: the contract of this function.
    let name = unsafe { bytes(name) };
    contain((), || hook::name_kind(kind, name));
}

/// Attaches a label (a test id, an operation) to this thread's events until wf_scope_leave is called with the
/// returned number on the same thread. Scopes nest. NULL is the empty label. Returns 0 when nothing was entered.
/// `label` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_scope_enter(label: *const c_char) -> u64 {
    // SAFETY: the contract of this function.
    let label = unsafe { bytes(label) };
    contain(0, || hook::scope_enter(label))
}

/// Leaves the scope that wf_scope_enter returned, and those entered inside it. 0 and numbers of scopes that were left
/// already do nothing.
#[unsafe(no_mangle)]
pub extern "C" fn wf_scope_leave(scope: u64) {
    contain((), || hook::scope_leave(scope));
}

/// Sets the function to be called once for each excess free, on the freeing thread; NULL: none. `user` is handed to
/// it. It must not throw and not longjmp. It replaces the one set before.
/// `callback` can be called with `user` from any thread until it is replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_on_excess(callback: WfExcessCallback, user: *mut c_void) {
    contain((), AssertUnwindSafe(|| hook::on_excess(callback, user)));
}

/// Does nothing: debuggers stop here (`break wf_excess_break`). It is called at each excess free, on the freeing thread,
/// behind the callback and before the real function, with what a person at a debugger wants in registers, too: the
/// address that was freed, who freed it (0 means not known), the address space, and the verdict. A program has no use for it.
/// `excess` is valid during the call.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn wf_excess_break(
    excess: *const WfExcess,
    address: u64,
    owner: u64,
    device: u32,
    verdict: WfVerdict,
) {
    // Every argument is wanted, and a call of something that does nothing must stay a call.
    std::hint::black_box((excess, address, owner, device, verdict));
}

/// Writes the text report of everything so far to a file descriptor. Returns 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn wf_dump_culprits(fd: c_int) -> c_int {
    // A report takes a while to make: look first whether there is anywhere to write it to.
    if !is_open(fd) {
        return -libc::EBADF;
    }
    contain(-libc::EFAULT, || hook::dump_culprits(fd))
}

/// Whether there is a file behind the descriptor. Leaves errno alone.
fn is_open(fd: c_int) -> bool {
    // SAFETY: the C library's errno of this thread lies there for as long as the thread lives.
    let errno = unsafe { &mut *libc::__errno_location() };
    let before = *errno;
    // SAFETY: asking for a descriptor's flags has no effect on it, whatever the number is.
    let is_open = unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0;
    *errno = before;
    is_open
}

/// Writes what was recorded to the disk, so that it is safe against power loss too; against the death of the process
/// it always is. Returns 0 or -errno.
#[unsafe(no_mangle)]
pub extern "C" fn wf_flush() -> c_int {
    contain(-libc::EFAULT, hook::flush)
}

/// Writes the totals so far to `out`, all of it. NULL does nothing.
/// `out` is NULL or has room for a wf_stats_t; it need not be initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_stats(out: *mut WfStats) {
    let totals = contain(WfStats::default(), hook::stats);
    if !out.is_null() {
        // SAFETY: not NULL, and the caller promises room.
        unsafe { out.write_unaligned(totals) };
    }
}

/// Declares that owners are object pointers and may be reused for other objects: then they prove nothing, they are
/// evidence. Not 0: they are pointers; 0: they are unique ids, which is the default. Call it before the first event.
#[unsafe(no_mangle)]
pub extern "C" fn wf_owners_are_pointers(yes: c_int) {
    contain((), || hook::owners_are_pointers(yes != 0));
}

/// The version of the library, as "1.2.3". Static: never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn wf_version() -> *const c_char {
    VERSION.as_ptr()
}
