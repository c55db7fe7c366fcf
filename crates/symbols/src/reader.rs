//! What the files of a module say, each opened when it is first needed. Nothing is remembered here but the files.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use addr2line::Loader;
use object::Object;
use object::ObjectSymbol;
use object::read::ReadCache;

use crate::answers::RawLine;
use crate::call_sites::CallSites;
use crate::call_sites::Callee;
use crate::call_sites::Function;
use crate::debug_files::open_regular;
use crate::demangle::capped;
use crate::demangle::is_mangled;
use crate::demangle::readable;
use crate::sources::Sources;
use crate::symbol_table::Elf;
use crate::symbol_table::SymbolTable;

/// `None` is not opened yet, `Some(None)` could not be.
type Opened<T> = Mutex<Option<Option<T>>>;

/// The files of one module. Lines, call sites and symbols are read independently, also by several threads.
pub(crate) struct Reader {
    sources: Sources,
    loader: Opened<Loader>,
    call_sites: Opened<CallSites>,
    table: OnceLock<Option<SymbolTable>>,
    /// What the module takes from others.
    imports: OnceLock<HashSet<Vec<u8>>>,
    /// Whether something that is there could not be read: it may be another time.
    is_broken: AtomicBool,
}

impl Reader {
    pub(crate) fn new(sources: Sources) -> Self {
        Self {
            sources,
            loader: Opened::default(),
            call_sites: Opened::default(),
            table: OnceLock::new(),
            imports: OnceLock::new(),
            is_broken: AtomicBool::new(false),
        }
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether all that was said follows from the files of the stamp, so that it may be said again without them.
    pub(crate) fn is_sound(&self) -> bool {
        let has_dwarf = self.sources.dwarf.is_some();
        let is_whole = !has_dwarf || self.with_call_sites(CallSites::is_split) == Some(false);
        is_whole && !self.is_broken.load(Ordering::Relaxed)
    }

    /// The functions at `address`: those inlined there, innermost first, and last the one they were inlined into. Never
    /// empty.
    pub(crate) fn lines(&self, address: u64) -> Vec<RawLine> {
        let mut lines = self.dwarf_lines(address);
        if lines.is_empty() {
            lines.push(RawLine::default());
        }
        if let Some(physical) = lines.last_mut() {
            self.improve(physical, address);
        }
        lines
    }

    /// Takes the name from the symbol table where DWARF has none, or only the last word of it.
    fn improve(&self, physical: &mut RawLine, address: u64) {
        let known = physical.function.as_deref();
        if known.is_some_and(is_mangled) {
            return;
        }
        let Some(symbol) = self.symbol_at(address) else {
            return;
        };
        let better =
            known.is_none_or(|known| is_mangled(&symbol) && readable(&symbol).contains(known));
        if better {
            physical.function = Some(symbol);
        }
    }

    fn dwarf_lines(&self, address: u64) -> Vec<RawLine> {
        let Some((path, shared)) = &self.sources.dwarf else {
            return Vec::new();
        };
        // Debug information is a program's largest and least tested input; a broken one costs its lines, not the
        // report.
        let open = || catch_unwind(|| Loader::new_with_sup(path, shared.as_ref()).ok()).ok()?;
        let lines = self.with(&self.loader, open, |loader| {
            let mut lines = Vec::new();
            let read = AssertUnwindSafe(|| collect(loader, address, &mut lines));
            if catch_unwind(read).is_err() {
                self.is_broken.store(true, Ordering::Relaxed);
            }
            lines
        });
        lines.unwrap_or_default()
    }

    /// The name of the symbol at `address`, mangled.
    pub(crate) fn symbol_at(&self, address: u64) -> Option<Arc<str>> {
        self.symbols()?.name_at(address).map(Arc::from)
    }

    /// What was called where `address` is the one to return to.
    pub(crate) fn callee(&self, address: u64) -> Option<Callee> {
        self.with_call_sites(|sites| sites.callee(address))?
    }

    /// What the instruction before `behind` calls or jumps to.
    pub(crate) fn called_by_code(&self, behind: u64) -> Option<Callee> {
        self.with_call_sites(|sites| sites.called_by_code(behind))?
    }

    /// The function whose code is at `address`.
    pub(crate) fn function_at(&self, address: u64) -> Option<Arc<Function>> {
        self.with_call_sites(|sites| sites.function_at(address))?
    }

    /// The code of `callee`.
    pub(crate) fn definitions(&self, callee: &Callee) -> Arc<[Arc<Function>]> {
        let found = self.with_call_sites(|sites| sites.definitions(callee));
        found.unwrap_or_default().into()
    }

    /// The file and line where `callee` is declared.
    pub(crate) fn declared_at(&self, callee: &Callee) -> Option<(Arc<str>, u32)> {
        let (file, line) = self.with_call_sites(|sites| sites.declared_at(callee))??;
        Some((Arc::from(file), line))
    }

    /// The function that others know by the mangled name `symbol`.
    pub(crate) fn named(&self, symbol: &str) -> Option<Arc<Function>> {
        // A file without call sites tells nothing about the function, so its symbols are not read.
        self.with_call_sites(|_| ())?;
        let address = self.symbols()?.address_of(symbol)?;
        let function = self.function_at(address)?;
        (function.entry == address).then_some(function)
    }

    /// Whether the module takes the function with the mangled name `symbol` from another one.
    pub(crate) fn imports(&self, symbol: &str) -> bool {
        let imports = self.imports.get_or_init(|| {
            let read = self.read_imports();
            self.doubt(read.is_none());
            read.unwrap_or_default()
        });
        imports.contains(symbol.as_bytes())
    }

    fn read_imports(&self) -> Option<HashSet<Vec<u8>>> {
        let cache = ReadCache::new(open_regular(self.sources.tables.last()?)?);
        let elf = Elf::parse(&cache).ok()?;
        let undefined = elf.dynamic_symbols().filter(|s| s.is_undefined());
        let names = undefined.filter_map(|symbol| Some(symbol.name_bytes().ok()?.to_vec()));
        Some(names.collect())
    }

    fn symbols(&self) -> Option<&SymbolTable> {
        self.table
            .get_or_init(|| {
                self.sources.tables.iter().find_map(|path| {
                    let Some(file) = open_regular(path) else {
                        self.doubt(true);
                        return None;
                    };
                    let cache = ReadCache::new(file);
                    let elf = Elf::parse(&cache).ok()?;
                    SymbolTable::read(&elf, open_regular(path)?).filter(|table| !table.is_empty())
                })
            })
            .as_ref()
    }

    /// What debug information tells of calls; `None` where there is none.
    fn with_call_sites<R>(&self, ask: impl FnOnce(&CallSites) -> R) -> Option<R> {
        let (path, _) = self.sources.dwarf.as_ref()?;
        let open = || CallSites::open(path, self.sources.tables.last()?);
        self.with(&self.call_sites, open, ask)
    }

    fn with<T, R>(
        &self,
        opened: &Opened<T>,
        open: impl FnOnce() -> Option<T>,
        ask: impl FnOnce(&T) -> R,
    ) -> Option<R> {
        // What panics is caught further in, so nothing is left half done.
        let mut opened = opened.lock().unwrap_or_else(PoisonError::into_inner);
        let opened = opened.get_or_insert_with(|| {
            let opened = open();
            self.doubt(opened.is_none());
            opened
        });
        opened.as_ref().map(ask)
    }

    fn doubt(&self, is_broken: bool) {
        self.is_broken.fetch_or(is_broken, Ordering::Relaxed);
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
            .map(|name| Arc::from(&*name));
        let (file, line) = frame
            .location
            .map_or((None, None), |location| (location.file, location.line));
        lines.push(RawLine {
            function,
            // Code that no source line stands for is put into files with such names.
            file: file
                .filter(|file| !file.is_empty() && !file.ends_with('>'))
                .map(|file| Arc::from(capped(file))),
            line: line.unwrap_or(0),
        });
    }
}
