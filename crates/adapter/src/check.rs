//! Before the run: which hook of which adapter would be served by which symbol of these libraries, what could not be
//! seen, and why. It looks at files as the host's dynamic linker would, so it is true of a run with just these files.

mod calls_x86_64;
mod facts;
pub(crate) mod library;
mod outline;
mod own;
mod programs;
pub(crate) mod restored;
mod symbols;
mod variables;

use std::collections::BTreeSet;

use whofreed_hooktable::glob::any_fits;

use crate::error::Error;
use crate::search;
use crate::search::Origin;
use crate::table;
use crate::table::named;
use library::Kind;
use library::Library;
use outline::HookOutline;
use outline::Need;
use outline::Outline;
use restored::restored;
use symbols::Look;

pub use facts::AdapterFacts;
pub use facts::Check;
pub use facts::HookFacts;
pub use facts::LibraryFacts;
pub use facts::Missing;
pub use facts::OwnFunctions;
pub use facts::State;
pub use facts::SymbolFacts;
pub use library::Form;
pub use own::unseen_own_calls;

/// A file that is to be checked.
#[derive(Debug)]
pub struct File {
    /// Its name, as an adapter's patterns would be held against it.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Holds adapters against files: those of the list (of [`crate::build`]), or without one all that have a name.
///
/// # Errors
/// A sentence for each file that cannot be hooked at all; or one for an adapter of the list that is not sound.
pub fn check(files: &[File], adapters: Option<&str>) -> Result<Check, Vec<String>> {
    let mut errors = Vec::new();
    let mut libraries = Vec::new();
    let all_bytes: Vec<_> = files.iter().map(|file| restored(&file.bytes)).collect();
    for (file, bytes) in files.iter().zip(&all_bytes) {
        match Library::read(bytes) {
            Ok(library) => libraries.push((file.path.as_str(), library)),
            Err(why) => errors.push(format!("{}: {why}", file.path)),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut notes = Vec::new();
    let outlines = match adapters {
        Some(list) => asked_for(list).map_err(|error| vec![error.to_string()])?,
        None => all(&mut notes),
    };
    let mut found = Vec::new();
    for outline in &outlines {
        let facts = adapter(outline, &libraries);
        // One that was asked for and fits nothing is an answer, too.
        if !facts.fits.is_empty() || adapters.is_some() {
            found.push(facts);
        }
    }
    Ok(Check {
        schema: "whofreed-adapters-check/1",
        usable: !found.is_empty() && found.iter().all(|it| it.usable),
        libraries: libraries.iter().map(|(p, it)| about(p, it)).collect(),
        adapters: found,
        notes,
    })
}

fn asked_for(list: &str) -> Result<Vec<Outline>, Error> {
    let selected = crate::selected(list)?;
    // Each may be sound, and yet not go with the others.
    table::compile_adapters(&selected)?;
    selected
        .iter()
        .map(|(file, text)| Outline::of(file, text))
        .collect()
}

/// Every adapter with a name, but those that are used only when they are named: they are for every library there is. One
/// that is not sound is told and passed over, since nobody asked for it.
fn all(notes: &mut Vec<String>) -> Vec<Outline> {
    let mut outlines = Vec::new();
    for known in search::known() {
        if known.origin == Origin::Shipped && crate::ONLY_BY_NAME.contains(&known.name.as_str()) {
            continue;
        }
        let outline = search::find(&known.name).and_then(|(file, text)| Outline::of(&file, &text));
        match outline {
            Ok(outline) => outlines.push(outline),
            Err(error) if known.origin == Origin::Shipped => notes.push(error.to_string()),
            Err(error) => notes.push(format!("passed over: {error}")),
        }
    }
    outlines
}

/// A library is opened by its own name, or by the one that it tells those that link with it.
fn fits(outline: &Outline, path: &str, library: &Library<'_>) -> bool {
    let globs = outline.globs.as_bytes();
    let soname = library.soname.as_deref();
    any_fits(globs, path.as_bytes()) || soname.is_some_and(|it| any_fits(globs, it.as_bytes()))
}

fn about(path: &str, library: &Library<'_>) -> LibraryFacts {
    let mut notes = Vec::new();
    match library.form {
        Form::SharedLibrary => {}
        Form::Program => notes.push(
            "a program: calls of functions that it defines itself are bound to it, and not seen",
        ),
        Form::StaticProgram => {
            notes.push("statically linked: nothing can be preloaded to it, so nothing is seen");
        }
        Form::Archive => notes.push(
            "a static library: its functions become part of what is linked with it, and are not seen",
        ),
        Form::ObjectFile => notes.push("an object file, yet to be linked: it has no dynamic section"),
    }
    if library.is_symbolic {
        notes.push("linked with -Bsymbolic: its own calls are bound to itself, and not seen");
    }
    LibraryFacts {
        path: path.to_owned(),
        form: library.form,
        soname: library.soname.clone(),
        build_id: library.build_id.clone(),
        notes: notes.into_iter().map(str::to_owned).collect(),
    }
}

fn adapter(outline: &Outline, libraries: &[(&str, Library<'_>)]) -> AdapterFacts {
    let wanted: BTreeSet<&str> = outline
        .hooks
        .iter()
        .flat_map(|hook| hook.symbols.iter().map(|symbol| named(symbol).0))
        .collect();
    let looks: Vec<Look<'_, '_>> = { libraries.iter() }
        .filter(|(path, library)| fits(outline, path, library))
        .map(|(path, library)| Look::new(path, library, &wanted))
        .collect();
    let mut hooks: Vec<HookFacts> = outline
        .hooks
        .iter()
        .map(|it| symbols::hook(it, &looks))
        .collect();
    let programs = programs::of(libraries, &wanted, &mut hooks);
    let is_called = |hook: &HookFacts| {
        let mut symbols = hook.symbols.iter();
        hook.served_by.is_some() || symbols.any(|it| it.state == State::Resolved)
    };
    let mut resolvers = hooks.iter().filter(|hook| hook.event == "resolver");
    if resolvers.any(is_called) {
        symbols::resolve(&mut hooks);
    }
    let mut expressions = Vec::new();
    for (hook, facts) in outline.hooks.iter().zip(&mut hooks) {
        // Of a hook that is never called no expression is evaluated.
        if is_called(facts) {
            let missing = missing(hook, &looks);
            facts.observed = !missing.iter().any(|it| it.prevents);
            expressions.extend(missing);
        }
    }
    let why_not =
        variables::in_the_way(outline, libraries).or_else(|| why_not(&hooks, looks.is_empty()));
    AdapterFacts {
        name: outline.name.clone(),
        file: outline.file.clone(),
        library: outline.globs.clone(),
        fits: looks.iter().map(|look| look.path.to_owned()).collect(),
        usable: why_not.is_none(),
        why_not,
        programs,
        hooks,
        expressions,
    }
}

/// Whether a call of a hook is no event where this key has no value. An owner knows the device of its allocation.
fn is_condition(event: &str, key: &str) -> bool {
    match key {
        "when" | "ok" | "address" | "from" | "handle" | "live" | "name" | "out" => true,
        "device" => matches!(event, "allocate" | "realloc" | "retain" | "view"),
        _ => false,
    }
}

/// Events that hand out buffers, and those that take them back.
const HANDING_OUT: [&str; 2] = ["allocate", "realloc"];
const TAKING_BACK: [&str; 4] = ["deallocate", "release", "realloc", "attempt"];

/// At least one hook that hands out and one that takes back has to be served, where the adapter has any.
fn why_not(hooks: &[HookFacts], fits_nothing: bool) -> Option<String> {
    if fits_nothing {
        return Some("none of these files is one of its libraries".to_owned());
    }
    let unserved = |events: &[&str]| {
        let mut of = hooks
            .iter()
            .filter(|it| events.contains(&&*it.event))
            .peekable();
        of.peek().is_some() && of.all(|hook| !hook.observed)
    };
    match (unserved(&HANDING_OUT), unserved(&TAKING_BACK)) {
        (false, false) if hooks.iter().all(|hook| !hook.observed) => {
            Some("none of its hooks would see an event".to_owned())
        }
        (false, false) => None,
        (true, false) => Some("its hooks that allocate would see nothing".to_owned()),
        (false, true) => Some("its hooks that deallocate would see nothing".to_owned()),
        (true, true) => Some("its hooks that allocate and deallocate would see nothing".to_owned()),
    }
}

/// The symbols that the hook's expressions ask for in vain.
fn missing(hook: &HookOutline, looks: &[Look<'_, '_>]) -> Vec<Missing> {
    let is_there = |symbol: &str| {
        let (name, version) = named(symbol);
        let mut all = { looks.iter() }.filter_map(|look| look.library.definitions.get(name));
        all.any(|of| {
            of.iter().any(|it| match version {
                Some(version) => it.version.as_deref() == Some(version),
                None => it.is_default && it.kind != Kind::ThreadLocal,
            })
        })
    };
    let asked = hook.asked.iter();
    asked
        .filter(|asked| {
            !asked
                .symbols
                .split('|')
                .any(|symbol| is_there(symbol.trim()))
        })
        .map(|asked| {
            let is_question = asked.word == "present";
            let prevents = !is_question
                && asked.need == Need::Certain
                && is_condition(&hook.event, &asked.key);
            Missing {
                event: hook.event.clone(),
                line: hook.line,
                key: asked.key.clone(),
                word: asked.word,
                symbols: asked
                    .symbols
                    .split('|')
                    .map(|it| it.trim().to_owned())
                    .collect(),
                prevents,
                meaning: match asked.need {
                    _ if is_question => "it is 0",
                    _ if prevents => "it has no value, so no call of the hook is an event",
                    Need::Certain if asked.key == "device" => {
                        "it has no value: the device is that of the owner's allocation, or not known"
                    }
                    Need::Certain => "it has no value, and counts as 0",
                    Need::Perhaps => "where that part is evaluated, it has no value",
                    Need::HasOther => "the second value of `first` is taken",
                },
            }
        })
        .collect()
}
