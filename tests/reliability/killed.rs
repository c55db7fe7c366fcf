//! Hosts that are killed at any instant: c_tests/life/killed.c knows how many of its calls have returned, and what each
//! of its events has to look like.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use whofreed_trace::EventKind;

use crate::common;
use crate::common::Row;
use crate::common::Scratch;
use crate::life;
use crate::life::Notes;
use crate::life::Recorded;
use crate::life::THREADS;
use crate::life::check_nth_events;
use crate::life::end_of;
use crate::life::trace_of;

pub const SOURCE: &str = "c_tests/life/killed.c";
pub const WORDS: usize = 1 + THREADS;

/// What came of a host's end.
pub struct Left {
    pub events: u64,
    /// Calls that were under way and whose event is whole all the same.
    pub under_way: u64,
}

/// Every event whose call has returned is in the trace, exactly as it was; of those that were under way at most one a
/// thread.
#[track_caller]
pub fn check(notes: &Notes, trace: &Path) -> Left {
    let returned = notes.read();
    let Some(read) = trace_of(trace) else {
        assert_eq!(returned[1..], [0; THREADS], "there is no trace");
        return Left {
            events: 0,
            under_way: 0,
        };
    };
    assert_eq!(read.dropped_events, 0);
    let mut others = Vec::new();
    let recorded = check_nth_events(&read, &mut others);
    others.retain(|event| event.kind != EventKind::DeviceOpen);
    assert_eq!(others, []);
    let mut under_way = 0;
    for (thread, returned) in (0..).zip(&returned[1..]) {
        let recorded = recorded.get(&thread).copied().unwrap_or(0);
        assert!(
            recorded == *returned || recorded == returned + 1,
            "thread {thread}: {returned} calls returned, {recorded} events are in the trace"
        );
        under_way += recorded - returned;
    }
    Left {
        events: recorded.values().sum(),
        under_way,
    }
}

/// From the first instruction on, and later ones the rarer.
pub fn instant(random: &mut u64) -> Duration {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    let octave = *random % 7;
    Duration::from_micros((*random >> 32) % (100 << octave))
}

/// Kills hosts at random instants, so often; returns how many had events, and how many events there were.
fn kill_all(recorded: &Recorded, scratch: &Scratch, kills: u64) -> (u64, u64, u64) {
    let trace = scratch.file("killed.wft");
    let notes = Notes::new(scratch, WORDS);
    let mut random = 0x9e37_79b9_7f4a_7c15 ^ kills;
    let (mut with_events, mut events, mut under_way) = (0, 0, 0);
    for _ in 0..kills {
        notes.begin(WORDS);
        let mut command = recorded.command(&trace);
        let mut child = command.arg(notes.path()).spawn().expect("the host");
        // Of four one from the beginning on, one when it has come to its threads, and two when all of them record.
        let awaited = match random % 4 {
            0 => None,
            1 => Some(0),
            _ => Some(THREADS),
        };
        while awaited.is_some_and(|word| notes.read()[word] == 0) {
            thread::sleep(Duration::from_micros(300));
        }
        thread::sleep(instant(&mut random));
        child.kill().expect("the host can be killed");
        let status = child.wait().expect("the host can be waited for");
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        let left = check(&notes, &trace);
        with_events += u64::from(left.events > 0);
        events += left.events;
        under_way += left.under_way;
        // One that was killed early has none.
        let _ = fs::remove_file(&trace);
    }
    assert!(with_events * 3 > kills, "{with_events} of {kills} recorded");
    (with_events, events, under_way)
}

fn check_kills(name: &'static str, recorded: &Recorded, scratch: &Scratch) {
    let row = Row::new(
        "crash",
        format!("SIGKILL at a random instant under 8 threads, {name}"),
        "P2",
    );
    let kills = if common::soak() { 5000 } else { 60 };
    let (with_events, events, under_way) = kill_all(recorded, scratch, kills);
    row.held(
        kills,
        &format!(
            "{with_events} were recording: of {events} events 0 lost, 0 torn; {under_way} of calls that were under way"
        ),
    );
}

#[test]
fn sigkill_at_any_instant_loses_nothing_of_a_linked_host() {
    let scratch = Scratch::new("killed-linked");
    let recorded = Recorded::linked(&scratch, SOURCE, &[]);
    check_kills("linked", &recorded, &scratch);
}

