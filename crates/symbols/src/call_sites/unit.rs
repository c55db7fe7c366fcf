//! Reads the functions and call sites of one unit.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use addr2line::gimli;
use addr2line::gimli::AttributeValue;
use addr2line::gimli::DebugInfoOffset;
use addr2line::gimli::Dwarf;
use addr2line::gimli::UnitOffset;

use super::Callee;
use super::Function;
use super::MOST_PIECES;
use super::Ranges;
use super::TailCall;
use super::sections::Slice;
use crate::demangle::LONGEST_MANGLED;
use crate::demangle::capped;

type Entry<'data> = gimli::DebuggingInformationEntry<Slice<'data>>;

/// The entries that tell something here.
const TOLD_BY: [gimli::DwTag; 3] = [
    gimli::DW_TAG_subprogram,
    gimli::DW_TAG_call_site,
    gimli::DW_TAG_GNU_call_site,
];

/// How many steps it is from a function to the entry that declares it, at the most.
const MOST_ORIGINS: usize = 8;

/// What one unit tells.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) functions: Vec<Arc<Function>>,
    /// The functions, by where their code is.
    pub(super) places: Ranges,
    /// What was called, by the address that the call returns to. `None` where two entries contradict each other.
    pub(super) calls: HashMap<u64, Option<Callee>>,
}

impl Unit {
    /// Reads the unit at `start`; units begin at `starts`.
    pub(super) fn read(dwarf: &Dwarf<Slice<'_>>, starts: &[u64], start: u64) -> Option<Self> {
        let mut reader = Reader {
            dwarf,
            start,
            starts,
            others: HashMap::new(),
            known: HashMap::new(),
        };
        let unit = reader.parse(start)?;
        let mut functions: Vec<Function> = Vec::new();
        let mut places = Vec::new();
        let mut calls: HashMap<u64, Option<Callee>> = HashMap::new();
        // The functions around the entry, by their depths.
        let mut open: Vec<(isize, usize)> = Vec::new();
        let mut entries = unit.entries_raw(None).ok()?;
        // What was read before an error counts.
        while let Some((depth, entry)) = next_of(&mut entries, &TOLD_BY) {
            let entry = &entry;
            while open.last().is_some_and(|(of_open, _)| *of_open >= depth) {
                open.pop();
            }
            match entry.tag() {
                gimli::DW_TAG_subprogram => {
                    let number = functions.len();
                    let Some(begin) = pieces(dwarf, &unit, entry, number as u64, &mut places)
                    else {
                        continue;
                    };
                    let (callee, line) = reader.identity(start, &unit, entry.offset());
                    let has = |names: [gimli::DwAt; 4]| names.into_iter().any(|a| is_set(entry, a));
                    functions.push(Function {
                        callee,
                        entry: begin,
                        line,
                        is_complete: has([
                            gimli::DW_AT_call_all_calls,
                            gimli::DW_AT_call_all_tail_calls,
                            gimli::DW_AT_GNU_all_call_sites,
                            gimli::DW_AT_GNU_all_tail_call_sites,
                        ]),
                        tail_calls: Vec::new(),
                    });
                    open.push((depth, number));
                }
                gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site => {
                    let callee = reader.origin(start, &unit, entry);
                    let is_tail = is_set(entry, gimli::DW_AT_call_tail_call)
                        || is_set(entry, gimli::DW_AT_GNU_tail_call);
                    let address = |name| {
                        let value = entry.attr_value(name)?;
                        dwarf.attr_address(&unit, value).ok().flatten()
                    };
                    let behind = address(gimli::DW_AT_call_return_pc)
                        .or_else(|| address(gimli::DW_AT_low_pc));
                    if is_tail {
                        let inside = behind.and_then(|behind| behind.checked_sub(1));
                        let inside = inside.or_else(|| address(gimli::DW_AT_call_pc));
                        let function = open.last().map(|(_, number)| *number);
                        let function = function.and_then(|number| functions.get_mut(number));
                        if let (Some(function), Some(address)) = (function, inside) {
                            function.tail_calls.push(TailCall {
                                address,
                                behind,
                                callee,
                            });
                        }
                    } else if let Some(behind) = behind {
                        let said = calls.entry(behind).or_insert_with(|| callee.clone());
                        if *said != callee {
                            *said = None;
                        }
                    }
                }
                _ => {}
            }
        }
        Some(Self {
            functions: functions.into_iter().map(Arc::new).collect(),
            places: Ranges::new(places),
            calls,
        })
    }
}

