//! What differs from one machine's tables to another's: the registers that rules go by, and where a call leaves the
//! return address.
//!
//! The compiler of rules ([`eh_frame`](super::eh_frame), [`row`](super::row), [`way`](super::way)) knows of a machine
//! what is said here, and stacks are captured on [`HERE`] alone.

use gimli::Register;
use gimli::Vendor;

/// A machine's conventions, in DWARF's numbers.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// What the stack pointer is called.
    pub stack_pointer: Register,
    /// What the frame pointer is called.
    pub frame_pointer: Register,
    /// What holds a return address, or stands for it.
    pub return_address: Register,
    /// Where a call puts the return address, from the CFA on. `None` where it leaves it in the register, and the
    /// function saves it where it likes.
    pub pushed: Option<i64>,
    /// Whose instructions there may be.
    pub vendor: Vendor,
}

/// System V Application Binary Interface, AMD64 Architecture Processor Supplement, 3.6.2.
#[cfg(any(test, fuzzing, target_arch = "x86_64"))]
pub const X86_64: Machine = Machine {
    stack_pointer: gimli::X86_64::RSP,
    frame_pointer: gimli::X86_64::RBP,
    return_address: gimli::X86_64::RA,
    pushed: Some(-8),
    vendor: Vendor::Default,
};

/// DWARF for the Arm 64-bit Architecture (AADWARF64), 4.1.
#[cfg(any(test, fuzzing, target_arch = "aarch64"))]
pub const AARCH64: Machine = Machine {
    stack_pointer: gimli::AArch64::SP,
    frame_pointer: gimli::AArch64::X29,
    return_address: gimli::AArch64::X30,
    pushed: None,
    vendor: Vendor::AArch64,
};

/// The machine that we run on.
#[cfg(target_arch = "x86_64")]
pub const HERE: Machine = X86_64;
/// The machine that we run on.
#[cfg(target_arch = "aarch64")]
pub const HERE: Machine = AARCH64;

/// A return address without the signature that a function has put into its upper bits (pointer authentication). To take
/// off what is not there changes nothing in an address of a process, so nobody has to know which ones are signed.
#[cfg(any(test, target_arch = "aarch64"))]
pub const fn without_signature(address: usize) -> usize {
    // Bits from there on are no part of a process's addresses, unless it has asked the kernel for such.
    const BITS: u32 = 48;
    address & ((1 << BITS) - 1)
}
