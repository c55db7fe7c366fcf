//! How a function's frame leads to its caller's, as its row says: what a rule is made of, on any machine.

use gimli::EndianSlice;
use gimli::NativeEndian;
use gimli::Operation;
use gimli::Register;
use gimli::UnwindExpression;
use gimli::X86_64;

use super::machine::Machine;
use super::row::Cfa;
use super::row::Place;
use super::row::Row;
use super::rule::Kind;
use super::rule::Rule;

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

/// No expression that is understood here is longer.
pub(super) const MOST_OPERATIONS: usize = 9;

/// The operations of an expression, and nothing behind the last one.
pub(super) type Operations<'tables> =
    [Option<Operation<EndianSlice<'tables, NativeEndian>>>; MOST_OPERATIONS];

/// See the module. Distances are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) kind: Kind,
    /// Of the CFA from what `kind` says.
    pub(super) offset: i64,
    /// Where the caller's frame pointer was saved, from the CFA on (for [`Kind::Stored`]: from the frame pointer).
    pub(super) frame_pointer: Option<i64>,
    /// Where the return address was saved, from the CFA on; `None` where it is in its register still.
    pub(super) return_address: Option<i64>,
}

impl Way {
    const fn plain(kind: Kind) -> Self {
        Self {
            kind,
            offset: 0,
            frame_pointer: None,
            return_address: None,
        }
    }

    /// As a rule.
    pub(super) fn rule(self, machine: &Machine) -> Rule {
        match self.kind {
            Kind::End | Kind::Signal | Kind::Other => Rule::plain(self.kind),
            _ if machine.pushed.is_some() => Rule::new(self.kind, self.offset, self.frame_pointer),
            _ => Rule::with_return(
                self.kind,
                self.offset,
                self.frame_pointer,
                self.return_address,
            ),
        }
    }

    /// That of a row of a function, for an address in it; `None` where it is of a form that there is no rule for.
    /// `operations` tells an expression.
    pub(super) fn of_row<'tables>(
        row: Row,
        address: u64,
        is_signal: bool,
        machine: &Machine,
        operations: impl Fn(&UnwindExpression<usize>) -> Option<Operations<'tables>>,
    ) -> Option<Self> {
        let return_address = match row.return_address {
            Place::Nowhere => return Some(Self::plain(Kind::End)),
            Place::At(offset) => Some(offset),
            Place::Same => None,
            Place::By(_) | Place::Other if is_signal => None,
            Place::By(_) | Place::Other => return None,
        };
        let is_fixed = machine.pushed.is_some();
        if is_fixed && return_address != machine.pushed && !is_signal {
            return None;
        }
        match row.cfa? {
            Cfa::From(register, offset) => Some(Self {
                kind: kind_of(register, machine)?,
                offset,
                frame_pointer: saved(row.frame_pointer)?,
                return_address,
            }),
            // The other machine's compilers keep no CFA in memory, and its kernel says nothing of its trampoline.
            Cfa::By(_) if !is_fixed => None,
            Cfa::By(cfa) => by_expression(row, &operations(&cfa)?, address, is_signal, operations),
        }
    }
}

fn kind_of(register: Register, machine: &Machine) -> Option<Kind> {
    match register {
        _ if register == machine.stack_pointer => Some(Kind::StackPointer),
        _ if register == machine.frame_pointer => Some(Kind::FramePointer),
        _ => None,
    }
}

fn saved(place: Place) -> Option<Option<i64>> {
    match place {
        Place::Nowhere | Place::Same => Some(None),
        Place::At(offset) => Some(Some(offset)),
        Place::By(_) | Place::Other => None,
    }
}

/// Where the CFA is an expression: what compilers and linkers use them for on x86-64.
fn by_expression<'tables>(
    row: Row,
    cfa: &Operations<'tables>,
    address: u64,
    is_signal: bool,
    operations: impl Fn(&UnwindExpression<usize>) -> Option<Operations<'tables>>,
) -> Option<Way> {
    let pushed = Some(-8);
    match cfa.as_slice() {
        [
            Some(Operation::RegisterOffset {
                register, offset, ..
            }),
            Some(Operation::Deref { .. }),
            None,
            ..,
        ] => match *register {
            X86_64::RSP if is_signal && *offset == interrupted::STACK_POINTER as i64 => {
                Some(Way::plain(Kind::Signal))
            }
            X86_64::RBP => {
                let frame_pointer = match row.frame_pointer {
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
                Some(Way {
                    kind: Kind::Stored,
                    offset: *offset,
                    frame_pointer,
                    return_address: pushed,
                })
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
            let one_more = if address & 15 >= *pushed_from { 8 } else { 0 };
            Some(Way {
                kind: Kind::StackPointer,
                offset: offset + one_more,
                frame_pointer: None,
                return_address: pushed,
            })
        }
        _ => None,
    }
}
