//! More events than can be kept, or nobody to keep them: c_tests/life/overload.c. What was produced is what was recorded
//! and what was dropped, thread by thread, and each loss lies in the time in which it happened.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use whofreed_trace::Trace;

use crate::common;
use crate::common::Row;
use crate::common::Scratch;
use crate::common::number;
use crate::common::rows;
use crate::common::total;
use crate::life;
use crate::life::Notes;
use crate::life::Recorded;
use crate::life::THREADS;
use crate::life::end_of;
use crate::life::nth_events;
use crate::life::trace_of;

const SOURCE: &str = "c_tests/life/overload.c";
/// As in the host.
const FIRST_TID: usize = 1 + THREADS;
const BEGIN: usize = 1 + 2 * THREADS;
const END: usize = BEGIN + 1;
const WORDS: usize = END + 1;

/// What a run came to.
struct Account {
    produced: u64,
    recorded: u64,
    dropped: u64,
}

/// Thread by thread, produced = recorded + dropped, and the losses are told of their threads and their times.
#[track_caller]
fn check(notes: &Notes, trace: &Trace) -> Account {
    let notes = notes.read();
    let mut others = Vec::new();
    let all = nth_events(trace, &mut others);
    let mut account = Account {
        produced: 0,
        recorded: 0,
        dropped: trace.dropped_events,
    };
    let mut told = 0;
    for number in 0..THREADS {
        let produced = notes[1 + number];
        let thread = notes[FIRST_TID + number] as u32;
        let recorded = all.get(&(number as u64)).map_or(0, life::Seen::count);
        let mut losses = trace.losses.iter();
        let loss = losses.find(|loss| loss.thread == Some(thread));
        let lost = loss.map_or(0, |loss| loss.events);
        assert_eq!(produced, recorded + lost, "of thread {number}");
        if let Some(loss) = loss {
            // The clock of events is read in ticks.
            let slack = 1_000_000;
            let is_within = notes[BEGIN] <= loss.first_ns + slack
                && loss.first_ns <= loss.last_ns
                && loss.last_ns <= notes[END] + slack;
            assert!(is_within, "{loss:?} in {}..{}", notes[BEGIN], notes[END]);
        }
        account.produced += produced;
        account.recorded += recorded;
        told += lost;
    }
    assert_eq!(told, trace.dropped_events, "all losses are told");
    assert_eq!(trace.unjudged_events, 0);
    account
}

/// Runs a host linked with the library, and holds its trace against its notes.
#[track_caller]
fn overload(scratch: &Scratch, options: &str, arguments: &[&str]) -> (Account, u64) {
    let recorded = Recorded::linked(scratch, SOURCE, &["-ldl"]);
    let trace = scratch.file("overload.wft");
    let notes = Notes::new(scratch, WORDS);
    let mut command = recorded.command(&trace);
    let options = format!("trace={}:summary=0{options}", trace.display());
    command.env("WHOFREED_OPTIONS", options);
    let mut child = command
        .arg(notes.path())
        .args(arguments)
        .spawn()
        .expect("the host");
    let status = end_of(&mut child);
    assert_eq!(status.code(), Some(0), "{status}");
    let account = check(&notes, &trace_of(&trace).expect("a trace"));
    let size = fs::metadata(&trace).expect("the trace").len();
    (account, size)
}

/// Calls of each thread.
fn calls() -> &'static str {
    if common::soak() { "2000000" } else { "60000" }
}

#[test]
fn by_default_nothing_is_lost_when_nobody_empties_what_is_full() {
    let row = Row::new(
        "overload",
        "8 threads at full speed, the writer thread does not run at all",
        "P2 P3",
    );
    let scratch = Scratch::new("overload-grow");
    let (account, size) = overload(&scratch, "", &["writer", calls()]);
    assert_eq!(account.dropped, 0);
    row.held(
        account.produced,
        &format!(
            "all events recorded, 0 dropped; the trace grows to {} MiB",
            size >> 20
        ),
    );
}

