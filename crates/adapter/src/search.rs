//! Where adapters are found by their names: those that are shipped first, then the user's own folders.

use std::env;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use crate::SHIPPED;
use crate::error::Error;
use crate::error::line_and_column;
use crate::suggest::suggestion;

/// Folders of adapters, separated by colons.
const VARIABLE: &str = "WHOFREED_ADAPTERS_PATH";

/// The largest file that is taken for an adapter, in bytes.
const MAX_SIZE: u64 = 1 << 20;

/// An adapter that can be asked for by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The name to ask by: for a file, what stands before `.toml`.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where an adapter comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is part of whofreed.
    Shipped,
    /// A file of the user's.
    File(PathBuf),
}

/// All adapters that have a name, each name once: the first that is found by it.
#[must_use]
pub fn known() -> Vec<Known> {
    known_in(&folders())
}

/// The text of the adapter with this name.
///
/// # Errors
/// [`Error`], when there is none of this name, or its file cannot be read.
pub fn text_of(name: &str) -> Result<String, Error> {
    find(name).map(|(_, text)| text)
}

/// The adapter that is meant by a name or a path, as (file, text).
pub(crate) fn find(asked: &str) -> Result<(String, String), Error> {
    if is_path(asked) {
        return Ok((asked.to_owned(), read(Path::new(asked))?));
    }
    let all = known();
    let found = all.iter().find(|known| known.name == asked);
    match found.map(|known| &known.origin) {
        Some(Origin::Shipped) => Ok((
            asked.to_owned(),
            crate::source(asked).unwrap_or_default().to_owned(),
        )),
        Some(Origin::File(path)) => Ok((path.to_string_lossy().into_owned(), read(path)?)),
        None => Err(unknown(asked, &all)),
    }
}

/// Anything with a `/`, or that ends in `.toml`.
pub(crate) fn is_path(asked: &str) -> bool {
    asked.contains('/') || asked.ends_with(".toml")
}

fn unknown(asked: &str, all: &[Known]) -> Error {
    let names = || all.iter().map(|known| known.name.as_str());
    let hint = suggestion(asked, names().chain(["auto", "none"]));
    let listed = names().collect::<Vec<_>>().join(", ");
    Error::Unknown {
        name: asked.to_owned(),
        hint: format!("{hint} (there are: {listed}, auto, none, and paths of TOML files)"),
    }
}

/// The user's folders, the first to be looked into first.
fn folders() -> Vec<PathBuf> {
    let listed = env::var_os(VARIABLE).unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&listed)
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect();
    // A relative one is to be ignored (XDG Base Directory Specification).
    let absolute = |variable: &str| {
        let folder = PathBuf::from(env::var_os(variable)?);
        folder.is_absolute().then_some(folder)
    };
    let config = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    folders.extend(config.map(|config| config.join("whofreed/adapters")));
    folders
}

fn known_in(folders: &[PathBuf]) -> Vec<Known> {
    let shipped = SHIPPED.iter().map(|(name, _)| Known {
        name: (*name).to_owned(),
        origin: Origin::Shipped,
    });
    let mut known: Vec<Known> = shipped.collect();
    for folder in folders {
        // A folder that is not there has no adapters.
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let is_adapter = path.extension().is_some_and(|it| it == "toml") && path.is_file();
            let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            // What cannot be told from another word of a list cannot be asked for.
            let is_word = !name.contains(',') && name.trim() == name && !is_path(name);
            let is_taken =
                matches!(name, "auto" | "none") || known.iter().any(|one| one.name == name);
            if is_adapter && is_word && !is_taken {
                known.push(Known {
                    name: name.to_owned(),
                    origin: Origin::File(path),
                });
            }
        }
    }
    known
}

/// The text of an adapter's file.
fn read(path: &Path) -> Result<String, Error> {
    let bytes = read_bytes(path).map_err(|error| Error::File {
        path: path.to_owned(),
        error,
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let (line, column) = line_and_column(error.as_bytes(), at);
        Error::Adapter {
            file: path.to_string_lossy().into_owned(),
            line,
            column,
            message: "this is no text in UTF-8, as TOML has to be".to_owned(),
        }
    })
}

/// Devices and pipes may have no end, and give none.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    let mut bytes = Vec::new();
    // What is reported as small may be endless all the same (/proc), or grow.
    let read = File::open(path)?
        .take(MAX_SIZE + 1)
        .read_to_end(&mut bytes)?;
    if read as u64 > MAX_SIZE {
        return Err(io::Error::other("is larger than any adapter (1 MiB)"));
    }
    Ok(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_the_first_that_has_it_and_what_is_shipped_goes_first() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let shipped = SHIPPED[0].0;
        for name in [shipped, "mine", "auto", "a,b"] {
            let text = "name = \"first\"\n";
            fs::write(folders[0].path().join(format!("{name}.toml")), text).unwrap();
        }
        fs::write(folders[0].path().join("README"), "").unwrap();
        for name in ["mine", "other"] {
            fs::write(folders[1].path().join(format!("{name}.toml")), "").unwrap();
        }
        let paths = folders.each_ref().map(|folder| folder.path().to_owned());
        let known = known_in(&paths);
        let of = |name: &str| {
            let mut known = known.iter();
            known.find(|one| one.name == name).map(|one| &one.origin)
        };
        assert_eq!(of(shipped), Some(&Origin::Shipped));
        assert_eq!(of("mine"), Some(&Origin::File(paths[0].join("mine.toml"))));
        assert_eq!(
            of("other"),
            Some(&Origin::File(paths[1].join("other.toml")))
        );
        assert_eq!(known.len(), SHIPPED.len() + 2, "{known:?}");
    }
}
