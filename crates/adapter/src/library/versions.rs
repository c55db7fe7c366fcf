//! The versions of symbols in the generated library: a stub for `name@VERSION` serves references to that version alone, one
//! without a version those to all others.

use object::elf;
use object::write::StringId;
use object::write::elf::Verdef;
use object::write::elf::Writer;

use super::SONAME;
use crate::table::Compiled;

/// Number 1 is the library itself, and what has no version. References without one take number 2 for the oldest version
/// of all, which no stub of ours is.
pub(super) const PLAIN: u16 = 1;
const FIRST: u16 = 3;

/// The versions that the exported symbols name, each once.
#[derive(Debug)]
pub(super) struct Versions<'compiled>(Vec<&'compiled str>);

impl<'compiled> Versions<'compiled> {
    pub(super) fn of(compiled: &'compiled Compiled) -> Self {
        let exported = compiled.exports.iter().filter(|export| export.is_exported);
        let mut versions: Vec<_> = exported.filter_map(|export| export.name().1).collect();
        versions.sort_unstable();
        versions.dedup();
        Self(versions)
    }

    pub(super) fn names(&self) -> &[&'compiled str] {
        &self.0
    }

    /// The number of a version, and whether only those who ask for it find it: all but plain names.
    pub(super) fn number(&self, version: Option<&str>) -> (u16, bool) {
        let place = version.and_then(|version| self.0.iter().position(|known| *known == version));
        let number = place.and_then(|place| u16::try_from(place).ok());
        match number.and_then(|number| number.checked_add(FIRST)) {
            Some(number) => (number, true),
            None => (PLAIN, false),
        }
    }

    /// How many definitions there are, that of the library itself with them; 0 when no symbol has a version.
    pub(super) fn count(&self) -> u16 {
        match u16::try_from(self.0.len()) {
            Ok(0) | Err(_) => 0,
            Ok(count) => count + 1,
        }
    }

    pub(super) fn add_names(&self, writer: &mut Writer<'compiled>) -> Vec<StringId> {
        let names = self.0.iter();
        names
            .map(|name| writer.add_dynamic_string(name.as_bytes()))
            .collect()
    }

    /// Writes the version of each symbol, and what the versions are called.
    pub(super) fn write(
        &self,
        writer: &mut Writer<'_>,
        of_symbols: impl Iterator<Item = Option<&'compiled str>>,
        soname: StringId,
        names: &[StringId],
    ) {
        if self.count() == 0 {
            return;
        }
        writer.write_null_gnu_versym();
        for version in of_symbols {
            let (number, is_hidden) = self.number(version);
            writer.write_gnu_versym(elf::VersionIndex(number).versym(is_hidden));
        }
        writer.write_align_gnu_verdef();
        let all = [(SONAME, soname)].into_iter();
        let all = all.chain(self.0.iter().copied().zip(names.iter().copied()));
        for (place, (name, id)) in all.enumerate() {
            let is_file = place == 0;
            let number = if is_file {
                PLAIN
            } else {
                self.number(Some(name)).0
            };
            writer.write_gnu_verdef(&Verdef {
                version: elf::VER_DEF_CURRENT,
                flags: if is_file {
                    elf::VER_FLG_BASE
                } else {
                    elf::VersionFlags(0)
                },
                index: elf::VersionIndex(number),
                aux_count: 1,
                name: writer.dynamic_string_offset(Some(id)),
                hash: elf::hash(name.as_bytes()),
            });
        }
    }
}
