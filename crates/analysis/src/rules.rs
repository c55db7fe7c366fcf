//! Which frames name nobody, and what sort of code a culprit is: rules about names, as data.
//!
//! The layers between the code that frees and the hooked allocator are machinery. The rules that come along are those of
//! `rules/default.rules` and of the shipped adapters; whoever calls can add others, which go first.

mod parse;
mod pattern;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Trace;

pub use parse::RuleError;

use crate::Class;
use crate::names::bare_name;
use crate::names::has_word;
use pattern::Patterns;
pub(crate) use pattern::fits;

/// The rules for every host.
const DEFAULT: &str = include_str!("../rules/default.rules");

/// The shipped adapters, of which only the rules matter here.
const ADAPTERS: [(&str, &str); 6] = [
    ("tt-metal", include_str!("../../../adapters/tt-metal.toml")),
    ("opencl", include_str!("../../../adapters/opencl.toml")),
    ("vulkan", include_str!("../../../adapters/vulkan.toml")),
    ("cuda", include_str!("../../../adapters/cuda.toml")),
    ("hip", include_str!("../../../adapters/hip.toml")),
    (
        "level-zero",
        include_str!("../../../adapters/level-zero.toml"),
    ),
];

/// Rules in layers: the last layer that says something about a frame counts.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    layers: Vec<Layer>,
}

/// The rules of one text.
#[derive(Clone, Debug, Default)]
struct Layer {
    machinery: Parts,
    kept: Parts,
    /// Libraries whose operations allocate on behalf of their caller.
    runtimes: Patterns,
    classes: Vec<(Class, ByName)>,
}

/// What of a frame a pattern is compared with.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// The name of a native function, without return type, parameters and template arguments.
    Function,
    /// The same of a C function: one whose name has no parameters.
    C,
    /// The same of a Rust function: one of a Rust source, or of an unknown one.
    Rust,
    /// The file name of the module of a native frame.
    Module,
    /// The path of a native source file.
    Source,
    /// The qualified name of a Python function.
    Python,
    /// The path of a Python file.
    PythonFile,
}

/// Patterns for every part.
#[derive(Clone, Debug, Default)]
struct Parts {
    function: Patterns,
    c: Patterns,
    rust: Patterns,
    module: Patterns,
    source: Patterns,
    python: Patterns,
    python_file: Patterns,
}

impl Parts {
    fn of(&mut self, part: Part) -> &mut Patterns {
        match part {
            Part::Function => &mut self.function,
            Part::C => &mut self.c,
            Part::Rust => &mut self.rust,
            Part::Module => &mut self.module,
            Part::Source => &mut self.source,
            Part::Python => &mut self.python,
            Part::PythonFile => &mut self.python_file,
        }
    }

    fn fit(&self, frame: &Frame, bare: &str) -> bool {
        let file = frame.file.as_deref().unwrap_or("");
        match frame.language {
            Language::Native => {
                let is_c = || frame.function.as_deref() == Some(bare);
                let is_rust = || file.is_empty() || file.ends_with(".rs");
                self.function.fit(bare)
                    || self.c.fit(bare) && is_c()
                    || self.rust.fit(bare) && is_rust()
                    || self.module.fit(module_name(frame))
                    || self.source.fit(file)
            }
            Language::Python => {
                let function = frame.function.as_deref().unwrap_or("");
                self.python.fit(function) || self.python_file.fit(file)
            }
        }
    }
}

/// How a class is told.
#[derive(Clone, Debug)]
enum ByName {
    /// A word in the name, without what stands in brackets: an argument is not what the code is.
    Word(String),
    /// The name of a native function, likewise.
    Function(String),
    /// The qualified name of a Python function.
    Python(String),
    /// The whole name.
    Name(String),
    /// A function anywhere in the stack.
    Under(String),
    /// A function anywhere in the stack below a Python function.
    PythonUnder(String),
}

