//! The user's cache folder: what is there can be lost at any time, and is nobody else's.

use std::env;
use std::fs;
use std::fs::DirBuilder;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// `whofreed` in the user's cache folder, by the XDG Base Directory Specification. It is made where it is not there;
/// `None` where that cannot be, or where others can write to it.
pub(crate) fn folder() -> Option<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    let folder = cache.join("whofreed");
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .ok()?;
    // In a folder that others can write to, somebody may have put a link there that leads to another one of the user's.
    let link = fs::symlink_metadata(&folder).ok()?;
    if link.is_symlink() && !is_own(&link) {
        return None;
    }
    let folder = fs::canonicalize(folder).ok()?;
    is_private(&fs::symlink_metadata(&folder).ok()?).then_some(folder)
}

/// Whether nobody else can have written it.
pub(crate) fn is_private(metadata: &Metadata) -> bool {
    is_own(metadata) && metadata.mode() & 0o022 == 0
}

fn is_own(metadata: &Metadata) -> bool {
    // SAFETY: it only tells, and cannot fail.
    metadata.uid() == unsafe { libc::geteuid() }
}

/// Removes the files that begin with `prefix` and were not used for so long. What cannot be removed does no harm.
pub(crate) fn forget(folder: &Path, prefix: &str, unused_for: Duration) {
    for (path, metadata) in files(folder, prefix) {
        let age = metadata
            .modified()
            .ok()
            .and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > unused_for) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The files that begin with `prefix`.
pub(crate) fn files<'a>(
    folder: &Path,
    prefix: &'a str,
) -> impl Iterator<Item = (PathBuf, Metadata)> + use<'a> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(move |entry| entry.file_name().as_bytes().starts_with(prefix.as_bytes()))
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
}
