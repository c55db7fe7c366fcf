//! The language of rules: one rule a line.

use core::fmt;

use super::ByName;
use super::Layer;
use super::Part;
use crate::Class;

/// The longest pattern, in bytes.
const LONGEST: usize = 1000;

/// How a rule begins.
const BEGINNINGS: [&str; 10] = [
    "function",
    "c",
    "rust",
    "module",
    "source",
    "python",
    "python-file",
    "runtime",
    "keep",
    "class",
];

/// What may be kept: everything but a runtime.
const PARTS: [&str; 7] = [
    "function",
    "c",
    "rust",
    "module",
    "source",
    "python",
    "python-file",
];

/// What a class can be told by.
const BY: [&str; 6] = [
    "word",
    "function",
    "python",
    "name",
    "under",
    "python-under",
];

/// The classes, as the JSON report calls them.
const CLASSES: [(&str, Class); 8] = [
    ("destructor", Class::Destructor),
    ("cache", Class::Cache),
    ("program_cache", Class::ProgramCache),
    ("pool", Class::Pool),
    ("static_teardown", Class::StaticTeardown),
    ("interpreter", Class::Interpreter),
    ("explicit", Class::Explicit),
    ("other", Class::Other),
];

/// A line that is no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The word that is not known, where that is what is wrong,
    pub word: Option<String>,
    /// and the words that would be.
    pub known: Vec<&'static str>,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for RuleError {}

/// Reads a text of rules.
pub(super) fn layer(text: &str) -> Result<Layer, RuleError> {
    let mut layer = Layer::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = Words {
            line,
            number,
            at: 0,
        };
        if let Some(at) = line.find(|c: char| c.is_control() && c != '\t') {
            return Err(words.error(at, "there is a control character in this line"));
        }
        rule(&mut words, &mut layer)?;
    }
    Ok(layer)
}

fn rule(words: &mut Words<'_>, layer: &mut Layer) -> Result<(), RuleError> {
    let Some((at, first)) = words.next() else {
        return Ok(());
    };
    match first {
        "class" => {
            let (at, name) = words.needed(&CLASSES.map(|(name, _)| name))?;
            let Some((_, class)) = CLASSES.iter().find(|(known, _)| *known == name) else {
                return Err(words.unknown(at, name, &CLASSES.map(|(known, _)| known)));
            };
            let (at, by) = words.needed(&BY)?;
            let pattern = words.pattern()?.to_owned();
            layer.classes.push((
                *class,
                match by {
                    "word" => ByName::Word(pattern.to_lowercase()),
                    "function" => ByName::Function(pattern),
                    "python" => ByName::Python(pattern),
                    "name" => ByName::Name(pattern),
                    "under" => ByName::Under(pattern),
                    "python-under" => ByName::PythonUnder(pattern),
                    _ => return Err(words.unknown(at, by, &BY)),
                },
            ));
        }
        "keep" => {
            let (at, kind) = words.needed(&PARTS)?;
            let Some(part) = part(kind) else {
                return Err(words.unknown(at, kind, &PARTS));
            };
            let pattern = words.pattern()?;
            layer.kept.of(part).add(pattern);
        }
        "runtime" => {
            let pattern = words.telling_pattern()?;
            layer.runtimes.add(pattern);
        }
        kind => {
            let Some(part) = part(kind) else {
                return Err(words.unknown(at, kind, &BEGINNINGS));
            };
            let pattern = words.telling_pattern()?;
            layer.machinery.of(part).add(pattern);
        }
    }
    Ok(())
}

fn part(word: &str) -> Option<Part> {
    Some(match word {
        "function" => Part::Function,
        "c" => Part::C,
        "rust" => Part::Rust,
        "module" => Part::Module,
        "source" => Part::Source,
        "python" => Part::Python,
        "python-file" => Part::PythonFile,
        _ => return None,
    })
}

/// A line, and how far it has been read.
struct Words<'line> {
    line: &'line str,
    number: usize,
    at: usize,
}

impl<'line> Words<'line> {
    /// What is left of the line without the space before it, and where it is. A comment begins the line, or follows
    /// a space.
    fn rest(&self) -> (usize, &'line str) {
        let rest = &self.line[self.at..];
        let at = self.at + (rest.len() - rest.trim_start().len());
        let rest = rest.trim_start();
        if rest.starts_with('#') {
            return (at, "");
        }
        let comment = rest
            .match_indices('#')
            .find(|(hash, _)| rest[..*hash].ends_with([' ', '\t']));
        let end = comment.map_or(rest.len(), |(hash, _)| hash);
        (at, rest[..end].trim_end())
    }

    fn next(&mut self) -> Option<(usize, &'line str)> {
        let (at, rest) = self.rest();
        let word = rest.split_whitespace().next()?;
        self.at = at + word.len();
        Some((at, word))
    }

    fn needed(&mut self, known: &[&'static str]) -> Result<(usize, &'line str), RuleError> {
        let (at, _) = self.rest();
        let missing = || self.error(at, format!("one of {} is missing here", known.join(", ")));
        let error = missing();
        self.next().ok_or(error)
    }

    /// The rest of the line.
    fn pattern(&self) -> Result<&'line str, RuleError> {
        let (at, pattern) = self.rest();
        if pattern.is_empty() {
            return Err(self.error(at, "the pattern is missing"));
        }
        if pattern.len() > LONGEST {
            return Err(self.error(at, format!("a pattern has at most {LONGEST} bytes")));
        }
        Ok(pattern)
    }

    /// The rest of the line, which must not fit everything: then nobody would be left to be named.
    fn telling_pattern(&self) -> Result<&'line str, RuleError> {
        let pattern = self.pattern()?;
        if pattern.bytes().all(|byte| byte == b'*') {
            let (at, _) = self.rest();
            return Err(self.error(at, format!("`{pattern}` fits everything")));
        }
        Ok(pattern)
    }

    fn error(&self, at: usize, message: impl Into<String>) -> RuleError {
        RuleError {
            line: self.number,
            column: at + 1,
            message: message.into(),
            word: None,
            known: Vec::new(),
        }
    }

    fn unknown(&self, at: usize, word: &str, known: &[&'static str]) -> RuleError {
        RuleError {
            word: Some(word.to_owned()),
            known: known.to_vec(),
            ..self.error(at, format!("`{word}` is not known here"))
        }
    }
}
