//! Files without section headers, which the dynamic linker has no use for: what it goes by instead is given back to
//! them as section headers, so that they are read as all others are.

use std::borrow::Cow;

use object::Endianness;
use object::U16;
use object::U32;
use object::U64;
use object::elf;
use object::pod::bytes_of;
use object::pod::bytes_of_slice;
use object::read::elf::Dyn;
use object::read::elf::FileHeader;
use object::read::elf::GnuHashTable;
use object::read::elf::HashTable;
use object::read::elf::ProgramHeader;

type Header = elf::FileHeader64<Endianness>;
type Segment = elf::ProgramHeader64<Endianness>;
type Section = elf::SectionHeader64<Endianness>;

const HEADER_LEN: u16 = 64;
const SYMBOL_LEN: u64 = 24;
/// Where the tables are that others name: the first section is none.
const STRINGS: u16 = 1;
const SYMBOLS: u32 = 2;

/// A file's bytes, with section headers behind them if there were none and it has a dynamic section.
pub(crate) fn restored(bytes: &[u8]) -> Cow<'_, [u8]> {
    with_sections(bytes).map_or(Cow::Borrowed(bytes), Cow::Owned)
}

fn with_sections(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut header = *Header::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    if !header.section_headers(endian, bytes).ok()?.is_empty() {
        return None;
    }
    let file = File {
        bytes,
        endian,
        segments: header.program_headers(endian, bytes).ok()?,
    };
    let sections = file.sections()?;
    let mut out = bytes.to_vec();
    out.resize(out.len().next_multiple_of(8), 0);
    header.e_shoff = U64::new(endian, out.len() as u64);
    header.e_shentsize = U16::new(endian, HEADER_LEN);
    header.e_shnum = U16::new(endian, u16::try_from(sections.len()).ok()?);
    // The names are not known; what is named 0 has the empty one.
    header.e_shstrndx = U16::new(endian, elf::SymbolSection(STRINGS));
    out.extend(bytes_of_slice(&sections));
    let header = bytes_of(&header);
    out.get_mut(..header.len())?.copy_from_slice(header);
    Some(out)
}

struct File<'data> {
    bytes: &'data [u8],
    endian: Endianness,
    segments: &'data [Segment],
}

impl<'data> File<'data> {
    fn sections(&self) -> Option<Vec<Section>> {
        let mut segments = self.segments.iter();
        let segment = segments.find(|it| it.p_type(self.endian) == elf::PT_DYNAMIC)?;
        let dynamic = segment.dynamic(self.endian, self.bytes).ok()??;
        let value = |tag| {
            let mut entries =
                { dynamic.iter() }.take_while(|it| it.d_tag(self.endian) != elf::DT_NULL);
            let entry = entries.find(|it| it.d_tag(self.endian) == tag)?;
            Some(entry.d_val(self.endian))
        };
        let (strings, symbols) = (value(elf::DT_STRTAB)?, value(elf::DT_SYMTAB)?);
        let count = self.count(value(elf::DT_HASH), value(elf::DT_GNU_HASH))?;
        let mut sections = vec![
            self.section(elf::SHT_NULL, 0, 0, 0, 0)?,
            self.section(elf::SHT_STRTAB, strings, value(elf::DT_STRSZ)?, 0, 0)?,
            self.section(elf::SHT_DYNSYM, symbols, count * SYMBOL_LEN, 1, 1)?,
            self.section(
                elf::SHT_DYNAMIC,
                segment.p_vaddr(self.endian),
                segment.p_filesz(self.endian),
                1,
                0,
            )?,
        ];
        let mut add = |kind, address: Option<u64>, size: Option<u64>, link, info: Option<u64>| {
            let Some(address) = address else { return };
            let size = size.or_else(|| Some(self.at(address)?.len() as u64));
            let info = info.map_or(Ok(0), u32::try_from);
            if let (Some(size), Ok(info)) = (size, info) {
                sections.extend(self.section(kind, address, size, link, info));
            }
        };
        let strings = u32::from(STRINGS);
        let versions = value(elf::DT_VERSYM);
        add(
            elf::SHT_GNU_VERSYM,
            versions,
            Some(count * 2),
            SYMBOLS,
            None,
        );
        for (kind, address, count) in [
            (elf::SHT_GNU_VERDEF, elf::DT_VERDEF, elf::DT_VERDEFNUM),
            (elf::SHT_GNU_VERNEED, elf::DT_VERNEED, elf::DT_VERNEEDNUM),
        ] {
            add(kind, value(address), None, strings, value(count));
        }
        for (address, size) in [
            (elf::DT_RELA, elf::DT_RELASZ),
            (elf::DT_JMPREL, elf::DT_PLTRELSZ),
        ] {
            add(elf::SHT_RELA, value(address), value(size), SYMBOLS, None);
        }
        sections.extend(self.segments.iter().filter_map(|it| self.whole(it)));
        Some(sections)
    }

