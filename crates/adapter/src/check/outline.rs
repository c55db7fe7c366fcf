//! What an adapter needs of libraries: the symbols of its hooks, and those that its expressions ask for.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use toml::Spanned;
use toml::Table;
use toml::Value;

use crate::compile::Names;
use crate::compile::resolve;
use crate::error::Error;
use crate::error::Place;
use crate::expression::Expression;
use crate::expression::Operator;
use crate::expression::parse;
use crate::source;
use crate::table;

/// An adapter that was found sound.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) globs: String,
    pub(crate) hooks: Vec<HookOutline>,
}

/// A hook.
#[derive(Debug)]
pub(crate) struct HookOutline {
    pub(crate) event: String,
    pub(crate) line: usize,
    pub(crate) symbols: Vec<String>,
    pub(crate) signature: Option<String>,
    pub(crate) asked: BTreeSet<Asked>,
    /// The linker binds calls to it; else only resolvers lead to it.
    pub(crate) exported: bool,
    /// How the build ids of its libraries may begin; none where any will do.
    pub(crate) build_ids: Vec<String>,
}

/// What an expression of a hook asks of symbols.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    /// The key of the hook.
    pub(crate) key: String,
    /// The expression, `call` for example.
    pub(crate) word: &'static str,
    /// The alternatives, separated by `|`.
    pub(crate) symbols: String,
    pub(crate) need: Need,
}

/// What becomes of an expression whose symbol is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// It never has a value.
    Certain,
    /// It has none where this part of it is evaluated.
    Perhaps,
    /// The second one of a `first` takes its place.
    HasOther,
}

type Definitions = BTreeMap<String, Expression>;

impl Outline {
    /// Checks an adapter as a run would, and tells what it needs.
    pub(crate) fn of(file: &str, text: &str) -> Result<Self, Error> {
        table::compile_adapters(&[(file.to_owned(), text.to_owned())])?;
        let place = Place { file, text };
        let source = source::read(place)?;
        // Whatever keys there are for expressions, they are texts: so those are read once more without a list of keys.
        let plain: Table = toml::from_str(text).map_err(|error| place.error(0, error.message()))?;
        let tables = plain.get("hook").and_then(Value::as_array);
        let shared = definitions(plain.get("define"));
        let parts: Vec<&Value> = plain
            .get("device")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|part| part.get("value"))
            .collect();
        let mut hooks = Vec::new();
        for (index, hook) in source.hook.iter().enumerate() {
            let (line, _) = place.line_and_column(hook.span().start);
            let plain = tables.and_then(|tables| tables.get(index)?.as_table());
            let hook = hook.get_ref();
            hooks.push(HookOutline {
                event: hook.event.get_ref().clone(),
                line,
                symbols: hook.symbols.iter().map(|it| it.get_ref().clone()).collect(),
                exported: hook.export.unwrap_or(true),
                signature: hook.signature.as_ref().map(|it| it.get_ref().clone()),
                build_ids: { hook.build_id.iter().flat_map(Spanned::get_ref) }
                    .map(|id| id.get_ref().clone())
                    .collect(),
                asked: plain.map_or_else(BTreeSet::new, |hook| asked(hook, &shared, &parts)),
            });
        }
        Ok(Self {
            name: source.name.into_inner(),
            file: file.to_owned(),
            globs: source.library.into_inner(),
            hooks,
        })
    }
}

/// What the expressions of a hook ask for, those of the device with them.
fn asked(hook: &Table, shared: &Definitions, parts: &[&Value]) -> BTreeSet<Asked> {
    let own = definitions(hook.get("define"));
    let names = Names {
        hook: &own,
        adapter: shared,
    };
    let mut found = BTreeSet::new();
    let mut look = |key: &str, value: &Value| {
        let Some(text) = value.as_str() else { return };
        // What is no expression was found to be none before.
        if let Ok(resolved) = parse(text)
            .map_err(drop)
            .and_then(|e| resolve(&e, names).map_err(drop))
        {
            walk(&resolved, key, Need::Certain, &mut found);
        }
    };
    for (key, value) in hook {
        match value {
            Value::Array(values) if key == "device" => {
                values.iter().for_each(|value| look(key, value));
            }
            value => look(key, value),
        }
    }
    // An attempt's device is that of its owner, and a resolver has none.
    let event = hook.get("event").and_then(Value::as_str);
    let has_none = matches!(event, Some("attempt" | "resolver"));
    if !hook.contains_key("device") && !has_none {
        parts.iter().for_each(|value| look("device", value));
    }
    found
}

fn definitions(table: Option<&Value>) -> Definitions {
    let entries = table.and_then(Value::as_table).into_iter().flatten();
    entries
        .filter_map(|(name, text)| Some((name.clone(), parse(text.as_str()?).ok()?)))
        .collect()
}

fn walk(expression: &Expression, key: &str, need: Need, found: &mut BTreeSet<Asked>) {
    let mut note = |word, symbols: &str| {
        found.insert(Asked {
            key: key.to_owned(),
            word,
            symbols: symbols.to_owned(),
            need,
        });
    };
    // What stands behind a condition may never be evaluated.
    let behind = need.max(Need::Perhaps);
    match expression {
        Expression::Call(symbols, e) => {
            note("call", symbols);
            walk(e, key, need, found);
        }
        Expression::Symbol(symbols) => note("symbol", symbols),
        Expression::Present(symbols) => note("present", symbols),
        Expression::Load(_, e) | Expression::VirtualCall(_, e) => walk(e, key, need, found),
        Expression::Binary(Operator::Both | Operator::Either, a, b) => {
            walk(a, key, need, found);
            walk(b, key, behind, found);
        }
        Expression::Binary(_, a, b) => {
            walk(a, key, need, found);
            walk(b, key, need, found);
        }
        Expression::Select(condition, a, b) => {
            walk(condition, key, need, found);
            walk(a, key, behind, found);
            walk(b, key, behind, found);
        }
        Expression::First(a, b) => {
            walk(a, key, Need::HasOther, found);
            walk(b, key, behind, found);
        }
        Expression::Argument(_)
        | Expression::Result
        | Expression::Constant(_)
        | Expression::Name(_) => {}
    }
}
