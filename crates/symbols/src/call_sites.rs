//! Which function was called at a return address, and which functions a function leaves by a jump: what DWARF tells
//! of call sites, beside the names and lines.
//!
//! A unit is read when an address of it is asked for, whole and once; what is kept is plain numbers and names.

mod code;
mod inlined;
mod sections;
mod unit;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;

use addr2line::gimli::DebugInfoOffset;
use addr2line::gimli::Dwarf;

use code::Code;
pub use inlined::inlined;
use sections::Sections;
use sections::Slice;
use unit::Unit;

/// How many ranges before an address are tried. Units do not overlap by thousands; hostile ones do.
const MOST_STEPS: usize = 1024;

/// How many pieces one unit or function may lie in.
const MOST_PIECES: usize = 65_536;

/// A function as a call site names it: the same one in two places is not always one entry of DWARF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Callee {
    /// The entry that declares it, in its file's `.debug_info`.
    pub(crate) root: u64,
    /// The unit that says so.
    pub(crate) unit: u64,
    /// The symbol, where others can link to it.
    pub(crate) symbol: Option<Arc<str>>,
}

/// A function with code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) callee: Callee,
    /// Where its code begins.
    pub(crate) entry: u64,
    /// The line it is declared at, 0 where that is not known.
    pub(crate) line: u32,
    /// Whether `tail_calls` has all that there are.
    pub(crate) is_complete: bool,
    pub(crate) tail_calls: Vec<TailCall>,
}

/// A jump that leaves a function for another one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TailCall {
    /// An address in the instruction.
    pub(crate) address: u64,
    /// The address behind the instruction, where that is known.
    pub(crate) behind: Option<u64>,
    /// `None` where it is not told, as for one through a pointer.
    pub(crate) callee: Option<Callee>,
}

/// The call sites of one file.
pub(crate) struct CallSites {
    sections: Sections,
    code: Option<Code>,
    /// The units, by where their code is.
    places: Ranges,
    /// Where units begin in `.debug_info`.
    starts: Vec<u64>,
    /// Whether parts of the debug information lie in files that nobody here has looked at.
    is_split: bool,
    read: RefCell<BTreeMap<u64, Option<Arc<Unit>>>>,
}

impl CallSites {
    /// Looks which units there are in the debug information at `path`, which is about the code at `code`.
    pub(crate) fn open(path: &Path, code: &Path) -> Option<Self> {
        // Broken debug information costs what it tells, not the report.
        catch_unwind(|| Self::open_trusting(path, code)).ok()?
    }

    fn open_trusting(path: &Path, code: &Path) -> Option<Self> {
        let sections = Sections::open(path)?;
        let mut starts = Vec::new();
        let mut places = Vec::new();
        let mut is_split = false;
        {
            let dwarf = sections.dwarf();
            let mut headers = dwarf.units();
            while let Ok(Some(header)) = headers.next() {
                let Some(DebugInfoOffset(start)) = header.debug_info_offset() else {
                    continue;
                };
                let start = start as u64;
                starts.push(start);
                let Ok(unit) = dwarf.unit(header) else {
                    continue;
                };
                is_split |= unit.dwo_id.is_some();
                let Ok(mut ranges) = dwarf.unit_ranges(&unit) else {
                    continue;
                };
                for _ in 0..MOST_PIECES {
                    let Ok(Some(range)) = ranges.next() else {
                        break;
                    };
                    places.push((range.begin, range.end, start));
                }
            }
        }
        Some(Self {
            sections,
            code: Code::open(code),
            places: Ranges::new(places),
            starts,
            is_split,
            read: RefCell::default(),
        })
    }

    /// What was called where `address` is the one to return to; `None` where nothing or not enough is known of it,
    /// as of a call through a pointer.
    pub(crate) fn callee(&self, address: u64) -> Option<Callee> {
        let unit = self.unit_of(address.checked_sub(1)?)?;
        let told = unit.calls.get(&address)?.clone();
        told.or_else(|| self.called_by_code(address))
    }

    /// Whether what is told here also depends on files of their own, as those of `-gsplit-dwarf`.
    pub(crate) fn is_split(&self) -> bool {
        self.is_split
    }

