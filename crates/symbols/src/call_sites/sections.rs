//! The sections of a file's debug information, mapped where they lie or unpacked.

use std::ops::Range;
use std::path::Path;

use addr2line::gimli::Dwarf;
use addr2line::gimli::EndianSlice;
use addr2line::gimli::RunTimeEndian;
use addr2line::gimli::SectionId;
use memmap2::Mmap;
use object::CompressionFormat;
use object::Endianness;
use object::Object;
use object::ObjectSection;
use object::read::elf::ElfFile64;

use crate::debug_files::open_regular;

pub(super) type Slice<'data> = EndianSlice<'data, RunTimeEndian>;

/// The sections that are read here.
const READ: [SectionId; 9] = [
    SectionId::DebugInfo,
    SectionId::DebugAbbrev,
    SectionId::DebugStr,
    SectionId::DebugLineStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugAddr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugLine,
];

enum Bytes {
    Mapped(Range<usize>),
    Unpacked(Vec<u8>),
}

pub(super) struct Sections {
    map: Mmap,
    endian: RunTimeEndian,
    found: Vec<(SectionId, Bytes)>,
}

impl Sections {
    pub(super) fn open(path: &Path) -> Option<Self> {
        let file = open_regular(path)?;
        // SAFETY: the mapping is private and read-only, and nothing here relies on its bytes staying as they are.
        // Whoever cuts the file short meanwhile stops us, here as in the loader of the lines.
        let map = unsafe { Mmap::map(&file) }.ok()?;
        let elf = ElfFile64::<Endianness>::parse(&*map).ok()?;
        let endian = match elf.endian() {
            Endianness::Little => RunTimeEndian::Little,
            Endianness::Big => RunTimeEndian::Big,
        };
        let mut found = Vec::new();
        for id in READ {
            let Some(section) = elf.section_by_name(id.name()) else {
                continue;
            };
            let range = section.compressed_file_range().ok()?;
            let bytes = if range.format == CompressionFormat::None {
                let start = usize::try_from(range.offset).ok()?;
                let length = usize::try_from(range.uncompressed_size).ok()?;
                let place = start..start.checked_add(length)?;
                map.get(place.clone())?;
                Bytes::Mapped(place)
            } else {
                Bytes::Unpacked(section.uncompressed_data().ok()?.into_owned())
            };
            found.push((id, bytes));
        }
        Some(Self { map, endian, found })
    }

    pub(super) fn dwarf(&self) -> Dwarf<Slice<'_>> {
        let section = |id| -> Result<_, std::convert::Infallible> {
            let bytes = self.found.iter().find(|(found, _)| *found == id);
            let bytes = match bytes {
                Some((_, Bytes::Mapped(place))) => self.map.get(place.clone()).unwrap_or_default(),
                Some((_, Bytes::Unpacked(bytes))) => bytes,
                None => &[],
            };
            Ok(EndianSlice::new(bytes, self.endian))
        };
        match Dwarf::load(section) {
            Ok(dwarf) => dwarf,
        }
    }
}
