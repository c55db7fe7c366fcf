//! Where distributions put what they strip: `.build-id` folders, `.gnu_debuglink` and what `dwz` shares.
//!
//! A file counts only if its build id is the right one. A program without a build id therefore has no
//! separate debug file.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use object::Object;
use object::ObjectSection;
use object::read::ReadCache;

use crate::symbol_table::Elf;

const SYSTEM: &str = "/usr/lib/debug";

/// Opens a file, but no pipe, device or terminal: paths come out of files that anybody may have written.
pub(crate) fn open_regular(path: &Path) -> Option<File> {
    // Opening a pipe would otherwise wait for its other end.
    const O_NONBLOCK: i32 = 0o4000;
    let file = File::options()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
        .ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}

/// Whether the file itself tells functions and lines.
pub(crate) fn has_dwarf(elf: &Elf<'_>) -> bool {
    elf.section_by_name(".debug_info")
        .is_some_and(|section| section.size() > 0 && section.file_range().is_some())
}

/// Whether the file has the symbol table that `strip` removes.
pub(crate) fn has_full_table(elf: &Elf<'_>) -> bool {
    elf.section_by_name(".symtab")
        .is_some_and(|section| section.size() > 0 && section.file_range().is_some())
}

/// The debug file of `elf`, which is at `path`.
pub(crate) fn separate(path: &Path, elf: &Elf<'_>) -> Option<PathBuf> {
    let id = elf.build_id().ok().flatten().filter(|id| id.len() > 1)?;
    let mut candidates = vec![by_build_id(id)];
    if let Ok(Some((name, _))) = elf.gnu_debuglink() {
        // The name is a file's name; a path in it would lead anywhere.
        let name = Path::new(OsStr::from_bytes(name)).file_name()?;
        let folder = path.parent()?;
        candidates.push(folder.join(name));
        candidates.push(folder.join(".debug").join(name));
        let below = folder.strip_prefix("/").unwrap_or(folder);
        candidates.push(Path::new(SYSTEM).join(below).join(name));
    }
    candidates
        .into_iter()
        .find(|candidate| candidate != path && has_build_id(candidate, id))
}

/// The file with what `elf` shares with others, written by `dwz`.
pub(crate) fn shared(path: &Path, elf: &Elf<'_>) -> Option<PathBuf> {
    let (name, id) = elf.gnu_debugaltlink().ok().flatten()?;
    let name = Path::new(OsStr::from_bytes(name));
    [path.parent()?.join(name), by_build_id(id)]
        .into_iter()
        .find(|candidate| has_build_id(candidate, id))
}

fn by_build_id(id: &[u8]) -> PathBuf {
    let mut path = format!("{SYSTEM}/.build-id/");
    for (index, byte) in id.iter().enumerate() {
        let _ = write!(path, "{byte:02x}");
        if index == 0 {
            path.push('/');
        }
    }
    path.push_str(".debug");
    PathBuf::from(path)
}

fn has_build_id(path: &Path, id: &[u8]) -> bool {
    let Some(file) = open_regular(path) else {
        return false;
    };
    let cache = ReadCache::new(file);
    Elf::parse(&cache).is_ok_and(|elf| elf.build_id().ok().flatten() == Some(id))
}
