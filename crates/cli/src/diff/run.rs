//! One of the two runs: its traces or its report, found and read.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use whofreed_analysis::Analysis;
use whofreed_trace::Trace;

use crate::failure::Failure;
use crate::output::complain;
use crate::output::shown;
use crate::progress::Progress;
use crate::symbols::Symbols;
use crate::traces;

/// What a comparison needs of a run.
pub(super) struct Run {
    pub(super) analysis: Analysis,
    /// What else a reader should know, such as modules that changed since the recording.
    pub(super) notes: Vec<String>,
    /// The traces, as `whofreed report` takes them; `None` where a report was given.
    pub(super) shown: Option<String>,
}

/// Reads what the user calls a run: a file, a folder, or several with commas in between.
pub(super) fn load(given: &OsStr, symbols: &Symbols) -> Result<Run, Failure> {
    let parts = parts(given);
    if let [part] = &*parts
        && is_report(part)
    {
        return load_report(part);
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    for part in &parts {
        if part.is_dir() {
            paths.extend(traces_in(part)?);
        } else if is_report(part) {
            return Err(Failure::ours(format!(
                "{}: is a report, which is a run of its own and cannot be taken together with others",
                shown(part)
            )));
        } else {
            paths.push(part.clone());
        }
    }
    let progress = Progress::begin();
    let traces = traces::load(&paths, &progress)?;
    check_sessions(given, &traces);
    let names = symbols.resolver(&traces).with_watcher(&progress);
    let analysis = whofreed_analysis::analyse(&traces, &names);
    names.keep();
    let shown: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Ok(Run {
        analysis,
        notes: names.notes(),
        shown: Some(shown.join(" ")),
    })
}

/// The paths in what was given. One that is there as it stands may have commas in its name.
fn parts(given: &OsStr) -> Vec<PathBuf> {
    let whole = Path::new(given);
    if whole.symlink_metadata().is_ok() {
        return vec![whole.to_owned()];
    }
    let parts = given.as_bytes().split(|byte| *byte == b',');
    let parts: Vec<PathBuf> = parts
        .filter(|part| !part.is_empty())
        .map(|part| PathBuf::from(OsStr::from_bytes(part)))
        .collect();
    if parts.is_empty() {
        vec![whole.to_owned()]
    } else {
        parts
    }
}

/// The traces in a folder: whatever is called like one, so that a broken one is heard of, and whatever is one.
fn traces_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let fail = |reason: &str| Failure::ours(format!("{}: {reason}", shown(folder)));
    let entries =
        fs::read_dir(folder).map_err(|error| fail(&format!("cannot be read: {error}")))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "wft")
                || traces::session_of(path).is_some()
        })
        .collect();
    if paths.is_empty() {
        return Err(fail("is a folder without a trace"));
    }
    paths.sort();
    Ok(paths)
}

/// Traces of several runs may be meant, and mostly are not.
fn check_sessions<E>(given: &OsStr, traces: &[Trace<E>]) {
    let sessions = traces.iter().map(|trace| trace.session);
    let sessions: BTreeSet<u64> = sessions.filter(|session| *session != 0).collect();
    if sessions.len() > 1 {
        complain(&format!(
            "{}: has traces of {} runs, which are counted together",
            shown(Path::new(given)),
            sessions.len()
        ));
    }
}

/// Whether the file looks like JSON. No trace begins so.
fn is_report(path: &Path) -> bool {
    // A pipe would keep us waiting.
    if !path.is_file() {
        return false;
    }
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    read.is_ok() && start.trim_ascii_start().first() == Some(&b'{')
}

fn load_report(path: &Path) -> Result<Run, Failure> {
    let fail = |reason: String| Failure::ours(format!("{}: {reason}", shown(path)));
    let text =
        fs::read_to_string(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    Ok(Run {
        analysis: whofreed_report::from_json(&text).map_err(fail)?,
        notes: Vec::new(),
        shown: None,
    })
}
