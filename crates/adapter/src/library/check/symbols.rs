//! The symbols, as the loader finds them: the table, its hashes, the versions.

use std::collections::HashMap;

use object::elf;
use whofreed_hooktable::STUBS_SYMBOL;
use whofreed_hooktable::TABLE_SYMBOL;

use super::Dynamic;
use super::Image;
use super::Segments;
use super::require;
use crate::library::FIRST_DEFINED;
use crate::library::SONAME;
use crate::library::SYMBOL_LEN;
use crate::library::THUNKS;
use crate::library::machine;
use crate::library::versions::PLAIN;
use crate::library::versions::Versions;
use crate::table::Compiled;

/// What the symbols say.
pub(super) struct Places {
    pub(super) stubs: u64,
    pub(super) table: u64,
}

struct Symbol<'name> {
    name: &'name str,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
}

struct Symbols<'check, 'bytes> {
    image: Image<'bytes>,
    dynamic: &'check Dynamic,
    versions: Versions<'check>,
}

pub(super) fn check(
    image: Image<'_>,
    segments: &Segments,
    dynamic: &Dynamic,
    compiled: &Compiled,
) -> Result<Places, String> {
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    for (number, export) in (0..).zip(&compiled.exports) {
        if export.is_exported {
            numbers.insert(&export.symbol, number);
        }
    }
    let count = numbers.len() as u64 + 2;
    let symbols = Symbols {
        image,
        dynamic,
        versions: Versions::of(compiled),
    };
    let total = u64::from(FIRST_DEFINED) + count;
    symbols.check_ends(segments, total)?;
    symbols.check_versions()?;
    for (index, thunk) in (1..).zip(THUNKS) {
        let symbol = symbols.symbol(index)?;
        let is_weak = symbol.info == elf::STB_WEAK.0 << 4;
        require(is_weak, "it would not load without libwhofreed.so")?;
        require(
            symbol.name == thunk && symbol.other == 0 && symbol.section == 0 && symbol.value == 0,
            "it does not ask for the thunks",
        )?;
        symbols.check_version(index, None)?;
    }

    let mut places = Places { stubs: 0, table: 0 };
    let mut names = Vec::new();
    let mut stubs = Vec::new();
    for index in u64::from(FIRST_DEFINED)..total {
        let symbol = symbols.symbol(index)?;
        let version = symbols.version(index)?;
        let (name, at) = (symbol.name, symbol.value);
        let kind = match name {
            TABLE_SYMBOL => {
                places.table = at;
                elf::STT_OBJECT
            }
            STUBS_SYMBOL => {
                places.stubs = at;
                elf::STT_NOTYPE
            }
            _ => {
                let full = version.map(|version| format!("{name}@{version}"));
                let number = numbers.remove(full.as_deref().unwrap_or(name));
                let number =
                    number.ok_or_else(|| format!("it exports `{name}`, which nobody asked for"))?;
                stubs.push((name, at, number));
                elf::STT_FUNC
            }
        };
        // An absolute one would not be moved with the library, a hidden one not be found.
        let is_sound = symbol.info == elf::STB_GLOBAL.0 << 4 | kind.0
            && symbol.other == 0
            && (1..elf::SHN_LORESERVE).contains(&symbol.section);
        require(is_sound, &format!("`{name}` is damaged"))?;
        symbols.check_version(index, version)?;
        names.push(name);
    }
    let has_both = places.stubs != 0 && places.table != 0;
    require(
        has_both && numbers.is_empty(),
        "it does not export every symbol",
    )?;
    for (name, at, number) in stubs {
        let is_there = Some(at) == places.stubs.checked_add(number * machine::STUB_LEN);
        require(is_there, &format!("`{name}` is not at its stub"))?;
    }
    symbols.check_hashes(segments, &names)?;
    Ok(places)
}

