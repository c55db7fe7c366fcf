//! Traces that somebody takes away or makes shorter while they are written, and launchers that are killed with all around
//! them: a trace has a name from its beginning, since nobody may be left to give it one, but under `whofreed run` not the
//! one that others know it by.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use whofreed_trace::Events as _;
use whofreed_trace::read;

use crate::common;
use crate::common::Row;
use crate::common::Scratch;
use crate::killed;
use crate::life;
use crate::life::Notes;
use crate::life::Recorded;
use crate::life::THREADS;
use crate::unkind::Unkind;

/// A launcher that does not hold the trace by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// A host under `whofreed run` whose trace is dealt with while it is written, once the launcher has come to hold it.
fn dealt_with(unkind: &Unkind, trace: &str, deal: &str) -> crate::unkind::Outcome {
    let start = format!(
        "'{}' run --shim '{}' --trace {trace} --report report.json --format json -- '{}' 4 20000 fence more flush",
        common::cli().display(),
        common::shim().display(),
        unkind.host.display(),
    );
    // By the name that it is written by: the launcher has a file of the trace's own name for a moment, to try the folder.
    let ready = format!("ls -l /proc/$!/fd | grep -q '[.]whofreed-.*{trace}'");
    unkind.dealt_with(&start, &ready, deal)
}

#[test]
fn a_trace_that_is_taken_away_under_run_is_in_the_report() {
    let row = Row::new(
        "files",
        "trace removed, moved, replaced by a link or a file, between events of 5 threads in `whofreed run`",
        "P1 P2 P3",
    );
    let unkind = Unkind::new("taken");
    let alone = unkind.alone(&["4", "20000", "more"]);
    let deals = [
        ("rm .whofreed-*", true),
        ("mv .whofreed-* away", true),
        ("mv .whofreed-* other.wft", false),
        (
            "chmod 000 .whofreed-*; sleep 0.1; chmod 600 .whofreed-*",
            false,
        ),
        (
            "t=$(echo .whofreed-*); rm $t; echo mine >host.txt; ln -s host.txt $t",
            true,
        ),
        (
            "t=$(echo .whofreed-*); rm $t; echo mine >host.txt; cp host.txt $t; sleep 0.1; rm $t",
            true,
        ),
    ];
    let rounds = if common::soak() { 10 } else { 1 };
    for _ in 0..rounds {
        for (deal, is_taken) in deals {
            let outcome = dealt_with(&unkind, "host.wft", deal);
            outcome.check_host(&alone, deal);
            let folder = unkind.scratch.file("run");
            let text = fs::read_to_string(folder.join("report.json")).expect("a report");
            let report: Value = serde_json::from_str(&text).expect("JSON");
            let stderr = &outcome.run.stderr;
            assert_eq!(
                common::total(&report, "events"),
                outcome.produced,
                "{deal}\n{stderr}"
            );
            assert_eq!(outcome.dropped, 0, "{deal}\n{stderr}");
            let is_said = stderr.contains("host.wft: somebody took it away");
            assert_eq!(is_said, is_taken, "{deal}\n{stderr}");
            let mine = folder.join("host.txt");
            if mine.exists() {
                assert_eq!(fs::read_to_string(mine).expect("a file"), "mine\n");
            }
        }
    }
    row.held(
        rounds * deals.len() as u64,
        "every event is in the report, which says that the trace was taken away",
    );
}

