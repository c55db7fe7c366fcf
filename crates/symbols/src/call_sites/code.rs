//! Where a call or jump goes, from its instruction: compilers leave out the origin where they call a function by an
//! alias, as they do with most destructors.

use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;
use object::Endianness;
use object::Object;
use object::ObjectSection;
use object::SectionFlags;
use object::elf;
use object::read::elf::ElfFile64;

use crate::debug_files::open_regular;

/// The machine code of a file.
pub(super) struct Code {
    map: Mmap,
    /// Where code is loaded, and where it begins in the file.
    sections: Vec<(Range<u64>, u64)>,
}

/// A call and a jump whose distance follows in four bytes.
const CALL: u8 = 0xe8;
const JUMP: u8 = 0xe9;

impl Code {
    pub(super) fn open(path: &Path) -> Option<Self> {
        let file = open_regular(path)?;
        // SAFETY: as for the sections of the debug information.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let parsed = ElfFile64::<Endianness>::parse(&*map).ok()?;
        if parsed.elf_header().e_machine.get(parsed.endian()) != elf::EM_X86_64 {
            return None;
        }
        let mut sections = Vec::new();
        for section in parsed.sections() {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
                continue;
            };
            if sh_flags.0 & elf::SHF_EXECINSTR.0 == 0 {
                continue;
            }
            if let Some((offset, size)) = section.file_range() {
                let start = section.address();
                sections.push((start..start.saturating_add(size), offset));
            }
        }
        Some(Self { map, sections })
    }

    /// Where the call or jump goes that ends before `behind`. What looks like one may be part of another instruction:
    /// only a place where a function begins is to be believed.
    pub(super) fn target(&self, behind: u64) -> Option<u64> {
        let start = behind.checked_sub(5)?;
        let mut sections = self.sections.iter();
        let (section, offset) = sections.find(|(section, _)| section.contains(&start))?;
        let at = offset.checked_add(start - section.start)?;
        let at = usize::try_from(at).ok()?;
        let bytes: [u8; 5] = self.map.get(at..at.checked_add(5)?)?.try_into().ok()?;
        let [CALL | JUMP, a, b, c, d] = bytes else {
            return None;
        };
        let distance = i32::from_le_bytes([a, b, c, d]);
        behind.checked_add_signed(distance.into())
    }
}
