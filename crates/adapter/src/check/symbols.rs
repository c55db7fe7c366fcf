//! The symbols of hooks in the libraries: which of them is there, and whether its calls can be seen.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::facts::HookFacts;
use super::facts::State;
use super::facts::SymbolFacts;
use super::library::Definition;
use super::library::Form;
use super::library::Kind;
use super::library::Library;
use super::outline::HookOutline;
use crate::table::named;

/// A library with what was worked out once for all symbols.
pub(super) struct Look<'look, 'data> {
    pub(super) path: &'look str,
    pub(super) library: &'look Library<'data>,
    kept: BTreeSet<&'look str>,
    /// By address; `None` where nobody can tell.
    direct_calls: Option<BTreeMap<u64, usize>>,
}

impl<'look, 'data> Look<'look, 'data> {
    pub(super) fn new(
        path: &'look str,
        library: &'look Library<'data>,
        wanted: &BTreeSet<&'look str>,
    ) -> Self {
        let defined = wanted
            .iter()
            .filter_map(|name| library.definitions.get(*name));
        let places: Vec<(u64, u64)> = defined
            .flatten()
            .map(|definition| (definition.address, definition.size))
            .collect();
        Self {
            path,
            library,
            kept: library.kept(wanted),
            direct_calls: library.direct_calls(&places),
        }
    }
}

pub(super) fn hook(hook: &HookOutline, looks: &[Look<'_, '_>]) -> HookFacts {
    let symbols: Vec<SymbolFacts> = hook
        .symbols
        .iter()
        .map(|symbol| {
            let seen = looks.iter().map(|look| symbol_in(symbol, look));
            let seen = seen
                .zip(looks)
                .map(|(facts, look)| of_build(facts, &hook.build_ids, look));
            // The first library that has it; else the one that has most to say.
            seen.min_by_key(|facts| facts.state)
                .unwrap_or_else(|| SymbolFacts::missing(symbol))
        })
        .collect();
    let mut symbols = symbols;
    if !hook.exported {
        { symbols.iter_mut() }
            .filter(|it| it.state == State::Seen)
            .for_each(|it| only_resolved(it, "only pointers that dlsym hands out are seen"));
    }
    let served = symbols.iter().find(|it| it.state == State::Seen);
    HookFacts {
        event: hook.event.clone(),
        exported: hook.exported,
        line: hook.line,
        signature: hook.signature.clone(),
        served_by: served.map(SymbolFacts::versioned),
        observed: false,
        symbols,
    }
}

pub(super) fn symbol_in(symbol: &str, look: &Look<'_, '_>) -> SymbolFacts {
    let (name, version) = named(symbol);
    let mut facts = SymbolFacts::missing(symbol);
    let all = look
        .library
        .definitions
        .get(name)
        .map_or(&[][..], Vec::as_slice);
    let fitting = all.iter().find(|it| match version {
        Some(version) => it.version.as_deref() == Some(version),
        None => it.is_default,
    });
    facts.library = Some(look.path.to_owned());
    let Some(definition) = fitting else {
        if !all.is_empty() {
            let there = all.iter().filter_map(|it| it.version.as_deref());
            facts.state = State::OtherVersion;
            facts.notes.push(match version {
                Some(_) => format!("there only as {}", versions(name, there)),
                None => format!("has no default version, only {}", versions(name, there)),
            });
        } else if look.kept.contains(name) {
            facts.state = State::Kept;
            let note = "hidden, static or local by a version script: only calls inside, which are not seen";
            facts.notes.push(note.to_owned());
        } else if look.library.imports.contains(name) {
            facts.state = State::Imported;
            facts.notes.push("only called here, not defined".to_owned());
        } else {
            facts.library = None;
        }
        return facts;
    };
    facts.version.clone_from(&definition.version);
    facts.state = match (definition.kind, look.library.form) {
        (Kind::ThreadLocal, _) => State::ThreadLocal,
        (Kind::Data, _) => State::Data,
        (_, Form::Program) => State::Program,
        _ => State::Seen,
    };
    match facts.state {
        State::ThreadLocal => facts
            .notes
            .push("a thread-local variable, no function".to_owned()),
        State::Data => facts.notes.push("a variable, no function".to_owned()),
        State::Program => facts.notes.push(
            "defined by the program itself, so calls are bound to it, and not seen".to_owned(),
        ),
        _ => own_calls(&mut facts, name, definition, look),
    }
    facts
}

/// What becomes of a symbol whose hook is for other builds of its library.
fn of_build(mut facts: SymbolFacts, wanted: &[String], look: &Look<'_, '_>) -> SymbolFacts {
    let id = look.library.build_id.as_deref().unwrap_or("");
    let fits = wanted.is_empty() || wanted.iter().any(|wanted| id.starts_with(wanted));
    if !fits && facts.state == State::Seen {
        facts.state = State::OtherBuild;
        facts.notes = vec![format!("the hook is for build id {}", wanted.join(" or "))];
    }
    facts
}

/// What becomes of hooks that are not exported where there is a resolver: it may hand out what nobody exports.
pub(super) fn resolve(hooks: &mut [HookFacts]) {
    let hidden = hooks.iter_mut().filter(|hook| !hook.exported);
    for facts in hidden.flat_map(|hook| &mut hook.symbols) {
        if matches!(
            facts.state,
            State::Resolved | State::Kept | State::Imported | State::Missing
        ) {
            only_resolved(facts, "seen where a resolver or dlsym hands it out");
        }
    }
}

/// A symbol that we do not export: the linker leads nobody to it.
fn only_resolved(facts: &mut SymbolFacts, note: &str) {
    facts.state = State::Resolved;
    facts.notes = vec![note.to_owned()];
}

/// What is said of the calls that a library makes of its own function.
fn own_calls(facts: &mut SymbolFacts, name: &str, definition: &Definition, look: &Look<'_, '_>) {
    if definition.kind == Kind::Chosen {
        let note = "chosen at run time (IFUNC): the hook stands before the choice";
        facts.notes.push(note.to_owned());
    }
    let by_name = look.library.binds_by_name(name, definition);
    let direct = look.direct_calls.as_ref();
    facts.direct_calls = direct.map(|calls| *calls.get(&definition.address).unwrap_or(&0));
    let why = if definition.is_protected {
        "protected: "
    } else if look.library.is_symbolic {
        "-Bsymbolic: "
    } else {
        ""
    };
    match facts.direct_calls {
        Some(0) if why.is_empty() => {}
        Some(0) => facts
            .notes
            .push(format!("{why}its library's own calls would not be seen")),
        Some(1) => facts.notes.push(format!(
            "{why}1 call inside its library is bound directly, and not seen"
        )),
        Some(count) => facts.notes.push(format!(
            "{why}{count} calls inside its library are bound directly, and not seen"
        )),
        None if !by_name => facts.notes.push(format!(
            "{why}its library's own calls, if there are any, are not seen"
        )),
        None => {}
    }
}

fn versions<'text>(name: &str, versions: impl Iterator<Item = &'text str>) -> String {
    let all: Vec<String> = versions
        .map(|version| format!("{name}@{version}"))
        .collect();
    if all.is_empty() {
        "without a version".to_owned()
    } else {
        all.join(", ")
    }
}
