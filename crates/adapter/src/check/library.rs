//! One ELF file, as far as it matters for hooking: what it defines for others, what it keeps to itself, and which of its
//! own calls go through the dynamic linker.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use object::Endianness;
use object::Object;
use object::ObjectSection;
use object::ObjectSymbol;
use object::ObjectSymbolTable;
use object::RelocationTarget;
use object::SectionKind;
use object::elf;
use object::read::elf::ElfFile64;
use object::read::elf::FileHeader;
use object::read::elf::ProgramHeader;
use object::read::elf::VersionTable;
use serde::Serialize;

use super::calls_x86_64;

type Elf<'data> = ElfFile64<'data, Endianness>;
type Versions<'data> = VersionTable<'data, elf::FileHeader64<Endianness>>;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A shared library.
    SharedLibrary,
    /// A program that the dynamic linker loads.
    Program,
    /// A program that nothing can be preloaded to.
    StaticProgram,
    /// A static library.
    Archive,
    /// A file that is yet to be linked.
    ObjectFile,
}

/// What a symbol is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Function,
    /// Chosen at run time (`STT_GNU_IFUNC`).
    Chosen,
    Data,
    ThreadLocal,
}

/// One definition that others can link to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) kind: Kind,
    pub(crate) version: Option<String>,
    /// The version is the one that is meant where none is given.
    pub(crate) is_default: bool,
    pub(crate) is_protected: bool,
    pub(crate) address: u64,
    pub(crate) size: u64,
}

/// What was read of a file.
#[derive(Debug)]
pub(crate) struct Library<'data> {
    pub(crate) form: Form,
    pub(crate) soname: Option<String>,
    pub(crate) build_id: Option<String>,
    /// Its own references go to itself first (`DF_SYMBOLIC`).
    pub(crate) is_symbolic: bool,
    /// By their names; for one name, the default version first.
    pub(crate) definitions: BTreeMap<String, Vec<Definition>>,
    /// What it takes from others.
    pub(crate) imports: BTreeSet<String>,
    /// The names that its dynamic relocations name: what is bound by them passes a hook.
    relocated: BTreeSet<String>,
    elf: Option<Elf<'data>>,
}

/// Where an ELF file says how wide its addresses are.
const PLACE_OF_CLASS: usize = 4;

/// How often the bytes of a file may be read as names. Linkers let a name be the end of another one.
const MOST_OVERLAP: usize = 4;

/// How many bytes of names may still be read.
struct Budget(usize);

impl Budget {
    fn spend(&mut self, name: &str) -> Option<()> {
        self.0 = self.0.checked_sub(name.len() + 1)?;
        Some(())
    }
}

