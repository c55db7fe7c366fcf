//! The thunks for functions with vectors of more than 16 bytes: as those of `thunks_x86_64`, and the registers that carry
//! such vectors are kept whole, as far as this processor and system have them.

use std::arch::naked_asm;
use std::sync::atomic::AtomicU8;

use host::preload;
use host::preload::offset;

use crate::thunks_x86_64::PERSONALITY;
use crate::thunks_x86_64::call_thunk;
use crate::thunks_x86_64::restore;
use crate::thunks_x86_64::save;
use crate::thunks_x86_64::tail_thunk;

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

/// As `wf_thunk_tail`.
///
/// # Safety
/// For stubs of a generated library only.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_thunk_tail_wide() {
    tail_thunk!(
        wide VECTORS_LEN;
        store wide!(store "rsp + {size}" 0 1 2 3 4 5 6 7);
        load wide!(load "rsp + {size}" 0 1 2 3 4 5 6 7);
        measure = sym measure,
    )
}

/// As `wf_thunk_call`.
///
/// # Safety
/// For stubs of a generated library only.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wf_thunk_call_wide() {
    call_thunk!(
        wide VECTORS_LEN;
        alignment 64;
        store wide!(store "rbp - {size} - {wide} - 16" 0 1 2 3 4 5 6 7);
        load wide!(load "rbp - {size} - {wide} - 16" 0 1 2 3 4 5 6 7);
        store_result wide!(store "rbp - {size} - {wide} - 16" 0 1);
        load_result wide!(load "rbp - {size} - {wide} - 16" 0 1);
        measure = sym measure,
    )
}