#[test]
fn sigkill_at_any_instant_loses_nothing_of_hooked_calls() {
    let scratch = Scratch::new("killed-preloaded");
    let recorded = Recorded::preloaded(&scratch, SOURCE, &[]);
    check_kills("preloaded", &recorded, &scratch);
}

/// The launcher compresses what is left, and reports on it.
#[test]
fn sigkill_at_any_instant_loses_nothing_under_run() {
    let row = Row::new(
        "crash",
        "SIGKILL at a random instant under 8 threads, in `whofreed run`",
        "P1 P2",
    );
    let scratch = Scratch::new("killed-run");
    let host = life::pool_host(&scratch, SOURCE, &[], "host");
    let trace = scratch.file("run.wft");
    let notes = Notes::new(&scratch, WORDS);
    let kills = if common::soak() { 100 } else { 4 };
    let mut random = 0x1234_5678_9abc_def1;
    for _ in 0..kills {
        notes.begin(WORDS);
        let mut command = Command::new(common::cli());
        command.args(["run", "--adapters", &life::adapter(), "--shim"]);
        command.arg(common::shim()).arg("--trace").arg(&trace);
        command.arg("--").arg(&host).arg(notes.path());
        command.env_remove("LD_LIBRARY_PATH").stderr(Stdio::null());
        let mut child = command.spawn().expect("the launcher");
        while notes.read()[0] == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(instant(&mut random));
        // SAFETY: kill only sends a signal, to a process that this one's launcher has not waited for.
        unsafe { libc::kill(notes.read()[0] as i32, libc::SIGKILL) };
        let status = end_of(&mut child);
        assert_eq!(status.code(), Some(128 + libc::SIGKILL), "{status}");
        check(&notes, &trace);
        let _ = fs::remove_file(common::place_of(&trace));
    }
    row.held(
        kills,
        "the launcher's exit code is 137; 0 events lost, 0 torn, compressed or not",
    );
}

/// A way in which killed.c ends, and whether that is how it ended.
type Way = (&'static str, fn(ExitStatus) -> bool);

const WAYS: [Way; 10] = [
    ("abort", |it| it.signal() == Some(libc::SIGABRT)),
    ("segv", |it| it.signal() == Some(libc::SIGSEGV)),
    ("overflow", |it| it.signal() == Some(libc::SIGSEGV)),
    ("_exit", |it| it.code() == Some(3)),
    ("quick_exit", |it| it.code() == Some(4)),
    ("thread", |it| it.code() == Some(5)),
    ("return", |it| it.code() == Some(6)),
    ("exec", |it| it.code() == Some(7)),
    ("main_exits_as_thread", |it| it.code() == Some(0)),
    ("none", |it| it.signal() == Some(libc::SIGKILL)),
];

#[test]
fn however_a_host_ends_nothing_is_lost() {
    let row = Row::new(
        "crash",
        "abort, SIGSEGV, stack overflow, _exit, quick_exit, exit, exit of a thread, exec, pthread_exit of main, \
         while 8 threads record",
        "P1 P2",
    );
    let scratch = Scratch::new("ends");
    let linked = Recorded::linked(&scratch, SOURCE, &[]);
    let preloaded = Recorded::preloaded(&scratch, SOURCE, &[]);
    let rounds = if common::soak() { 20 } else { 1 };
    let trace = scratch.file("ends.wft");
    let notes = Notes::new(&scratch, WORDS);
    for round in 0..rounds {
        for recorded in [&linked, &preloaded] {
            for (way, is_right) in WAYS {
                notes.begin(WORDS);
                let mut command = recorded.command(&trace);
                let after = (3 + round).to_string();
                command.arg(notes.path()).args([way, &after]);
                command.process_group(0).stderr(Stdio::null());
                let mut child = command.spawn().expect("the host");
                if way == "none" {
                    thread::sleep(Duration::from_millis(3));
                    child.kill().expect("the host can be killed");
                }
                let status = end_of(&mut child);
                assert!(is_right(status), "{way}: {status}");
                let left = check(&notes, &trace);
                assert!(left.events > 0 || way == "none", "{way}");
                let _ = fs::remove_file(&trace);
            }
        }
    }
    row.held(
        rounds * 2 * WAYS.len() as u64,
        "the end is the host's own; 0 events lost, 0 torn",
    );
}
