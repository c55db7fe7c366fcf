//! The section headers of the generated library.

use object::elf;
use object::write::elf::SectionHeader;
use object::write::elf::Writer;

use super::Numbers;
use super::RELOCATION_LEN;
use super::RELOCATIONS_LEN;
use super::layout::Layout;
use super::layout::SLOTS_LEN;
use super::machine;
use crate::table::Compiled;

/// The loader does without section headers; people's tools do not.
pub(super) fn write_section_headers(
    writer: &mut Writer<'_>,
    layout: &Layout,
    numbers: &Numbers,
    compiled: &Compiled,
) {
    writer.write_shstrtab();
    writer.write_null_section_header();
    writer.write_gnu_hash_section_header(layout.hash);
    writer.write_dynsym_section_header(layout.symbols, 1);
    writer.write_dynstr_section_header(layout.strings);
    if layout.version_count > 0 {
        writer.write_gnu_versym_section_header(layout.symbol_versions);
        writer.write_gnu_verdef_section_header(layout.versions);
    }
    let data = elf::SHF_ALLOC;
    let stubs_len = layout.stubs_end - layout.stubs;
    let ranges = [
        (elf::SHT_RELA, data, layout.relocations, RELOCATIONS_LEN, 8),
        (
            elf::SHT_PROGBITS,
            data,
            layout.table,
            compiled.table.len() as u64,
            64,
        ),
        (
            elf::SHT_PROGBITS,
            data,
            layout.frames_header,
            machine::FRAMES_HEADER_LEN,
            4,
        ),
        (
            elf::SHT_PROGBITS,
            data,
            layout.frames,
            machine::FRAMES_LEN,
            8,
        ),
        (
            elf::SHT_PROGBITS,
            data | elf::SHF_EXECINSTR,
            layout.stubs,
            stubs_len,
            16,
        ),
        (
            elf::SHT_PROGBITS,
            data | elf::SHF_WRITE,
            layout.slots,
            SLOTS_LEN,
            8,
        ),
    ];
    for (name, (sh_type, sh_flags, at, len, align)) in numbers.section_names.into_iter().zip(ranges)
    {
        let is_relocations = sh_type == elf::SHT_RELA;
        let sh_name = writer.section_name_offset(Some(name));
        writer.write_section_header(&SectionHeader {
            sh_name,
            sh_type,
            sh_flags,
            sh_addr: at,
            sh_offset: at,
            sh_size: len,
            sh_link: if is_relocations {
                numbers.symbols_section.0
            } else {
                0
            },
            sh_info: 0,
            sh_addralign: align,
            sh_entsize: if is_relocations { RELOCATION_LEN } else { 0 },
        });
    }
    writer.write_dynamic_section_header(layout.dynamic);
    writer.write_shstrtab_section_header();
}
