//! Versions of symbols: which one a definition is, and which one a reference asks for.
//!
//! A library can define a name several times, for programs that were linked when it meant something else. What a call is bound
//! to is then up to the object that calls, and its own symbol table says what it asks for.

use super::MOST_ENTRIES;
use super::peek;
use super::symbols::Query;
use super::symbols::SHN_UNDEF;
use super::symbols::Tables;

const HIDDEN: u16 = 0x8000;
/// Versions begin with that of the file itself, which a plain name has, and the oldest one.
const OLDEST: u16 = 2;
/// Where a version's number stands for none.
const PLAIN: u16 = 1;

/// Which version of a name is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version<'a> {
    /// Whichever there is.
    Any,
    /// The default one, as for dlsym.
    Default,
    /// What a reference without a version means: that of the time before the library had versions, else the default one.
    Oldest,
    /// Only the first of these.
    Base,
    /// The one of this name, the default one or not.
    Named(&'a [u8]),
}

impl Tables {
    /// Whether its definitions have versions at all; if not, a name is every version of it.
    pub(super) fn has_versions(&self) -> bool {
        self.versions != 0 && self.definitions != 0
    }

    fn version(&self, index: usize) -> u16 {
        // SAFETY: the version table has one half-word per symbol.
        unsafe { peek(self.versions + index * 2) }
    }

    pub(super) fn version_fits(&self, index: usize, wanted: Version<'_>) -> bool {
        if self.versions == 0 {
            return true;
        }
        let entry = self.version(index);
        match wanted {
            Version::Any => true,
            Version::Default | Version::Oldest => entry & HIDDEN == 0,
            Version::Base => entry & !HIDDEN <= OLDEST,
            Version::Named(name) => self.definitions == 0 || self.is_named(entry & !HIDDEN, name),
        }
    }

    /// Whether the version that this object defines by a number has a name.
    fn is_named(&self, wanted: u16, name: &[u8]) -> bool {
        let mut at = self.definitions;
        for _ in 0..self.definition_count.min(MOST_ENTRIES) {
            // SAFETY: an Elf64_Verdef: version, flags, index, aux count (half-words), hash, aux
            // offset, next offset (words); its first aux begins with the name's offset.
            let (number, aux, next) = unsafe {
                (
                    peek::<u16>(at + 4),
                    peek::<u32>(at + 12),
                    peek::<u32>(at + 16),
                )
            };
            if number == wanted {
                // SAFETY: as above.
                let offset: u32 = unsafe { peek(at + aux as usize) };
                return self.string_is(offset as usize, name);
            }
            if next == 0 {
                break;
            }
            at += next as usize;
        }
        false
    }

    /// Which versions the object itself asks for where it refers to a name: one that was put together from older and newer
    /// parts can refer to several.
    ///
    /// Undefined symbols are in no hash table, so this goes through all of them.
    pub(super) fn asked<'it>(&'it self, query: Query<'it>) -> impl Iterator<Item = Version<'it>> {
        let refers = move |index: &usize| {
            // SAFETY: not more than there are, unless the tables lie in an order of nobody's; then it is mapped still, and
            // what is no symbol hardly names one.
            let symbol = unsafe { self.symbol(*index) };
            let name = symbol.name as usize;
            symbol.section == SHN_UNDEF
                && name + query.name.len() < self.strings_len
                && self.string_is(name, query.name)
        };
        let indices = (1..self.most_symbols()).filter(refers);
        indices.map(|index| {
            if self.versions == 0 || self.needs == 0 {
                return Version::Oldest;
            }
            match self.version(index) & !HIDDEN {
                0 | PLAIN => Version::Oldest,
                number => self.needed(number).map_or(Version::Default, Version::Named),
            }
        })
    }

    /// The name of the version that this object needs by a number.
    fn needed(&self, wanted: u16) -> Option<&[u8]> {
        let mut at = self.needs;
        for _ in 0..self.need_count.min(MOST_ENTRIES) {
            // SAFETY: an Elf64_Verneed: version, aux count (half-words), file, aux offset, next offset (words).
            let (count, aux, next) = unsafe {
                (
                    peek::<u16>(at + 2),
                    peek::<u32>(at + 8),
                    peek::<u32>(at + 12),
                )
            };
            let mut aux = at + aux as usize;
            for _ in 0..count {
                // SAFETY: an Elf64_Vernaux: hash (word), flags, number (half-words), name, next offset (words).
                let (number, name, next) = unsafe {
                    (
                        peek::<u16>(aux + 6),
                        peek::<u32>(aux + 8),
                        peek::<u32>(aux + 12),
                    )
                };
                if number & !HIDDEN == wanted {
                    return Some(self.text(name as usize).to_bytes());
                }
                if next == 0 {
                    break;
                }
                aux += next as usize;
            }
            if next == 0 {
                break;
            }
            at += next as usize;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::first_object;
    use super::super::object_of;
    use super::*;

    #[test]
    fn an_object_says_which_version_it_asks_for() {
        let program = first_object().expect("a program");
        let tables = program.tables().expect("its tables");
        let asked = |name| {
            let mut all = tables.asked(Query::new(name, Version::Default));
            let first = all.next();
            assert_eq!(all.next(), None, "one reference");
            first
        };
        let library = object_of(libc::getppid as *const () as usize).expect("the C library");
        let Some(Version::Named(version)) = asked(b"getppid") else {
            panic!("no version: {:?}", asked(b"getppid"));
        };
        assert!(version.starts_with(b"GLIBC_"), "{version:?}");
        assert!(library.find_symbol(b"getppid", Some(version)).is_some());
        assert_eq!(asked(b"no_such_function"), None);
        // What it defines itself it does not ask for.
        assert_eq!(asked(b"main"), None);
    }

    /// glibc has had two of these since 2.3.3, on the machines that had it before.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn versions_of_a_name_are_told_apart() {
        let library = object_of(libc::getppid as *const () as usize).expect("the C library");
        let tables = library.tables().expect("its tables");
        let find = |version| tables.find(&Query::new(b"posix_spawn", version));
        assert_eq!(tables.count(&Query::new(b"posix_spawn", Version::Any)), 2);
        assert_eq!(tables.count(&Query::new(b"getppid", Version::Any)), 1);
        // Two versions of one function.
        assert_eq!(tables.count(&Query::new(b"dlclose", Version::Any)), 1);
        assert_eq!(
            tables.count(&Query::new(b"no_such_function", Version::Any)),
            0
        );
        let (old, new) = (
            find(Version::Named(b"GLIBC_2.2.5")),
            find(Version::Named(b"GLIBC_2.15")),
        );
        assert!(old.is_some() && new.is_some() && old != new);
        assert_eq!(find(Version::Default), new);
        assert_eq!(find(Version::Oldest), old);
        assert_eq!(find(Version::Named(b"GLIBC_9")), None);
    }
}
