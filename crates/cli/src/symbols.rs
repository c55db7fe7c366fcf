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
const LARGEST: u64 = 64 << 20;
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
