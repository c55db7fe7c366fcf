//! The two functions that the stubs of a generated library jump to, on x86-64, with the stub's number in `r11d`.
//!
//! They save every register that can carry an argument (integer and vector, `rax` of variadic calls, `r10` of nested
//! functions), ask `whofreed::preload`, and restore them; a result is kept whole in the same way (`rax`, `rdx`, `xmm0`,
//! `xmm1`; the x87 stack is not touched). The upper halves of wider vector registers are kept by other thunks (`wide`).
//! Everything has unwind information, so that exceptions and backtraces pass.

use std::arch::naked_asm;
use std::ffi::c_int;
use std::ffi::c_void;

use host::preload;
use host::preload::Frame;
use host::preload::offset;

/// Makes the frame of `whofreed::preload` at `$base`, from the registers at a function's entry; `$wide` stores the
/// whole vectors. They are stored before their lower parts, and loaded after them: processors take long over an
/// instruction for narrow vectors while the upper parts of wide ones are in use.
macro_rules! save {
    ($base:literal, $wide:expr) => {
        concat!(
            "mov [",
            $base,
            "], rdi\n",
            "mov [",
            $base,
            " + 8], rsi\n",
            "mov [",
            $base,
            " + 16], rdx\n",
            "mov [",
            $base,
            " + 24], rcx\n",
            "mov [",
            $base,
            " + 32], r8\n",
            "mov [",
            $base,
            " + 40], r9\n",
            "mov [",
            $base,
            " + {variadic}], rax\n",
            "mov [",
            $base,
            " + {chain}], r10\n",
            "xor eax, eax\n",
            "mov [",
            $base,
            " + {result}], rax\n",
            "mov [",
            $base,
            " + {result_high}], rax\n",
            "mov [",
            $base,
            " + {stack_words}], rax\n",
            "mov [",
            $base,
            " + {ticket}], rax\n",
            $wide,
            "movaps [",
            $base,
            " + {vectors}], xmm0\n",
            "movaps [",
            $base,
            " + {vectors} + 16], xmm1\n",
            "movaps [",
            $base,
            " + {vectors} + 32], xmm2\n",
            "movaps [",
            $base,
            " + {vectors} + 48], xmm3\n",
            "movaps [",
            $base,
            " + {vectors} + 64], xmm4\n",
            "movaps [",
            $base,
            " + {vectors} + 80], xmm5\n",
            "movaps [",
            $base,
            " + {vectors} + 96], xmm6\n",
            "movaps [",
            $base,
            " + {vectors} + 112], xmm7\n",
        )
    };
}

/// Gives all of them back.
macro_rules! restore {
    ($base:literal, $wide:expr) => {
        concat!(
            "movaps xmm0, [",
            $base,
            " + {vectors}]\n",
            "movaps xmm1, [",
            $base,
            " + {vectors} + 16]\n",
            "movaps xmm2, [",
            $base,
            " + {vectors} + 32]\n",
            "movaps xmm3, [",
            $base,
            " + {vectors} + 48]\n",
            "movaps xmm4, [",
            $base,
            " + {vectors} + 64]\n",
            "movaps xmm5, [",
            $base,
            " + {vectors} + 80]\n",
            "movaps xmm6, [",
            $base,
            " + {vectors} + 96]\n",
            "movaps xmm7, [",
            $base,
            " + {vectors} + 112]\n",
            $wide,
            "mov rdi, [",
            $base,
            "]\n",
            "mov rsi, [",
            $base,
            " + 8]\n",
            "mov rdx, [",
            $base,
            " + 16]\n",
            "mov rcx, [",
            $base,
            " + 24]\n",
            "mov r8, [",
            $base,
            " + 32]\n",
            "mov r9, [",
            $base,
            " + 40]\n",
            "mov rax, [",
            $base,
            " + {variadic}]\n",
            "mov r10, [",
            $base,
            " + {chain}]\n",
        )
    };
}

