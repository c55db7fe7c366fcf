//! What the hooks need of the machine, for x86-64 (the thunks themselves are in crates/shared): calling functions of
//! the host from an expression, where an exception that such a function throws ends; and finding the table.

use std::arch::naked_asm;
use std::ffi::c_int;
use std::ffi::c_void;
use std::mem::transmute;

use super::Frame;
use super::originals;
use crate::thread;

/// Where the generated library's table lies; 0 when no such library is loaded.
#[unsafe(naked)]
pub(super) extern "C" fn table_address() -> usize {
    naked_asm!(
        ".weak wf_hook_table",
        ".cfi_startproc",
        "endbr64",
        "mov rax, qword ptr [rip + wf_hook_table@GOTPCREL]",
        "ret",
        ".cfi_endproc",
    )
}

/// Where the generated library's stubs begin; 0 when no such library is loaded.
#[unsafe(naked)]
pub(super) extern "C" fn stubs_address() -> usize {
    naked_asm!(
        ".weak wf_hook_stubs",
        ".cfi_startproc",
        "endbr64",
        "mov rax, qword ptr [rip + wf_hook_stubs@GOTPCREL]",
        "ret",
        ".cfi_endproc",
    )
}

/// Where an argument lies that is not in a register: the first words of the caller's stack, above the return address.
pub(super) fn stack_argument(frame: &Frame, number: u8) -> Option<u64> {
    let word = usize::from(number).checked_sub(frame.arguments.len())?;
    let place = frame.return_address_slot + (1 + word) * size_of::<u64>();
    Some(place as u64)
}

/// Calls `function(argument)`, a function of the host; none when it threw.
///
/// # Safety
/// `function` must be one that takes a pointer or an integer and returns one, or nothing that is looked at.
pub(super) unsafe fn call(function: usize, argument: u64) -> Option<u64> {
    let mut returned = 0;
    // SAFETY: the caller vouches for the function; `returned` is a valid place.
    let call = || unsafe { call_catching(function, argument, &raw mut returned) };
    let value = thread::asking(call);
    (returned != 0).then_some(value)
}

/// The frame that stops exceptions. It writes 1 to `returned` when the function came back by itself.
#[unsafe(naked)]
unsafe extern "C" fn call_catching(function: usize, argument: u64, returned: *mut u64) -> u64 {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_personality 0x9b, {personality}",
        "endbr64",
        "push rbx",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbx, -16",
        "mov rbx, rdx",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "mov qword ptr [rbx], 1",
        "pop rbx",
        ".cfi_def_cfa_offset 8",
        "ret",
        ".cfi_endproc",
        personality = sym PERSONALITY,
    )
}

/// Where the unwinder lands, with the exception in `rax` and the stack of `call_catching` at its call.
#[unsafe(naked)]
unsafe extern "C" fn landing() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbx, -16",
        "endbr64",
        "mov rdi, rax",
        "call {finish}",
        "xor eax, eax",
        "pop rbx",
        ".cfi_def_cfa_offset 8",
        "ret",
        ".cfi_endproc",
        finish = sym finish_exception,
    )
}

type Personality = unsafe extern "C" fn(c_int, c_int, u64, *mut c_void, *mut c_void) -> c_int;

/// The unwind information refers to the personality through a word, as position independent code has to.
static PERSONALITY: Personality = catch_everything;

const UNWINDER_SEARCH: c_int = 1;
const UNWINDER_HANDLER_FRAME: c_int = 4;
const UNWINDER_FORCED: c_int = 8;
const HANDLER_FOUND: c_int = 6;
const INSTALL_CONTEXT: c_int = 7;
const CONTINUE: c_int = 8;
const RAX: c_int = 0;

unsafe extern "C" {
    fn _Unwind_SetGR(context: *mut c_void, register: c_int, value: usize);
    fn _Unwind_SetIP(context: *mut c_void, address: usize);
    fn _Unwind_DeleteException(exception: *mut c_void);
}

/// Handles every exception, but lets a thread that is being cancelled go on being so.
unsafe extern "C" fn catch_everything(
    _version: c_int,
    actions: c_int,
    _class: u64,
    exception: *mut c_void,
    context: *mut c_void,
) -> c_int {
    if actions & UNWINDER_FORCED != 0 {
        return CONTINUE;
    }
    if actions & UNWINDER_SEARCH != 0 {
        return HANDLER_FOUND;
    }
    if actions & UNWINDER_HANDLER_FRAME != 0 {
        // SAFETY: the unwinder gave us the context to change.
        unsafe {
            _Unwind_SetGR(context, RAX, exception as usize);
            _Unwind_SetIP(context, landing as *const () as usize);
        }
        return INSTALL_CONTEXT;
    }
    CONTINUE
}

/// "GNUC" and "C++\0", as the unwinder's word for the language of an exception.
const CPLUSPLUS: u64 = u64::from_be_bytes(*b"GNUCC++\0");

/// Ends an exception as a `catch (...) {}` of its language would.
unsafe extern "C" fn finish_exception(exception: *mut c_void) {
    const LIBRARIES: &[u8] = b"libstdc++.so*|libc++abi.so*|libc++.so*";
    // SAFETY: an exception's first word is its class.
    let class = unsafe { exception.cast::<u64>().read() };
    let begin = originals::find(b"__cxa_begin_catch", LIBRARIES);
    let end = originals::find(b"__cxa_end_catch", LIBRARIES);
    match (begin, end) {
        (Some(begin), Some(end)) if class & !0xff == CPLUSPLUS => {
            // SAFETY: these two are what a compiled catch block calls, with these types.
            unsafe {
                transmute::<usize, unsafe extern "C" fn(*mut c_void) -> *mut c_void>(begin)(
                    exception,
                );
                transmute::<usize, unsafe extern "C" fn()>(end)();
            }
        }
        // SAFETY: the unwinder handed the exception over, and nobody else will end it.
        _ => unsafe { _Unwind_DeleteException(exception) },
    }
}
