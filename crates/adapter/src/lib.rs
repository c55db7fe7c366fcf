//! Adapters: which function of which library allocates and frees, and how to read device, address, size and owner
//! from a call. This crate runs in the launcher, before the host starts: it turns adapters/*.toml into a small
//! shared library that exports exactly the named symbols and carries the compiled adapters as data.
//!
//! The way of an adapter: text → `source` (TOML) → `expression` (trees) → `compile` (code) → `table` (all checks)
//! → `library` (ELF). Before all that, `draft` may have written the text from a library's exports, and `check` held it
//! against the libraries of the run. What happens inside the host then is src/preload of the package `whofreed`.
//!
//! **Architecture Invariant:** no code of this crate runs inside a host.

pub mod check;
mod compile;
mod define;
mod draft;
mod error;
mod expression;
#[cfg(fuzzing)]
pub mod fuzzing;
mod library;
mod search;
mod signature;
mod source;
mod suggest;
mod table;
mod unfit;

use crate::error::Place;
pub use draft::draft;
pub use error::Error;
pub use search::Known;
pub use search::Origin;
pub use search::known;
pub use search::text_of;
pub use suggest::suggestion;

/// The adapters that are shipped. The device runtimes among them are what `auto` stands for; others only by name.
const SHIPPED: [(&str, &str); 7] = [
    ("tt-metal", include_str!("../../../adapters/tt-metal.toml")),
    ("opencl", include_str!("../../../adapters/opencl.toml")),
    ("vulkan", include_str!("../../../adapters/vulkan.toml")),
    ("cuda", include_str!("../../../adapters/cuda.toml")),
    ("hip", include_str!("../../../adapters/hip.toml")),
    (
        "level-zero",
        include_str!("../../../adapters/level-zero.toml"),
    ),
    ("libc", include_str!("../../../adapters/libc.toml")),
];

/// Those that are no device runtimes: they are used when they are named.
const ONLY_BY_NAME: [&str; 1] = ["libc"];

/// The JSON Schema of adapters: what editors check and suggest. `tests/schema.rs` holds it against `source`.
pub const SCHEMA: &str = include_str!("../../../docs/adapter.schema.json");

/// The names of the shipped adapters.
#[must_use]
pub fn names() -> Vec<&'static str> {
    SHIPPED.iter().map(|(name, _)| *name).collect()
}

/// The names of those that `auto` stands for: the device runtimes.
#[must_use]
pub fn automatic() -> Vec<&'static str> {
    let mut names = names();
    names.retain(|name| !ONLY_BY_NAME.contains(name));
    names
}

/// The text of a shipped adapter.
#[must_use]
pub fn source(name: &str) -> Option<&'static str> {
    let mut shipped = SHIPPED.iter();
    shipped
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}

/// Compiles `adapters` into the library of hooks: the bytes of an ELF file, or none when there is nothing to hook.
///
/// `adapters` is a list separated by commas, of names ([`known`]), paths of TOML files (anything with a `/` or ending
/// in `.toml`), and `auto` for the device runtimes that are shipped; or it is `none`.
///
/// # Errors
/// [`Error`], when an adapter is unknown or does not say what it should, or its file cannot be read.
pub fn build(adapters: &str) -> Result<Option<Vec<u8>>, Error> {
    let sources = selected(adapters)?;
    if sources.is_empty() {
        return Ok(None);
    }
    let compiled = table::compile_adapters(&sources)?;
    library::write(&compiled).map(Some).map_err(Error::Library)
}

/// Whether a file can be loaded as the library that [`build`] makes of these adapters: whoever loads what is not might
/// crash, or hook nothing.
///
/// # Errors
/// [`Error`], as [`build`] gives it; [`Error::Library`] with a sentence about what is wrong with the file.
pub fn verify(adapters: &str, library: &[u8]) -> Result<(), Error> {
    let compiled = table::compile_adapters(&selected(adapters)?)?;
    library::check(library, &compiled).map_err(Error::Library)
}

/// What the one adapter that was asked for by its name or path calls itself, where that can be told.
#[must_use]
pub fn own_name(asked: &str) -> Option<String> {
    let (file, text) = search::find(asked).ok()?;
    let (file, text) = (&*file, &*text);
    let read = source::read(Place { file, text }).ok()?;
    Some(read.name.into_inner())
}

/// Whether a hook of the one adapter that was asked for by its name or path says what is returned where a call is kept from
/// the real function: without that, a guard has nothing to hold back. `None` where that cannot be told.
#[must_use]
pub fn can_guard(asked: &str) -> Option<bool> {
    let (file, text) = search::find(asked).ok()?;
    let (file, text) = (&*file, &*text);
    let read = source::read(Place { file, text }).ok()?;
    let mut hooks = read.hook.iter();
    Some(hooks.any(|hook| hook.get_ref().guard.is_some()))
}

/// What one adapter says about stacks. What its rules mean is not the matter of this crate.
#[derive(Clone, Debug)]
pub struct Machinery {
    /// The name of the shipped adapter, or the file.
    pub file: String,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule about stacks, and where it stands.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The text.
    pub text: String,
    /// The line of the file, from 1.
    pub line: usize,
    /// The column of the text in bytes, from 1.
    pub column: usize,
}

/// The rules about stacks that the adapters of a list carry; the list is that of [`build`].
///
/// # Errors
/// [`Error`], when an adapter is unknown or no adapter, or its file cannot be read.
pub fn machinery(adapters: &str) -> Result<Vec<Machinery>, Error> {
    let sources = selected(adapters)?;
    sources
        .into_iter()
        .map(|(file, text)| {
            let place = Place {
                file: &file,
                text: &text,
            };
            let rules = source::read(place)?.machinery;
            let rules = rules.into_iter().map(|rule| {
                // The span includes the quotes.
                let (line, column) = place.line_and_column(rule.span().start + 1);
                Rule {
                    text: rule.into_inner(),
                    line,
                    column,
                }
            });
            Ok(Machinery {
                rules: rules.collect(),
                file: file.clone(),
            })
        })
        .collect()
}

/// The adapters that a list stands for, each once, as (file, text).
fn selected(adapters: &str) -> Result<Vec<(String, String)>, Error> {
    let mut selected: Vec<(String, String)> = Vec::new();
    for item in adapters
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let chosen: Vec<(String, String)> = if item == "none" {
            Vec::new()
        } else if item == "auto" {
            let is_meant = |(name, _): &&(&str, &str)| !ONLY_BY_NAME.contains(name);
            let meant = SHIPPED.iter().filter(is_meant);
            meant
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
                .collect()
        } else {
            vec![search::find(item)?]
        };
        for adapter in chosen {
            if !selected.contains(&adapter) {
                selected.push(adapter);
            }
        }
    }
    Ok(selected)
}
