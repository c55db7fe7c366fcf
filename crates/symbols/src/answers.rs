//! What a module's files have said so far, each question once; as bytes, it can be said again by another process.

mod wire;

use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::call_sites::Callee;
use crate::call_sites::Function;

pub(crate) use wire::Wire;

/// A function as the file has it, before its name is made readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawLine {
    pub(crate) function: Option<Arc<str>>,
    pub(crate) file: Option<Arc<str>>,
    pub(crate) line: u32,
}

/// The answers, by what was asked: see the methods of [`Reader`](crate::reader::Reader) of the same names.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) lines: Asked<u64, Arc<[RawLine]>>,
    pub(crate) symbols: Asked<u64, Option<Arc<str>>>,
    pub(crate) callees: Asked<u64, Option<Callee>>,
    pub(crate) called_by_code: Asked<u64, Option<Callee>>,
    pub(crate) functions: Asked<u64, Option<Arc<Function>>>,
    /// By the root and the unit of a callee.
    pub(crate) definitions: Asked<(u64, u64), Arc<[Arc<Function>]>>,
    /// By the root of a callee.
    pub(crate) declared: Asked<u64, Option<(Arc<str>, u32)>>,
    pub(crate) named: Asked<Arc<str>, Option<Arc<Function>>>,
    pub(crate) imports: Asked<Arc<str>, bool>,
    texts: HashSet<Arc<str>>,
}

/// The answers to one kind of question.
#[derive(Debug)]
pub(crate) struct Asked<K: Hash + Eq, V> {
    told: HashMap<K, V>,
    /// Whether any was not there from the beginning.
    has_new: bool,
}

impl<K: Hash + Eq, V> Default for Asked<K, V> {
    fn default() -> Self {
        Self {
            told: HashMap::new(),
            has_new: false,
        }
    }
}

impl<K: Hash + Eq, V> Asked<K, V> {
    pub(crate) fn get(&self, question: &K) -> Option<&V> {
        self.told.get(question)
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.told.iter()
    }

    pub(crate) fn insert(&mut self, question: K, answer: V) {
        self.has_new = true;
        self.told.insert(question, answer);
    }
}

impl Answers {
    /// Whether there is an answer that was not there from the beginning.
    pub(crate) fn have_new(&self) -> bool {
        self.lines.has_new
            || self.symbols.has_new
            || self.callees.has_new
            || self.called_by_code.has_new
            || self.functions.has_new
            || self.definitions.has_new
            || self.declared.has_new
            || self.named.has_new
            || self.imports.has_new
    }

    /// The same lines, with each text in memory once.
    pub(crate) fn interned(&mut self, lines: Vec<RawLine>) -> Arc<[RawLine]> {
        let texts = &mut self.texts;
        let mut once = |text: Arc<str>| {
            if let Some(known) = texts.get(&text) {
                return Arc::clone(known);
            }
            texts.insert(Arc::clone(&text));
            text
        };
        let lines = lines.into_iter().map(|line| RawLine {
            function: line.function.map(&mut once),
            file: line.file.map(&mut once),
            line: line.line,
        });
        lines.collect()
    }
}
