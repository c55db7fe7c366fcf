//! Writes the shared library that exports the hooked symbols.
//!
//! It has one stub per symbol, spare ones for what resolvers hand out, a slot for each of the thunks of libwhofreed.so, and
//! the table as data. The loader itself then binds the host's calls to the stubs, in libraries opened later too. `check`
//! holds what the loader insists on.

mod check;
mod layout;
#[path = "library/x86_64.rs"]
mod machine;
mod sections;
mod versions;

use object::elf;
use object::write::StringId;
use object::write::elf::FileHeader;
use object::write::elf::Rel;
use object::write::elf::SectionIndex;
use object::write::elf::Sym;
use object::write::elf::Writer;
use whofreed_hooktable::SPARES;
use whofreed_hooktable::STUBS_SYMBOL;
use whofreed_hooktable::TABLE_SYMBOL;
use whofreed_hooktable::THUNKS;

use self::layout::Layout;
use self::layout::reserve;
use self::layout::segments;
use self::sections::write_section_headers;
use self::versions::Versions;
use crate::table::Compiled;

pub(crate) use check::check;

/// The name by which the linker knows the generated library.
const SONAME: &str = "whofreed-hooks.so";

/// The symbols begin with none and the thunks.
const FIRST_DEFINED: u32 = 1 + THUNKS.len() as u32;
const SYMBOL_LEN: u64 = 24;
const RELOCATION_LEN: u64 = 24;
const RELOCATIONS_LEN: u64 = RELOCATION_LEN * THUNKS.len() as u64;

/// A symbol that the library defines.
struct Definition<'name> {
    name: &'name str,
    version: Option<&'name str>,
    is: Defined,
}

#[derive(Clone, Copy)]
enum Defined {
    /// The stub with this number.
    Stub(u32),
    /// Where the stubs begin.
    Stubs,
    Table,
}

impl Definition<'_> {
    fn hash(&self) -> u32 {
        elf::gnu_hash(self.name.as_bytes())
    }
}

/// The shape of the hash table.
#[derive(Clone, Copy)]
struct HashShape {
    buckets: u32,
    filters: u32,
    symbols: u32,
}

/// The sections of our own, in the order of the file.
const SECTIONS: [&str; 6] = [
    ".rela.dyn",
    ".rodata",
    ".eh_frame_hdr",
    ".eh_frame",
    ".text",
    ".got",
];
const TABLE_SECTION: usize = 1;
const STUBS_SECTION: usize = 4;

/// The numbers that the writer has given to names and sections.
struct Numbers {
    soname: StringId,
    thunks: [StringId; THUNKS.len()],
    definitions: Vec<StringId>,
    versions: Vec<StringId>,
    section_names: [StringId; SECTIONS.len()],
    sections: [SectionIndex; SECTIONS.len()],
    symbols_section: SectionIndex,
}

/// Writes the library and checks it.
///
/// # Errors
/// A sentence, when the file is not as it should be.
pub(crate) fn write(compiled: &Compiled) -> Result<Vec<u8>, String> {
    let bytes = write_unchecked(compiled).map_err(|error| error.to_string())?;
    check(&bytes, compiled)?;
    Ok(bytes)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers of symbols, far below 4 billion"
)]
fn write_unchecked(compiled: &Compiled) -> object::write::Result<Vec<u8>> {
    let exports = &compiled.exports;
    let buckets = (exports.len() as u32 / 2).max(1);
    let mut definitions: Vec<Definition<'_>> = (0_u32..)
        .zip(exports)
        .filter(|(_, export)| export.is_exported)
        .map(|(number, export)| {
            let (name, version) = export.name();
            Definition {
                name,
                version,
                is: Defined::Stub(number),
            }
        })
        .chain([
            Definition {
                name: STUBS_SYMBOL,
                version: None,
                is: Defined::Stubs,
            },
            Definition {
                name: TABLE_SYMBOL,
                version: None,
                is: Defined::Table,
            },
        ])
        .collect();
    // The hash table finds a bucket's symbols side by side, and the loader takes the first that fits: who asks for a
    // version gets the stub of that one before the one that fits all.
    definitions.sort_by_key(|it| (it.hash() % buckets, it.version.is_none()));
    let symbols = definitions.len() as u32;
    let shape = HashShape {
        buckets,
        filters: (symbols / 4).next_power_of_two(),
        symbols,
    };

    let mut bytes = Vec::new();
    let mut writer = Writer::new(object::Endianness::Little, true, &mut bytes);
    let versions = Versions::of(compiled);
    let numbers = number(&mut writer, &definitions, &versions);
    let layout = reserve(&mut writer, compiled, shape, &versions)?;
    write_headers(&mut writer, &layout)?;
    write_symbols(
        &mut writer,
        &layout,
        &numbers,
        &definitions,
        shape,
        compiled,
    );
    let of_thunks = THUNKS.iter().map(|_| None);
    let of_symbols = of_thunks.chain(definitions.iter().map(|it| it.version));
    versions.write(&mut writer, of_symbols, numbers.soname, &numbers.versions);
    write_contents(&mut writer, &layout, compiled);
    write_dynamic(&mut writer, &layout, &numbers)?;
    write_section_headers(&mut writer, &layout, &numbers, compiled);
    Ok(bytes)
}