/// Reports a call, and ends in a jump to the real function: no frame of ours is left. Beside the frame there are
/// `$wide` bytes above it, a multiple of 16, which `$store` fills and `$load` reads.
macro_rules! tail_thunk {
    (wide $wide:expr; store $store:expr; load $load:expr; $($operands:tt)*) => {
        naked_asm!(
            ".cfi_startproc",
            "endbr64",
            // The return address lies at an odd multiple of 8; the frame is to be aligned to 16.
            "sub rsp, {size} + {wide} + 8",
            ".cfi_adjust_cfa_offset {size} + {wide} + 8",
            save!("rsp", $store),
            "lea rax, [rsp + {size} + {wide} + 8]",
            "mov [rsp + {slot}], rax",
            "mov [rsp + {frame_pointer}], rbp",
            "mov edi, r11d",
            "mov rsi, rsp",
            "call {enter}",
            "mov r11, rax",
            "test rax, rax",
            "je 2f",
            restore!("rsp", $load),
            "add rsp, {size} + {wide} + 8",
            ".cfi_remember_state",
            ".cfi_adjust_cfa_offset -({size} + {wide} + 8)",
            "jmp r11",
            ".cfi_restore_state",
            "2:",
            "mov rax, [rsp + {result}]",
            "xor edx, edx",
            "pxor xmm0, xmm0",
            "add rsp, {size} + {wide} + 8",
            ".cfi_adjust_cfa_offset -({size} + {wide} + 8)",
            "ret",
            ".cfi_endproc",
            size = const offset::SIZE,
            wide = const $wide,
            variadic = const offset::VARIADIC,
            chain = const offset::CHAIN,
            result = const offset::RESULT,
            result_high = const offset::RESULT_HIGH,
            stack_words = const offset::STACK_WORDS,
            ticket = const offset::TICKET,
            vectors = const offset::VECTORS,
            slot = const offset::SLOT,
            frame_pointer = const offset::FRAME_POINTER,
            enter = sym preload::enter,
                $($operands)*
        )
    };
}