/// Waits until the launcher holds the trace, while 8 threads record.
fn wait_for_hold(launcher: &Child, notes: &Notes, trace: &Path) {
    let folder = format!("/proc/{}/fd", launcher.id());
    let is_held = || {
        let links = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut paths = links.filter_map(|link| fs::read_link(link.path()).ok());
        paths.any(|path| path == common::place_of(trace))
    };
    let start = Instant::now();
    while notes.read()[THREADS] < 100 || !is_held() {
        if start.elapsed() > PATIENCE {
            // SAFETY: kill only sends a signal, to the host, for which its launcher waits.
            unsafe { libc::kill(notes.read()[0] as i32, libc::SIGKILL) };
            panic!("the launcher does not hold the trace");
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The traces that a folder has, by what is in them.
fn whole_traces(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file() && !path.is_symlink())
        .filter_map(|path| Some((File::open(&path).ok()?, path)))
        .filter_map(|(file, path)| Some((path, read::read_file(file).ok()?.events.len())))
        .collect()
}

#[test]
fn who_writes_to_the_name_of_a_trace_under_run_meets_nothing_of_it() {
    let row = Row::new(
        "files",
        "the trace's name written to, emptied, linked elsewhere, removed, between events of 5 threads in `whofreed run`",
        "P1 P2 P3",
    );
    let unkind = Unkind::new("by-name");
    let alone = unkind.alone(&["4", "20000", "more"]);
    // And whether the trace finds its own name free in the end.
    let deals = [
        (": >host.trace", false),
        ("truncate -s 0 host.trace *.trace", false),
        ("echo mine >host.trace", false),
        ("ln -s host.txt host.trace; echo mine >host.trace", false),
        ("mkdir host.trace", false),
        ("rm -f host.trace *.trace", true),
    ];
    let rounds = if common::soak() { 10 } else { 1 };
    for _ in 0..rounds {
        for (deal, is_free) in deals {
            let outcome = dealt_with(&unkind, "host.trace", deal);
            outcome.check_host(&alone, deal);
            let stderr = &outcome.run.stderr;
            assert_eq!(outcome.dropped, 0, "{deal}\n{stderr}");
            let folder = unkind.scratch.file("run");
            let traces = whole_traces(&folder);
            let [(trace, events)] = traces.as_slice() else {
                panic!("{deal}: {traces:?}\n{stderr}");
            };
            assert_eq!(*events, outcome.produced, "{deal}\n{stderr}");
            let name = trace.file_name().expect("a name").to_string_lossy();
            assert_eq!(name == "host.trace", is_free, "{deal}: {name}");
            assert!(name.starts_with("host."), "{deal}: {name}");
            let text = fs::read_to_string(folder.join("report.json")).expect("a report");
            let report: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(common::total(&report, "events"), *events, "{deal}");
            if deal.contains("mine") {
                let mine = fs::read_to_string(folder.join("host.trace"));
                assert_eq!(mine.expect("a file"), "mine\n", "{deal}");
            }
        }
    }
    row.held(
        rounds * deals.len() as u64,
        "no SIGBUS: every event is in the report and in the trace, which takes a name that is free in the end",
    );
}

#[test]
fn a_trace_that_is_removed_while_threads_record_is_in_the_report() {
    let row = Row::new(
        "files",
        "trace removed while 8 threads record in `whofreed run`",
        "P1 P2 P3",
    );
    let scratch = Scratch::new("removed");
    let host = life::pool_host(&scratch, killed::SOURCE, &[], "host");
    let trace = scratch.file("removed.wft");
    let file = scratch.file("report.json");
    let notes = Notes::new(&scratch, killed::WORDS);
    let rounds = if common::soak() { 10 } else { 1 };
    let mut all = 0;
    for _ in 0..rounds {
        notes.begin(killed::WORDS);
        let mut command = launcher(&[], &host, &notes, &trace);
        command.args(["return", "500"]).stderr(Stdio::null());
        let to_file = format!("report={}:format=json", file.display());
        command.env("WHOFREED_OPTIONS", to_file);
        let mut child = command.spawn().expect("the launcher");
        wait_for_hold(&child, &notes, &trace);
        fs::remove_file(common::place_of(&trace)).expect("the trace");
        let status = life::end_of(&mut child);
        assert_eq!(status.code(), Some(6), "{status}");
        let text = fs::read_to_string(&file).expect("a report");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        // Beside them a device is opened; calls that were under way at the exit may be there or not.
        let events =
            common::total(&report, "allocations") + common::total(&report, "deallocations");
        let returned: u64 = notes.read()[1..].iter().sum();
        let most = returned + THREADS as u64;
        assert!((returned..=most).contains(&events), "{returned}: {events}");
        assert_eq!(common::total(&report, "dropped_events"), 0);
        assert!(!trace.exists());
        all += events;
    }
    row.held(
        rounds,
        &format!("the end is the host's own; of {all} events 0 lost to the report"),
    );
}

/// Cuts the trace to a part of its length, again and again, until its host has ended.
fn cut_until_end(host: &mut Child, trace: &Path, part: u64) {
    let len = fs::metadata(trace).expect("a trace").len();
    let file = OpenOptions::new()
        .write(true)
        .open(trace)
        .expect("the trace");
    while host
        .try_wait()
        .expect("the host can be waited for")
        .is_none()
    {
        file.set_len(len / 4 * part).expect("it can be cut");
        thread::sleep(Duration::from_millis(1));
    }
}

/// What is left of a cut trace is read, or refused with a place in it.
fn check_rest(trace: &Path) {
    let mut command = Command::new(common::cli());
    command.arg("report").arg(trace);
    let run = common::run(&mut command);
    let (code, stderr) = (run.code(), &run.stderr);
    assert!(code == 0 || code == 125, "{code}\n{stderr}");
    assert!(code == 0 || stderr.contains("at offset "), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_trace_that_is_made_shorter_ends_a_linked_host() {
    let row = Row::new(
        "files",
        "trace cut to nothing, to a half, while 8 threads of a linked host record",
        "P5 P6",
    );
    let scratch = Scratch::new("cut-linked");
    let recorded = Recorded::linked(&scratch, killed::SOURCE, &[]);
    let trace = scratch.file("cut.wft");
    let notes = Notes::new(&scratch, killed::WORDS);
    let rounds = if common::soak() { 50 } else { 2 };
    for _ in 0..rounds {
        for part in [0, 2] {
            notes.begin(killed::WORDS);
            let mut command = recorded.command(&trace);
            let mut child = command.arg(notes.path()).spawn().expect("the host");
            while notes.read()[THREADS] < 100 {
                thread::sleep(Duration::from_millis(1));
            }
            cut_until_end(&mut child, &trace, part);
            let status = life::end_of(&mut child);
            assert_eq!(status.signal(), Some(libc::SIGBUS), "{status}");
            check_rest(&trace);
            fs::remove_file(&trace).expect("the trace");
        }
    }
    row.held(
        2 * rounds,
        "P1 does not hold here: the host dies of SIGBUS; what is left is read, or refused with an offset",
    );
}

#[test]
fn a_trace_that_is_made_shorter_under_run_is_told() {
    let row = Row::new(
        "files",
        "trace cut to nothing, to a half, by who has found its hidden name, while 8 threads record in `whofreed run`",
        "P5 P6",
    );
    let scratch = Scratch::new("cut-run");
    let host = life::pool_host(&scratch, killed::SOURCE, &[], "host");
    let trace = scratch.file("cut.wft");
    let notes = Notes::new(&scratch, killed::WORDS);
    let rounds = if common::soak() { 25 } else { 1 };
    let mut told = 0;
    for _ in 0..rounds {
        for part in [0, 2] {
            notes.begin(killed::WORDS);
            let mut child = launcher(&[], &host, &notes, &trace)
                .spawn()
                .expect("the launcher");
            wait_for_hold(&child, &notes, &trace);
            cut_until_end(&mut child, &common::place_of(&trace), part);
            let mut said = String::new();
            let mut stderr = child.stderr.take().expect("it is piped");
            stderr.read_to_string(&mut said).expect("what it says");
            let status = life::end_of(&mut child);
            assert_eq!(status.code(), Some(128 + libc::SIGBUS), "{said}");
            let line = "cut.wft: somebody made it shorter while it was written: events are lost, and that ended the \
                        command (SIGBUS)";
            // One that has grown again before its host's end has its length, and the report its damage.
            let is_told = said.contains(line);
            assert!(is_told || part > 0, "{said}");
            told += u64::from(is_told);
            assert!(!said.contains("panicked"), "{said}");
            check_rest(&trace);
            fs::remove_file(&trace).expect("the trace");
        }
    }
    row.held(
        2 * rounds,
        &format!("P1 does not hold here: the host dies of SIGBUS; in {told} the launcher says why, in the others the file had grown again"),
    );
}

/// `whofreed run` of killed.c, behind other words of a command.
fn launcher(before: &[&str], host: &Path, notes: &Notes, trace: &Path) -> Command {
    let cli = common::cli();
    let cli = cli.to_str().expect("a path");
    let words: Vec<&str> = before.iter().copied().chain([cli]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command.args(["run", "--adapters", &life::adapter(), "--shim"]);
    command.arg(common::shim()).arg("--trace").arg(trace);
    command.arg("--").arg(host).arg(notes.path());
    command.env_remove("LD_LIBRARY_PATH");
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A trace whose launcher was killed before it could give it its name is found by that name.
fn check_report_of_unfinished(trace: &Path) {
    assert!(!trace.exists(), "it has its name");
    let mut command = Command::new(common::cli());
    let run = common::run(command.arg("report").arg(trace));
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let is_told = run.stderr.contains("run.wft: was not finished");
    assert!(is_told, "{}", run.stderr);
}

/// Runs killed.c under a launcher, kills by `kill`, and holds the trace against what had returned.
fn kill_all(before: &[&str], kills: u64, kill: impl Fn(&Child)) -> (u64, u64) {
    let scratch = Scratch::new("killed-with-launcher");
    let host = life::pool_host(&scratch, killed::SOURCE, &[], "host");
    let trace = scratch.file("run.wft");
    let notes = Notes::new(&scratch, killed::WORDS);
    let mut random = 0x2545_f491_4f6c_dd1d;
    let (mut with_events, mut events) = (0, 0);
    for _ in 0..kills {
        notes.begin(killed::WORDS);
        let mut command = launcher(before, &host, &notes, &trace);
        let mut child = command.process_group(0).spawn().expect("the launcher");
        while notes.read()[0] == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(killed::instant(&mut random));
        kill(&child);
        let status = child.wait().expect("the launcher can be waited for");
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        // The end of the pipe is that of all processes.
        let mut rest = Vec::new();
        let mut stderr = child.stderr.take().expect("it is piped");
        stderr.read_to_end(&mut rest).expect("the end of a pipe");
        let left = killed::check(&notes, &trace);
        if left.events > 0 && with_events == 0 {
            check_report_of_unfinished(&trace);
        }
        with_events += u64::from(left.events > 0);
        events += left.events;
        // One that was killed early has none.
        let _ = fs::remove_file(common::place_of(&trace));
    }
    assert!(
        with_events * 6 >= kills,
        "{with_events} of {kills} recorded"
    );
    (with_events, events)
}

#[test]
fn a_launcher_that_is_killed_with_its_group_leaves_the_trace() {
    let row = Row::new(
        "crash",
        "SIGKILL of the process group of `whofreed run` at a random instant, 8 threads record",
        "P2",
    );
    let kills = if common::soak() { 300 } else { 6 };
    let (with_events, events) = kill_all(&[], kills, |launcher| {
        // SAFETY: kill only sends a signal, to a group that was made for this child, which has not been waited for.
        unsafe { libc::kill(-(launcher.id() as i32), libc::SIGKILL) };
    });
    row.held(
        kills,
        &format!("{with_events} were recording: of {events} events 0 lost, 0 torn"),
    );
}

#[test]
fn a_container_that_is_killed_leaves_the_trace() {
    let name = "a_container_that_is_killed_leaves_the_trace";
    let before = [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child=KILL",
    ];
    let probe = Command::new(before[0])
        .args(&before[1..])
        .arg("true")
        .stderr(Stdio::null())
        .status();
    if !probe.is_ok_and(|status| status.success()) {
        return common::skip(name, "no namespace of processes can be made");
    }
    let row = Row::new(
        "crash",
        "the end of a container (a namespace of processes, every process of it), 8 threads record in `whofreed run`",
        "P2",
    );
    let kills = if common::soak() { 300 } else { 6 };
    let (with_events, events) = kill_all(&before, kills, |outside| {
        // SAFETY: kill only sends a signal, to a child that has not been waited for.
        unsafe { libc::kill(outside.id() as i32, libc::SIGKILL) };
    });
    row.held(
        kills,
        &format!("{with_events} were recording: of {events} events 0 lost, 0 torn"),
    );
}
