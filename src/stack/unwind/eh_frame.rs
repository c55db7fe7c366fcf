//! Makes the rule for an address from what the compiler left in the loaded object (`.eh_frame`, found by
//! `.eh_frame_hdr`).
//!
//! The format is that of the Linux Standard Base (Core, 10.6) over DWARF 5's call frame information (6.4); `gimli`
//! reads it. Nothing is allocated: rows are made on the stack.

use gimli::BaseAddresses;
use gimli::EhFrame;
use gimli::EhFrameHdr;
use gimli::EndianSlice;
use gimli::NativeEndian;
use gimli::Operation;
use gimli::ParsedEhFrameHdr;
use gimli::Pointer;
use gimli::UnwindExpression;
use gimli::UnwindSection;
use gimli::X86_64;

use super::row::Cfa;
use super::row::Place;
use super::row::Row;
use super::rule::Kind;
use super::rule::Rule;
use crate::linkmap;

pub(super) type Reader = EndianSlice<'static, NativeEndian>;

/// No expression that is understood here is longer.
const MOST_OPERATIONS: usize = 9;

/// The `.eh_frame` of a loaded object.
pub(super) struct Frames {
    pub(super) section: EhFrame<Reader>,
    pub(super) bases: BaseAddresses,
}

/// The rule for a return address, or for the very instruction.
pub fn rule(address: usize, is_exact: bool) -> Rule {
    // A return address behind a call that never returns may be the first byte of something else.
    let address = address - usize::from(!is_exact);
    rule_at(address).unwrap_or(Rule::plain(Kind::Other))
}

/// `None` where the tables cannot be read.
fn rule_at(address: usize) -> Option<Rule> {
    // Code of no object, or of one without a table: it may have been registered, which the runtime's unwinder knows.
    let found = linkmap::find_object(address)?;
    let header_at = found.eh_frame;
    if header_at == 0 || header_at >= found.end {
        return None;
    }
    let section = |start: usize| -> Option<&'static [u8]> {
        let len = found.end.checked_sub(start)?;
        // SAFETY: the object is loaded, for it is on the stack that is being unwound; the tables lie in its mapping,
        // and nothing beyond them is read.
        Some(unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(start), len) })
    };
    let bases = BaseAddresses::default().set_eh_frame_hdr(header_at as u64);
    let header = EhFrameHdr::new(section(header_at)?, NativeEndian);
    let header: ParsedEhFrameHdr<Reader> = header.parse(&bases, size_of::<usize>() as u8).ok()?;
    let Pointer::Direct(frames_at) = header.eh_frame_ptr() else {
        return None;
    };
    let bases = bases.set_eh_frame(frames_at);
    let frames = Frames {
        section: EhFrame::new(section(frames_at as usize)?, NativeEndian),
        bases,
    };
    let address = address as u64;
    let table = header.table()?;
    let cie = EhFrame::cie_from_offset;
    let function = match table.fde_for_address(&frames.section, &frames.bases, address, cie) {
        Ok(function) => function,
        // Code without a description ends the stack.
        Err(gimli::Error::NoUnwindInfoForAddress) => return Some(Rule::plain(Kind::End)),
        Err(_) => return None,
    };
    let row = Row::at(&function, &frames, address)?;
    let encoding = function.cie().encoding();
    let operations = |expression: &UnwindExpression<usize>| {
        let expression = expression.get(&frames.section).ok()?;
        let mut parsed = expression.operations(encoding);
        let mut operations = [const { None }; MOST_OPERATIONS];
        for place in &mut operations {
            *place = parsed.next().ok()?;
            if place.is_none() {
                return Some(operations);
            }
        }
        parsed.next().ok()?.is_none().then_some(operations)
    };
    rule_of_row(row, address, function.is_signal_trampoline(), operations)
}

type Operations = [Option<Operation<Reader>>; MOST_OPERATIONS];

/// Where the kernel keeps registers of what it interrupted, from the stack pointer of the trampoline on: `uc_mcontext`
/// of the kernel's `struct ucontext` (arch/x86/include/uapi/asm/sigcontext.h).
pub mod interrupted {
    /// The frame pointer.
    pub const FRAME_POINTER: usize = 120;
    /// The stack pointer.
    pub const STACK_POINTER: usize = 160;
    /// The instruction.
    pub const INSTRUCTION: usize = 168;
}

fn rule_of_row(
    row: Row,
    address: u64,
    is_signal: bool,
    operations: impl Fn(&UnwindExpression<usize>) -> Option<Operations>,
) -> Option<Rule> {
    match row.return_address {
        Place::Nowhere => return Some(Rule::plain(Kind::End)),
        Place::At(-8) => {}
        _ if is_signal => {}
        _ => return None,
    }
    let saved = |place: Place| match place {
        Place::Nowhere | Place::Same => Some(None),
        Place::At(offset) => Some(Some(offset)),
        Place::By(_) | Place::Other => None,
    };
    match row.cfa? {
        Cfa::From(register, offset) => {
            let kind = match register {
                X86_64::RSP => Kind::StackPointer,
                X86_64::RBP => Kind::FramePointer,
                _ => return None,
            };
            Some(Rule::new(kind, offset, saved(row.frame_pointer)?))
        }
        Cfa::By(expression) => match operations(&expression)?.as_slice() {
            [
                Some(Operation::RegisterOffset {
                    register, offset, ..
                }),
                Some(Operation::Deref { .. }),
                None,
                ..,
            ] => match *register {
                X86_64::RSP if is_signal && *offset == interrupted::STACK_POINTER as i64 => {
                    Some(Rule::plain(Kind::Signal))
                }
                X86_64::RBP => {
                    let saved = match row.frame_pointer {
                        Place::By(place) => match operations(&place)?[..2] {
                            [
                                Some(Operation::RegisterOffset {
                                    register: X86_64::RBP,
                                    offset,
                                    ..
                                }),
                                None,
                            ] => Some(offset),
                            _ => return None,
                        },
                        Place::Nowhere | Place::Same => None,
                        // From the CFA and not from the frame pointer: nobody does that here.
                        Place::At(_) | Place::Other => return None,
                    };
                    Some(Rule::new(Kind::Stored, *offset, saved))
                }
                _ => None,
            },
            // A stub of the procedure linkage table: one word more lies on the stack from its second instruction on.
            [
                Some(Operation::RegisterOffset {
                    register: X86_64::RSP,
                    offset,
                    ..
                }),
                Some(Operation::RegisterOffset {
                    register: X86_64::RA,
                    offset: 0,
                    ..
                }),
                Some(Operation::UnsignedConstant { value: 15 }),
                Some(Operation::And),
                Some(Operation::UnsignedConstant { value: pushed_from }),
                Some(Operation::Ge),
                Some(Operation::UnsignedConstant { value: 3 }),
                Some(Operation::Shl),
                Some(Operation::Plus),
            ] => {
                let pushed = if address & 15 >= *pushed_from { 8 } else { 0 };
                Some(Rule::new(Kind::StackPointer, offset + pushed, None))
            }
            _ => None,
        },
    }
}