fn number<'name>(
    writer: &mut Writer<'name>,
    definitions: &[Definition<'name>],
    versions: &Versions<'name>,
) -> Numbers {
    let soname = writer.add_dynamic_string(SONAME.as_bytes());
    let thunks = THUNKS.map(|name| writer.add_dynamic_string(name.as_bytes()));
    let names = definitions
        .iter()
        .map(|definition| definition.name.as_bytes());
    let definitions: Vec<StringId> = names.map(|name| writer.add_dynamic_string(name)).collect();
    let version_names = versions.add_names(writer);
    let section_names = SECTIONS.map(|name| writer.add_section_name(name.as_bytes()));
    writer.reserve_null_section_index();
    writer.reserve_gnu_hash_section_index();
    let symbols_section = writer.reserve_dynsym_section_index();
    writer.reserve_dynstr_section_index();
    if versions.count() > 0 {
        writer.reserve_gnu_versym_section_index();
        writer.reserve_gnu_verdef_section_index();
    }
    let sections = SECTIONS.map(|_| writer.reserve_section_index());
    writer.reserve_dynamic_section_index();
    writer.reserve_shstrtab_section_index();
    writer.reserve_null_dynamic_symbol_index();
    for _ in 0..THUNKS.len() + definitions.len() {
        writer.reserve_dynamic_symbol_index();
    }
    Numbers {
        soname,
        thunks,
        definitions,
        versions: version_names,
        section_names,
        sections,
        symbols_section,
    }
}

fn write_headers(writer: &mut Writer<'_>, layout: &Layout) -> object::write::Result<()> {
    writer.write_file_header(&FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_DYN,
        e_machine: machine::MACHINE,
        e_entry: 0,
        e_flags: elf::FileFlags(0),
    })?;
    writer.write_align_program_headers();
    for header in segments(layout) {
        writer.write_program_header(&header);
    }
    Ok(())
}

