//! One file of the host on disk: what does it call an address? Asks what is known already, then the files.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use whofreed_trace::Module;

use crate::answers::Answers;
use crate::answers::Asked;
use crate::call_sites::Callee;
use crate::call_sites::Function;
use crate::call_sites::TailCall;
use crate::demangle::readable;
use crate::kept;
use crate::kept::Store;
use crate::reader::Reader;
use crate::sources::Sources;

/// One function at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) function: Option<Arc<str>>,
    pub(crate) file: Option<Arc<str>>,
    pub(crate) line: u32,
}

/// A module of a trace. Nothing but headers is read before the first address is asked for.
pub(crate) struct Binary {
    module: Module,
    /// `None` where there is no file with names.
    reader: Option<Reader>,
    answers: Mutex<Answers>,
    /// Names that were made readable, by what they were.
    readable: Mutex<HashMap<Arc<str>, Arc<str>>>,
    /// What a reader should know: of the files, and later of what they were asked in vain.
    notes: Mutex<Vec<String>>,
    /// What to say when an answer is missing that only the file could give.
    if_asked: Mutex<Option<String>>,
}

impl Binary {
    /// Finds the files for `module`, recorded from `started_at_ns` on, and what `store` has kept of it.
    pub(crate) fn open(module: &Module, started_at_ns: u64, store: Option<&dyn Store>) -> Self {
        let mut binary = Self {
            module: module.clone(),
            reader: None,
            answers: Mutex::default(),
            readable: Mutex::default(),
            notes: Mutex::default(),
            if_asked: Mutex::default(),
        };
        // The kernel's own module and other pieces of memory have no file, and nobody misses it.
        if !Path::new(&module.path).is_absolute() {
            return binary;
        }
        let mut notes = Vec::new();
        match Sources::find(module, started_at_ns, &mut notes) {
            Ok(sources) => {
                let kept = store.and_then(|store| kept::read(store, module, Some(&sources.stamp)));
                binary.answers = Mutex::new(kept.unwrap_or_default());
                binary.reader = Some(Reader::new(sources));
            }
            Err(why) => {
                let why = format!("{} {why}", module.path);
                match store.and_then(|store| kept::read(store, module, None)) {
                    Some(kept) => {
                        binary.answers = Mutex::new(kept);
                        binary.if_asked = Mutex::new(Some(why));
                    }
                    None => notes.push(why),
                }
            }
        }
        binary.notes = Mutex::new(notes);
        binary
    }

    /// Keeps what is new of the answers.
    pub(crate) fn keep(&self, store: &dyn Store) {
        let answers = lock(&self.answers);
        let Some(reader) = self.reader.as_ref().filter(|_| answers.have_new()) else {
            return;
        };
        if kept::can_be_kept(&self.module) && reader.is_sound() {
            kept::write(store, &self.module, &reader.sources().stamp, &answers);
        }
    }

