//! Answers as plain numbers and lists, with each text and each function once.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use super::Answers;
use super::Asked;
use super::RawLine;
use crate::call_sites::Callee;
use crate::call_sites::Function;
use crate::call_sites::TailCall;

/// The number of a text.
type Text = u32;
/// The number of a function.
type Number = u32;

/// All answers about one file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Wire {
    texts: Vec<String>,
    functions: Vec<FunctionOf>,
    lines: BTreeMap<u64, Vec<LineOf>>,
    symbols: BTreeMap<u64, Option<Text>>,
    callees: BTreeMap<u64, Option<CalleeOf>>,
    called_by_code: BTreeMap<u64, Option<CalleeOf>>,
    function_at: BTreeMap<u64, Option<Number>>,
    definitions: BTreeMap<(u64, u64), Vec<Number>>,
    declared: BTreeMap<u64, Option<(Text, u32)>>,
    named: BTreeMap<Text, Option<Number>>,
    imports: BTreeMap<Text, bool>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LineOf(Option<Text>, Option<Text>, u32);

#[derive(Debug, Serialize, Deserialize)]
struct CalleeOf {
    root: u64,
    unit: u64,
    symbol: Option<Text>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FunctionOf {
    callee: CalleeOf,
    entry: u64,
    line: u32,
    is_complete: bool,
    tail_calls: Vec<(u64, Option<u64>, Option<CalleeOf>)>,
}

impl Wire {
    /// Writes the answers down.
    pub(crate) fn of(answers: &Answers) -> Self {
        let mut to = Writer::default();
        // Texts and functions are numbered in the order of questions, so that equal answers are equal bytes.
        let lines = sorted(&answers.lines, |lines| {
            lines.iter().map(|line| to.line(line)).collect()
        });
        let symbols = sorted(&answers.symbols, |symbol| {
            symbol.as_ref().map(|s| to.text(s))
        });
        let callees = sorted(&answers.callees, |callee| {
            callee.as_ref().map(|c| to.callee(c))
        });
        let called_by_code = sorted(&answers.called_by_code, |callee| {
            callee.as_ref().map(|c| to.callee(c))
        });
        let function_at = sorted(&answers.functions, |function| {
            function.as_ref().map(|f| to.function(f))
        });
        let definitions = sorted(&answers.definitions, |copies| {
            copies.iter().map(|copy| to.function(copy)).collect()
        });
        let declared = sorted(&answers.declared, |place| {
            place.as_ref().map(|(file, line)| (to.text(file), *line))
        });
        let named = sorted(&answers.named, |function| {
            function.as_ref().map(|f| to.function(f))
        });
        let named = named.into_iter();
        let named = named.map(|(symbol, of)| (to.text(&symbol), of)).collect();
        let imports = sorted(&answers.imports, |is_import| *is_import).into_iter();
        let imports = imports.map(|(symbol, is)| (to.text(&symbol), is)).collect();
        Self {
            lines,
            symbols,
            callees,
            called_by_code,
            function_at,
            definitions,
            declared,
            named,
            imports,
            functions: to.functions,
            texts: to.texts,
        }
    }

    /// Reads them; `None` where they are at odds with themselves.
    pub(crate) fn answers(self) -> Option<Answers> {
        let texts: Vec<Arc<str>> = self.texts.into_iter().map(Arc::from).collect();
        let from = Texts { texts: &texts };
        let functions = self.functions.into_iter();
        let functions: Option<Vec<Arc<Function>>> =
            functions.map(|f| from.function(f).map(Arc::new)).collect();
        let functions = functions?;
        let function = |number: Number| functions.get(number as usize).cloned();
        Some(Answers {
            lines: asked(self.lines, Some, |lines| {
                lines.into_iter().map(|line| from.line(&line)).collect()
            })?,
            symbols: asked(self.symbols, Some, |symbol| {
                optional(symbol, |s| from.text(s))
            })?,
            callees: asked(self.callees, Some, |callee| {
                optional(callee, |c| from.callee(&c))
            })?,
            called_by_code: asked(self.called_by_code, Some, |callee| {
                optional(callee, |c| from.callee(&c))
            })?,
            functions: asked(self.function_at, Some, |number| optional(number, function))?,
            definitions: asked(self.definitions, Some, |numbers| {
                numbers.into_iter().map(function).collect()
            })?,
            declared: asked(self.declared, Some, |place| {
                optional(place, |(file, line)| Some((from.text(file)?, line)))
            })?,
            named: asked(
                self.named,
                |symbol| from.text(symbol),
                |number| optional(number, function),
            )?,
            imports: asked(self.imports, |symbol| from.text(symbol), Some)?,
            texts: texts.iter().cloned().collect(),
        })
    }
}

fn sorted<K: Hash + Ord + Clone, V, W>(
    asked: &Asked<K, V>,
    mut write: impl FnMut(&V) -> W,
) -> BTreeMap<K, W> {
    let sorted: BTreeMap<&K, &V> = asked.told.iter().collect();
    let written = sorted.into_iter().map(|(k, v)| (k.clone(), write(v)));
    written.collect()
}

fn asked<Q, W, K: Hash + Eq, V>(
    written: BTreeMap<Q, W>,
    mut question: impl FnMut(Q) -> Option<K>,
    mut answer: impl FnMut(W) -> Option<V>,
) -> Option<Asked<K, V>> {
    let pairs = written.into_iter();
    let told: Option<HashMap<K, V>> = pairs
        .map(|(q, written)| Some((question(q)?, answer(written)?)))
        .collect();
    Some(Asked {
        told: told?,
        has_new: false,
    })
}

/// Nothing stays nothing; what is something has to be read.
fn optional<W, V>(written: Option<W>, read: impl FnOnce(W) -> Option<V>) -> Option<Option<V>> {
    match written {
        Some(written) => read(written).map(Some),
        None => Some(None),
    }
}

#[derive(Default)]
struct Writer {
    texts: Vec<String>,
    numbers: HashMap<Arc<str>, Text>,
    functions: Vec<FunctionOf>,
    /// By what tells nearly all functions of one file apart.
    known: HashMap<(u64, u64), Vec<Number>>,
    written: Vec<Arc<Function>>,
}

impl Writer {
    fn text(&mut self, text: &Arc<str>) -> Text {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = self.texts.len() as Text;
        self.texts.push(text.to_string());
        self.numbers.insert(Arc::clone(text), number);
        number
    }

