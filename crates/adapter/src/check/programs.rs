//! Programs among the files: a function that a program defines itself is the one that it calls, and when it exports it,
//! the one that everybody calls; the linker looks there before it looks at anything preloaded.

use std::collections::BTreeSet;

use super::facts::HookFacts;
use super::facts::OwnFunctions;
use super::facts::State;
use super::facts::SymbolFacts;
use super::library::Form;
use super::library::Library;
use crate::table::named;

/// What the programs have of their own of `wanted`; symbols that everybody gets from a program are seen no more.
pub(super) fn of(
    libraries: &[(&str, Library<'_>)],
    wanted: &BTreeSet<&str>,
    hooks: &mut [HookFacts],
) -> Vec<OwnFunctions> {
    let mut found = Vec::new();
    for (path, library) in libraries {
        if !matches!(library.form, Form::Program | Form::StaticProgram) {
            continue;
        }
        let exported = wanted
            .iter()
            .filter(|name| library.definitions.contains_key(**name));
        let exported: BTreeSet<&str> = exported.copied().collect();
        let inside = library.kept(wanted);
        if exported.is_empty() && inside.is_empty() {
            continue;
        }
        for hook in &mut *hooks {
            for symbol in &mut hook.symbols {
                if symbol.state == State::Seen && exported.contains(named(&symbol.symbol).0) {
                    symbol.state = State::Program;
                    symbol.notes = vec![format!(
                        "{path} exports one of its own, which all calls go to"
                    )];
                }
            }
            let served = hook.symbols.iter().find(|it| it.state == State::Seen);
            hook.served_by = served.map(SymbolFacts::versioned);
        }
        found.push(OwnFunctions {
            path: (*path).to_owned(),
            exported: exported.into_iter().map(str::to_owned).collect(),
            inside: inside.into_iter().map(str::to_owned).collect(),
        });
    }
    found
}
