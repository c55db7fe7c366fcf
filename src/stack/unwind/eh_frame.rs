//! Makes the rule for an address from what the compiler left in the loaded object (`.eh_frame`, found by
//! `.eh_frame_hdr`).
//!
//! The format is that of the Linux Standard Base (Core, 10.6) over DWARF 5's call frame information (6.4); `gimli`
//! reads it. Nothing is allocated: rows are made on the stack.

use gimli::BaseAddresses;
use gimli::EhFrame;
use gimli::EhFrameHdr;
use gimli::EndianSlice;
use gimli::FrameDescriptionEntry;
use gimli::NativeEndian;
use gimli::ParsedEhFrameHdr;
use gimli::Pointer;
use gimli::UnwindExpression;
use gimli::UnwindSection;

use super::machine::HERE;
use super::machine::Machine;
use super::row::Row;
use super::rule::Kind;
use super::rule::Rule;
use super::way::MOST_OPERATIONS;
use super::way::Way;
use crate::linkmap;

pub(super) type Reader<'tables> = EndianSlice<'tables, NativeEndian>;

/// The `.eh_frame` of an object, and the machine that its code is for.
pub(super) struct Frames<'tables> {
    pub(super) section: EhFrame<Reader<'tables>>,
    pub(super) bases: BaseAddresses,
    pub(super) machine: Machine,
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
    let frames = Frames::new(
        section(frames_at as usize)?,
        bases.set_eh_frame(frames_at),
        HERE,
    );
    let address = address as u64;
    let table = header.table()?;
    let cie = EhFrame::cie_from_offset;
    match table.fde_for_address(&frames.section, &frames.bases, address, cie) {
        Ok(function) => Some(frames.way(&function, address)?.rule(&HERE)),
        // Code without a description ends the stack.
        Err(gimli::Error::NoUnwindInfoForAddress) => Some(Rule::plain(Kind::End)),
        Err(_) => None,
    }
}

impl<'tables> Frames<'tables> {
    /// Of code of a machine.
    pub(super) fn new(section: &'tables [u8], bases: BaseAddresses, machine: Machine) -> Self {
        let mut section = EhFrame::new(section, NativeEndian);
        section.set_vendor(machine.vendor);
        Self {
            section,
            bases,
            machine,
        }
    }

    /// How a frame at an address in a function leads to its caller's; `None` where that is of a form that there is no
    /// rule for.
    pub(super) fn way(
        &self,
        function: &FrameDescriptionEntry<Reader<'tables>>,
        address: u64,
    ) -> Option<Way> {
        let row = Row::at(function, self, address)?;
        let encoding = function.cie().encoding();
        let operations = |expression: &UnwindExpression<usize>| {
            let expression = expression.get(&self.section).ok()?;
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
        let is_signal = function.is_signal_trampoline();
        Way::of_row(row, address, is_signal, &self.machine, operations)
    }
}