    /// What the instruction before `behind` calls or jumps to.
    pub(crate) fn called_by_code(&self, behind: u64) -> Option<Callee> {
        let target = self.code.as_ref()?.target(behind)?;
        let function = self.function_at(target)?;
        (function.entry == target).then(|| function.callee.clone())
    }

    /// The function whose code is at `address`.
    pub(crate) fn function_at(&self, address: u64) -> Option<Arc<Function>> {
        let unit = self.unit_of(address)?;
        let number = unit.places.at(address)?;
        unit.functions.get(usize::try_from(number).ok()?).cloned()
    }

    /// The code of `callee`, in the unit that declares it or the one that calls it: several functions, where the
    /// compiler made copies.
    pub(crate) fn definitions(&self, callee: &Callee) -> Vec<Arc<Function>> {
        let behind = self.starts.partition_point(|start| *start <= callee.root);
        let declared = behind.checked_sub(1).map(|index| self.starts[index]);
        let calling = Some(callee.unit).filter(|unit| declared != Some(*unit));
        for start in declared.into_iter().chain(calling) {
            let Some(unit) = self.unit(start) else {
                continue;
            };
            let functions = unit.functions.iter();
            let own = functions.filter(|function| function.callee.root == callee.root);
            let own: Vec<Arc<Function>> = own.cloned().collect();
            if !own.is_empty() {
                return own;
            }
        }
        Vec::new()
    }

    /// The file and line where `callee` is declared.
    pub(crate) fn declared_at(&self, callee: &Callee) -> Option<(String, u32)> {
        let dwarf: Dwarf<Slice<'_>> = self.sections.dwarf();
        let read = || unit::declared_at(&dwarf, &self.starts, callee.root);
        catch_unwind(AssertUnwindSafe(read)).ok()?
    }

    fn unit_of(&self, address: u64) -> Option<Arc<Unit>> {
        self.unit(self.places.at(address)?)
    }

    fn unit(&self, start: u64) -> Option<Arc<Unit>> {
        if let Some(unit) = self.read.borrow().get(&start) {
            return unit.clone();
        }
        let dwarf: Dwarf<Slice<'_>> = self.sections.dwarf();
        let read = AssertUnwindSafe(|| Unit::read(&dwarf, &self.starts, start));
        let unit = catch_unwind(read).ok().flatten().map(Arc::new);
        self.read.borrow_mut().insert(start, unit.clone());
        unit
    }
}

/// What lies at an address.
#[derive(Debug)]
struct Ranges {
    /// (begin, end, the largest end up to here, what lies there), sorted.
    pieces: Vec<(u64, u64, u64, u64)>,
}

impl Ranges {
    fn new(pieces: Vec<(u64, u64, u64)>) -> Self {
        let mut pieces: Vec<_> = pieces
            .into_iter()
            // What the linker threw away begins at 0 or at the very end.
            .filter(|(begin, end, _)| *begin != 0 && begin < end)
            .map(|(begin, end, what)| (begin, end, 0, what))
            .collect();
        pieces.sort_unstable();
        let mut reach = 0;
        for piece in &mut pieces {
            reach = reach.max(piece.1);
            piece.2 = reach;
        }
        Self { pieces }
    }

    /// What begins last of all that contains `address`.
    fn at(&self, address: u64) -> Option<u64> {
        let behind = self.pieces.partition_point(|piece| piece.0 <= address);
        self.pieces[..behind]
            .iter()
            .rev()
            .take(MOST_STEPS)
            .take_while(|piece| piece.2 > address)
            .find(|piece| piece.1 > address)
            .map(|piece| piece.3)
    }
}

#[cfg(test)]
mod tests {
    use super::Ranges;

    #[test]
    fn the_innermost_range_counts() {
        let ranges = Ranges::new(vec![
            (0x100, 0x200, 1),
            (0x120, 0x130, 2),
            (0, 0x1000, 3),
            (0x300, 0x300, 4),
        ]);
        for (address, what) in [
            (0xff, None),
            (0x100, Some(1)),
            (0x125, Some(2)),
            (0x130, Some(1)),
            (0x200, None),
            (0x300, None),
        ] {
            assert_eq!(ranges.at(address), what, "{address:#x}");
        }
    }
}
