//! The last resort for a name: the function of the symbol table that contains an address.
//!
//! A symbol table of a large library is read once, without the names; a name is read when it is asked for.

use std::collections::HashMap;
use std::fs::File;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use object::Endianness;
use object::Object;
use object::ObjectSection;
use object::ObjectSymbol;
use object::SectionFlags;
use object::SymbolKind;
use object::read::ReadCache;
use object::read::elf::ElfFile64;
use object::read::elf::SectionHeader;
use object::read::elf::Sym;

use crate::demangle::LONGEST_MANGLED;

/// An ELF file, of which only what is looked at is read.
pub(crate) type Elf<'data> = ElfFile64<'data, Endianness, &'data ReadCache<File>>;

/// The longest table of names that is searched for one.
const MOST_NAMES: u64 = 1 << 30;

/// How many symbols before an address are tried. Functions do not overlap by thousands; hostile tables do.
const MOST_STEPS: usize = 1024;

/// A function of the table.
#[derive(Clone, Copy, Debug)]
struct Function {
    start: u64,
    end: u64,
    /// The largest `end` of all functions up to this one: where the search may stop.
    reach: u64,
    /// Where the name is in the table of names.
    name: u32,
    /// Which of several names at one place is taken: the one others can link to.
    rank: u8,
    /// The symbol tells no size, as hand-written assembly does.
    unsized_until: u64,
}

/// The functions of one file, by address.
#[derive(Debug)]
pub(crate) struct SymbolTable {
    file: File,
    names: Range<u64>,
    functions: Vec<Function>,
    /// The functions that others can link to, by the hashes of their names.
    linked: OnceLock<HashMap<u64, usize>>,
    hasher: RandomState,
}

impl SymbolTable {
    /// Reads the functions of `elf`, which is in `file`: of the full table, or of the dynamic one where the
    /// file was stripped.
    pub(crate) fn read(elf: &Elf<'_>, file: File) -> Option<Self> {
        let full = elf.elf_symbol_table();
        let table = if full.is_empty() {
            elf.elf_dynamic_symbol_table()
        } else {
            full
        };
        let strings = elf
            .elf_section_table()
            .section(table.string_section())
            .ok()?;
        let (offset, size) = strings.file_range(elf.endian())?;
        let names = offset..offset.checked_add(size)?;
        let sections = executable_sections(elf);

        let symbols: Box<dyn Iterator<Item = _>> = if full.is_empty() {
            Box::new(elf.dynamic_symbols())
        } else {
            Box::new(elf.symbols())
        };
        let mut functions = Vec::new();
        for symbol in symbols {
            let size = symbol.size();
            let is_function = match symbol.kind() {
                SymbolKind::Text => true,
                // Assembly that did not say `.type`; local ones are mere labels.
                SymbolKind::Unknown => symbol.is_global(),
                _ => false,
            };
            let start = symbol.address();
            let section = symbol
                .section_index()
                .and_then(|index| sections.get(index.0))
                .and_then(Option::as_ref)
                .filter(|section| section.contains(&start));
            let Some(section) = section.filter(|_| is_function) else {
                continue;
            };
            functions.push(Function {
                start,
                end: start.saturating_add(size),
                reach: 0,
                name: symbol.elf_symbol().st_name(elf.endian()),
                rank: u8::from(!symbol.is_local())
                    + u8::from(!symbol.is_local() && !symbol.is_weak()),
                unsized_until: if size == 0 { section.end } else { 0 },
            });
        }
        Some(Self {
            file,
            names,
            functions: ordered(functions),
            linked: OnceLock::new(),
            hasher: RandomState::new(),
        })
    }

    /// Whether there is no function at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The mangled name of the function that contains `address`.
    pub(crate) fn name_at(&self, address: u64) -> Option<String> {
        self.name(covering(&self.functions, address)?.name)
    }

    /// Where the function begins that others link to as `name`.
    pub(crate) fn address_of(&self, name: &str) -> Option<u64> {
        let linked = self.linked.get_or_init(|| self.link().unwrap_or_default());
        let index = *linked.get(&self.hasher.hash_one(name.as_bytes()))?;
        let function = self.functions.get(index)?;
        (self.name(function.name)? == name).then_some(function.start)
    }

