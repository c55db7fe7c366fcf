//! Functions whose code the compiler has put into their callers: no call is left that anybody could see.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::Path;

use addr2line::gimli;
use addr2line::gimli::AttributeValue;
use addr2line::gimli::Dwarf;
use addr2line::gimli::Section;

use super::sections::Sections;
use super::sections::Slice;
use super::unit::next_of;

/// More debug information than this is not looked through.
const LARGEST: usize = 256 << 20;

type Entry<'data> = gimli::DebuggingInformationEntry<Slice<'data>>;

/// Which of these symbols the debug information of the library at `path` tells to have been inlined somewhere.
#[must_use]
pub fn inlined(path: &Path, symbols: &[&str]) -> BTreeSet<String> {
    // Broken debug information costs what it tells, not the report.
    catch_unwind(|| inlined_trusting(path, symbols))
        .ok()
        .flatten()
        .unwrap_or_default()
}

fn inlined_trusting(path: &Path, symbols: &[&str]) -> Option<BTreeSet<String>> {
    let sections = Sections::open(path)?;
    let dwarf = sections.dwarf();
    if dwarf.debug_info.reader().len() > LARGEST {
        return None;
    }
    let mut found = BTreeSet::new();
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        let Ok(unit) = dwarf.unit(header) else {
            continue;
        };
        let Ok(mut entries) = unit.entries_raw(None) else {
            continue;
        };
        while let Some((_, entry)) = next_of(&mut entries, &[gimli::DW_TAG_subprogram]) {
            let is_inlined = matches!(
                entry.attr_value(gimli::DW_AT_inline),
                Some(AttributeValue::Inline(
                    gimli::DW_INL_inlined | gimli::DW_INL_declared_inlined
                ))
            );
            if is_inlined
                && let Some(name) = symbol(&dwarf, &unit, &entry)
                && symbols.contains(&&*name)
            {
                found.insert(name);
            }
        }
    }
    Some(found)
}

/// The symbol of a function, which its declaration may tell in its stead; that of a C function is its name.
fn symbol(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &gimli::Unit<Slice<'_>>,
    entry: &Entry<'_>,
) -> Option<String> {
    let text = |entry: &Entry<'_>, name| {
        let text = dwarf.attr_string(unit, entry.attr_value(name)?).ok()?;
        Some(text.to_string_lossy().into_owned())
    };
    let linkage = |entry: &Entry<'_>| {
        text(entry, gimli::DW_AT_linkage_name)
            .or_else(|| text(entry, gimli::DW_AT_MIPS_linkage_name))
    };
    if let Some(AttributeValue::UnitRef(declared)) = entry.attr_value(gimli::DW_AT_specification) {
        let declared = unit.entry(declared).ok()?;
        return linkage(entry)
            .or_else(|| linkage(&declared))
            .or_else(|| text(&declared, gimli::DW_AT_name));
    }
    linkage(entry).or_else(|| text(entry, gimli::DW_AT_name))
}
