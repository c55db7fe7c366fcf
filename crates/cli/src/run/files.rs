//! The files of a run: where the traces go, the folder for the hooks, and libwhofreed.so.

use std::env;
use std::ffi::CString;
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

fn breaks_preload(path: &OsStr) -> bool {
    path.as_bytes()
        .iter()
        .any(|byte| matches!(byte, b':' | b' ' | b'\t' | b'\n'))
}

/// A folder that only this user can look into, gone when dropped.
#[derive(Debug)]
pub(super) struct PrivateFolder {
    path: PathBuf,
}

impl PrivateFolder {
    /// Makes one from which a library can be preloaded.
    pub(super) fn new() -> Result<Self, Failure> {
        let mut reasons = Vec::new();
        let wanted = env::var_os("TMPDIR").map(PathBuf::from);
        for parent in wanted
            .into_iter()
            .filter(|path| path.is_absolute())
            .chain(["/tmp", "/var/tmp"].map(PathBuf::from))
        {
            match Self::inside(&parent) {
                Ok(folder) => return Ok(folder),
                Err(reason) => reasons.push(format!("{}: {reason}", shown(&parent))),
            }
        }
        Err(Failure::ours(format!(
            "no folder for the library of hooks: {}",
            reasons.join("; ")
        )))
    }

    fn inside(parent: &Path) -> Result<Self, String> {
        if breaks_preload(parent.as_os_str()) {
            return Err("a path with a space or a colon cannot stand in LD_PRELOAD".to_owned());
        }
        if forbids_execution(parent) {
            return Err("is mounted noexec".to_owned());
        }
        let template = parent.join("whofreed-XXXXXX").into_os_string().into_vec();
        let template = CString::new(template).map_err(|error| error.to_string())?;
        let template = template.into_raw();
        // SAFETY: a string with its terminator that nobody else has; mkdtemp writes only over the X's.
        let made = unsafe { libc::mkdtemp(template) };
        let error = std::io::Error::last_os_error();
        // SAFETY: `template` comes from `into_raw`, and its length is unchanged.
        let path = unsafe { CString::from_raw(template) };
        if made.is_null() {
            return Err(error.to_string());
        }
        Ok(Self {
            path: PathBuf::from(OsString::from_vec(path.into_bytes())),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // What cannot be removed is a temporary file: there is nobody left who could use the error.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn forbids_execution(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: `statvfs` is plain numbers, for which zero is a value.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a string with its terminator, and room for one `statvfs`.
    let result = unsafe { libc::statvfs(path.as_ptr(), &raw mut found) };
    result == 0 && found.f_flag & libc::ST_NOEXEC != 0
}