impl<'data> Library<'data> {
    /// Reads a file's bytes, whatever they are.
    ///
    /// # Errors
    /// A sentence without a subject, when this is no file that could be hooked.
    pub(crate) fn read(data: &'data [u8]) -> Result<Self, String> {
        if data.starts_with(b"!<arch>\n") || data.starts_with(b"!<thin>\n") {
            return Ok(Self::empty(Form::Archive));
        }
        if !data.starts_with(b"\x7fELF") {
            return Err("is no ELF file".to_owned());
        }
        if data.get(PLACE_OF_CLASS) == Some(&elf::ELFCLASS32.0) {
            return Err("is for a 32-bit machine, and whofreed for 64-bit ones".to_owned());
        }
        let broken = |error: object::read::Error| format!("is no sound 64-bit ELF file: {error}");
        let elf = Elf::parse(data).map_err(broken)?;
        let endian = elf.endian();
        let interpreted = elf.elf_program_headers().iter();
        let is_interpreted = { interpreted }.any(|header| header.p_type(endian) == elf::PT_INTERP);
        let dynamic = elf.elf_dynamic_table().map_err(broken)?;
        let mut library = Self::empty(match elf.elf_header().e_type(endian) {
            elf::ET_REL => Form::ObjectFile,
            _ if dynamic.is_empty() => Form::StaticProgram,
            elf::ET_EXEC if !is_interpreted => Form::StaticProgram,
            elf::ET_EXEC => Form::Program,
            _ => Form::SharedLibrary,
        });
        for entry in &dynamic {
            match entry.tag {
                elf::DT_SONAME => {
                    let name = dynamic.string(entry).map_err(broken)?;
                    library.soname = Some(String::from_utf8_lossy(name).into_owned());
                }
                elf::DT_SYMBOLIC => library.is_symbolic = true,
                elf::DT_FLAGS => {
                    library.is_symbolic |= entry.val & elf::DF_SYMBOLIC.0 != 0;
                }
                // glibc's own libraries can be run too: that they have an interpreter says nothing.
                elf::DT_FLAGS_1 if entry.val & elf::DF_1_PIE.0 != 0 => {
                    library.form = if is_interpreted {
                        Form::Program
                    } else {
                        Form::StaticProgram
                    };
                }
                _ => {}
            }
        }
        let id = elf.build_id().ok().flatten();
        library.build_id = id.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect());
        let sections = elf.elf_section_table();
        let versions = sections.versions(endian, data).map_err(broken)?;
        // Tables can be made to overlap, so that a small file reads as an endless one.
        let overlapping = "is no sound 64-bit ELF file: its names overlap";
        let mut budget = Budget(data.len().saturating_mul(MOST_OVERLAP));
        library
            .symbols(&elf, versions.as_ref(), &mut budget)
            .and_then(|()| library.relocations(&elf, &mut budget))
            .ok_or(overlapping)?;
        library.elf = Some(elf);
        Ok(library)
    }

    fn empty(form: Form) -> Self {
        Self {
            form,
            soname: None,
            build_id: None,
            is_symbolic: false,
            definitions: BTreeMap::new(),
            imports: BTreeSet::new(),
            relocated: BTreeSet::new(),
            elf: None,
        }
    }

    /// `None` where the names are longer than the file can be.
    fn symbols(
        &mut self,
        elf: &Elf<'data>,
        versions: Option<&Versions<'data>>,
        budget: &mut Budget,
    ) -> Option<()> {
        for symbol in elf.dynamic_symbols() {
            let Ok(name) = symbol.name() else { continue };
            budget.spend(name)?;
            let raw = symbol.elf_symbol();
            if name.is_empty() || raw.st_bind() == elf::STB_LOCAL {
                continue;
            }
            if symbol.is_undefined() {
                self.imports.insert(name.to_owned());
                continue;
            }
            let index = versions.map(|table| table.version_index(elf.endian(), symbol.index()));
            let version = index.and_then(|index| versions?.version(index.index()).ok()?);
            let name_of = |version: &object::read::elf::Version<'data>| {
                String::from_utf8_lossy(version.name()).into_owned()
            };
            let definition = Definition {
                kind: match raw.st_type() {
                    elf::STT_TLS => Kind::ThreadLocal,
                    elf::STT_GNU_IFUNC => Kind::Chosen,
                    elf::STT_OBJECT | elf::STT_COMMON => Kind::Data,
                    _ => Kind::Function,
                },
                version: version.map(name_of),
                is_default: index.is_none_or(|index| !index.is_hidden()),
                is_protected: raw.st_visibility() == elf::STV_PROTECTED,
                address: symbol.address(),
                size: symbol.size(),
            };
            let all = self.definitions.entry(name.to_owned()).or_default();
            let place = if definition.is_default { 0 } else { all.len() };
            all.insert(place, definition);
        }
        Some(())
    }

    /// `None` where there are more than the file can hold.
    fn relocations(&mut self, elf: &Elf<'data>, budget: &mut Budget) -> Option<()> {
        let (Some(relocations), Some(table)) =
            (elf.dynamic_relocations(), elf.dynamic_symbol_table())
        else {
            return Some(());
        };
        let mut seen = BTreeSet::new();
        for (_, relocation) in relocations {
            budget.spend("a relocation")?;
            let RelocationTarget::Symbol(index) = relocation.target() else {
                continue;
            };
            if seen.insert(index.0)
                && let Ok(symbol) = table.symbol_by_index(index)
                && let Ok(name) = symbol.name()
            {
                budget.spend(name)?;
                self.relocated.insert(name.to_owned());
            }
        }
        Some(())
    }

    /// Whether its own calls of a function that it defines can be seen where they go through the dynamic linker.
    pub(crate) fn binds_by_name(&self, name: &str, definition: &Definition) -> bool {
        self.relocated.contains(name) && !self.is_symbolic && !definition.is_protected
    }

    /// How often it calls each of these functions, (address, size), without asking the dynamic linker. `None` where
    /// its machine is not known here.
    pub(crate) fn direct_calls(&self, functions: &[(u64, u64)]) -> Option<BTreeMap<u64, usize>> {
        let elf = self.elf.as_ref()?;
        if elf.elf_header().e_machine(elf.endian()) != elf::EM_X86_64 {
            return None;
        }
        let mut calls = BTreeMap::new();
        let mut room = elf.data().len();
        for section in elf.sections() {
            if section.kind() == SectionKind::Text
                && let Ok(code) = section.data()
                && let Some(left) = room.checked_sub(code.len())
            {
                room = left;
                calls_x86_64::count(code, section.address(), functions, &mut calls);
            }
        }
        Some(calls)
    }

    /// Which of these names it has for itself alone: hidden or local ones, which linkers make the same of. A stripped
    /// file does not tell.
    pub(crate) fn kept<'name>(&self, names: &BTreeSet<&'name str>) -> BTreeSet<&'name str> {
        let mut kept = BTreeSet::new();
        let size = self.elf.as_ref().map_or(0, |elf| elf.data().len());
        let mut budget = Budget(size.saturating_mul(MOST_OVERLAP));
        for symbol in self.elf.iter().flat_map(|elf| elf.symbols()) {
            let Ok(name) = symbol.name() else { continue };
            if budget.spend(name).is_none() {
                break;
            }
            let Some(name) = names.get(name) else {
                continue;
            };
            if !symbol.is_undefined() && !self.definitions.contains_key(*name) {
                kept.insert(*name);
            }
        }
        kept
    }
}
