//! LTTng-UST over a host: a session daemon for one run, that nobody else sees.
//!
//! The daemon of root serves the whole machine from one place, whatever it is told. So root runs it as if it were
//! somebody else, in a name space of users, where its home is the folder that it gets.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::processes;
use super::tools;
use super::tools::Recorded;
use crate::run;
use crate::run::Outcome;

/// What is put in front of the C library: it tells LTTng of each malloc and free.
const WRAPPER: &str = "liblttng-ust-libc-wrapper.so.1";

/// What makes root somebody else.
const SOMEBODY: [&str; 5] = [
    "unshare",
    "--user",
    "--map-user=1000",
    "--map-group=1000",
    "--",
];

/// How long the daemon gets to start, and to end.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// A command of this session.
fn command(home: &Path, program: &str) -> Command {
    let root = run::quiet(Command::new("id").arg("-u")).is_ok_and(|user| user.trim() == "0");
    let before: &[&str] = if root { &SOMEBODY } else { &[] };
    let mut words = before.iter().copied().chain([program]);
    let mut command = Command::new(words.next().unwrap_or(program));
    command.args(words).env("LTTNG_HOME", home);
    command
}

/// Why it cannot be had.
pub fn missing() -> Option<String> {
    for program in ["lttng", "lttng-sessiond"] {
        if let why @ Some(_) = tools::not_there(program) {
            return why;
        }
    }
    if run::quiet(&mut command(Path::new("/"), "true")).is_err() {
        return Some("skipped: root may make no name space of users here".to_owned());
    }
    // A library that cannot be preloaded is complained about, and nothing else.
    let mut probe = Command::new("sh");
    probe.args(["-c", "LD_PRELOAD=$0 env 2>&1 >/dev/null", WRAPPER]);
    match run::quiet(&mut probe) {
        Ok(said) if said.is_empty() => None,
        _ => Some(format!("skipped: {WRAPPER} is not installed")),
    }
}

/// Runs a host under a session of its own.
pub fn record(host: &Path, output: &Path, words: &[&str]) -> Outcome<Recorded> {
    let session = Session::start(output)?;
    let mut traced = command(&session.home, "env");
    traced.arg(format!("LD_PRELOAD={WRAPPER}"));
    let ran = processes::run(traced.arg(host).args(words))?;
    Ok(Recorded {
        lost: session.stop()?,
        ..ran.into()
    })
}

/// A daemon with a session that is being recorded. It ends with this.
struct Session {
    daemon: Child,
    home: PathBuf,
}

impl Session {
    fn start(output: &Path) -> Outcome<Self> {
        // Beside the folder for the trace, the bytes of which are counted.
        let home = output.with_extension("lttng");
        run::create_folder(&home)?;
        let mut daemon = command(&home, "lttng-sessiond");
        daemon.arg("--no-kernel");
        daemon
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let daemon = daemon
            .spawn()
            .map_err(|error| format!("lttng-sessiond: {error}"))?;
        let session = Self { daemon, home };
        let mut pauses = PATIENCE.as_millis() / PAUSE.as_millis();
        while session.lttng(&["list"]).is_err() {
            if pauses == 0 {
                return Err("lttng-sessiond does not answer".to_owned());
            }
            pauses -= 1;
            thread::sleep(PAUSE);
        }
        let output = format!("--output={}", output.display());
        session.lttng(&["create", "bench", &output])?;
        // Room for all that a busy machine's consumer comes too late for.
        let room = ["--subbuf-size=16M", "--num-subbuf=4"];
        session.lttng(&[&["enable-channel", "--userspace", "bench"][..], &room].concat())?;
        let event = [
            "enable-event",
            "--userspace",
            "--channel=bench",
            "lttng_ust_libc:*",
        ];
        session.lttng(&event)?;
        session.lttng(&["add-context", "--userspace", "--type=vtid", "--type=ip"])?;
        session.lttng(&["start"])?;
        Ok(session)
    }

    /// How many events were lost.
    fn stop(self) -> Outcome<u64> {
        let mut said = self.lttng(&["stop"])?;
        said.push_str(&self.lttng(&["destroy"])?);
        Ok(lost(&said))
    }

    /// `lttng`, with all that it says.
    fn lttng(&self, words: &[&str]) -> Outcome<String> {
        let mut shell = command(&self.home, "sh");
        shell.args(["-c", "lttng --no-sessiond \"$@\" 2>&1", "lttng"]);
        run::quiet(shell.args(words))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Asked to, it takes its consumer with it. Whether it was there to be asked does not matter.
        let _ = run::quiet(Command::new("kill").arg(self.daemon.id().to_string()));
        for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
            if !matches!(self.daemon.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(PAUSE);
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// The events of a warning like `12 events were discarded`.
fn lost(said: &str) -> u64 {
    let numbers = said.lines().filter_map(|line| {
        let (before, _) = line.split_once(" event")?;
        line.contains("discarded").then_some(())?;
        before.rsplit(' ').next()?.parse::<u64>().ok()
    });
    numbers.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_events_are_found_in_a_warning() {
        let warning = "Waiting for data availability\n\
                       Warning: 4032 events were discarded, please refer to the documentation\n";
        assert_eq!(lost(warning), 4032);
        assert_eq!(lost("Tracing stopped for session bench"), 0);
    }
}
