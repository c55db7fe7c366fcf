//! The command that is to be run: finds it as the shell would, and says beforehand when it cannot be preloaded,
//! for then the dynamic linker would say nothing at all.

use std::env;
use std::ffi::CString;
use std::ffi::OsStr;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::failure::NOT_EXECUTABLE;
use crate::failure::NOT_FOUND;
use crate::output::shown;

/// So many scripts may be each other's interpreter, as in the kernel.
const MOST_INTERPRETERS: usize = 4;
/// The kernel reads so much of a `#!` line.
const SCRIPT_LINE: usize = 256;
/// Where commands are looked for when PATH is not set.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

const PT_INTERP: u32 = 3;
#[cfg(target_arch = "x86_64")]
const OUR_MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const OUR_MACHINE: u16 = 183;

/// The file that `name` means, once it is known that it can be run and preloaded.
pub(super) fn resolve(name: &OsStr) -> Result<PathBuf, Failure> {
    let path = find(name)?;
    check(&path, 0)?;
    Ok(path)
}

fn find(name: &OsStr) -> Result<PathBuf, Failure> {
    let not_found = || {
        let name = Path::new(name);
        Failure::with(NOT_FOUND, format!("{}: command not found", shown(name)))
    };
    if name.is_empty() {
        return Err(not_found());
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut forbidden = None;
    for directory in env::split_paths(&path) {
        let candidate = if directory.as_os_str().is_empty() {
            Path::new(".").join(name)
        } else {
            directory.join(name)
        };
        let Ok(metadata) = candidate.metadata() else {
            continue;
        };
        if metadata.is_file() && is_executable(&candidate) {
            return Ok(candidate);
        }
        if metadata.is_file() {
            forbidden.get_or_insert(candidate);
        }
    }
    // It was there, but cannot be run: `check` says why.
    forbidden.ok_or_else(not_found)
}

fn is_executable(path: &Path) -> bool {
    CString::new(path.as_os_str().as_bytes()).is_ok_and(|path| {
        // SAFETY: the path is a string with its terminator.
        unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
    })
}

fn check(path: &Path, depth: usize) -> Result<(), Failure> {
    let refuse = |reason: &str| {
        Err(Failure::with(
            NOT_EXECUTABLE,
            format!("{}: {reason}", shown(path)),
        ))
    };
    let metadata = match path.metadata() {
        Ok(metadata) => metadata,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            let text = format!("{}: no such file", shown(path));
            return Err(Failure::with(NOT_FOUND, text));
        }
        Err(error) => return refuse(&error.to_string()),
    };
    if metadata.is_dir() {
        return refuse("is a directory");
    }
    if !metadata.is_file() || !is_executable(path) {
        return refuse("is not executable");
    }
    if let Some(privilege) = privilege(path, &metadata) {
        return refuse(&format!(
            "{privilege}: the dynamic linker ignores LD_PRELOAD then, so it cannot be preloaded"
        ));
    }
    // What may be executed but not read cannot be looked into. The kernel can run it all the same.
    let Ok(file) = File::open(path) else {
        return Ok(());
    };
    let mut start = [0; SCRIPT_LINE];
    let length = match file.read_at(&mut start, 0) {
        Ok(length) => length,
        Err(error) => return refuse(&error.to_string()),
    };
    let start = &start[..length];
    if start.starts_with(b"#!") {
        if depth == MOST_INTERPRETERS {
            return refuse("too many interpreters on top of each other");
        }
        return check_script(start, depth);
    }
    if start.starts_with(b"\x7fELF") {
        return match cannot_be_preloaded(&file, start, path) {
            Some(reason) => refuse(&reason),
            None => Ok(()),
        };
    }
    // A shell runs such a file as a script of its own, and so shall we.
    check(Path::new("/bin/sh"), MOST_INTERPRETERS)
}

/// Why the process would run with more rights than its caller has.
fn privilege(path: &Path, metadata: &Metadata) -> Option<&'static str> {
    let mode = metadata.permissions().mode();
    if mode & libc::S_ISUID != 0 {
        return Some("is set-uid");
    }
    // Without the group's right to execute, the bit means something else.
    if mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 {
        return Some("is set-gid");
    }
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let attribute = c"security.capability";
    // SAFETY: both are strings with their terminators; with size 0 nothing is written.
    let size =
        unsafe { libc::getxattr(path.as_ptr(), attribute.as_ptr(), std::ptr::null_mut(), 0) };
    (size > 0).then_some("has file capabilities")
}

/// Looks at the interpreter of a script, and at what `env` would start.
fn check_script(start: &[u8], depth: usize) -> Result<(), Failure> {
    let line = start[2..].split(|byte| *byte == b'\n').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
    let mut words = line.split_ascii_whitespace();
    let Some(interpreter) = words.next() else {
        return Ok(());
    };
    let interpreter = Path::new(interpreter);
    check(interpreter, depth + 1)?;
    if interpreter.file_name() != Some(OsStr::new("env")) {
        return Ok(());
    }
    let program = words.find(|word| !word.starts_with('-') && !word.contains('='));
    match program {
        Some(program) => check(&find(OsStr::new(program))?, depth + 1),
        None => Ok(()),
    }
}

/// Why the ELF file cannot be preloaded.
fn cannot_be_preloaded(file: &File, start: &[u8], path: &Path) -> Option<String> {
    // The dynamic linker itself, called as a command, preloads for what it is to run.
    let name = path.file_name().unwrap_or_default().as_bytes();
    if name.starts_with(b"ld-") || name.starts_with(b"ld.so") {
        return None;
    }
    const CLASS_64: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    if start.get(4) != Some(&CLASS_64) {
        return Some("is not a 64-bit program, so it cannot be preloaded".to_owned());
    }
    let machine = u16::from_le_bytes(array(start, 18)?);
    if start.get(5) != Some(&LITTLE_ENDIAN) || machine != OUR_MACHINE {
        return Some("is a program for another machine".to_owned());
    }
    let table = u64::from_le_bytes(array(start, 32)?);
    let entry_size = u64::from(u16::from_le_bytes(array(start, 54)?));
    let entries = u64::from(u16::from_le_bytes(array(start, 56)?));
    for entry in 0..entries {
        let mut kind = [0; 4];
        let at = table.checked_add(entry * entry_size)?;
        if file.read_exact_at(&mut kind, at).is_err() {
            // A broken file: let the kernel say so.
            return None;
        }
        if u32::from_le_bytes(kind) == PT_INTERP {
            return None;
        }
    }
    Some("is statically linked, so it cannot be preloaded".to_owned())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// The name of the program for the name of a trace: nothing that a shell or a list of options would act on.
pub(super) fn plain_name(command: &OsStr) -> String {
    let name = Path::new(command).file_name().unwrap_or(command);
    let plain: String = name
        .to_string_lossy()
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '+' | '-' => character,
            _ => '_',
        })
        .take(64)
        .collect();
    if plain.is_empty() {
        "command".to_owned()
    } else {
        plain
    }
}
