//! How this command finds names: with all processors, and by what earlier runs of it have read already.

use std::env;
use std::fmt::Write as _;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use clap::Args;
use whofreed_symbols::Resolver;
use whofreed_symbols::Store;
use whofreed_trace::Trace;

use crate::cache;

/// Set to 0, it does what `--no-symbol-cache` does.
const VARIABLE: &str = "WHOFREED_SYMBOL_CACHE";
const PREFIX: &str = "symbols-";
/// Begins unlike the others, so that none is taken for one that is whole.
const DRAFT: &str = "draft-symbols-";
/// More than this is not read of one file.
const LARGEST: u64 = 32 << 20;
/// All files together; the ones that were not used for longest go.
const MOST: u64 = 256 << 20;
/// A file that was not used for so long goes.
const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// A draft as old as that is of a run that was killed.
const DRAFT_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// The arguments of all commands that name functions.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SymbolArgs {
    /// Read all names from the programs' files anew, and keep none for the next time
    #[arg(long)]
    no_symbol_cache: bool,
}

/// What there is to find names with; it outlives the resolver that borrows it.
#[derive(Debug)]
pub(crate) struct Symbols {
    cache: Option<Cache>,
}

impl Symbols {
    /// As the user wants it.
    pub(crate) fn new(args: SymbolArgs) -> Self {
        let is_off = args.no_symbol_cache || env::var_os(VARIABLE).is_some_and(|v| v == "0");
        let folder = (!is_off).then(cache::folder).flatten();
        Self {
            cache: folder.map(|folder| Cache { folder }),
        }
    }

    /// A resolver for these traces.
    pub(crate) fn resolver<'a, E>(&'a self, traces: &'a [Trace<E>]) -> Resolver<'a, E> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let resolver = Resolver::new(traces).with_threads(threads);
        match &self.cache {
            Some(cache) => resolver.with_store(cache),
            None => resolver,
        }
    }
}

/// One file for each build id, in the user's cache folder.
#[derive(Debug)]
struct Cache {
    folder: PathBuf,
}

impl Store for Cache {
    fn read(&self, build_id: &[u8]) -> Option<Vec<u8>> {
        read(&self.path(build_id)).ok()
    }

    fn write(&self, build_id: &[u8], bytes: &[u8]) {
        // Without a cache everything is as right, only slower.
        if self.replace(&self.path(build_id), bytes).is_ok() {
            self.tidy();
        }
    }
}

impl Cache {
    fn path(&self, build_id: &[u8]) -> PathBuf {
        let mut name = PREFIX.to_owned();
        for byte in build_id {
            let _ = write!(name, "{byte:02x}");
        }
        self.folder.join(name)
    }

    /// Another process sees the old file or the new one.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // Its name is nobody's, and it is for this user alone.
        let mut draft = tempfile::Builder::new()
            .prefix(DRAFT)
            .rand_bytes(16)
            .tempfile_in(&self.folder)?;
        draft.write_all(bytes)?;
        draft.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    fn tidy(&self) {
        cache::forget(&self.folder, DRAFT, DRAFT_KEPT);
        cache::forget(&self.folder, PREFIX, KEPT);
        let mut files: Vec<_> = cache::files(&self.folder, PREFIX).collect();
        files.sort_by_key(|(_, metadata)| metadata.modified().ok());
        let mut size: u64 = files.iter().map(|(_, metadata)| metadata.len()).sum();
        for (path, metadata) in files {
            if size <= MOST {
                break;
            }
            let _ = std::fs::remove_file(path);
            size -= metadata.len();
        }
    }
}

/// The whole file, which is then marked as used.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || !cache::is_private(&metadata) || metadata.len() > LARGEST {
        return Err(io::Error::from(io::ErrorKind::PermissionDenied));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    (&file).take(LARGEST).read_to_end(&mut bytes)?;
    // Where that cannot be, it only is forgotten sooner.
    let _ = file.set_modified(SystemTime::now());
    Ok(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_were_not_used_for_longest_go() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache {
            folder: folder.path().to_owned(),
        };
        let ago = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 60 * 60);
        let file = |name: &str, size: u64, hours: u64| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_len(size).unwrap();
            file.set_modified(ago(hours)).unwrap();
        };
        for hours in 1..=8 {
            file(&format!("symbols-0{hours}"), LARGEST, hours);
        }
        file("draft-symbols-1", 1, 48);
        file("draft-symbols-2", 1, 1);
        file("whofreed-hooks-1.so", MOST, 24 * 10);
        // Whoever reads it, uses it.
        assert!(cache.read(&[8]).is_some());
        cache.write(&[0xdd], b"new");
        assert_eq!(cache.read(&[0xdd]).as_deref(), Some(&b"new"[..]));
        let mut left: Vec<String> = folder
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = vec!["draft-symbols-2".to_owned()];
        expected.extend([1, 2, 3, 4, 5, 6, 8].map(|hours| format!("symbols-0{hours}")));
        expected.extend(["symbols-dd".to_owned(), "whofreed-hooks-1.so".to_owned()]);
        assert_eq!(left, expected);
    }

    #[test]
    fn what_nobody_used_for_long_goes() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache {
            folder: folder.path().to_owned(),
        };
        for (name, days) in [("symbols-01", 89), ("symbols-02", 91)] {
            let file = File::create(folder.path().join(name)).unwrap();
            let age = Duration::from_secs(days * 24 * 60 * 60);
            file.set_modified(SystemTime::now() - age).unwrap();
        }
        cache.write(&[3], b"new");
        let is_there = [1, 2, 3].map(|id| cache.path(&[id]).exists());
        assert_eq!(is_there, [true, false, true]);
    }

    #[test]
    fn what_others_could_have_written_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache {
            folder: folder.path().to_owned(),
        };
        let path = cache.path(&[0xab, 1]);
        assert!(path.ends_with("symbols-ab01"));
        cache.write(&[0xab, 1], b"names");
        assert!(cache.read(&[0xab, 1]).is_some());
        let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(&path, mode(0o620)).unwrap();
        assert!(cache.read(&[0xab, 1]).is_none());
        std::fs::set_permissions(&path, mode(0o600)).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(cache.read(&[0xab, 1]).is_none());
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(cache.read(&[0xab, 1]).is_none());
    }
}
