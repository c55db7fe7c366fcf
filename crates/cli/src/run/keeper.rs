//! The traces of a run, held from soon after their beginning: whoever removes one, or moves it away, while it is written
//! takes nothing from the report. And whoever makes one shorter is told of.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::live_name;
use whofreed_trace::read;

use super::process::Ended;
use super::tally::Tally;
use crate::output::complain;
use crate::output::shown;
use crate::traces;

/// How often it is looked for new traces: whoever removes one sooner has done so before it is held.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// So often it is tried to open one: at first it may not be told in full.
const TRIES: u32 = 3;

/// The thread that opens traces as they are told of.
#[derive(Debug)]
pub(super) struct Keeper {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Held>>,
}

/// A trace that is held.
#[derive(Debug)]
pub(super) struct Held {
    trace_id: u64,
    pid: u32,
    /// The path that it was to have when it was found.
    path: PathBuf,
    file: File,
}

impl Keeper {
    /// Begins to hold the traces of this session. Without a thread to do so, they are found by their names alone.
    pub(super) fn start(tally: &Tally, session: u64) -> Option<Self> {
        let tally = tally.share().ok()?;
        let (stop, stopped) = mpsc::channel();
        let keep = move || {
            let mut search = Search::default();
            let most = most_held();
            loop {
                let is_over = stopped.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout);
                search.look(&tally, session, most);
                if is_over {
                    return search.held;
                }
            }
        };
        let thread = thread::Builder::new().spawn(keep).ok()?;
        Some(Self { stop, thread })
    }

    /// What is held by now.
    pub(super) fn end(self) -> Vec<Held> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Search {
    held: Vec<Held>,
    /// The number of the first trace that was not looked for yet.
    next: u64,
    tries: u32,
}

impl Search {
    fn look(&mut self, tally: &Tally, session: u64, most: usize) {
        let end = tally.traces();
        while self.next < end && self.held.len() < most {
            let told = tally.descriptor(self.next);
            let found = told.and_then(|(pid, descriptor)| hold(pid, descriptor, session));
            self.tries += 1;
            if found.is_none() && self.tries < TRIES {
                return;
            }
            self.held.extend(found);
            self.next += 1;
            self.tries = 0;
        }
    }
}

/// Opens what a process has open, if it is a trace of the session.
fn hold(pid: u32, descriptor: u32, session: u64) -> Option<Held> {
    let link = format!("/proc/{pid}/fd/{descriptor}");
    // A process that has closed it may have a pipe there, which would keep us waiting.
    if !fs::metadata(&link).ok()?.is_file() {
        return None;
    }
    let path = fs::read_link(&link).ok()?;
    let path = live_name::at_the_end(&path).unwrap_or(path);
    let file = OpenOptions::new().read(true).write(true).open(&link).ok()?;
    let header = header_of(&file).filter(|header| header.session == session)?;
    Some(Held {
        trace_id: header.trace_id,
        pid: header.pid,
        path,
        file,
    })
}

fn header_of(file: &File) -> Option<FileHeader> {
    let mut bytes = vec![0; HEADER_SIZE];
    file.read_exact_at(&mut bytes, 0).ok()?;
    read::read_header(&bytes).ok()
}

impl Held {
    /// A path that leads to it as long as it is held, whatever its name has become.
    pub(super) fn sure_path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }

    /// Whether it still begins as a trace.
    fn is_trace(&self) -> bool {
        header_of(&self.file).is_some_and(|header| header.trace_id == self.trace_id)
    }

    /// Whether somebody has made it shorter than what was written to it.
    fn is_cut(&self) -> bool {
        let Some(header) = header_of(&self.file) else {
            return true;
        };
        let made = HEADER_SIZE as u64 + u64::from(header.chunks) * CHUNK_SIZE as u64;
        self.file.metadata().is_ok_and(|file| file.len() < made)
    }
}

/// Once the command has ended: says which traces somebody has made shorter, and which were taken away, and returns those.
/// `left`: the traces that were found by their names.
pub(super) fn look_at_end(held: Vec<Held>, left: &[PathBuf], ended: &Ended) -> Vec<Held> {
    for cut in held.iter().filter(|held| held.is_cut()) {
        let is_why = cut.pid == ended.pid && ended.exit.signal == Some(libc::SIGBUS);
        let why = if is_why {
            ", and that ended the command (SIGBUS)"
        } else {
            ""
        };
        let path = shown(&cut.path);
        complain(&format!(
            "{path}: somebody made it shorter while it was written: events are lost{why}"
        ));
    }
    let known: Vec<u64> = left.iter().filter_map(|path| traces::id_of(path)).collect();
    let mut taken = held;
    taken.retain(|held| !known.contains(&held.trace_id) && held.is_trace());
    if let [first, others @ ..] = taken.as_slice() {
        let path = shown(&first.path);
        complain(&match others.len() {
            0 => format!("{path}: somebody took it away; the report has what was in it"),
            more => format!(
                "{path} and {more} more traces: somebody took them away; the report has what was in them"
            ),
        });
    }
    taken
}

/// So many descriptors may be held: half of those that the launcher may have.
fn most_held() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` has room for the answer.
    let read = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if read == 0 {
        usize::try_from(limit.rlim_cur / 2).unwrap_or(usize::MAX)
    } else {
        0
    }
}