#[test]
fn what_is_dropped_when_asked_is_told_thread_by_thread() {
    let row = Row::new(
        "overload",
        "the same with `overflow=drop`: produced = recorded + dropped",
        "P3 P4 P6",
    );
    let scratch = Scratch::new("overload-drop");
    let arguments = ["writer", calls()];
    let (account, size) = overload(&scratch, ":overflow=drop", &arguments);
    assert!(account.dropped > 0);
    // What is ready at the start, and what each thread has; twice that, for whoever begins before the writer is there.
    assert!(size < 16 << 20, "{size} bytes");
    let Account {
        produced,
        recorded,
        dropped,
    } = account;
    let report = common::report(&scratch.file("overload.wft"));
    assert_eq!(total(&report, "dropped_events"), dropped);
    let lost = rows(&report, "losses").iter();
    let lost: u64 = lost.map(|loss| number(loss, &["events"])).sum();
    assert_eq!(lost, dropped);
    row.held(
        produced,
        &format!(
            "{recorded} + {dropped}, exact for each thread, with its time; {} MiB",
            size >> 20
        ),
    );
}

#[test]
fn a_file_system_that_does_not_answer_holds_no_event_up_for_long() {
    let seconds = if common::soak() { "60" } else { "2" };
    let row = Row::new(
        "overload",
        format!("the file system does not answer for {seconds} s: produced = recorded + dropped"),
        "P3 P4 P6",
    );
    let scratch = Scratch::new("overload-disk");
    let calls = if common::soak() { "2000000" } else { "200000" };
    let (account, _) = overload(&scratch, "", &["disk", calls, seconds]);
    let Account {
        produced,
        recorded,
        dropped,
    } = account;
    assert!(dropped > 0);
    row.held(
        produced,
        &format!("{recorded} + {dropped}, exact for each thread; threads went on meanwhile"),
    );
}

#[test]
fn events_from_before_there_is_a_writer_are_not_lost() {
    let row = Row::new(
        "overload",
        "the writer thread comes late, 8 threads record before",
        "P2 P3",
    );
    let scratch = Scratch::new("overload-late");
    let runs = if common::soak() { 20 } else { 2 };
    for _ in 0..runs {
        let (account, _) = overload(&scratch, "", &["late", "40000"]);
        assert_eq!(account.dropped, 0);
        let _ = fs::remove_file(scratch.file("overload.wft"));
    }
    row.held(runs, "all events recorded, each once");
}

/// Nothing waits for the launcher, whatever becomes of it.
#[test]
fn a_launcher_that_is_stopped_holds_nobody_up() {
    let row = Row::new(
        "overload",
        "`whofreed run` is stopped by SIGSTOP while 8 threads record at full speed",
        "P1 P3 P4",
    );
    let scratch = Scratch::new("overload-stopped");
    let host = life::pool_host(&scratch, SOURCE, &["-ldl"], "host");
    let trace = scratch.file("overload.wft");
    let notes = Notes::new(&scratch, WORDS);
    let mut command = Command::new(common::cli());
    command.args(["run", "--adapters", &life::adapter(), "--shim"]);
    command.arg(common::shim()).arg("--trace").arg(&trace);
    command.arg("--").arg(&host).arg(notes.path());
    command.args(["none", calls()]).stderr(Stdio::null());
    command.env_remove("LD_LIBRARY_PATH");
    let mut child = command.spawn().expect("the launcher");
    let signal = |signal| {
        // SAFETY: kill only sends a signal, to a child that has not been waited for.
        unsafe { libc::kill(child.id() as i32, signal) };
    };
    wait_until(|| notes.read()[1] > 0);
    signal(libc::SIGSTOP);
    wait_until(|| notes.read()[END] > 0);
    signal(libc::SIGCONT);
    let status = end_of(&mut child);
    assert_eq!(status.code(), Some(0), "{status}");
    let account = check(&notes, &trace_of(Path::new(&trace)).expect("a trace"));
    assert_eq!(account.dropped, 0);
    row.held(
        account.produced,
        "the host ends meanwhile; all events recorded",
    );
}

#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..120_000 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("the host hangs");
}
