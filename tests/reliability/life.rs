//! What the tests of hosts' lives share: hosts of `c_tests/life`, linked with the library or under its preload, their
//! notes, and holding a trace against what the host did.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;
use whofreed_trace::read::read;

use crate::common;
use crate::common::Host;
use crate::common::Scratch;

/// A host that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// As in `c_tests/life/events.h`.
pub const THREADS: usize = 8;
const LIVES: u64 = 512;
const MOST_THREADS: usize = 1024;

/// A host of `c_tests/life`, and the environment in which it is recorded.
pub struct Recorded {
    /// The program.
    pub host: PathBuf,
    preload: Option<String>,
    options: String,
}

impl Recorded {
    /// Linked with the library.
    pub fn linked(scratch: &Scratch, source: &str, flags: &[&str]) -> Self {
        let host = Host::c(source).flags(flags);
        Self {
            host: host.compile(scratch, "linked"),
            preload: None,
            options: String::new(),
        }
    }

    /// One that knows nothing of it, with what `whofreed run` would preload.
    pub fn preloaded(scratch: &Scratch, source: &str, flags: &[&str]) -> Self {
        let host = pool_host(scratch, source, flags, "preloaded");
        let mut command = Command::new(common::cli());
        command.args(["run", "--adapters", &adapter(), "--shim"]);
        command.arg(common::shim()).arg("--trace");
        command.arg(scratch.file("unused.wft")).args(["--", "env"]);
        let said = common::run(&mut command).expect_code(0).stdout;
        let value = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            line.expect("a variable of the environment").to_owned()
        };
        let options = value("WHOFREED_OPTIONS=");
        // Of the launcher, which is gone.
        let kept: Vec<&str> = options
            .split(':')
            .filter(|option| !option.starts_with("tally=") && !option.starts_with("trace="))
            .collect();
        Self {
            host,
            preload: Some(value("LD_PRELOAD=")),
            options: format!("{}:", kept.join(":")),
        }
    }

    /// The host's command, with its trace.
    pub fn command(&self, trace: &Path) -> Command {
        let mut command = Command::new(&self.host);
        if let Some(preload) = &self.preload {
            command.env("LD_PRELOAD", preload);
        }
        let options = format!("{}trace={}", self.options, trace.display());
        command
            .env("WHOFREED_OPTIONS", options)
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// The host without the library, with the library of `c_tests/life/pool.c`.
pub fn pool_host(scratch: &Scratch, source: &str, flags: &[&str], name: &str) -> PathBuf {
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libpool.so"];
    let library = Host::c("c_tests/life/pool.c").flags(&shared).unlinked();
    let library = library.compile(scratch, "libpool.so");
    let library = library.to_str().expect("a path");
    let linked = ["-DPOOL", "-Wl,--no-as-needed,-rpath,$ORIGIN", library];
    Host::c(source)
        .unlinked()
        .flags(&linked)
        .flags(flags)
        .compile(scratch, name)
}

/// The path of the adapter for it.
pub fn adapter() -> String {
    let path = common::root().join("c_tests/life/pool.toml");
    path.to_str().expect("a path").to_owned()
}

/// The end of a child; one that hangs is killed, and the test fails.
#[track_caller]
pub fn end_of(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().expect("the child can be killed");
            panic!("the host hangs");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Words that a host writes into a file that it maps, each in a line of the cache: they survive it.
pub struct Notes(PathBuf);

impl Notes {
    /// So many words of zero.
    pub fn new(scratch: &Scratch, words: usize) -> Self {
        let notes = Self(scratch.file("notes"));
        notes.begin(words);
        notes
    }

    /// All zero again.
    pub fn begin(&self, words: usize) {
        fs::write(&self.0, vec![0; words * 64]).expect("a file for notes");
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The words.
    pub fn read(&self) -> Vec<u64> {
        let bytes = fs::read(&self.0).expect("the file for notes");
        let (lines, _) = bytes.as_chunks::<64>();
        let word = |line: &[u8; 64]| u64::from_ne_bytes(line[..8].try_into().expect("8 bytes"));
        lines.iter().map(word).collect()
    }
}

/// The trace of a process that is gone; `None` where it had not come to begin one.
#[track_caller]
pub fn trace_of(path: &Path) -> Option<Trace> {
    let bytes = fs::read(common::place_of(path)).ok()?;
    // Killed before its header was written.
    if bytes.iter().take(8).all(|byte| *byte == 0) {
        return None;
    }
    let trace = read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(trace.damage.is_empty(), "{:?}", trace.damage);
    Some(trace)
}

/// Which events of `nth_event` a thread recorded.
#[derive(Clone, Default)]
pub struct Seen {
    /// The kernel's id of the thread.
    pub thread: u32,
    /// By n - 1, up to the last one that there is.
    pub events: Vec<bool>,
    /// Those of another thread of the kernel's.
    pub of_others: u64,
    /// Those without their stack.
    pub without_stack: u64,
}

impl Seen {
    /// How many.
    pub fn count(&self) -> u64 {
        self.events.iter().filter(|seen| **seen).count() as u64
    }
}

/// The n of an event of `nth_event`.
pub fn number_of(event: &Event) -> u64 {
    let life = (event.address & 0xffff_ffff) / 64;
    let pair = (event.step - 1) / 2 * LIVES + life;
    2 * pair + 2 - event.step % 2
}

/// Holds the events of `nth_event` against what each of them has to be, and returns which there are of each thread, by
/// the number that the host gave it. What is none of them goes to `others`.
#[track_caller]
pub fn nth_events(trace: &Trace, others: &mut Vec<Event>) -> BTreeMap<u64, Seen> {
    let mut all: Vec<Seen> = vec![Seen::default(); MOST_THREADS];
    // All of a host's have one, or none.
    let has_owners = trace.events.iter().any(|event| event.owner != 0);
    for event in &trace.events {
        let thread = (event.address >> 32).wrapping_sub(1);
        let Some(seen) = all.get_mut(thread as usize) else {
            others.push(*event);
            continue;
        };
        let life = (event.address & 0xffff_ffff) / 64;
        assert!(life < LIVES && event.step > 0, "{event:?}");
        let pair = (event.step - 1) / 2 * LIVES + life;
        let n = number_of(event);
        let is_first = event.step % 2 == 1;
        let kind = if is_first {
            EventKind::Allocate
        } else {
            EventKind::Deallocate
        };
        let owner = if has_owners {
            ((thread + 1) << 40) + pair + 1
        } else {
            0
        };
        let expected = Event {
            kind,
            verdict: Verdict::Ok,
            owner,
            root_owner: owner,
            size: if is_first { n } else { 0 },
            address: ((thread + 1) << 32) + life * 64,
            ..*event
        };
        assert_eq!(*event, expected, "event {n} of thread {thread}");
        assert!(!event.untracked && !event.blocked && !event.late);
        let stack = trace.stacks.get(event.stack.0 as usize);
        let is_known = stack.is_some_and(|stack| event.stack.0 != 0 && stack.native.len() > 1);
        seen.without_stack += u64::from(!is_known);
        if seen.events.is_empty() {
            seen.thread = event.thread;
        }
        seen.of_others += u64::from(event.thread != seen.thread);
        let index = usize::try_from(n - 1).expect("a number of an event");
        if seen.events.len() <= index {
            seen.events.resize(index + 1, false);
        }
        let was_seen = std::mem::replace(&mut seen.events[index], true);
        assert!(!was_seen, "{event:?} twice");
    }
    let all = (0..).zip(all);
    all.filter(|(_, seen)| !seen.events.is_empty()).collect()
}

/// The same where nothing is lost: of each thread exactly the first events are there, each once and with its stack.
/// Returns how many.
#[track_caller]
pub fn check_nth_events(trace: &Trace, others: &mut Vec<Event>) -> BTreeMap<u64, u64> {
    let all = nth_events(trace, others);
    let counts = all.into_iter().map(|(thread, seen)| {
        let missing = seen.events.iter().position(|seen| !seen);
        let last = seen.events.len();
        assert_eq!(missing, None, "of thread {thread}, {last} is seen");
        assert_eq!(seen.without_stack, 0, "of thread {thread}");
        assert_eq!(seen.of_others, 0, "of thread {thread}");
        (thread, seen.count())
    });
    counts.collect()
}