impl<'bytes> Symbols<'_, 'bytes> {
    /// All tables lie in what is loaded.
    fn check_ends(&self, segments: &Segments, total: u64) -> Result<(), String> {
        let end = |at: u64, len: u64| {
            at.checked_add(len)
                .is_some_and(|end| end <= segments.data.1)
        };
        require(
            end(self.dynamic.symbols, total * SYMBOL_LEN)
                && end(self.dynamic.symbol_versions, total * 2)
                && end(
                    self.dynamic.versions,
                    self.dynamic.version_count.min(1 << 16) * DEFINITION_LEN,
                ),
            "one of its tables lies outside of its data",
        )
    }

    fn symbol(&self, index: u64) -> Result<Symbol<'bytes>, String> {
        let at = self.dynamic.symbols + index * SYMBOL_LEN;
        let name = self.dynamic.strings + u64::from(self.image.word(at)?);
        let [info, other] = self.image.half(at + 4)?.to_le_bytes();
        Ok(Symbol {
            name: self.image.text(name, self.dynamic.strings_end)?,
            info,
            other,
            section: self.image.half(at + 6)?,
            value: self.image.double(at + 8)?,
        })
    }

    /// The hash table is that of these names, which are all that are defined.
    fn check_hashes(&self, segments: &Segments, names: &[&str]) -> Result<(), String> {
        let at = self.dynamic.hash;
        let damaged = "its hash table is damaged";
        let word = |place: u64| self.image.word(at + 4 * place);
        let (buckets, first, filters, shift) = (word(0)?, word(1)?, word(2)?, word(3)?);
        let is_sound = buckets > 0 && first == FIRST_DEFINED && shift < 32;
        // The loader takes the filter's place by a mask.
        require(is_sound && filters.is_power_of_two(), damaged)?;
        let filter = at + 16;
        let bucket_table = filter + 8 * u64::from(filters);
        let chains = bucket_table + 4 * u64::from(buckets);
        let end = chains + 4 * names.len() as u64;
        require(end <= segments.data.1, damaged)?;

        let hashes: Vec<u32> = { names.iter() }
            .map(|name| elf::gnu_hash(name.as_bytes()))
            .collect();
        let mut begins = vec![0; buckets as usize];
        for (place, hash) in hashes.iter().enumerate() {
            let bucket = hash % buckets;
            let next = hashes.get(place + 1).map(|next| next % buckets);
            let is_last = next != Some(bucket);
            let chain = self.image.word(chains + 4 * place as u64)?;
            require(chain == hash & !1 | u32::from(is_last), damaged)?;
            if place == 0 || hashes[place - 1] % buckets != bucket {
                require(begins[bucket as usize] == 0, damaged)?;
                begins[bucket as usize] = first as usize + place;
            }
            let bits = 1_u64 << (hash % 64) | 1_u64 << ((hash >> shift) % 64);
            let filtered = filter + 8 * u64::from(hash / 64 % filters);
            require(self.image.double(filtered)? & bits == bits, damaged)?;
        }
        for (bucket, begin) in (0..).zip(begins) {
            let is_right = self.image.word(bucket_table + 4 * bucket)? as usize == begin;
            require(is_right, damaged)?;
        }
        Ok(())
    }

    /// The version that the symbol is said to have.
    fn version(&self, index: u64) -> Result<Option<&str>, String> {
        if self.dynamic.symbol_versions == 0 {
            return Ok(None);
        }
        let entry = self.image.half(self.dynamic.symbol_versions + 2 * index)?;
        let mut names = self.versions.names().iter().copied();
        Ok(names.find(|name| self.versions.number(Some(name)).0 == entry & !HIDDEN))
    }

    fn check_version(&self, index: u64, version: Option<&str>) -> Result<(), String> {
        if self.dynamic.symbol_versions == 0 {
            return Ok(());
        }
        let entry = self.image.half(self.dynamic.symbol_versions + 2 * index)?;
        let (number, is_hidden) = self.versions.number(version);
        let expected = number | if is_hidden { HIDDEN } else { 0 };
        require(entry == expected, "the version of a symbol is damaged")
    }

    /// Where the versions are defined, they are those that the symbols have.
    fn check_versions(&self) -> Result<(), String> {
        let damaged = "its versions are damaged";
        let count = u64::from(self.versions.count());
        require(
            self.dynamic.version_count == count && (count == 0) == (self.dynamic.versions == 0),
            damaged,
        )?;
        let names = std::iter::once(SONAME).chain(self.versions.names().iter().copied());
        for (place, name) in (0..count).zip(names) {
            let at = self.dynamic.versions + place * DEFINITION_LEN;
            let (flags, number) = match place {
                0 => (elf::VER_FLG_BASE.0, PLAIN),
                _ => (0, self.versions.number(Some(name)).0),
            };
            let next = if place + 1 == count {
                0
            } else {
                DEFINITION_LEN
            };
            let halves = [1, flags, number, 1];
            for (half, expected) in (0..).zip(halves) {
                require(self.image.half(at + 2 * half)? == expected, damaged)?;
            }
            let words = [u64::from(elf::hash(name.as_bytes())), 20, next];
            for (word, expected) in (0..).zip(words) {
                let word = self.image.word(at + 8 + 4 * word)?;
                require(u64::from(word) == expected, damaged)?;
            }
            let text = self.dynamic.strings + u64::from(self.image.word(at + 20)?);
            let is_name = self.image.text(text, self.dynamic.strings_end)? == name;
            require(is_name && self.image.word(at + 24)? == 0, damaged)?;
        }
        Ok(())
    }
}

const HIDDEN: u16 = 0x8000;

/// A definition of a version, and the one name that it has.
const DEFINITION_LEN: u64 = 28;
