//! One file of the host on disk: is it still the one that was recorded, and what does it call an address?

use std::cell::OnceCell;
use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use addr2line::Loader;
use object::Object;
use object::ObjectSymbol;
use object::read::ReadCache;
use whofreed_trace::Module;

use crate::call_sites::CallSites;
use crate::debug_files;
use crate::debug_files::open_regular;
use crate::demangle::capped;
use crate::demangle::is_mangled;
use crate::demangle::readable;
use crate::symbol_table::Elf;
use crate::symbol_table::SymbolTable;

/// One function at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) function: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: u32,
}

/// A name as the file has it, before it is made readable.
#[derive(Debug, Default)]
struct RawLine {
    function: Option<String>,
    file: Option<String>,
    line: u32,
}

/// Where the names of a module come from. Nothing but headers is read before the first address is asked for.
pub(crate) struct Binary {
    /// The file with DWARF, and the one with what several files share.
    dwarf: Option<(PathBuf, Option<PathBuf>)>,
    loader: OnceCell<Option<Loader>>,
    call_sites: OnceCell<Option<CallSites>>,
    /// The files whose symbol table may be used, the best first; the module itself is the last.
    tables: Vec<PathBuf>,
    table: OnceCell<Option<SymbolTable>>,
    /// What the module takes from others.
    imports: OnceCell<HashSet<Vec<u8>>>,
}

impl Binary {
    /// A module without any name.
    fn nameless() -> Self {
        Self {
            dwarf: None,
            loader: OnceCell::new(),
            call_sites: OnceCell::new(),
            tables: Vec::new(),
            table: OnceCell::new(),
            imports: OnceCell::new(),
        }
    }

    /// Finds the files for `module`, recorded from `started_at_ns` on. What a reader should know goes to `notes`.
    pub(crate) fn open(module: &Module, started_at_ns: u64, notes: &mut Vec<String>) -> Self {
        let path = Path::new(&module.path);
        // The kernel's own module and other pieces of memory have no file, and nobody misses it.
        if !path.is_absolute() {
            return Self::nameless();
        }
        match Self::find(path, module, started_at_ns, notes) {
            Ok(binary) => binary,
            Err(why) => {
                notes.push(format!("{} {why}", module.path));
                Self::nameless()
            }
        }
    }