    fn line(&mut self, line: &RawLine) -> LineOf {
        let function = line.function.as_ref().map(|text| self.text(text));
        let file = line.file.as_ref().map(|text| self.text(text));
        LineOf(function, file, line.line)
    }

    fn callee(&mut self, callee: &Callee) -> CalleeOf {
        CalleeOf {
            root: callee.root,
            unit: callee.unit,
            symbol: callee.symbol.as_ref().map(|symbol| self.text(symbol)),
        }
    }

    fn function(&mut self, function: &Arc<Function>) -> Number {
        let alike = self.known.entry((function.entry, function.callee.root));
        let alike = alike.or_default();
        let mut numbers = alike.iter();
        if let Some(number) = numbers.find(|number| self.written[**number as usize] == *function) {
            return *number;
        }
        let number = self.functions.len() as Number;
        alike.push(number);
        self.written.push(Arc::clone(function));
        let tail_calls = function.tail_calls.iter().map(|jump| {
            let callee = jump.callee.as_ref().map(|callee| self.callee(callee));
            (jump.address, jump.behind, callee)
        });
        let tail_calls = tail_calls.collect();
        let written = FunctionOf {
            callee: self.callee(&function.callee),
            entry: function.entry,
            line: function.line,
            is_complete: function.is_complete,
            tail_calls,
        };
        self.functions.push(written);
        number
    }
}

#[derive(Clone, Copy)]
struct Texts<'a> {
    texts: &'a [Arc<str>],
}

impl Texts<'_> {
    fn text(self, number: Text) -> Option<Arc<str>> {
        self.texts.get(number as usize).cloned()
    }

    fn line(self, line: &LineOf) -> Option<RawLine> {
        Some(RawLine {
            function: optional(line.0, |text| self.text(text))?,
            file: optional(line.1, |text| self.text(text))?,
            line: line.2,
        })
    }

    fn callee(self, callee: &CalleeOf) -> Option<Callee> {
        Some(Callee {
            root: callee.root,
            unit: callee.unit,
            symbol: optional(callee.symbol, |text| self.text(text))?,
        })
    }

    fn function(self, function: FunctionOf) -> Option<Function> {
        let tail_calls = function.tail_calls.into_iter();
        let tail_calls: Option<Vec<TailCall>> = tail_calls
            .map(|(address, behind, callee)| {
                Some(TailCall {
                    address,
                    behind,
                    callee: optional(callee, |c| self.callee(&c))?,
                })
            })
            .collect();
        Some(Function {
            callee: self.callee(&function.callee)?,
            entry: function.entry,
            line: function.line,
            is_complete: function.is_complete,
            tail_calls: tail_calls?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_what_is_not_there_are_no_answers() {
        let callee = Callee {
            root: 1,
            unit: 0,
            symbol: None,
        };
        let function = Arc::new(Function {
            callee,
            entry: 2,
            line: 3,
            is_complete: true,
            tail_calls: Vec::new(),
        });
        let mut named = Answers::default();
        named.symbols.insert(1, Some(Arc::from("evict")));
        let mut defined = Answers::default();
        defined.functions.insert(1, Some(function));

        assert!(Wire::of(&named).answers().is_some());
        assert!(Wire::of(&defined).answers().is_some());
        let mut wire = Wire::of(&named);
        wire.texts.clear();
        assert!(wire.answers().is_none());
        let mut wire = Wire::of(&defined);
        wire.functions.clear();
        assert!(wire.answers().is_none());
    }
}