/// The next entry with one of the tags, and its depth. Nearly all entries are of types and variables, and stepped over.
pub(super) fn next_of<'data>(
    entries: &mut gimli::EntriesRaw<'_, Slice<'data>>,
    tags: &[gimli::DwTag],
) -> Option<(isize, Entry<'data>)> {
    while !entries.is_empty() {
        let (offset, depth) = (entries.next_offset(), entries.next_depth());
        let Some(abbreviation) = entries.read_abbreviation().ok()? else {
            continue;
        };
        let (tag, attributes) = (abbreviation.tag(), abbreviation.attributes());
        if tags.contains(&tag) {
            let mut read = Vec::with_capacity(attributes.len());
            entries.read_attributes(attributes, &mut read).ok()?;
            let entry = Entry::new(tag, abbreviation.has_children(), read, offset);
            return Some((depth, entry));
        }
        entries.skip_attributes(attributes).ok()?;
    }
    None
}

/// Notes where the code of `entry` is; the result is where it begins.
fn pieces<'data>(
    dwarf: &Dwarf<Slice<'data>>,
    unit: &gimli::Unit<Slice<'data>>,
    entry: &Entry<'data>,
    number: u64,
    places: &mut Vec<(u64, u64, u64)>,
) -> Option<u64> {
    let mut begin = None;
    let mut ranges = dwarf.die_ranges(unit, entry).ok()?;
    for _ in 0..MOST_PIECES {
        let Ok(Some(range)) = ranges.next() else {
            break;
        };
        begin = begin.or(Some(range.begin));
        places.push((range.begin, range.end, number));
    }
    begin
}

fn is_set(entry: &Entry<'_>, name: gimli::DwAt) -> bool {
    matches!(entry.attr_value(name), Some(AttributeValue::Flag(true)))
}

struct Reader<'reader, 'data> {
    dwarf: &'reader Dwarf<Slice<'data>>,
    start: u64,
    starts: &'reader [u64],
    /// Units that others refer to, by where they begin.
    others: HashMap<u64, Option<Arc<gimli::Unit<Slice<'data>>>>>,
    /// Functions that were looked at, and their lines, by their entries.
    known: HashMap<u64, (Callee, u32)>,
}

