//! Where the generated library of hooks lies while processes preload it.
//!
//! A command can leave processes behind, and these start others later on: to each of them the linker would say that
//! it cannot preload a file that is gone. So the file stays, in the user's cache folder, named by what is in it.

use std::env;
use std::ffi::CString;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::hash::DefaultHasher;
use std::hash::Hasher;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::time::Duration;
use std::time::SystemTime;

use crate::cache;
use crate::failure::Failure;
use crate::output::shown;

use super::files::breaks_preload;

const PREFIX: &str = "whofreed-hooks";
/// A cached library that was not used for so long goes.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The library of hooks as a file.
#[derive(Debug)]
pub(super) struct Hooks {
    path: PathBuf,
    /// Where there is no cache folder; gone with this value.
    _folder: Option<PrivateFolder>,
}

impl Hooks {
    /// Stores `library` where it can be preloaded from.
    pub(super) fn store(library: &[u8]) -> Result<Self, Failure> {
        let cached = cache::folder().and_then(|folder| store_in_cache(&folder, library).ok());
        if let Some(path) = cached {
            return Ok(Self {
                path,
                _folder: None,
            });
        }
        let folder = PrivateFolder::new()?;
        let path = folder.path.join(format!("{PREFIX}.so"));
        write_new(&path, library)
            .map_err(|error| Failure::ours(format!("{}: {error}", shown(&path))))?;
        Ok(Self {
            path,
            _folder: Some(folder),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn store_in_cache(folder: &Path, library: &[u8]) -> io::Result<PathBuf> {
    if breaks_preload(folder.as_os_str()) || forbids_execution(folder) {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(library);
    let path = folder.join(format!("{PREFIX}-{:016x}.so", hasher.finish()));
    if holds(&path, library)? {
        return Ok(path);
    }
    let draft = folder.join(format!("{PREFIX}.{}.draft", process::id()));
    // A run that was killed may have left one, and its process id came again.
    let _ = fs::remove_file(&draft);
    let written = write_new(&draft, library).and_then(|()| fs::rename(&draft, &path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written?;
    cache::forget(folder, PREFIX, KEPT);
    Ok(path)
}

/// Whether the file is exactly this library; then it is marked as used.
fn holds(path: &Path, library: &[u8]) -> io::Result<bool> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut found = Vec::with_capacity(library.len());
    let most = library.len() as u64 + 1;
    (&file).take(most).read_to_end(&mut found)?;
    if found == library {
        // On a folder that is read-only it only is forgotten sooner.
        let _ = file.set_modified(SystemTime::now());
    }
    Ok(found == library)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

/// A folder that only this user can look into, gone when dropped.
#[derive(Debug)]
struct PrivateFolder {
    path: PathBuf,
}

impl PrivateFolder {
    /// Makes one from which a library can be preloaded.
    fn new() -> Result<Self, Failure> {
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
        let error = io::Error::last_os_error();
        // SAFETY: `template` comes from `into_raw`, and its length is unchanged.
        let path = unsafe { CString::from_raw(template) };
        if made.is_null() {
            return Err(error.to_string());
        }
        Ok(Self {
            path: PathBuf::from(OsString::from_vec(path.into_bytes())),
        })
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
