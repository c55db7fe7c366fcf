//! Finds what `top` looks into: the traces that processes hold open, by the files that `/proc` shows, or one file.
//!
//! Nobody over there is asked, stopped or told: a trace is in the page cache as soon as it is committed, and the kernel
//! lets the same user open what a process has open, a file without any name as well.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use whofreed_trace::FileEvents;
use whofreed_trace::Trace;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::MAGIC;
use whofreed_trace::read;

use crate::failure::Failure;
use crate::output::shown;
use crate::traces;

/// Whose traces are looked at.
#[derive(Debug)]
enum Target {
    /// One that was recorded, or is being recorded.
    File,
    /// A process, and all that it has started.
    Process(u32),
    /// All that one `whofreed run` has started.
    Session(u64),
}

/// A trace that was found.
#[derive(Debug)]
struct Recorded {
    file: File,
    pid: u32,
    is_held: bool,
}

/// What is looked at, and every trace of it that was met.
#[derive(Debug)]
pub(super) struct Attached {
    target: Target,
    /// By the number of the file: traces stay when their processes end.
    traces: BTreeMap<(u64, u64), Recorded>,
}

impl Attached {
    /// What the argument names: the number of a process, or a trace. Without one, the only run that there is.
    pub(super) fn to(named: Option<&str>) -> Result<Self, Failure> {
        let Some(named) = named else {
            return only_run();
        };
        match named.parse() {
            Ok(pid) => Self::to_process(pid),
            Err(_) => Self::to_file(Path::new(named)),
        }
    }

    fn to_process(pid: u32) -> Result<Self, Failure> {
        match fs::read_dir(format!("/proc/{pid}/fd")) {
            Ok(_) => Ok(Self::of(Target::Process(pid))),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Failure::ours(format!(
                    "process {pid} may not be looked into: it is another user's, or has made itself private"
                )))
            }
            Err(_) => Err(Failure::ours(format!("there is no process {pid}"))),
        }
    }

    fn to_file(path: &Path) -> Result<Self, Failure> {
        let fail = |why: String| Failure::ours(format!("{}: {why}", shown(path)));
        let place = traces::place_of(path).map_err(fail)?;
        let (file, header) = open(&place).map_err(fail)?;
        let mut attached = Self::of(Target::File);
        attached.add(file, header.pid);
        Ok(attached)
    }

    const fn of(target: Target) -> Self {
        Self {
            target,
            traces: BTreeMap::new(),
        }
    }

    fn add(&mut self, file: File, pid: u32) {
        if let Ok(metadata) = file.metadata() {
            let number = (metadata.dev(), metadata.ino());
            let known = self.traces.entry(number).or_insert(Recorded {
                file,
                pid,
                is_held: false,
            });
            known.is_held = true;
        }
    }

    /// Looks who records, and what.
    pub(super) fn look(&mut self) {
        self.traces
            .values_mut()
            .for_each(|known| known.is_held = false);
        let processes = match self.target {
            Target::File => self.traces.values().map(|known| known.pid).collect(),
            Target::Process(pid) => with_descendants(pid),
            Target::Session(_) => processes(),
        };
        for pid in processes {
            for (file, header) in traces_of(pid) {
                let is_wanted = match self.target {
                    Target::File => file
                        .metadata()
                        .is_ok_and(|it| self.traces.contains_key(&(it.dev(), it.ino()))),
                    Target::Process(_) => true,
                    Target::Session(session) => header.session == session,
                };
                if is_wanted {
                    self.add(file, header.pid);
                }
            }
        }
    }

    /// Whether somebody still writes, or may begin to.
    pub(super) fn is_going_on(&self) -> bool {
        let is_there = match self.target {
            Target::Process(pid) => is_running(pid),
            Target::File | Target::Session(_) => false,
        };
        is_there || self.traces.values().any(|known| known.is_held)
    }

    /// The traces as they are now, those of the lowest process first; and what is wrong with those that cannot be read.
    pub(super) fn read(&self) -> (Vec<Trace<FileEvents>>, Vec<String>) {
        let mut all: Vec<&Recorded> = self.traces.values().collect();
        all.sort_by_key(|known| known.pid);
        let mut traces: Vec<Trace<FileEvents>> = Vec::new();
        let mut wrong = Vec::new();
        for known in all {
            let read = known.file.try_clone().map_err(|error| error.to_string());
            match read.and_then(|file| read::read_file(file).map_err(|error| error.to_string())) {
                // A copy, or two names of one.
                Ok(trace) if traces.iter().any(|it| it.id == trace.id && it.id != 0) => {}
                Ok(trace) => traces.push(trace),
                Err(why) => wrong.push(format!("process {}: {why}", known.pid)),
            }
        }
        (traces, wrong)
    }
}