    /// A section that is all of a segment: of code, or of notes.
    fn whole(&self, segment: &Segment) -> Option<Section> {
        let is_code = segment.p_flags(self.endian).contains(elf::PF_X);
        let kind = match segment.p_type(self.endian) {
            elf::PT_LOAD if is_code => elf::SHT_PROGBITS,
            elf::PT_NOTE => elf::SHT_NOTE,
            _ => return None,
        };
        let (address, size) = (segment.p_vaddr(self.endian), segment.p_filesz(self.endian));
        let mut section = self.section(kind, address, size, 0, 0)?;
        if kind == elf::SHT_PROGBITS {
            section.sh_flags = U64::new(self.endian, elf::SHF_ALLOC | elf::SHF_EXECINSTR);
        }
        section.sh_addralign = segment.p_align;
        Some(section)
    }

    /// How many symbols there are, which nothing but the tables for finding them tells.
    fn count(&self, hash: Option<u64>, gnu_hash: Option<u64>) -> Option<u64> {
        if let Some(data) = hash.and_then(|address| self.at(address)) {
            let table = HashTable::<Header>::parse(self.endian, data).ok()?;
            return Some(u64::from(table.symbol_table_length()));
        }
        let table = GnuHashTable::<Header>::parse(self.endian, self.at(gnu_hash?)?).ok()?;
        // Where it has none to be found, there are only those before the first to be found.
        let count = table.symbol_table_length(self.endian);
        Some(u64::from(count.unwrap_or(table.symbol_base())))
    }

    /// From an address to the end of what the file has of its segment.
    fn at(&self, address: u64) -> Option<&'data [u8]> {
        let offset = usize::try_from(self.offset(address)?).ok()?;
        let segment = self.loaded(address)?;
        let end = segment
            .p_offset(self.endian)
            .checked_add(segment.p_filesz(self.endian))?;
        self.bytes.get(offset..usize::try_from(end).ok()?)
    }

    fn offset(&self, address: u64) -> Option<u64> {
        let segment = self.loaded(address)?;
        let within = address - segment.p_vaddr(self.endian);
        segment.p_offset(self.endian).checked_add(within)
    }

    fn loaded(&self, address: u64) -> Option<&'data Segment> {
        self.segments.iter().find(|it| {
            let within = address.checked_sub(it.p_vaddr(self.endian));
            it.p_type(self.endian) == elf::PT_LOAD
                && within.is_some_and(|within| within < it.p_filesz(self.endian))
        })
    }

    fn section(
        &self,
        kind: elf::SectionType,
        address: u64,
        size: u64,
        link: u32,
        info: u32,
    ) -> Option<Section> {
        let offset = if kind == elf::SHT_NULL {
            0
        } else {
            self.offset(address)?
        };
        let endian = self.endian;
        Some(Section {
            sh_name: U32::new(endian, 0),
            sh_type: U32::new(endian, kind),
            sh_flags: U64::new(endian, elf::SHF_ALLOC),
            sh_addr: U64::new(endian, address),
            sh_offset: U64::new(endian, offset),
            sh_size: U64::new(endian, size),
            sh_link: U32::new(endian, link),
            sh_info: U32::new(endian, info),
            sh_addralign: U64::new(endian, 1),
            sh_entsize: U64::new(endian, 0),
        })
    }
}
