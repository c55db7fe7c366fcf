//! What the tests of faults share: `c_tests/faults.c`, a host to which the world is unkind, with and without us, and the
//! account that must come out even: produced = recorded + dropped.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use whofreed_trace::Events;
use whofreed_trace::read;

use crate::common;
use crate::common::Host;
use crate::common::Run;
use crate::common::Scratch;

/// The code of a launcher that has failed.
const OURS: i32 = 125;

/// The host, and a folder for each run of it.
pub struct Unkind {
    pub scratch: Scratch,
    pub host: PathBuf,
    /// `c_tests/fail_calls.c`, to be preloaded.
    pub failing: PathBuf,
}

/// One run of the host under us.
pub struct Outcome {
    pub run: Run,
    /// The events that the host made, all its processes together.
    pub produced: u64,
    /// Those that the library says were dropped.
    pub dropped: u64,
    /// Those that lie in traces.
    pub recorded: u64,
    /// Those that traces say were dropped.
    pub told_by_traces: u64,
    pub traces: Vec<PathBuf>,
    /// What was made to fail, a line each: the function and its place.
    pub failed: Vec<String>,
}

impl Unkind {
    pub fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let host = Host::c("c_tests/faults.c")
            .unlinked()
            .compile(&scratch, "host");
        let failing = Host::c("c_tests/fail_calls.c")
            .unlinked()
            .flags(&["-shared", "-fPIC"])
            .compile(&scratch, "fail_calls.so");
        Self {
            scratch,
            host,
            failing,
        }
    }

    /// An empty folder for one run.
    pub fn folder(&self) -> PathBuf {
        let folder = self.scratch.file("run");
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the folder of the run before");
        }
        fs::create_dir(&folder).expect("a folder for the run");
        folder
    }

    /// The host alone.
    pub fn alone(&self, words: &[&str]) -> Run {
        common::run(Command::new(&self.host).args(words))
    }

    /// The host under the library, without a launcher, with `options` besides the trace; the calls of `failing` fail.
    pub fn preloaded(&self, words: &[&str], options: &str, failing: Option<&str>) -> Outcome {
        let folder = self.folder();
        let mut command = Command::new(&self.host);
        command.args(words).env("WHOFREED_OPTIONS", options);
        command.env("LD_PRELOAD", self.preloads(Some(&common::shim()), failing));
        self.finish(command, &folder, failing)
    }

    /// The host under `whofreed run`.
    pub fn launched(&self, words: &[&str], flags: &[&str], failing: Option<&str>) -> Outcome {
        let folder = self.folder();
        let mut command = Command::new(common::cli());
        command.arg("run").arg("--shim").arg(common::shim());
        if !flags.contains(&"--trace") {
            command.args(["--trace", "host.wft"]);
        }
        command.args(flags);
        command.arg("--").arg(&self.host).args(words);
        command.env("LD_PRELOAD", self.preloads(None, failing));
        self.finish(command, &folder, failing)
    }

    /// What is preloaded. What makes calls fail is there only where some are to: it looks functions up as they are called,
    /// under a lock of the C library's.
    fn preloads(&self, shim: Option<&Path>, failing: Option<&str>) -> OsString {
        let failing = failing.map(|_| self.failing.as_path());
        let libraries: Vec<&OsStr> = shim
            .into_iter()
            .chain(failing)
            .map(Path::as_os_str)
            .collect();
        libraries.join(OsStr::new(":"))
    }

    /// The host, started by a shell's `start`, that waits (`fence`) between two halves of its events: once `ready` holds,
    /// `deal` is done, and it goes on.
    pub fn dealt_with(&self, start: &str, ready: &str, deal: &str) -> Outcome {
        let folder = self.folder();
        let script = format!(
            "mkdir away; mkfifo go; {start} <go & exec 3>go; i=0; \
             while ! {ready} && test $i -lt 3000; do i=$((i + 1)); sleep 0.01; done; {deal}; echo >&3; wait $!"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        self.finish(command, &folder, None)
    }

    /// Runs it in a folder of its own, and takes the account.
    pub fn finish(&self, mut command: Command, folder: &Path, failing: Option<&str>) -> Outcome {
        let account = self.scratch.file("account");
        let log = self.scratch.file("failed");
        for file in [&account, &log] {
            // Of the run before this one.
            let _ = fs::remove_file(file);
        }
        command
            .current_dir(folder)
            .env("WHOFREED_ACCOUNT", &account);
        if let Some(failing) = failing {
            command.env("WHOFREED_FAIL", failing);
            command.env("WHOFREED_FAIL_LOG", &log);
        }
        let run = common::run(&mut command);
        let mut outcome = Outcome {
            run,
            produced: 0,
            dropped: 0,
            recorded: 0,
            told_by_traces: 0,
            traces: traces_in(folder),
            failed: lines(&log),
        };
        for line in lines(&account) {
            let mut numbers = line.split(' ').map(|word| word.parse::<u64>());
            let mut next = || numbers.next().expect("a number").expect("a number");
            outcome.produced += next();
            outcome.dropped += next();
        }
        // A launcher that fails before the command leaves the empty file by which it has tried to write there, when that
        // cannot be removed.
        if outcome.run.code() == OURS {
            outcome
                .traces
                .retain(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0));
        }
        for path in &outcome.traces {
            let file = File::open(path).expect("a trace");
            let trace = read::read_file(file).unwrap_or_else(|error| {
                panic!("{}: {error}\n{}", path.display(), outcome.run.stderr)
            });
            assert!(
                trace.damage.is_empty(),
                "{failing:?}: {:?}\n{}",
                trace.damage,
                outcome.run.stderr
            );
            outcome.recorded += trace.events.len();
            outcome.told_by_traces += trace.dropped_events;
        }
        outcome
    }
}

impl Outcome {
    /// The host has said and done what it does alone, and every event is accounted for.
    #[track_caller]
    pub fn check(&self, alone: &Run, what: &str) {
        self.check_host(alone, what);
        self.check_account(what);
    }

    #[track_caller]
    pub fn check_host(&self, alone: &Run, what: &str) {
        let Run { stdout, stderr, .. } = &self.run;
        assert_eq!(*stdout, alone.stdout, "{what}\n{stderr}");
        assert_eq!(self.run.code(), alone.code(), "{what}\n{stderr}");
        assert!(!stderr.contains("panicked"), "{what}\n{stderr}");
    }

    /// Produced = recorded + dropped; what no trace tells was said on stderr.
    #[track_caller]
    pub fn check_account(&self, what: &str) {
        let (produced, recorded, dropped) = (self.produced, self.recorded, self.dropped);
        let Run { stderr, .. } = &self.run;
        assert!(produced > 0, "{what}\n{stderr}");
        assert_eq!(
            produced,
            recorded + dropped,
            "{what}: {recorded} recorded, {dropped} dropped\n{stderr}"
        );
        assert!(self.told_by_traces <= dropped, "{what}\n{stderr}");
        if self.told_by_traces < dropped {
            assert!(stderr.contains("whofreed: "), "{what}: nothing is said");
        }
    }
}

pub fn traces_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "wft") && !path.is_symlink())
        .collect()
}

pub fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