/// The only run that is being recorded.
fn only_run() -> Result<Attached, Failure> {
    let mut runs: BTreeMap<(u64, u64), (u32, Target)> = BTreeMap::new();
    for pid in processes() {
        for (_, header) in traces_of(pid) {
            let (run, target) = match header.session {
                0 => ((0, header.trace_id), Target::Process(pid)),
                session => ((session, 0), Target::Session(session)),
            };
            // Its launcher has it open as well.
            if header.pid == pid {
                runs.insert(run, (pid, target));
            } else {
                runs.entry(run).or_insert((pid, target));
            }
        }
    }
    match runs.len() {
        0 => Err(Failure::ours(
            "nothing of yours is being recorded: start it with `whofreed run -- COMMAND`, or name a process or a trace",
        )),
        1 => {
            let (_, target) = runs.into_values().next().unwrap_or((0, Target::File));
            Ok(Attached::of(target))
        }
        _ => {
            let mut message =
                "several runs are being recorded, name one by its process:".to_owned();
            for (pid, _) in runs.into_values() {
                message.push_str(&format!(" {pid} ({}),", command_of(pid)));
            }
            message.pop();
            Err(Failure::ours(message))
        }
    }
}

/// Opens a trace.
fn open(path: &Path) -> Result<(File, FileHeader), String> {
    let unreadable = |error: io::Error| format!("cannot be read: {error}");
    // A pipe would keep us waiting.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("is no regular file, so it is no trace".to_owned());
    }
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = vec![0; HEADER_SIZE];
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) => return Err(unreadable(error)),
        }
        // Most of what processes have open is none, and large.
        if len >= MAGIC.len() && !bytes.starts_with(&MAGIC) {
            bytes.truncate(MAGIC.len());
            len = len.min(MAGIC.len());
        }
    }
    let header = read::read_header(&bytes[..len]).map_err(|error| error.to_string())?;
    Ok((file, header))
}

/// The traces that a process has open, or mapped where it has closed them.
fn traces_of(pid: u32) -> Vec<(File, FileHeader)> {
    let mut known = BTreeSet::new();
    let mut found: Vec<(File, FileHeader)> = Vec::new();
    let mut try_one = |path: &Path, found: &mut Vec<(File, FileHeader)>| {
        let Ok(metadata) = fs::metadata(path) else {
            return;
        };
        let is_new = metadata.is_file()
            && metadata.len() >= HEADER_SIZE as u64
            && known.insert((metadata.dev(), metadata.ino()));
        if is_new {
            found.extend(open(path));
        }
    };
    let entries = fs::read_dir(format!("/proc/{pid}/fd"));
    for entry in entries.into_iter().flatten().flatten() {
        try_one(&entry.path(), &mut found);
    }
    if found.is_empty() {
        for path in mapped(pid) {
            try_one(&path, &mut found);
        }
    }
    found
}

/// What a process has mapped and shares with whoever else maps it: by the mapping itself, which takes rights that few
/// have, and by its name.
fn mapped(pid: u32) -> Vec<PathBuf> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut paths = Vec::new();
    for line in maps.lines() {
        let mut words = line.splitn(6, ' ');
        let (range, rights) = (words.next(), words.next());
        let (Some(range), Some(rights)) = (range, rights) else {
            continue;
        };
        if rights.ends_with('s') {
            paths.push(PathBuf::from(format!("/proc/{pid}/map_files/{range}")));
            let name = words.nth(3).unwrap_or_default().trim_start();
            if name.starts_with('/') && !name.starts_with("/dev/") {
                paths.push(PathBuf::from(format!("/proc/{pid}/root{name}")));
            }
        }
    }
    paths
}

/// All processes.
fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// A process and all that it has started, as far as that still shows.
fn with_descendants(pid: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for child in processes() {
        if let Some((_, parent)) = state_of(child) {
            children.entry(parent).or_default().push(child);
        }
    }
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(parent) = all.get(at) {
        all.extend(children.remove(parent).unwrap_or_default());
        at += 1;
    }
    all
}

/// The state of a process, and its parent.
fn state_of(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Its name may hold anything, brackets too.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let state = words.next()?.chars().next()?;
    Some((state, words.next()?.parse().ok()?))
}

fn is_running(pid: u32) -> bool {
    state_of(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

fn command_of(pid: u32) -> String {
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    command.trim_end().chars().take(60).collect()
}
