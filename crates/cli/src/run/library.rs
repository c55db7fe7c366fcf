//! Makes sure that what is to be preloaded is libwhofreed.so: of any other file the dynamic linker would only
//! complain, and the command would run without being watched.

use std::env;
use std::fs;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use object::Architecture;
use object::BinaryFormat;
use object::Object;
use object::ObjectKind;
use object::ObjectSymbol;
use object::ReadCache;

use crate::failure::Failure;
use crate::output::shown;

/// Every libwhofreed.so has this function, and hardly any other library does.
const MARK: &[u8] = b"wf_version";
#[cfg(target_arch = "x86_64")]
const OUR_ARCHITECTURE: Architecture = Architecture::X86_64;
#[cfg(target_arch = "aarch64")]
const OUR_ARCHITECTURE: Architecture = Architecture::Aarch64;

/// Fails with the reason where the file is not ours.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let wrong = |reason: &str| {
        let text = format!("{}: is not libwhofreed.so: {reason}", shown(path));
        Err(Failure::ours(text))
    };
    let file = File::open(path)
        .map_err(|error| Failure::ours(format!("{}: cannot be read: {error}", shown(path))))?;
    check_owner(path, &file)?;
    // Reads what is asked for, not the whole of a large library.
    let cache = ReadCache::new(file);
    let Ok(library) = object::File::parse(&cache) else {
        return wrong("it is no ELF file, or a broken one");
    };
    if library.format() != BinaryFormat::Elf || library.kind() != ObjectKind::Dynamic {
        return wrong("it is no shared library");
    }
    if library.architecture() != OUR_ARCHITECTURE || !library.is_64() || !library.is_little_endian()
    {
        return wrong("it is for another machine");
    }
    let is_marked = library
        .dynamic_symbols()
        .any(|symbol| symbol.is_definition() && symbol.name_bytes() == Ok(MARK));
    if !is_marked {
        return wrong("it does not export wf_version");
    }
    Ok(())
}

/// Whoever owns a library that is preloaded is the master of the process. That may be the user, root, and whoever owns
/// this very command, who is trusted by calling it.
fn check_owner(path: &Path, file: &File) -> Result<(), Failure> {
    let Ok(metadata) = file.metadata() else {
        return Ok(());
    };
    // SAFETY: it only tells, and cannot fail.
    let user = unsafe { libc::geteuid() };
    let command = env::current_exe().and_then(fs::metadata);
    let masters = [Some(user), Some(0), command.ok().map(|of| of.uid())];
    if masters.contains(&Some(metadata.uid())) {
        return Ok(());
    }
    Err(Failure::ours(format!(
        "{}: belongs to the user with the number {}, who could do anything in the command: it is not preloaded",
        shown(path),
        metadata.uid()
    )))
}
