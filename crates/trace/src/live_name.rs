//! What a trace is called while it is written under `whofreed run`: by a name that nobody knows, since whoever makes the
//! file shorter meanwhile takes pages from under the host. The launcher gives it its own name at the end, and without a
//! launcher that can do so it has that from its beginning.
//!
//! It does have a name: a file without one is lost with the last process that holds it, when a container is killed.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

const MARK: &str = ".whofreed-";
/// The digits of a session.
const DIGITS: usize = 16;
/// So many names are tried where one is taken.
const MOST_NAMES: u32 = 100;

/// How the names of all traces of a session begin as long as they are written.
#[must_use]
pub fn prefix(session: u64) -> String {
    format!("{MARK}{session:0DIGITS$x}.")
}

/// Where the trace that is to be `path` is written, in the same folder.
#[must_use]
pub fn while_written(path: &Path, session: u64) -> PathBuf {
    let mut name = OsString::from(prefix(session));
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// What a trace that is written at `path` is to be; `None` where this is its own name.
#[must_use]
pub fn at_the_end(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.as_bytes();
    let rest = name.strip_prefix(MARK.as_bytes())?;
    let (session, rest) = rest.split_at_checked(DIGITS)?;
    let rest = rest.strip_prefix(b".").filter(|rest| !rest.is_empty())?;
    if !session.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    Some(path.with_file_name(OsStr::from_bytes(rest)))
}

/// Where traces that are to be `path` are written, by now or when their launcher was killed: one of each session, if any.
#[must_use]
pub fn places_of(path: &Path) -> Vec<PathBuf> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::read_dir(folder.unwrap_or(Path::new(".")))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| path.with_file_name(entry.file_name()))
        .filter(|place| at_the_end(place).as_deref() == Some(path))
        .collect()
}

/// `a/b.wft` as the `attempt`th name that a trace of process `pid` may have: `a/b.7.wft`, `a/b.7.2.wft`, and so on.
#[must_use]
pub fn candidate(path: &Path, pid: u32, attempt: u32) -> PathBuf {
    let suffix = match attempt {
        0 => return path.to_path_buf(),
        1 => format!("{pid}"),
        _ => format!("{pid}.{attempt}"),
    };
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// Tries names for a trace until `make` has one that was free: it says [`ErrorKind::AlreadyExists`] where it was not.
///
/// # Errors
/// What else `make` says, and what it said of the last name.
pub fn first_free<T>(
    path: &Path,
    pid: u32,
    mut make: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let mut attempt = 0;
    loop {
        match make(&candidate(path, pid, attempt)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < MOST_NAMES => {
                attempt += 1;
            }
            made => return made,
        }
    }
}

/// Gives a trace of process `pid`, which is written at `path`, its own name, and says which. `rename` does so unless
/// there is something of that name, as [`rename_in_two_steps`] does.
///
/// # Errors
/// Those of the file system; the trace stays where it is.
pub fn settle(
    path: &Path,
    pid: u32,
    mut rename: impl FnMut(&Path, &Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let Some(wanted) = at_the_end(path) else {
        return Ok(path.to_path_buf());
    };
    first_free(&wanted, pid, |name| {
        rename(path, name)?;
        Ok(name.to_path_buf())
    })
}

/// Renames what is at `path`, unless there is something of that name: for whoever has no call that does both at once.
///
/// # Errors
/// Those of the file system, [`ErrorKind::AlreadyExists`] where the name is taken.
pub fn rename_in_two_steps(path: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(path, name) {
        Ok(()) => {
            // It has its name. Where the other one cannot go, it has two, and is still counted once.
            let _ = fs::remove_file(path);
            Ok(())
        }
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
            Err(error)
        }
        // A file system without links, or somebody else's file.
        Err(_) if name.symlink_metadata().is_ok() => Err(ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(path, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_goes_before_the_extension() {
        let name = |path: &str, attempt| candidate(Path::new(path), 7, attempt);
        assert_eq!(name("a.b/c.wft", 0), Path::new("a.b/c.wft"));
        assert_eq!(name("a.b/c.wft", 1), Path::new("a.b/c.7.wft"));
        assert_eq!(name("a.b/c", 1), Path::new("a.b/c.7"));
        assert_eq!(name("a.b/c.wft", 2), Path::new("a.b/c.7.2.wft"));
    }

    #[test]
    fn a_trace_gets_the_name_it_was_to_have() {
        for path in ["/a.b/c.wft", "c", "/.c", "/a/\u{e9} .x.y"] {
            let written = while_written(Path::new(path), 0x1f);
            let name = written.file_name().expect("a name");
            let begins = name.as_encoded_bytes().starts_with(prefix(0x1f).as_bytes());
            assert!(begins, "{}", written.display());
            assert_eq!(at_the_end(&written).as_deref(), Some(Path::new(path)));
        }
    }

    #[test]
    fn a_trace_is_found_where_it_is_written_until_it_has_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.wft");
        let written = while_written(&path, 7);
        fs::write(&written, "first").expect("a file");
        fs::write(folder.path().join("b.wft"), "").expect("a file");
        assert_eq!(places_of(&path), std::slice::from_ref(&written));
        // Somebody has taken the name meanwhile.
        fs::write(&path, "mine").expect("a file");
        let settled = settle(&written, 12, rename_in_two_steps).expect("a name");
        assert_eq!(settled, folder.path().join("a.12.wft"));
        assert_eq!(fs::read_to_string(settled).expect("a file"), "first");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "mine");
        assert!(places_of(&path).is_empty());
    }

    #[test]
    fn another_name_is_nobodys_while_written() {
        for path in [
            "/a/c.wft",
            ".whofreed-",
            ".whofreed-12.c.wft",
            ".whofreed-000000000000001f.",
            ".whofreed-000000000000001fc.wft",
            ".whofreed-00000000000000+f.c.wft",
            "/",
        ] {
            assert_eq!(at_the_end(Path::new(path)), None, "{path}");
        }
    }
}
