//! Where everything lies in the generated library.

use object::elf;
use object::write::elf::ProgramHeader;
use object::write::elf::Writer;

use super::HashShape;
use super::THUNKS;
use super::machine;
use super::thunks;
use super::versions::Versions;
use crate::table::Compiled;

/// With three more where symbols have versions; the last one ends the list.
const DYNAMIC_ENTRIES: usize = 12;
pub(super) const SEGMENTS: u32 = 7;
pub(super) const WORD: u64 = 8;
pub(super) const SLOTS_LEN: u64 = WORD * THUNKS.len() as u64;

/// Where everything is; a file offset is an address too.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) hash: u64,
    pub(super) symbols: u64,
    pub(super) strings: u64,
    /// The version of each symbol, and the versions; 0 where there are none.
    pub(super) symbol_versions: u64,
    pub(super) versions: u64,
    pub(super) version_count: u16,
    pub(super) relocations: u64,
    pub(super) table: u64,
    pub(super) frames: u64,
    pub(super) frames_header: u64,
    pub(super) read_only_end: u64,
    pub(super) stubs: u64,
    pub(super) stubs_end: u64,
    pub(super) dynamic: u64,
    pub(super) dynamic_end: u64,
    pub(super) slots: u64,
    pub(super) relro_end: u64,
}

pub(super) fn reserve(
    writer: &mut Writer<'_>,
    compiled: &Compiled,
    shape: HashShape,
    versions: &Versions<'_>,
) -> object::write::Result<Layout> {
    writer.reserve_file_header();
    writer.reserve_program_headers(SEGMENTS);
    let hash = writer.reserve_gnu_hash(shape.filters, shape.buckets, shape.symbols);
    let symbols = writer.reserve_dynsym();
    let strings = writer.reserve_dynstr()?;
    let version_count = versions.count();
    let mut symbol_versions = 0;
    if version_count > 0 {
        symbol_versions = writer.reserve_gnu_versym();
    }
    let versions = writer.reserve_gnu_verdef(version_count, usize::from(version_count));
    let relocations = writer.reserve_relocations(THUNKS.len(), true);
    let table = writer.reserve(compiled.table.len() as u64, 64);
    let frames_header = writer.reserve(machine::FRAMES_HEADER_LEN, 4);
    let frames = writer.reserve(machine::FRAMES_LEN, 8);
    let read_only_end = writer.reserved_len();
    let stubs = writer.reserve(
        thunks(compiled).count() as u64 * machine::STUB_LEN,
        machine::PAGE,
    );
    let stubs_end = writer.reserved_len();
    writer.reserve_until(stubs_end.next_multiple_of(machine::PAGE));
    let of_versions = if version_count > 0 { 3 } else { 0 };
    let dynamic = writer.reserve_dynamic(DYNAMIC_ENTRIES + of_versions);
    let dynamic_end = writer.reserved_len();
    let slots = writer.reserve(SLOTS_LEN, WORD);
    // Whole pages, since the loader rounds the end of what becomes read-only down.
    let relro_end = writer.reserved_len().next_multiple_of(machine::PAGE);
    writer.reserve_until(relro_end);
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();
    Ok(Layout {
        hash,
        symbols,
        strings,
        symbol_versions,
        versions,
        version_count,
        relocations,
        table,
        frames,
        frames_header,
        read_only_end,
        stubs,
        stubs_end,
        dynamic,
        dynamic_end,
        slots,
        relro_end,
    })
}

impl Layout {
    /// Where the stub with a number is.
    pub(super) fn stub(&self, number: u32) -> u64 {
        self.stubs + u64::from(number) * machine::STUB_LEN
    }

    /// Where the slots of the thunks are, in the thunks' order.
    pub(super) fn slots(&self) -> [u64; THUNKS.len()] {
        std::array::from_fn(|place| self.slots + WORD * place as u64)
    }
}

/// Read-only, code, and data that is read-only after relocation; never writable and executable at once.
pub(super) fn segments(layout: &Layout) -> [ProgramHeader; SEGMENTS as usize] {
    let segment = |p_type, p_flags, from: u64, to: u64, p_align| ProgramHeader {
        p_type,
        p_flags,
        p_offset: from,
        p_vaddr: from,
        p_paddr: from,
        p_filesz: to - from,
        p_memsz: to - from,
        p_align,
    };
    let (read, page) = (elf::PF_R, machine::PAGE);
    let write = read | elf::PF_W;
    let frames_header_end = layout.frames_header + machine::FRAMES_HEADER_LEN;
    [
        segment(elf::PT_LOAD, read, 0, layout.read_only_end, page),
        segment(
            elf::PT_LOAD,
            read | elf::PF_X,
            layout.stubs,
            layout.stubs_end,
            page,
        ),
        segment(elf::PT_LOAD, write, layout.dynamic, layout.relro_end, page),
        segment(
            elf::PT_DYNAMIC,
            write,
            layout.dynamic,
            layout.dynamic_end,
            WORD,
        ),
        segment(elf::PT_GNU_RELRO, read, layout.dynamic, layout.relro_end, 1),
        segment(
            elf::PT_GNU_EH_FRAME,
            read,
            layout.frames_header,
            frames_header_end,
            4,
        ),
        // Without this entry the loader would make the host's stack executable.
        segment(elf::PT_GNU_STACK, write, 0, 0, 16),
    ]
}
