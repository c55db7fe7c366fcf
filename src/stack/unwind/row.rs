//! A row of a function's call frame information, as far as rules are made of it: where the CFA, the caller's frame
//! pointer, and the return address are.
//!
//! `gimli` parses the instructions; they are carried out here (DWARF 5, 6.4.2), since a row with all registers takes
//! more room than there is on a signal handler's small stack.

use gimli::CallFrameInstruction;
use gimli::CommonInformationEntry;
use gimli::FrameDescriptionEntry;
use gimli::Register;
use gimli::UnwindExpression;

use super::eh_frame::Frames;
use super::eh_frame::Reader;
use super::machine::Machine;

/// How many rows a function has put aside at once, at the most.
const MOST_ASIDE: usize = 4;

/// What is said of the CFA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cfa {
    From(Register, i64),
    By(UnwindExpression<usize>),
}

/// Where the value that a register has in the caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the register still.
    Same,
    /// There is none.
    Nowhere,
    /// In memory, so far from the CFA.
    At(i64),
    By(UnwindExpression<usize>),
    /// Somewhere else.
    Other,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) cfa: Option<Cfa>,
    pub(super) frame_pointer: Place,
    pub(super) return_address: Place,
}

/// Carries out instructions: the row so far, those put aside, and the one to which registers are restored.
struct Interpreter {
    machine: Machine,
    row: Row,
    initial: Row,
    aside: [Option<Row>; MOST_ASIDE],
    depth: usize,
}

impl Row {
    /// The row for an address in a function; `None` where it is not understood.
    pub(super) fn at(
        function: &FrameDescriptionEntry<Reader<'_>>,
        frames: &Frames<'_>,
        address: u64,
    ) -> Option<Self> {
        let empty = Self {
            cfa: None,
            frame_pointer: Place::Same,
            return_address: Place::Same,
        };
        let mut interpreter = Interpreter {
            machine: frames.machine,
            row: empty,
            initial: empty,
            aside: [None; MOST_ASIDE],
            depth: 0,
        };
        let entry = function.cie();
        let mut instructions = entry.instructions(&frames.section, &frames.bases);
        while let Some(instruction) = instructions.next().ok()? {
            interpreter.carry_out(entry, instruction)?;
        }
        interpreter.initial = interpreter.row;
        let mut location = function.initial_address();
        let mut instructions = function.instructions(&frames.section, &frames.bases);
        while let Some(instruction) = instructions.next().ok()? {
            match instruction {
                CallFrameInstruction::SetLoc { address } => location = address,
                CallFrameInstruction::AdvanceLoc { delta } => {
                    let delta = u64::from(delta).wrapping_mul(entry.code_alignment_factor());
                    location = location.wrapping_add(delta);
                }
                other => {
                    interpreter.carry_out(entry, other)?;
                    continue;
                }
            }
            if location > address {
                break;
            }
        }
        Some(interpreter.row)
    }
}

impl Interpreter {
    fn place(&mut self, register: Register) -> Option<&mut Place> {
        match register {
            _ if register == self.machine.frame_pointer => Some(&mut self.row.frame_pointer),
            _ if register == self.machine.return_address => Some(&mut self.row.return_address),
            _ => None,
        }
    }

    fn set(&mut self, register: Register, to: Place) {
        if let Some(place) = self.place(register) {
            *place = to;
        }
    }

    fn carry_out(
        &mut self,
        entry: &CommonInformationEntry<Reader<'_>>,
        instruction: CallFrameInstruction<usize>,
    ) -> Option<()> {
        use CallFrameInstruction as I;
        let data = entry.data_alignment_factor();
        let factored = |offset: i64| offset.wrapping_mul(data);
        match instruction {
            I::DefCfa { register, offset } => {
                self.row.cfa = Some(Cfa::From(register, offset as i64))
            }
            I::DefCfaSf {
                register,
                factored_offset,
            } => self.row.cfa = Some(Cfa::From(register, factored(factored_offset))),
            I::DefCfaRegister { register } => match &mut self.row.cfa {
                Some(Cfa::From(from, _)) => *from = register,
                _ => return None,
            },
            I::DefCfaOffset { offset } => match &mut self.row.cfa {
                Some(Cfa::From(_, distance)) => *distance = offset as i64,
                _ => return None,
            },
            I::DefCfaOffsetSf { factored_offset } => match &mut self.row.cfa {
                Some(Cfa::From(_, distance)) => *distance = factored(factored_offset),
                _ => return None,
            },
            I::DefCfaExpression { expression } => self.row.cfa = Some(Cfa::By(expression)),
            I::Undefined { register } => self.set(register, Place::Nowhere),
            I::SameValue { register } => self.set(register, Place::Same),
            I::Offset {
                register,
                factored_offset,
            } => self.set(register, Place::At(factored(factored_offset as i64))),
            I::OffsetExtendedSf {
                register,
                factored_offset,
            } => self.set(register, Place::At(factored(factored_offset))),
            I::Expression {
                register,
                expression,
            } => self.set(register, Place::By(expression)),
            I::ValOffset { register, .. }
            | I::ValOffsetSf { register, .. }
            | I::ValExpression { register, .. }
            | I::Register {
                dest_register: register,
                ..
            } => self.set(register, Place::Other),
            I::Restore { register } => {
                let initial = self.initial;
                if register == self.machine.frame_pointer {
                    self.row.frame_pointer = initial.frame_pointer;
                } else if register == self.machine.return_address {
                    self.row.return_address = initial.return_address;
                }
            }
            I::RememberState => {
                *self.aside.get_mut(self.depth)? = Some(self.row);
                self.depth += 1;
            }
            I::RestoreState => {
                self.depth = self.depth.checked_sub(1)?;
                self.row = self.aside[self.depth].take()?;
            }
            // Whether the return address is signed: signatures are taken off wherever one may be.
            I::NegateRaState => {}
            I::ArgsSize { .. } | I::Nop => {}
            _ => return None,
        }
        Some(())
    }
}