    /// Reads all names, but keeps their hashes only.
    fn link(&self) -> Option<HashMap<u64, usize>> {
        let length = self.names.end.checked_sub(self.names.start)?;
        if length > MOST_NAMES || self.file.metadata().ok()?.len() < self.names.end {
            return None;
        }
        let mut names = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut names, self.names.start).ok()?;
        let mut linked = HashMap::new();
        for (index, function) in self.functions.iter().enumerate() {
            let name = names
                .get(function.name as usize..)
                .filter(|_| function.rank > 0);
            let Some(name) = name.and_then(|rest| rest.split(|byte| *byte == 0).next()) else {
                continue;
            };
            // A weak one and a strong one cannot both be linked into one file.
            linked.insert(self.hasher.hash_one(name), index);
        }
        Some(linked)
    }

    fn name(&self, offset: u32) -> Option<String> {
        let start = self.names.start.checked_add(u64::from(offset))?;
        let room = self.names.end.checked_sub(start)?;
        let mut bytes = vec![0; room.min(LONGEST_MANGLED as u64 + 1) as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            // Most names are short: small steps, and an end at the first zero.
            let step = bytes.len().min(filled + 256);
            let read = self
                .file
                .read_at(&mut bytes[filled..step], start + filled as u64)
                .ok()?;
            let zero = bytes[filled..filled + read]
                .iter()
                .position(|byte| *byte == 0);
            if let Some(zero) = zero {
                filled += zero;
                break;
            }
            filled += read;
            if read == 0 {
                break;
            }
        }
        let name = String::from_utf8_lossy(&bytes[..filled]).into_owned();
        (!name.is_empty()).then_some(name)
    }
}

/// The address ranges of sections that hold code, by section number.
fn executable_sections(elf: &Elf<'_>) -> Vec<Option<Range<u64>>> {
    let mut ranges = Vec::new();
    for section in elf.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
            continue;
        };
        if sh_flags.0 & object::elf::SHF_EXECINSTR.0 == 0 {
            continue;
        }
        let index = section.index().0;
        if ranges.len() <= index {
            ranges.resize(index + 1, None);
        }
        ranges[index] = Some(section.address()..section.address().saturating_add(section.size()));
    }
    ranges
}

/// Sorts by address, closes those without a size at their successor, and fills in `reach`.
fn ordered(mut functions: Vec<Function>) -> Vec<Function> {
    functions.sort_by_key(|function| (function.start, function.end, function.rank));
    let mut next = u64::MAX;
    let mut start = u64::MAX;
    for function in functions.iter_mut().rev() {
        if function.start != start {
            next = start;
            start = function.start;
        }
        if function.unsized_until != 0 {
            function.end = function.unsized_until.min(next);
        }
    }
    let mut reach = 0;
    for function in &mut functions {
        reach = reach.max(function.end);
        function.reach = reach;
    }
    functions
}

/// The function that starts last among those that contain `address`.
fn covering(functions: &[Function], address: u64) -> Option<&Function> {
    let behind = functions.partition_point(|function| function.start <= address);
    functions[..behind]
        .iter()
        .rev()
        .take(MOST_STEPS)
        .take_while(|function| function.reach > address)
        .find(|function| function.end > address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(start: u64, size: u64, name: u32, rank: u8) -> Function {
        Function {
            start,
            end: start + size,
            reach: 0,
            name,
            rank,
            unsized_until: if size == 0 { 0x1000 } else { 0 },
        }
    }

    fn name(functions: &[Function], address: u64) -> Option<u32> {
        covering(functions, address).map(|function| function.name)
    }

    #[test]
    fn an_address_between_functions_has_none() {
        let functions = ordered(vec![
            function(0x200, 0x10, 2, 2),
            function(0x100, 0x20, 1, 2),
        ]);
        assert_eq!(name(&functions, 0xff), None);
        assert_eq!(name(&functions, 0x100), Some(1));
        assert_eq!(name(&functions, 0x11f), Some(1));
        assert_eq!(name(&functions, 0x120), None);
        assert_eq!(name(&functions, 0x20f), Some(2));
        assert_eq!(name(&functions, 0x210), None);
    }

    #[test]
    fn nested_functions_and_aliases() {
        let functions = ordered(vec![
            function(0x100, 0x100, 1, 2),
            function(0x120, 0x10, 2, 0),
            function(0x120, 0x10, 3, 2),
            function(0x120, 0x10, 4, 1),
        ]);
        assert_eq!(name(&functions, 0x124), Some(3), "the global name wins");
        assert_eq!(name(&functions, 0x130), Some(1), "behind the nested one");
    }

    #[test]
    fn a_function_without_a_size_ends_at_the_next_or_with_the_section() {
        let functions = ordered(vec![
            function(0x100, 0, 1, 2),
            function(0x100, 0, 2, 0),
            function(0x180, 0, 3, 2),
        ]);
        assert_eq!(name(&functions, 0x17f), Some(1));
        assert_eq!(name(&functions, 0xfff), Some(3));
        assert_eq!(name(&functions, 0x1000), None);
    }
}
