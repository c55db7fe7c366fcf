//! Variables with the name of a hooked symbol: a stub is a function, and whoever means the variable would get it.

use super::library::Form;
use super::library::Kind;
use super::library::Library;
use super::outline::Outline;
use crate::table::named;

/// Says which variable a run with the adapter would put a function in the place of, if there is one.
pub(super) fn in_the_way(outline: &Outline, libraries: &[(&str, Library<'_>)]) -> Option<String> {
    let hooks = outline.hooks.iter();
    let mut symbols = hooks.flat_map(|hook| hook.symbols.iter().map(|it| (it, hook.exported)));
    symbols.find_map(|(symbol, is_exported)| {
        // What a program defines comes before what is preloaded, and stays as it is.
        let mut libraries = libraries
            .iter()
            .filter(|(_, library)| library.form != Form::Program);
        libraries.find_map(|(path, library)| {
            let what = match variable(library, symbol)? {
                Kind::ThreadLocal => "a thread-local variable",
                _ => "a variable",
            };
            let how = if is_exported {
                "a stub exported by that name would take its place"
            } else {
                "dlsym would hand out a stub in its place"
            };
            Some(format!(
                "`{symbol}` is {what} of {path}, and {how}: take it out of `symbols`"
            ))
        })
    })
}

fn variable(library: &Library<'_>, symbol: &str) -> Option<Kind> {
    let (name, version) = named(symbol);
    let mut all = library.definitions.get(name)?.iter();
    // A stub without a version serves all that have no stub of their own.
    let found = all.find(|it| {
        let is_meant = version.is_none_or(|version| it.version.as_deref() == Some(version));
        is_meant && matches!(it.kind, Kind::Data | Kind::ThreadLocal)
    });
    found.map(|it| it.kind)
}
