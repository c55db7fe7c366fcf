//! Running processes to their end, alone or under `whofreed run`.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use whofreed_trace::live_name;

use super::Host;
use super::Scratch;
use super::cli;
use super::shim;

/// A process that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(240);

/// How a process ended, and what it said.
pub struct Run {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Run {
    /// The exit code as a shell gives it: 128 + signal for a process that was killed.
    pub fn code(&self) -> i32 {
        let killed = || self.status.signal().map(|signal| 128 + signal);
        self.status.code().or_else(killed).expect("a process ended")
    }

    /// Expects an exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.code(),
            code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// The host's own account: its last line, which is JSON.
    #[track_caller]
    pub fn truth(&self) -> Value {
        let line = self.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(line)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// Runs a command to its end; one that hangs is killed, and the test fails.
#[track_caller]
pub fn run(command: &mut Command) -> Run {
    // Test runners put their own target folder there, and with it the library of another build.
    if !command
        .get_envs()
        .any(|(name, _)| name == "LD_LIBRARY_PATH")
    {
        command.env_remove("LD_LIBRARY_PATH");
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = collect(child.stdout.take().expect("it is piped"));
    let stderr = collect(child.stderr.take().expect("it is piped"));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().expect("the child can be killed");
            panic!("{command:?} hangs");
        }
        thread::sleep(Duration::from_millis(3));
    };
    Run {
        status,
        stdout: stdout.join().expect("the reader ended"),
        stderr: stderr.join().expect("the reader ended"),
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream
            .read_to_end(&mut bytes)
            .expect("a pipe can be read from");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Whether the test runs as root.
pub fn is_root() -> bool {
    run(Command::new("id").arg("-u")).stdout.trim() == "0"
}

/// A process that ran under `whofreed run`.
pub struct Tracked {
    /// The launcher's end and both their output.
    pub run: Run,
    /// The JSON report that it wrote.
    pub report: Value,
    /// The trace.
    pub trace: PathBuf,
}

/// Runs a program under `whofreed run` with these options.
#[track_caller]
pub fn track(
    scratch: &Scratch,
    options: &[&str],
    program: &Path,
    arguments: &[impl AsRef<OsStr>],
) -> Tracked {
    track_with(scratch, options, &[], program, arguments)
}

/// As [`track`], with these variables in the environment.
#[track_caller]
pub fn track_with(
    scratch: &Scratch,
    options: &[&str],
    environment: &[(&str, &str)],
    program: &Path,
    arguments: &[impl AsRef<OsStr>],
) -> Tracked {
    let trace = scratch.file("host.wft");
    let file = scratch.file("report.json");
    // Of the run before this one.
    let _ = fs::remove_file(&trace);
    let _ = fs::remove_file(&file);
    let mut command = Command::new(cli());
    command.arg("run").arg("--shim").arg(shim());
    command.arg("--trace").arg(&trace);
    command
        .arg("--report")
        .arg(&file)
        .args(["--format", "json"]);
    command.args(options).arg("--").arg(program).args(arguments);
    command.envs(environment.iter().copied());
    let run = run(&mut command);
    let text = fs::read_to_string(&file).unwrap_or_else(|error| {
        panic!(
            "{error}: no report by {command:?} ({})\nstdout:\n{}\nstderr:\n{}",
            run.status, run.stdout, run.stderr
        )
    });
    Tracked {
        run,
        report: serde_json::from_str(&text).expect("the report is JSON"),
        trace,
    }
}

/// The JSON report on a trace.
#[track_caller]
pub fn report(trace: &Path) -> Value {
    report_by(trace, &[])
}

/// The JSON report on a trace, with these options.
#[track_caller]
pub fn report_by(trace: &Path, options: &[&str]) -> Value {
    let mut command = Command::new(cli());
    command.arg("report").arg(trace).args(["--format", "json"]);
    command.args(options);
    let run = run(&mut command).expect_code(0);
    serde_json::from_str(&run.stdout).expect("the report is JSON")
}

/// Compiles a program that looks for runtimes, and sees it find none, alone and under the adapters of all.
pub fn check_probe(text: &str, flags: &[&str]) {
    let scratch = Scratch::new("probe");
    let source = scratch.file("probe.c");
    fs::write(&source, text).expect("a source file");
    let probe = Host::c(source.to_str().expect("a path"))
        .flags(flags)
        .unlinked()
        .compile(&scratch, "probe");
    run(&mut Command::new(&probe)).expect_code(0);
    let mut command = Command::new(cli());
    command.args(["run", "--shim"]).arg(shim());
    command.arg("--trace").arg(scratch.file("probe.wft"));
    command.args(["--adapters", "auto", "--"]).arg(&probe);
    run(&mut command).expect_code(0);
}

/// Where a trace is: with a launcher that lives, or was killed, not yet at its path.
pub fn place_of(trace: &Path) -> PathBuf {
    let place = live_name::places_of(trace).pop();
    place.unwrap_or_else(|| trace.to_path_buf())
}
