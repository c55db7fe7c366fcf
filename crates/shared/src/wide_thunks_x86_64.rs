//! The thunks for functions with vectors of more than 16 bytes: as those of `thunks_x86_64`, and the registers that carry
//! such vectors are kept whole, as far as this processor and system have them.

use std::arch::naked_asm;
use std::sync::atomic::AtomicU8;

use host::preload;
use host::preload::offset;

use crate::thunks_x86_64::PERSONALITY;
use crate::thunks_x86_64::restore;
use crate::thunks_x86_64::save;

/// Eight registers of at most 64 bytes.
const VECTORS_LEN: usize = 8 * 64;

/// How wide the vector registers are, as `measure` gives it; 0 until it has been asked.
static WIDTH: AtomicU8 = AtomicU8::new(0);

/// How wide the vector registers are, in `eax`: 1 for 16 bytes, 2 for 32, 3 for 64. Changes `ecx`, `edx` and `r8` besides.
#[unsafe(naked)]
unsafe extern "C" fn measure() {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        "movzx eax, byte ptr [rip + {width}]",
        "test eax, eax",
        "je 2f",
        "ret",
        "2:",
        "push rbx",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset rbx, -16",
        // Whether there is AVX, and the system keeps it for its threads.
        "mov eax, 1",
        "xor ecx, ecx",
        "cpuid",
        "and ecx, 0x18000000",
        "cmp ecx, 0x18000000",
        "mov eax, 1",
        "jne 3f",
        "xor ecx, ecx",
        "xgetbv",
        "mov r8d, eax",
        "and eax, 6",
        "cmp eax, 6",
        "mov eax, 1",
        "jne 3f",
        // The same of AVX-512.
        "mov eax, 7",
        "xor ecx, ecx",
        "cpuid",
        "mov eax, 2",
        "bt ebx, 16",
        "jnc 3f",
        "and r8d, 0xe6",
        "cmp r8d, 0xe6",
        "jne 3f",
        "mov eax, 3",
        "3:",
        "mov byte ptr [rip + {width}], al",
        "pop rbx",
        ".cfi_adjust_cfa_offset -8",
        ".cfi_restore rbx",
        "ret",
        ".cfi_endproc",
        width = sym WIDTH,
    )
}

/// Moves vector registers to or from `$base`, as wide as they are; those of 16 bytes are in the frame.
macro_rules! wide {
    (@store $base:literal $register:literal $number:literal) => {
        concat!("vmovups [", $base, " + 64 * ", $number, "], ", $register, $number, "\n")
    };
    (@load $base:literal $register:literal $number:literal) => {
        concat!("vmovups ", $register, $number, ", [", $base, " + 64 * ", $number, "]\n")
    };
    // They are loaded again; what runs until then is slow where their upper halves are in use.
    (@after store) => {
        "vzeroupper\n"
    };
    (@after load) => {
        ""
    };
    ($way:tt $base:literal $($number:literal)+) => {
        concat!(
            "call {measure}\n",
            "cmp eax, 2\n",
            "jb 6f\n",
            "ja 5f\n",
            $(wide!(@$way $base "ymm" $number),)+
            "jmp 7f\n",
            "5:\n",
            $(wide!(@$way $base "zmm" $number),)+
            "7:\n",
            wide!(@after $way),
            "6:\n",
        )
    };
}

/// Reports a call, and ends in a jump to the real function: no frame of ours is left.
///
/// # Safety
/// For stubs of a generated library only.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_thunk_tail_wide() {
    naked_asm!(
        ".cfi_startproc",
        "endbr64",
        // The return address lies at an odd multiple of 8; the frame is to be aligned to 16.
        "sub rsp, {size} + {wide} + 8",
        ".cfi_adjust_cfa_offset {size} + {wide} + 8",
        save!("rsp"),
        wide!(store "rsp + {size}" 0 1 2 3 4 5 6 7),
        "lea rax, [rsp + {size} + {wide} + 8]",
        "mov [rsp + {slot}], rax",
        "mov [rsp + {frame_pointer}], rbp",
        "mov edi, r11d",
        "mov rsi, rsp",
        "call {enter}",
        "mov r11, rax",
        "test rax, rax",
        "je 2f",
        wide!(load "rsp + {size}" 0 1 2 3 4 5 6 7),
        restore!("rsp"),
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
        wide = const VECTORS_LEN,
        measure = sym measure,
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
    )
}

/// Calls the real function with the same registers and a copy of the stack arguments, and looks at what it did. When
/// it is left by an exception, so is this, and `pass` hears of it. Without a ticket there is nothing to look at, and it
/// ends in a jump.
///
/// # Safety
/// For stubs of a generated library only.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_thunk_call_wide() {
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
        save!("rbp - {size}"),
        wide!(store "rbp - {size} - {wide} - 16" 0 1 2 3 4 5 6 7),
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
        // The stack arguments, as far from a multiple of 64 as they are: vectors among them are aligned.
        "mov rcx, [rbp - {size} + {stack_words}]",
        "lea rax, [rcx * 8]",
        "sub rsp, rax",
        "lea rsi, [rbp + 16]",
        "mov rax, rsp",
        "sub rax, rsi",
        "and eax, 63",
        "sub rsp, rax",
        "mov rdi, rsp",
        "rep movsq",
        wide!(load "rbp - {size} - {wide} - 16" 0 1 2 3 4 5 6 7),
        restore!("rbp - {size}"),
        "call r11",
        "mov [rbp - {size} + {result}], rax",
        "mov [rbp - {size} + {result_high}], rdx",
        "movaps [rbp - {size} + {vectors}], xmm0",
        "movaps [rbp - {size} + {vectors} + 16], xmm1",
        wide!(store "rbp - {size} - {wide} - 16" 0 1),
        "lea rsp, [rbp - {size} - {wide} - 16]",
        "mov edi, [rbp - {size} - 16]",
        "lea rsi, [rbp - {size}]",
        "call {leave}",
        wide!(load "rbp - {size} - {wide} - 16" 0 1),
        "movaps xmm0, [rbp - {size} + {vectors}]",
        "movaps xmm1, [rbp - {size} + {vectors} + 16]",
        "2:",
        "mov rax, [rbp - {size} + {result}]",
        "mov rdx, [rbp - {size} + {result_high}]",
        ".cfi_remember_state",
        "leave",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_restore_state",
        "3:",
        wide!(load "rbp - {size} - {wide} - 16" 0 1 2 3 4 5 6 7),
        restore!("rbp - {size}"),
        "leave",
        ".cfi_def_cfa rsp, 8",
        "jmp r11",
        ".cfi_endproc",
        size = const offset::SIZE,
        wide = const VECTORS_LEN,
        measure = sym measure,
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
    )
}
