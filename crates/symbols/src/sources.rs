//! The files that a module's names come from: is it still the one that was recorded, and where is its debug
//! information?

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use object::Object;
use object::read::ReadCache;
use serde::Deserialize;
use serde::Serialize;
use whofreed_trace::Module;

use crate::debug_files;
use crate::debug_files::open_regular;
use crate::symbol_table::Elf;

/// The files, found by their headers alone.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The file with DWARF, and the one with what several files share.
    pub(crate) dwarf: Option<(PathBuf, Option<PathBuf>)>,
    /// The files whose symbol table may be used, the best first; the module itself is the last.
    pub(crate) tables: Vec<PathBuf>,
    pub(crate) stamp: Stamp,
}

/// What tells that files are the same ones as before: all that the names of a module depend on. One that was not there
/// is missing in the list, so one that is there later makes another stamp.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp(Vec<Mark>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    role: Role,
    size: u64,
    /// A build id can be anything that the linker was told, so a rebuilt file may have the old one.
    written: (i64, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Role {
    Module,
    Debug,
    Shared,
}

impl Stamp {
    fn add(&mut self, role: Role, file: &File) -> Option<()> {
        let about = file.metadata().ok()?;
        self.0.push(Mark {
            role,
            size: about.size(),
            written: (about.mtime(), about.mtime_nsec()),
        });
        Some(())
    }
}

impl Sources {
    /// Finds the files for `module`, recorded from `started_at_ns` on. What a reader should know goes to `notes`.
    pub(crate) fn find(
        module: &Module,
        started_at_ns: u64,
        notes: &mut Vec<String>,
    ) -> Result<Self, &'static str> {
        const UNREADABLE: &str = "cannot be read any more: its frames have no names";
        let path = Path::new(&module.path);
        let file = open_regular(path).ok_or(UNREADABLE)?;
        let written = file.metadata().ok().and_then(|about| about.modified().ok());
        let mut stamp = Stamp::default();
        stamp.add(Role::Module, &file).ok_or(UNREADABLE)?;
        let cache = ReadCache::new(file);
        let elf = Elf::parse(&cache)
            .map_err(|_| "is no 64-bit ELF file now: its frames have no names")?;
        let build_id = elf.build_id().ok().flatten().unwrap_or_default();
        if build_id != module.build_id {
            return Err("changed since the recording: its names are not used");
        }
        let started = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(started_at_ns));
        if build_id.is_empty() && started_at_ns != 0 && written > started {
            notes.push(format!(
                "{} has no build id and was written after the recording began: its names may be wrong",
                module.path
            ));
        }

        let separate = debug_files::separate(path, &elf);
        let mut dwarf = debug_files::has_dwarf(&elf)
            .then(|| (path.to_owned(), debug_files::shared(path, &elf)));
        let mut tables = Vec::new();
        if debug_files::has_full_table(&elf) {
            tables.push(path.to_owned());
        }
        if let Some(separate) = &separate {
            let file = open_regular(separate).ok_or("cannot be read")?;
            stamp.add(Role::Debug, &file).ok_or("cannot be read")?;
            let debug_cache = ReadCache::new(file);
            if let Ok(debug) = Elf::parse(&debug_cache) {
                if dwarf.is_none() && debug_files::has_dwarf(&debug) {
                    dwarf = Some((separate.clone(), debug_files::shared(separate, &debug)));
                }
                if debug_files::has_full_table(&debug) {
                    tables.push(separate.clone());
                }
            }
        }
        tables.push(path.to_owned());
        if let Some((_, Some(shared))) = &dwarf
            && let Some(file) = open_regular(shared)
        {
            stamp.add(Role::Shared, &file);
        }
        Ok(Self {
            dwarf,
            tables,
            stamp,
        })
    }
}
