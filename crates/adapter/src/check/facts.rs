//! What a check found, as it is handed to whoever shows it.

use serde::Serialize;

use super::library::Form;

/// The outcome.
#[derive(Debug, Serialize)]
pub struct Check {
    /// The name of this form of JSON.
    pub schema: &'static str,
    /// There is an adapter for the libraries, and every one that is has its allocate and deallocate hooks served.
    pub usable: bool,
    /// The files.
    pub libraries: Vec<LibraryFacts>,
    /// The adapters that fit one of them, or were asked for.
    pub adapters: Vec<AdapterFacts>,
    /// What else the reader should know.
    pub notes: Vec<String>,
}

/// A file.
#[derive(Debug, Serialize)]
pub struct LibraryFacts {
    /// As it was given.
    pub path: String,
    /// What kind of file it is.
    pub form: Form,
    /// What those that link with it know it by.
    pub soname: Option<String>,
    /// The GNU build id, in hex.
    pub build_id: Option<String>,
    /// What of all its functions cannot be seen, and why.
    pub notes: Vec<String>,
}

/// An adapter, held against the libraries.
#[derive(Debug, Serialize)]
pub struct AdapterFacts {
    /// What it calls itself.
    pub name: String,
    /// The file, or the name of a shipped one.
    pub file: String,
    /// The patterns of its libraries.
    pub library: String,
    /// The files that these fit.
    pub fits: Vec<String>,
    /// Whether it would record both what is allocated and what is freed.
    pub usable: bool,
    /// Why not.
    pub why_not: Option<String>,
    /// Programs among the files that define some of its functions themselves.
    pub programs: Vec<OwnFunctions>,
    /// Its hooks, in the order of its text.
    pub hooks: Vec<HookFacts>,
    /// Symbols that expressions of served hooks ask for, and nobody defines.
    pub expressions: Vec<Missing>,
}

/// Functions of an adapter that a program defines itself.
#[derive(Debug, Serialize)]
pub struct OwnFunctions {
    /// The program.
    pub path: String,
    /// Those that it exports: everybody's calls go to them, and none is seen.
    pub exported: Vec<String>,
    /// Those that it has for itself: its own calls are not seen.
    pub inside: Vec<String>,
}

/// A hook.
#[derive(Debug, Serialize)]
pub struct HookFacts {
    /// The event.
    pub event: String,
    /// Where the hook begins.
    pub line: usize,
    /// Whether the linker binds calls to it (`export`).
    pub exported: bool,
    /// The signature, which was checked.
    pub signature: Option<String>,
    /// The first of its symbols that is there and seen, with its version.
    pub served_by: Option<String>,
    /// It is served, and what it cannot do without is there.
    pub observed: bool,
    /// Its symbols, in the order of its text.
    pub symbols: Vec<SymbolFacts>,
}

/// A symbol of a hook.
#[derive(Debug, Serialize)]
pub struct SymbolFacts {
    /// As the adapter has it.
    pub symbol: String,
    /// What came of it.
    pub state: State,
    /// The file that it was found in.
    pub library: Option<String>,
    /// The version of the definition.
    pub version: Option<String>,
    /// How many calls inside its own library are bound without the dynamic linker, where that can be told.
    pub direct_calls: Option<usize>,
    /// What of it cannot be seen, and why.
    pub notes: Vec<String>,
}

/// What came of a symbol; the first is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Calls of it from other files pass the hook.
    Seen,
    /// The hook is not exported: calls through pointers that resolvers hand out pass it.
    Resolved,
    /// The program defines it itself.
    Program,
    /// It is there, in a library of another build than the hook is for.
    OtherBuild,
    /// It is there in other versions only.
    OtherVersion,
    /// It is hidden or local.
    Kept,
    /// It is a thread-local variable.
    ThreadLocal,
    /// It is a variable.
    Data,
    /// It is called, and not defined.
    Imported,
    /// It is not there.
    Missing,
}

/// A symbol that an expression asks for in vain.
#[derive(Debug, Serialize)]
pub struct Missing {
    /// The event of the hook.
    pub event: String,
    /// Where the hook begins.
    pub line: usize,
    /// The key of the expression.
    pub key: String,
    /// How it asks: `call`, `symbol`, `present`.
    pub word: &'static str,
    /// The alternatives.
    pub symbols: Vec<String>,
    /// Without it no call of the hook is an event.
    pub prevents: bool,
    /// What comes of it.
    pub meaning: &'static str,
}

impl SymbolFacts {
    pub(crate) fn missing(symbol: &str) -> Self {
        Self {
            symbol: symbol.to_owned(),
            state: State::Missing,
            library: None,
            version: None,
            direct_calls: None,
            notes: Vec::new(),
        }
    }

    /// `name@VERSION`.
    #[must_use]
    pub fn versioned(&self) -> String {
        let name = self.symbol.split('@').next().unwrap_or_default();
        match &self.version {
            Some(version) => format!("{name}@{version}"),
            None => name.to_owned(),
        }
    }
}
