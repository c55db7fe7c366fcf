//! A door for `fuzz/`: the rules that are made of a section that anybody may have written. Built where Cargo is told
//! `--cfg fuzzing` alone.

use gimli::BaseAddresses;
use gimli::CieOrFde;
use gimli::EhFrame;
use gimli::EhFrameHdr;
use gimli::NativeEndian;
use gimli::ParsedEhFrameHdr;
use gimli::UnwindSection;

use super::eh_frame::Frames;
use super::eh_frame::Reader;
use super::machine::AARCH64;
use super::machine::X86_64;

/// So many addresses are asked for.
const MOST: usize = 64;

/// Makes the rules of all that a section tells of, and looks addresses up in the table of a header; returns how many
/// rules there were.
#[must_use]
pub fn rules(section: &[u8], header: &[u8], addresses: &[u64]) -> usize {
    let bases = BaseAddresses::default()
        .set_eh_frame(0x1000)
        .set_eh_frame_hdr(0x8000)
        .set_text(0x10_0000);
    let mut found = 0;
    for machine in [X86_64, AARCH64] {
        let frames = Frames::new(section, bases.clone(), machine);
        let mut entries = frames.section.entries(&frames.bases);
        while let Ok(Some(entry)) = entries.next() {
            let CieOrFde::Fde(function) = entry else {
                continue;
            };
            let Ok(function) = function.parse(EhFrame::cie_from_offset) else {
                continue;
            };
            let start = function.initial_address();
            let last = start.wrapping_add(function.len()).wrapping_sub(1);
            for address in [start, start.wrapping_add(5), last] {
                let way = frames.way(&function, address);
                found += usize::from(way.is_some_and(|way| {
                    let _ = way.rule(&frames.machine);
                    true
                }));
            }
        }
        let table = EhFrameHdr::new(header, NativeEndian);
        let parsed: Result<ParsedEhFrameHdr<Reader<'_>>, _> = table.parse(&bases, 8);
        let Ok(parsed) = parsed else { continue };
        let Some(table) = parsed.table() else {
            continue;
        };
        for &address in addresses.iter().take(MOST) {
            let cie = EhFrame::cie_from_offset;
            if let Ok(function) =
                table.fde_for_address(&frames.section, &frames.bases, address, cie)
            {
                found += usize::from(frames.way(&function, address).is_some());
            }
        }
    }
    found
}
