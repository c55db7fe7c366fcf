//! Finds and reads trace files.

mod rename;

use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use whofreed_trace::Trace;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::live_name;
use whofreed_trace::read;

use crate::failure::Failure;
use crate::failure::OURS;
use crate::output::complain;
use crate::output::shown;
use crate::progress::Progress;
use crate::progress::Watched;

/// A trace as commands have it.
pub(crate) type FileTrace = Trace<Watched>;

/// Reads all of them. When some cannot be read, the failure tells of each of those.
pub(crate) fn load(paths: &[PathBuf], progress: &Progress) -> Result<Vec<FileTrace>, Failure> {
    let mut traces: Vec<FileTrace> = Vec::new();
    let mut messages = Vec::new();
    let mut known = HashSet::new();
    for path in paths {
        match load_one(path, progress) {
            // Counting a record twice would double its every number.
            Ok(trace) if trace.id != 0 && !known.insert(trace.id) => {
                complain(&format!("{}: was given already, counted once", shown(path)));
            }
            Ok(trace) => traces.push(trace),
            Err(reason) => messages.push(format!("{}: {reason}", shown(path))),
        }
    }
    if messages.is_empty() {
        Ok(traces)
    } else {
        Err(Failure {
            code: OURS,
            messages,
        })
    }
}

fn load_one(path: &Path, progress: &Progress) -> Result<FileTrace, String> {
    let path = &place_of(path)?;
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err("is a directory, not a trace".to_owned());
    }
    if !metadata.is_file() {
        return Err("is no regular file, so it is no trace".to_owned());
    }
    let file = File::open(path).map_err(unreadable)?;
    let trace = read::read_file(file).map_err(|error| error.to_string())?;
    Ok(trace.map_events(|events| progress.watch(events)))
}

/// So many files of other names are looked into, for a folder may hold any number of them.
const MOST_OTHERS: usize = 4096;

/// The traces in `directory` that were recorded in `session`: those whose names begin with `prefix`, sorted, then
/// those that the host gave another name. Of copies, the first.
pub(crate) fn of_session(directory: &Path, prefix: &[u8], session: u64) -> Vec<PathBuf> {
    let mut named = Vec::new();
    let mut others = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix) {
            named.push(entry.path());
        } else if others.len() < MOST_OTHERS && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            others.push(entry.path());
        }
    }
    named.sort();
    others.sort();
    let mut known = HashSet::new();
    named.extend(others);
    named.retain(|path| {
        header_of(path).is_some_and(|header| {
            header.session == session && (header.trace_id == 0 || known.insert(header.trace_id))
        })
    });
    named
}

/// Gives the traces of a session that is over the names that they were to have, sorted; who cannot have it keeps the one
/// that it has.
pub(crate) fn settle(directory: &Path, session: u64) {
    let prefix = live_name::prefix(session);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().starts_with(prefix.as_bytes())
        })
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    for path in paths {
        if let Err(error) =
            live_name::settle(&path, pid_of(&path).unwrap_or_default(), rename::rename)
        {
            let path = shown(&path);
            complain(&format!("{path}: cannot be given its name: {error}"));
        }
    }
}

/// Where a trace is: while it is written, and when the launcher was ended before it could give it its name, not at its path.
pub(crate) fn place_of(path: &Path) -> Result<PathBuf, String> {
    if path.symlink_metadata().is_ok() {
        return Ok(path.to_path_buf());
    }
    match live_name::places_of(path).as_slice() {
        [] => Ok(path.to_path_buf()),
        [place] => {
            complain(&format!(
                "{}: was not finished; it is read where it was written, {}",
                shown(path),
                shown(place)
            ));
            Ok(place.clone())
        }
        several => {
            let places: Vec<String> = several.iter().map(|place| shown(place)).collect();
            Err(format!(
                "was not finished, by several runs; name one of them: {}",
                places.join(", ")
            ))
        }
    }
}

/// The session of a trace; `None` where the file is no trace.
pub(crate) fn session_of(path: &Path) -> Option<u64> {
    header_of(path).map(|header| header.session)
}

/// The process of a trace; `None` where the file is no trace.
pub(crate) fn pid_of(path: &Path) -> Option<u32> {
    header_of(path).map(|header| header.pid)
}

/// The number of a trace; `None` where the file is no trace.
pub(crate) fn id_of(path: &Path) -> Option<u64> {
    header_of(path).map(|header| header.trace_id)
}

/// The traces with their processes, each path as `show` has it.
pub(crate) fn by_process(paths: &[PathBuf], show: impl Fn(&Path) -> String) -> Vec<(u32, String)> {
    paths
        .iter()
        .filter_map(|path| Some((pid_of(path)?, show(path))))
        .collect()
}

fn header_of(path: &Path) -> Option<FileHeader> {
    // A pipe would keep us waiting.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut header = Vec::with_capacity(HEADER_SIZE);
    File::open(path)
        .ok()?
        .take(HEADER_SIZE as u64)
        .read_to_end(&mut header)
        .ok()?;
    read::read_header(&header).ok()
}