/// The hash table, the symbols and their names.
fn write_symbols(
    writer: &mut Writer<'_>,
    layout: &Layout,
    numbers: &Numbers,
    definitions: &[Definition<'_>],
    shape: HashShape,
    compiled: &Compiled,
) {
    let HashShape {
        buckets,
        filters,
        symbols,
    } = shape;
    writer.write_gnu_hash(FIRST_DEFINED, 6, filters, buckets, symbols, |index| {
        definitions[index as usize].hash()
    });
    writer.write_null_dynamic_symbol();
    let symbol = |name: u32, binding, kind| Sym {
        section: None,
        st_name: name,
        st_info: elf::SymbolInfo::new(binding, kind),
        st_other: elf::SymbolOther(0),
        st_shndx: elf::SHN_UNDEF,
        st_value: 0,
        st_size: 0,
    };
    for name in numbers.thunks {
        let name = writer.dynamic_string_offset(Some(name));
        // Weak: should libwhofreed.so vanish between two processes, those that never come by here live on.
        writer.write_dynamic_symbol(&symbol(name, elf::STB_WEAK, elf::STT_NOTYPE));
    }
    for (definition, name) in definitions.iter().zip(&numbers.definitions) {
        let name = writer.dynamic_string_offset(Some(*name));
        let (kind, section, st_value, st_size) = match definition.is {
            Defined::Stub(number) => (
                elf::STT_FUNC,
                STUBS_SECTION,
                layout.stub(number),
                machine::STUB_LEN,
            ),
            // Not as long as it is: tools would take every stub for it.
            Defined::Stubs => (elf::STT_NOTYPE, STUBS_SECTION, layout.stubs, 0),
            Defined::Table => (
                elf::STT_OBJECT,
                TABLE_SECTION,
                layout.table,
                compiled.table.len() as u64,
            ),
        };
        writer.write_dynamic_symbol(&Sym {
            section: Some(numbers.sections[section].0),
            st_value,
            st_size,
            ..symbol(name, elf::STB_GLOBAL, kind)
        });
    }
    writer.write_dynstr();
}

/// Relocations, table, unwind information and stubs.
fn write_contents(writer: &mut Writer<'_>, layout: &Layout, compiled: &Compiled) {
    writer.write_align_relocation();
    for (r_sym, r_offset) in (1..).zip(layout.slots()) {
        writer.write_relocation(
            true,
            &Rel {
                r_offset,
                r_sym,
                r_type: machine::SLOT_RELOCATION,
                r_addend: 0,
            },
        );
    }
    let stubs_len = layout.stubs_end - layout.stubs;
    writer.pad_until(layout.table);
    writer.write(&compiled.table);
    writer.pad_until(layout.frames_header);
    writer.write(&machine::frames_header(
        layout.frames_header,
        layout.frames,
        layout.stubs,
    ));
    writer.pad_until(layout.frames);
    writer.write(&machine::frames(layout.frames, layout.stubs, stubs_len));
    writer.pad_until(layout.stubs);
    for (number, thunk) in (0_u32..).zip(thunks(compiled)) {
        let slot = layout.slots()[thunk];
        writer.write(&machine::stub(number, layout.stub(number), slot));
    }
}

/// The thunk of every stub, the spare ones included, by its place among [`THUNKS`].
fn thunks(compiled: &Compiled) -> impl Iterator<Item = usize> {
    let of_symbols = compiled.exports.iter();
    let of_spares = (0..THUNKS.len()).flat_map(|thunk| std::iter::repeat_n(thunk, SPARES));
    of_symbols.map(|export| export.thunk).chain(of_spares)
}

fn write_dynamic(
    writer: &mut Writer<'_>,
    layout: &Layout,
    numbers: &Numbers,
) -> object::write::Result<()> {
    writer.pad_until(layout.dynamic);
    writer.write_align_dynamic();
    writer.write_dynamic_string(elf::DT_SONAME, numbers.soname)?;
    let strings_len = u64::from(writer.dynstr_len());
    let entries = [
        (elf::DT_GNU_HASH, layout.hash),
        (elf::DT_STRTAB, layout.strings),
        (elf::DT_STRSZ, strings_len),
        (elf::DT_SYMTAB, layout.symbols),
        (elf::DT_SYMENT, SYMBOL_LEN),
        (elf::DT_RELA, layout.relocations),
        (elf::DT_RELASZ, RELOCATIONS_LEN),
        (elf::DT_RELAENT, RELOCATION_LEN),
        (elf::DT_FLAGS, elf::DF_BIND_NOW.0),
        (elf::DT_FLAGS_1, elf::DF_1_NOW.0 | elf::DF_1_NODELETE.0),
    ];
    for (tag, value) in entries {
        writer.write_dynamic(tag, value)?;
    }
    if layout.version_count > 0 {
        writer.write_dynamic(elf::DT_VERSYM, layout.symbol_versions)?;
        writer.write_dynamic(elf::DT_VERDEF, layout.versions)?;
        writer.write_dynamic(elf::DT_VERDEFNUM, u64::from(layout.version_count))?;
    }
    writer.write_dynamic(elf::DT_NULL, 0)?;
    writer.pad_until(layout.relro_end);
    Ok(())
}