    fn find(
        path: &Path,
        module: &Module,
        started_at_ns: u64,
        notes: &mut Vec<String>,
    ) -> Result<Self, &'static str> {
        let file = open_regular(path).ok_or("cannot be read any more: its frames have no names")?;
        let written = file.metadata().ok().and_then(|about| about.modified().ok());
        let cache = ReadCache::new(file);
        let elf = Elf::parse(&cache)
            .map_err(|_| "is no 64-bit ELF file now: its frames have no names")?;
        let build_id = elf.build_id().ok().flatten().unwrap_or_default();
        if build_id != module.build_id {
            return Err("changed since the recording: its names are not used");
        }
        let started = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(started_at_ns));
        if build_id.is_empty() && started_at_ns != 0 && written > started {
            notes.push(format!(
                "{} has no build id and was written after the recording began: its names may be wrong",
                module.path
            ));
        }

        let separate = debug_files::separate(path, &elf);
        let mut dwarf = debug_files::has_dwarf(&elf)
            .then(|| (path.to_owned(), debug_files::shared(path, &elf)));
        let mut tables = Vec::new();
        if debug_files::has_full_table(&elf) {
            tables.push(path.to_owned());
        }
        if let Some(separate) = &separate {
            let debug_cache = ReadCache::new(open_regular(separate).ok_or("cannot be read")?);
            if let Ok(debug) = Elf::parse(&debug_cache) {
                if dwarf.is_none() && debug_files::has_dwarf(&debug) {
                    dwarf = Some((separate.clone(), debug_files::shared(separate, &debug)));
                }
                if debug_files::has_full_table(&debug) {
                    tables.push(separate.clone());
                }
            }
        }
        tables.push(path.to_owned());
        Ok(Self {
            dwarf,
            tables,
            ..Self::nameless()
        })
    }

    /// What `address` (of the file, not of the process) is: the functions inlined there, innermost first, and
    /// last the function they were inlined into. Never empty.
    pub(crate) fn lines(&self, address: u64) -> Vec<Line> {
        let mut lines = self.dwarf_lines(address);
        if lines.is_empty() {
            lines.push(RawLine::default());
        }
        if let Some(physical) = lines.last_mut() {
            self.improve(physical, address);
        }
        lines
            .into_iter()
            .map(|raw| Line {
                function: raw.function.as_deref().map(readable),
                file: raw.file,
                line: raw.line,
            })
            .collect()
    }

    /// Takes the name from the symbol table where DWARF has none, or only the last word of it.
    fn improve(&self, physical: &mut RawLine, address: u64) {
        let known = physical.function.as_deref();
        if known.is_some_and(is_mangled) {
            return;
        }
        let Some(symbol) = self.symbols().and_then(|table| table.name_at(address)) else {
            return;
        };
        let better =
            known.is_none_or(|known| is_mangled(&symbol) && readable(&symbol).contains(known));
        if better {
            physical.function = Some(symbol);
        }
    }

    /// What debug information tells of calls; `None` where there is none.
    pub(crate) fn call_sites(&self) -> Option<&CallSites> {
        self.call_sites
            .get_or_init(|| CallSites::open(&self.dwarf.as_ref()?.0, self.tables.last()?))
            .as_ref()
    }

    /// The name of the symbol at `address`, mangled.
    pub(crate) fn symbol_at(&self, address: u64) -> Option<String> {
        self.symbols()?.name_at(address)
    }

    /// Where the function is that others know by the mangled name `symbol`.
    pub(crate) fn address_of(&self, symbol: &str) -> Option<u64> {
        self.symbols()?.address_of(symbol)
    }

    /// Whether the module takes the function with the mangled name `symbol` from another one.
    pub(crate) fn imports(&self, symbol: &str) -> bool {
        let imports = self
            .imports
            .get_or_init(|| self.read_imports().unwrap_or_default());
        imports.contains(symbol.as_bytes())
    }

    fn read_imports(&self) -> Option<HashSet<Vec<u8>>> {
        let cache = ReadCache::new(open_regular(self.tables.last()?)?);
        let elf = Elf::parse(&cache).ok()?;
        let undefined = elf.dynamic_symbols().filter(|s| s.is_undefined());
        let names = undefined.filter_map(|symbol| Some(symbol.name_bytes().ok()?.to_vec()));
        Some(names.collect())
    }

    fn symbols(&self) -> Option<&SymbolTable> {
        self.table
            .get_or_init(|| {
                self.tables.iter().find_map(|path| {
                    let cache = ReadCache::new(open_regular(path)?);
                    let elf = Elf::parse(&cache).ok()?;
                    SymbolTable::read(&elf, open_regular(path)?).filter(|table| !table.is_empty())
                })
            })
            .as_ref()
    }

    fn dwarf_lines(&self, address: u64) -> Vec<RawLine> {
        let loader = self.loader.get_or_init(|| {
            let (path, shared) = self.dwarf.as_ref()?;
            // Debug information is a program's largest and least tested input; a broken one costs its lines,
            // not the report.
            catch_unwind(|| Loader::new_with_sup(path, shared.as_ref()).ok()).ok()?
        });
        let Some(loader) = loader else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        let _ = catch_unwind(AssertUnwindSafe(|| collect(loader, address, &mut lines)));
        lines
    }
}

/// All functions at `address`; what was found before an error counts.
fn collect(loader: &Loader, address: u64, lines: &mut Vec<RawLine>) {
    let Ok(mut frames) = loader.find_frames(address) else {
        return;
    };
    while let Ok(Some(frame)) = frames.next() {
        let function = frame
            .function
            .as_ref()
            .and_then(|function| function.raw_name().ok())
            .filter(|name| !name.is_empty())
            .map(|name| name.into_owned());
        let (file, line) = frame
            .location
            .map_or((None, None), |location| (location.file, location.line));
        lines.push(RawLine {
            function,
            // Code that no source line stands for is put into files with such names.
            file: file
                .filter(|file| !file.is_empty() && !file.ends_with('>'))
                .map(|file| capped(file).to_owned()),
            line: line.unwrap_or(0),
        });
    }
}