    /// What a reader should know that was not taken before.
    pub(crate) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.notes))
    }

    /// What `address` (of the file, not of the process) is: the functions inlined there, innermost first, and
    /// last the function they were inlined into. Never empty.
    pub(crate) fn lines(&self, address: u64) -> Vec<Line> {
        let lines = self.ask(
            |answers| &mut answers.lines,
            address,
            |reader| {
                let lines = reader.lines(address);
                lock(&self.answers).interned(lines)
            },
        );
        if lines.is_empty() {
            lock(&self.notes).extend(lock(&self.if_asked).take());
            return vec![Line::default()];
        }
        let lines = lines.iter().map(|raw| Line {
            function: raw.function.as_ref().map(|name| self.readable(name)),
            file: raw.file.clone(),
            line: raw.line,
        });
        lines.collect()
    }

    fn readable(&self, raw: &Arc<str>) -> Arc<str> {
        let known = lock(&self.readable).get(raw).cloned();
        known.unwrap_or_else(|| {
            let name: Arc<str> = Arc::from(readable(raw));
            lock(&self.readable).insert(Arc::clone(raw), Arc::clone(&name));
            name
        })
    }

    /// How many bytes of debug information there are, about.
    pub(crate) fn weight(&self) -> u64 {
        let sources = self.reader.as_ref().map(Reader::sources);
        let file = sources.and_then(|s| Some(&s.dwarf.as_ref()?.0));
        file.and_then(|file| file.metadata().ok())
            .map_or(0, |about| about.len())
    }

    /// The name of the symbol at `address`, mangled.
    pub(crate) fn symbol_at(&self, address: u64) -> Option<Arc<str>> {
        self.ask(
            |answers| &mut answers.symbols,
            address,
            |reader| reader.symbol_at(address),
        )
    }

    /// What was called where `address` is the one to return to; `None` where nothing or not enough is known of it,
    /// as of a call through a pointer.
    pub(crate) fn callee(&self, address: u64) -> Option<Callee> {
        self.ask_of_calls(
            |answers| &mut answers.callees,
            address,
            |reader| reader.callee(address),
        )
    }

    /// What a tail call leads to; `None` where it may lead anywhere.
    pub(crate) fn jumped_to(&self, jump: &TailCall) -> Option<Callee> {
        let of_code = |behind| {
            self.ask_of_calls(
                |answers| &mut answers.called_by_code,
                behind,
                |reader| reader.called_by_code(behind),
            )
        };
        jump.callee.clone().or_else(|| of_code(jump.behind?))
    }

    /// The function whose code is at `address`.
    pub(crate) fn function_at(&self, address: u64) -> Option<Arc<Function>> {
        self.ask_of_calls(
            |answers| &mut answers.functions,
            address,
            |reader| reader.function_at(address),
        )
    }

    /// The code of `callee`, in the unit that declares it or the one that calls it: several functions, where the
    /// compiler made copies.
    pub(crate) fn definitions(&self, callee: &Callee) -> Arc<[Arc<Function>]> {
        self.ask_of_calls(
            |answers| &mut answers.definitions,
            (callee.root, callee.unit),
            |reader| reader.definitions(callee),
        )
    }

    /// The file and line where `callee` is declared.
    pub(crate) fn declared_at(&self, callee: &Callee) -> Option<(Arc<str>, u32)> {
        self.ask_of_calls(
            |answers| &mut answers.declared,
            callee.root,
            |reader| reader.declared_at(callee),
        )
    }

    /// The function that others know by the mangled name `symbol`.
    pub(crate) fn named(&self, symbol: &Arc<str>) -> Option<Arc<Function>> {
        self.ask_of_calls(
            |answers| &mut answers.named,
            Arc::clone(symbol),
            |reader| reader.named(symbol),
        )
    }

    /// Whether the module takes the function with the mangled name `symbol` from another one.
    pub(crate) fn imports(&self, symbol: &Arc<str>) -> bool {
        self.ask(
            |answers| &mut answers.imports,
            Arc::clone(symbol),
            |reader| reader.imports(symbol),
        )
    }

    fn ask_of_calls<K: Hash + Eq, V: Clone + Default>(
        &self,
        of: impl Fn(&mut Answers) -> &mut Asked<K, V>,
        question: K,
        read: impl FnOnce(&Reader) -> V,
    ) -> V {
        // Nothing is told of calls without debug information, and that needs not be remembered.
        match &self.reader {
            Some(reader) if reader.sources().dwarf.is_none() => V::default(),
            _ => self.ask(of, question, read),
        }
    }

    /// The answer that is known, or that of the files.
    fn ask<K: Hash + Eq, V: Clone + Default>(
        &self,
        of: impl Fn(&mut Answers) -> &mut Asked<K, V>,
        question: K,
        read: impl FnOnce(&Reader) -> V,
    ) -> V {
        if let Some(answer) = of(&mut lock(&self.answers)).get(&question) {
            return answer.clone();
        }
        let Some(reader) = &self.reader else {
            return V::default();
        };
        // Not under the lock: the files have their own, and other questions go on.
        let answer = read(reader);
        of(&mut lock(&self.answers)).insert(question, answer.clone());
        answer
    }
}

/// Nothing that panics is done under a lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
