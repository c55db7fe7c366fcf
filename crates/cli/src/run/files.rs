//! The files of a run: where the traces go, and libwhofreed.so.

use std::env;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use crate::failure::Failure;
use crate::output::shown;
use crate::traces;

use super::library;
use super::options::encode_literal;
use super::options::encode_pattern;

/// The name of the library that is preloaded.
const SHIM: &str = "libwhofreed.so";
/// Stands for the process id in the name of a trace.
const PID: &[u8] = b"%p";

/// Where the traces of a run go.
#[derive(Debug)]
pub(super) struct TraceName {
    pub(super) directory: PathBuf,
    /// The file's name, perhaps with `%p` in it.
    name: OsString,
    /// What the shim is told.
    pub(super) option: Vec<u8>,
}

impl TraceName {
    /// Makes sure that a trace can be written there. An older trace of that name makes room, any other file stays.
    pub(super) fn prepare(wanted: &Path) -> Result<Self, Failure> {
        let fail = |reason: &str| Failure::ours(format!("{}: {reason}", shown(wanted)));
        let Some(name) = wanted.file_name() else {
            return Err(fail("is not the name of a file"));
        };
        let given = wanted.parent().unwrap_or(Path::new(""));
        if find(given.as_os_str().as_bytes(), PID).is_some() {
            return Err(fail("%p can only stand in the file's name"));
        }
        let directory = fs::canonicalize(if given.as_os_str().is_empty() {
            Path::new(".")
        } else {
            given
        })
        .map_err(|error| fail(&format!("its folder cannot be used: {error}")))?;
        let mut option = encode_literal(directory.as_os_str());
        option.push(b'/');
        option.extend(encode_pattern(name));
        let this = Self {
            directory,
            name: name.to_owned(),
            option,
        };
        this.make_room()?;
        Ok(this)
    }

    fn make_room(&self) -> Result<(), Failure> {
        let path = self.path_of(process::id());
        let fail = |reason: &str| Failure::ours(format!("{}: {reason}", shown(&path)));
        if path.symlink_metadata().is_ok() {
            let is_empty = path.metadata().is_ok_and(|m| m.is_file() && m.len() == 0);
            if !is_empty && traces::session_of(&path).is_none() {
                return Err(fail(
                    "is there already and is no trace; it is left as it is",
                ));
            }
            fs::remove_file(&path)
                .map_err(|error| fail(&format!("the older trace cannot be removed: {error}")))?;
        }
        // The one sure way to learn whether a file can be written.
        File::create_new(&path)
            .and_then(|_| fs::remove_file(&path))
            .map_err(|error| fail(&format!("the trace cannot be written: {error}")))
    }

    /// The path that the shim takes in process `pid`.
    pub(super) fn path_of(&self, pid: u32) -> PathBuf {
        let mut name = Vec::new();
        let mut rest = self.name.as_bytes();
        while let Some(at) = find(rest, PID) {
            name.extend_from_slice(&rest[..at]);
            name.extend_from_slice(pid.to_string().as_bytes());
            rest = &rest[at + PID.len()..];
        }
        name.extend_from_slice(rest);
        self.directory.join(OsString::from_vec(name))
    }

    /// How the names of all traces of the run begin.
    pub(super) fn prefix(&self) -> &[u8] {
        let name = self.name.as_bytes();
        match find(name, PID) {
            Some(at) => &name[..at],
            None => Path::new(&self.name)
                .file_stem()
                .map_or(name, OsStrExt::as_bytes),
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Finds libwhofreed.so: where the user says, else beside this program, else in ../lib.
pub(super) fn shim(given: Option<&Path>) -> Result<PathBuf, Failure> {
    let candidates: Vec<PathBuf> = match given {
        Some(path) if path.is_dir() => vec![path.join(SHIM)],
        Some(path) => vec![path.to_owned()],
        None => {
            let own = env::current_exe()
                .map_err(|error| Failure::ours(format!("cannot tell where I am: {error}")))?;
            let folder = own.parent().unwrap_or(Path::new("/"));
            let above = folder.parent().unwrap_or(Path::new("/"));
            vec![folder.join(SHIM), above.join("lib").join(SHIM)]
        }
    };
    let Some(found) = candidates.iter().find(|path| path.is_file()) else {
        let places: Vec<String> = candidates.iter().map(|path| shown(path)).collect();
        return Err(Failure::ours(format!(
            "{SHIM} was not found; looked for {} (--shim PATH tells where it is)",
            places.join(" and ")
        )));
    };
    let path = fs::canonicalize(found)
        .map_err(|error| Failure::ours(format!("{}: {error}", shown(found))))?;
    if breaks_preload(path.as_os_str()) {
        return Err(Failure::ours(format!(
            "{}: a path with a space or a colon cannot stand in LD_PRELOAD",
            shown(&path)
        )));
    }
    library::check(&path)?;
    Ok(path)
}

/// Whether the linker would take the path for several.
pub(super) fn breaks_preload(path: &OsStr) -> bool {
    path.as_bytes()
        .iter()
        .any(|byte| matches!(byte, b':' | b' ' | b'\t' | b'\n'))
}
