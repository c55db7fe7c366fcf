//! Adapters: which function of which library allocates and frees, and how to read device, address, size and owner
//! from a call. This crate runs in the launcher, before the host starts: it turns adapters/*.toml into a small
//! shared library that exports exactly the named symbols and carries the compiled adapters as data.
//!
//! The way of an adapter: text → `source` (TOML) → `expression` (trees) → `compile` (code) → `table` (all checks)
//! → `library` (ELF). What happens inside the host then is src/preload of the package `whofreed`.
//!
//! **Architecture Invariant:** no code of this crate runs inside a host.

mod compile;
mod define;
mod error;
mod expression;
mod library;
mod signature;
mod source;
mod suggest;
mod table;
mod unfit;

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::error::Place;
pub use error::Error;
pub use suggest::suggestion;

/// The adapters that are shipped. The device runtimes among them are what `auto` stands for; others only by name.
const SHIPPED: [(&str, &str); 2] = [
    ("tt-metal", include_str!("../../../adapters/tt-metal.toml")),
    ("libc", include_str!("../../../adapters/libc.toml")),
];

/// Those that are no device runtimes: they are used when they are named.
const ONLY_BY_NAME: [&str; 1] = ["libc"];

/// The largest file that is taken for an adapter, in bytes.
const MAX_SIZE: u64 = 1 << 20;

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
/// `adapters` is a list separated by commas, of names of shipped adapters, paths of TOML files (anything with a `/`
/// or ending in `.toml`), and `auto` for the device runtimes that are shipped; or it is `none`.
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

/// The text of an adapter's file. Devices and pipes may have no end, and give none.
fn read(path: &Path) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    let mut text = String::new();
    // What is reported as small may be endless all the same (/proc), or grow.
    let read = File::open(path)?
        .take(MAX_SIZE + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_SIZE {
        return Err(io::Error::other("is larger than any adapter (1 MiB)"));
    }
    Ok(text)
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
        } else if item.contains('/') || item.ends_with(".toml") {
            let text = read(Path::new(item)).map_err(|error| Error::File {
                path: PathBuf::from(item),
                error,
            })?;
            vec![(item.to_owned(), text)]
        } else if let Some(text) = source(item) {
            vec![(item.to_owned(), text.to_owned())]
        } else {
            let known = names().join(", ");
            let hint = suggest::suggestion(item, names().into_iter().chain(["auto", "none"]));
            let hint = format!("{hint} (there are: {known}, auto, none, and paths of TOML files)");
            return Err(Error::Unknown {
                name: item.to_owned(),
                hint,
            });
        };
        for adapter in chosen {
            if !selected.contains(&adapter) {
                selected.push(adapter);
            }
        }
    }
    Ok(selected)
}