/// Calls the real function with the same registers and a copy of the stack arguments, and looks at what it did. When it
/// is left by an exception, so is this, and [`pass`] hears of it. Without a ticket there is nothing to look at, and it
/// ends in a jump. The `$wide` bytes lie below the frame; of results the first two registers are stored and loaded.
macro_rules! call_thunk {
    (wide $wide:expr; alignment $alignment:expr; store $store:expr; load $load:expr; store_result $store_result:expr; load_result $load_result:expr; $($operands:tt)*) => {
        naked_asm!(
            ".cfi_startproc",
            ".cfi_personality 0x9b, {personality}",
            "endbr64",
            "push rbp",
            ".cfi_def_cfa_offset 16",
            ".cfi_offset rbp, -16",
            "mov rbp, rsp",
            ".cfi_def_cfa_register rbp",
            // The frame, below it 16 bytes for the stub's number, and then the vectors.
            "sub rsp, {size} + {wide} + 16",
            save!("rbp - {size}", $store),
            "lea rax, [rbp + 8]",
            "mov [rbp - {size} + {slot}], rax",
            "mov rax, [rbp]",
            "mov [rbp - {size} + {frame_pointer}], rax",
            "mov [rbp - {size} - 16], r11",
            "mov edi, r11d",
            "lea rsi, [rbp - {size}]",
            "call {enter}",
            "mov r11, rax",
            "test rax, rax",
            "je 2f",
            "cmp qword ptr [rbp - {size} + {ticket}], 0",
            "je 3f",
            // The stack arguments, as far from a multiple of the alignment as they are: vectors among them have it.
            // Mostly there are none, and a copy of nothing takes longer than everything else here.
            "mov rcx, [rbp - {size} + {stack_words}]",
            "test rcx, rcx",
            "je 4f",
            "lea rax, [rcx * 8]",
            "sub rsp, rax",
            "lea rsi, [rbp + 16]",
            "mov rax, rsp",
            "sub rax, rsi",
            "and eax, {alignment} - 1",
            "sub rsp, rax",
            "mov rdi, rsp",
            "rep movsq",
            "4:",
            restore!("rbp - {size}", $load),
            "call r11",
            "mov [rbp - {size} + {result}], rax",
            "mov [rbp - {size} + {result_high}], rdx",
            $store_result,
            "movaps [rbp - {size} + {vectors}], xmm0",
            "movaps [rbp - {size} + {vectors} + 16], xmm1",
            "lea rsp, [rbp - {size} - {wide} - 16]",
            "mov edi, [rbp - {size} - 16]",
            "lea rsi, [rbp - {size}]",
            "call {leave}",
            "movaps xmm0, [rbp - {size} + {vectors}]",
            "movaps xmm1, [rbp - {size} + {vectors} + 16]",
            $load_result,
            "2:",
            "mov rax, [rbp - {size} + {result}]",
            "mov rdx, [rbp - {size} + {result_high}]",
            ".cfi_remember_state",
            "leave",
            ".cfi_def_cfa rsp, 8",
            "ret",
            ".cfi_restore_state",
            "3:",
            restore!("rbp - {size}", $load),
            "leave",
            ".cfi_def_cfa rsp, 8",
            "jmp r11",
            ".cfi_endproc",
            size = const offset::SIZE,
            wide = const $wide,
            alignment = const $alignment,
            variadic = const offset::VARIADIC,
            chain = const offset::CHAIN,
            result = const offset::RESULT,
            result_high = const offset::RESULT_HIGH,
            stack_words = const offset::STACK_WORDS,
            ticket = const offset::TICKET,
            vectors = const offset::VECTORS,
            slot = const offset::SLOT,
            frame_pointer = const offset::FRAME_POINTER,
            enter = sym preload::enter,
            leave = sym preload::leave,
            personality = sym PERSONALITY,
        $($operands)*
        )
    };
}

pub(crate) use call_thunk;
pub(crate) use restore;
pub(crate) use save;
pub(crate) use tail_thunk;

/// The thunk of hooks that only look at a call before it.
///
/// # Safety
/// For stubs of a generated library only.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_thunk_tail() {
    tail_thunk!(wide 0; store ""; load "";)
}

/// The thunk of hooks that look at what a call did, too.
///
/// # Safety
/// For stubs of a generated library only.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_thunk_call() {
    call_thunk!(wide 0; alignment 16; store ""; load ""; store_result ""; load_result "";)
}

pub(crate) type Personality =
    unsafe extern "C" fn(c_int, c_int, u64, *mut c_void, *mut c_void) -> c_int;

/// The unwind information refers to the personality through a word, as position independent code has to.
pub(crate) static PERSONALITY: Personality = pass;

const UNWINDER_CLEANUP: c_int = 2;
const CONTINUE: c_int = 8;
/// The number of `rbp` in unwind information.
const RBP: c_int = 6;

unsafe extern "C" {
    fn _Unwind_GetGR(context: *mut c_void, register: c_int) -> usize;
}

/// Lets every exception pass, and says that the real function will not return.
unsafe extern "C" fn pass(
    _version: c_int,
    actions: c_int,
    _class: u64,
    _exception: *mut c_void,
    context: *mut c_void,
) -> c_int {
    if actions & UNWINDER_CLEANUP != 0 {
        // SAFETY: the unwinder gave us the context of a frame of `wf_thunk_call`, whose `rbp` stands where it made its
        // frame, below which lies the stub's number. Nothing has been written there since: the frame is still in use.
        unsafe {
            let base = _Unwind_GetGR(context, RBP);
            let frame = std::ptr::with_exposed_provenance_mut::<Frame>(base - offset::SIZE);
            let number = frame.cast::<u32>().byte_sub(16).read();
            preload::left(number, frame);
        }
    }
    CONTINUE
}