impl<'data> Reader<'_, 'data> {
    fn parse(&self, start: u64) -> Option<gimli::Unit<Slice<'data>>> {
        let start = DebugInfoOffset(usize::try_from(start).ok()?);
        let header = self.dwarf.unit_header(start).ok()?;
        self.dwarf.unit(header).ok()
    }

    /// The function that a call site calls.
    fn origin(
        &mut self,
        start: u64,
        unit: &gimli::Unit<Slice<'data>>,
        entry: &Entry<'data>,
    ) -> Option<Callee> {
        let value = entry
            .attr_value(gimli::DW_AT_call_origin)
            .or_else(|| entry.attr_value(gimli::DW_AT_abstract_origin))?;
        match value {
            AttributeValue::UnitRef(offset) => Some(self.identity(start, unit, offset).0),
            AttributeValue::DebugInfoRef(DebugInfoOffset(offset)) => {
                let (start, unit, offset) = self.elsewhere(offset)?;
                Some(self.identity(start, &unit, offset).0)
            }
            // What `dwz` moved into another file is not looked for.
            _ => None,
        }
    }

    /// A place in another unit.
    fn elsewhere(
        &mut self,
        offset: usize,
    ) -> Option<(u64, Arc<gimli::Unit<Slice<'data>>>, UnitOffset)> {
        let behind = self.starts.partition_point(|start| *start <= offset as u64);
        let start = self.starts[behind.checked_sub(1)?];
        let unit = match self.others.get(&start) {
            Some(unit) => unit.clone(),
            None => {
                let unit = self.parse(start).map(Arc::new);
                self.others.insert(start, unit.clone());
                unit
            }
        }?;
        let within = offset.checked_sub(usize::try_from(start).ok()?)?;
        Some((start, unit, UnitOffset(within)))
    }

    /// Which function the entry at `offset` is about, and the line it is declared at.
    fn identity(
        &mut self,
        start: u64,
        unit: &gimli::Unit<Slice<'data>>,
        offset: UnitOffset,
    ) -> (Callee, u32) {
        let asked = start.saturating_add(offset.0 as u64);
        if let Some(known) = self.known.get(&asked) {
            return known.clone();
        }
        let mut root = asked;
        let mut line = 0;
        let mut linked: Option<Arc<str>> = None;
        let mut name: Option<Arc<str>> = None;
        let mut is_external = false;
        let mut next = unit.entry(offset).ok();
        let mut other: Option<(u64, Arc<gimli::Unit<Slice<'data>>>)> = None;
        for _ in 0..MOST_ORIGINS {
            let Some(entry) = next.take() else {
                break;
            };
            let (here, of) = match &other {
                Some((here, of)) => (*here, &**of),
                None => (start, unit),
            };
            root = here.saturating_add(entry.offset().0 as u64);
            let text = |attribute| {
                let text = self.dwarf.attr_string(of, entry.attr_value(attribute)?);
                let text = text.ok()?.to_string_lossy();
                (!text.is_empty() && text.len() <= LONGEST_MANGLED).then(|| Arc::from(&*text))
            };
            linked = linked
                .or_else(|| text(gimli::DW_AT_linkage_name))
                .or_else(|| text(gimli::DW_AT_MIPS_linkage_name));
            name = name.or_else(|| text(gimli::DW_AT_name));
            is_external |= is_set(&entry, gimli::DW_AT_external);
            if line == 0 {
                let declared = entry.attr_value(gimli::DW_AT_decl_line);
                let declared = declared.and_then(|value| value.udata_value());
                line = declared.and_then(|l| u32::try_from(l).ok()).unwrap_or(0);
            }
            let origin = entry
                .attr_value(gimli::DW_AT_abstract_origin)
                .or_else(|| entry.attr_value(gimli::DW_AT_specification));
            match origin {
                Some(AttributeValue::UnitRef(offset)) => next = of.entry(offset).ok(),
                Some(AttributeValue::DebugInfoRef(DebugInfoOffset(offset))) => {
                    let Some((here, of, offset)) = self.elsewhere(offset) else {
                        break;
                    };
                    next = of.entry(offset).ok();
                    other = Some((here, of));
                }
                _ => {}
            }
        }
        let callee = Callee {
            root,
            unit: self.start,
            symbol: linked.or(name.filter(|_| is_external)),
        };
        self.known.insert(asked, (callee.clone(), line));
        (callee, line)
    }
}

/// Where the function at `root` is declared.
pub(super) fn declared_at(
    dwarf: &Dwarf<Slice<'_>>,
    starts: &[u64],
    root: u64,
) -> Option<(String, u32)> {
    let start = *starts[..starts.partition_point(|start| *start <= root)].last()?;
    let header = dwarf.unit_header(DebugInfoOffset(usize::try_from(start).ok()?));
    let unit = dwarf.unit(header.ok()?).ok()?;
    let offset = UnitOffset(usize::try_from(root - start).ok()?);
    let entry = unit.entry(offset).ok()?;
    let number = |name| entry.attr_value(name)?.udata_value();
    let line = u32::try_from(number(gimli::DW_AT_decl_line)?).ok()?;
    let index = match entry.attr_value(gimli::DW_AT_decl_file)? {
        AttributeValue::FileIndex(index) => index,
        value => value.udata_value()?,
    };
    let header = unit.line_program.as_ref()?.header();
    let file = header.file(index)?;
    let text = |value| {
        let text = dwarf.attr_string(&unit, value).ok()?;
        Some(text.to_string_lossy().into_owned())
    };
    let mut path = match &unit.comp_dir {
        Some(folder) => PathBuf::from(&*folder.to_string_lossy()),
        None => PathBuf::new(),
    };
    // The first folder is that of the unit.
    if file.directory_index() != 0
        && let Some(folder) = file.directory(header)
    {
        path.push(text(folder)?);
    }
    path.push(text(file.path_name())?);
    Some((capped(path.to_str()?).to_owned(), line))
}
