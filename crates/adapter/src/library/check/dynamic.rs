//! The dynamic section: where the loader finds all other tables.

use object::elf;

use super::Segments;
use super::image::Image;
use super::image::require;
use crate::library::RELOCATION_LEN;
use crate::library::RELOCATIONS_LEN;
use crate::library::SONAME;
use crate::library::SYMBOL_LEN;

/// Where the tables are.
#[derive(Debug, Default)]
pub(super) struct Dynamic {
    pub(super) hash: u64,
    pub(super) strings: u64,
    pub(super) strings_end: u64,
    pub(super) symbols: u64,
    relocations: u64,
    pub(super) symbol_versions: u64,
    pub(super) versions: u64,
    pub(super) version_count: u64,
}

impl Dynamic {
    /// Each entry once and no others: what we do not write might be code to run.
    pub(super) fn read(image: Image<'_>, segments: &Segments) -> Result<Self, String> {
        let mut read = Self::default();
        let mut seen = Vec::new();
        let mut strings_len = 0;
        let mut soname = 0;
        let mut at = segments.dynamic.0;
        loop {
            require(
                at + 16 <= segments.dynamic.1,
                "its dynamic section does not end",
            )?;
            let (tag, value) = (image.double(at)?, image.double(at + 8)?);
            let tag = elf::DynamicTag(i64::from_le_bytes(tag.to_le_bytes()));
            at += 16;
            if tag == elf::DT_NULL {
                break;
            }
            let damaged = format!("entry {:#x} of its dynamic section is damaged", tag.0);
            require(!seen.contains(&tag), &damaged)?;
            seen.push(tag);
            let fixed = match tag {
                elf::DT_SYMENT => SYMBOL_LEN,
                elf::DT_RELASZ => RELOCATIONS_LEN,
                elf::DT_RELAENT => RELOCATION_LEN,
                elf::DT_FLAGS => elf::DF_BIND_NOW.0,
                elf::DT_FLAGS_1 => elf::DF_1_NOW.0 | elf::DF_1_NODELETE.0,
                _ => value,
            };
            require(value == fixed, &damaged)?;
            match tag {
                elf::DT_SONAME => soname = value,
                elf::DT_GNU_HASH => read.hash = value,
                elf::DT_STRTAB => read.strings = value,
                elf::DT_STRSZ => strings_len = value,
                elf::DT_SYMTAB => read.symbols = value,
                elf::DT_RELA => read.relocations = value,
                elf::DT_VERSYM => read.symbol_versions = value,
                elf::DT_VERDEF => read.versions = value,
                elf::DT_VERDEFNUM => read.version_count = value,
                elf::DT_SYMENT
                | elf::DT_RELASZ
                | elf::DT_RELAENT
                | elf::DT_FLAGS
                | elf::DT_FLAGS_1 => {}
                _ => return Err(format!("its dynamic section has an entry {:#x}", tag.0)),
            }
        }
        for tag in NEEDED {
            let lacks = format!("its dynamic section lacks entry {:#x}", tag.0);
            require(seen.contains(&tag), &lacks)?;
        }
        let of_versions = VERSIONED.iter().filter(|tag| seen.contains(tag)).count();
        require(
            of_versions == 0 || of_versions == VERSIONED.len(),
            "only a part of its versions is there",
        )?;
        let end = read.strings.checked_add(strings_len);
        read.strings_end = end.unwrap_or(u64::MAX);
        let addresses = [read.hash, read.symbols, read.relocations, read.versions];
        let are_aligned = addresses.iter().all(|it| it.is_multiple_of(4))
            && read.symbols.is_multiple_of(8)
            && read.hash.is_multiple_of(8)
            && read.relocations.is_multiple_of(8)
            && read.symbol_versions.is_multiple_of(2);
        require(are_aligned, "one of its tables is not aligned")?;
        let relocations_end = read.relocations.checked_add(RELOCATIONS_LEN);
        require(
            read.strings_end <= segments.data.1
                && relocations_end.is_some_and(|end| end <= segments.data.1),
            "one of its tables lies outside of its data",
        )?;
        let soname = read.strings.checked_add(soname);
        let soname = soname.map(|at| image.text(at, read.strings_end));
        require(
            soname == Some(Ok(SONAME)),
            "it has another name than it should",
        )?;
        Ok(read)
    }

    /// Where the relocations are.
    pub(super) fn relocations(&self) -> impl Iterator<Item = u64> {
        let first = self.relocations;
        (0..RELOCATIONS_LEN / RELOCATION_LEN).map(move |place| first + place * RELOCATION_LEN)
    }
}

const NEEDED: [elf::DynamicTag; 10] = [
    elf::DT_SONAME,
    elf::DT_GNU_HASH,
    elf::DT_STRTAB,
    elf::DT_STRSZ,
    elf::DT_SYMTAB,
    elf::DT_SYMENT,
    elf::DT_RELA,
    elf::DT_RELASZ,
    elf::DT_RELAENT,
    elf::DT_FLAGS,
];

const VERSIONED: [elf::DynamicTag; 3] = [elf::DT_VERSYM, elf::DT_VERDEF, elf::DT_VERDEFNUM];