impl Rules {
    /// Reads rules, one a line.
    ///
    /// # Errors
    /// [`RuleError`], at the first line that is no rule.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Ok(Self {
            layers: vec![parse::layer(text)?],
        })
    }

    /// The rules that come along, with those of all shipped adapters.
    pub fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<Rules> = OnceLock::new();
        SHIPPED.get_or_init(|| {
            let adapters = ADAPTERS.iter().map(|(_, adapter)| carried(adapter));
            Self::trusted(adapters.collect())
        })
    }

    /// The rules that come along, with those of the shipped adapters that `traces` were recorded with. Where no trace
    /// names an adapter at all, with those of all: the host may wrap any runtime.
    #[must_use]
    pub fn of<E>(traces: &[Trace<E>]) -> Self {
        let named = traces.iter().flat_map(|trace| &trace.process.adapters);
        let named: BTreeSet<&str> = named.map(String::as_str).collect();
        if named.is_empty() {
            return Self::shipped().clone();
        }
        let adapters = ADAPTERS.iter().filter(|(name, _)| named.contains(name));
        Self::trusted(adapters.map(|(_, adapter)| carried(adapter)).collect())
    }

    /// The default rules and `others`. A test reads all that come along, so none is wrong.
    fn trusted(others: Vec<String>) -> Self {
        let texts = std::iter::once(DEFAULT.to_owned()).chain(others);
        Self {
            layers: texts.flat_map(|text| parse::layer(&text)).collect(),
        }
    }

    /// These rules and `others`, which go first.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.layers.extend(others.layers);
        self
    }

    /// The rules that the shipped adapter called `name` carries.
    #[must_use]
    pub fn carried_by(name: &str) -> Vec<String> {
        let adapters = ADAPTERS.iter().filter(|(known, _)| *known == name);
        let rules = adapters.map(|(_, adapter)| carried(adapter));
        rules
            .flat_map(|rules| rules.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// Whether `frame` is machinery.
    pub(crate) fn is_machinery(&self, frame: &Frame) -> bool {
        let bare = bare_name(frame.function.as_deref().unwrap_or(""));
        for layer in self.layers.iter().rev() {
            if layer.kept.fit(frame, &bare) {
                return false;
            }
            if layer.machinery.fit(frame, &bare) {
                return true;
            }
        }
        false
    }

    /// Whether `frame` is code of a runtime's own library.
    pub(crate) fn is_runtime(&self, frame: &Frame) -> bool {
        let module = module_name(frame);
        frame.language == Language::Native
            && self.layers.iter().any(|layer| layer.runtimes.fit(module))
    }

    /// Classes the culprit that `site` names, whose excess free had `stack`.
    pub(crate) fn class(&self, site: &Frame, stack: &[Frame]) -> Class {
        let Some(function) = site.function.as_deref() else {
            return Class::Other;
        };
        let is_python = site.language == Language::Python;
        let bare = bare_name(function);
        let lower = bare.to_lowercase();
        let stack: Vec<String> = stack
            .iter()
            .filter_map(|frame| frame.function.as_deref())
            .map(bare_name)
            .collect();
        let under = |pattern: &str| stack.iter().any(|name| fits(pattern, name));
        let is_told = |by: &ByName| match by {
            ByName::Word(word) => has_word(&lower, word),
            ByName::Function(pattern) => !is_python && fits(pattern, &bare),
            ByName::Python(pattern) => is_python && fits(pattern, function),
            ByName::Name(pattern) => fits(pattern, function),
            ByName::Under(pattern) => under(pattern),
            ByName::PythonUnder(pattern) => is_python && under(pattern),
        };
        let layers = self.layers.iter().rev();
        let mut rules = layers.flat_map(|layer| &layer.classes);
        let told = rules.find(|(_, by)| is_told(by));
        told.map_or(Class::Other, |(class, _)| *class)
    }
}

fn module_name(frame: &Frame) -> &str {
    frame.module.rsplit('/').next().unwrap_or("")
}

/// The rules in the text of a shipped adapter, one a line. It is our own text, written in one way; what reads the
/// adapters of others has no place in a host. `whofreed-cli` has a test that both find the same.
fn carried(adapter: &str) -> String {
    let lines = adapter.lines().map(str::trim);
    let listed = lines
        .skip_while(|line| *line != "machinery = [")
        .skip(1)
        .take_while(|line| *line != "]");
    let rule = |line: &'_ str| -> Option<String> {
        let rest = line.strip_prefix('"')?;
        Some(format!("{}\n", &rest[..rest.rfind('"')?]))
    };
    listed.filter_map(rule).collect()
}

#[cfg(test)]
mod tests;
