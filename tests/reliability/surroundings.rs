//! What hosts do to their surroundings, and signals, between and in events: c_tests/life/surroundings.c and profiled.c.

use std::fs;
use std::process::Command;

use whofreed_trace::EventKind;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::life::Notes;
use crate::life::Recorded;
use crate::life::Seen;
use crate::life::end_of;
use crate::life::nth_events;
use crate::life::trace_of;
use crate::unkind::Unkind;

const SOURCE: &str = "c_tests/life/surroundings.c";

/// Runs a way with both hosts; the trace of each process has all that it did.
fn check_way(row: Row, way: &str, closed: bool) {
    let scratch = Scratch::new("surroundings");
    let hosts = [
        Recorded::linked(&scratch, SOURCE, &[]),
        Recorded::preloaded(&scratch, SOURCE, &[]),
    ];
    for (number, recorded) in (0..).zip(&hosts) {
        let traces = scratch.file(&format!("traces{number}"));
        let own = scratch.file(&format!("own{number}"));
        fs::create_dir(&traces).expect("a folder");
        fs::create_dir(&own).expect("a folder");
        let notes = Notes::new(&scratch, 3);
        let mut command = recorded.command(&traces.join("%p.wft"));
        if closed {
            let host = command.get_program().to_owned();
            let environment: Vec<_> = command
                .get_envs()
                .filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())))
                .collect();
            command = Command::new("sh");
            command.args(["-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"]);
            command.arg(host).envs(environment);
            command.env_remove("LD_LIBRARY_PATH");
        }
        command.arg(notes.path()).arg(&own).arg(way);
        command.current_dir(&own);
        let mut child = command.spawn().expect("the host");
        let status = end_of(&mut child);
        assert_eq!(status.code(), Some(0), "{way}: {status}");
        let returned = notes.read();
        let mut counts = [0; 2];
        for entry in fs::read_dir(&traces).expect("the folder of the traces") {
            let path = entry.expect("an entry of it").path();
            let trace = trace_of(&path).expect("a trace");
            let all = nth_events(&trace, &mut Vec::new());
            assert_eq!(trace.dropped_events, 0, "{way}");
            for (count, thread) in counts.iter_mut().zip(0..) {
                *count += all.get(&thread).map_or(0, Seen::count);
            }
        }
        assert_eq!(counts, returned[..2], "{way}");
    }
    row.held(
        2,
        "linked and preloaded: its files are unharmed, all events recorded",
    );
}

#[test]
fn descriptors_that_are_closed_and_used_again_harm_nobody() {
    let row = Row::new(
        "descriptors",
        "close_range(3, ~0), and 300 files of the host's own that get the numbers",
        "P1 P2",
    );
    check_way(row, "close_range", false);
}

#[test]
fn a_host_without_standard_descriptors_is_let_alone() {
    let row = Row::new(
        "descriptors",
        "stdin, stdout and stderr closed at the start, their numbers used by the host",
        "P1 P2",
    );
    check_way(row, "closed", true);
}

#[test]
fn a_daemon_is_recorded_like_any_other() {
    let row = Row::new(
        "fork",
        "a daemon: two forks, setsid, all descriptors closed",
        "P1 P2",
    );
    check_way(row, "daemon", false);
}

#[test]
fn a_folder_that_is_gone_does_not_matter() {
    let row = Row::new("files", "the current folder is removed", "P1 P2");
    check_way(row, "cwd", false);
}

#[test]
fn a_host_that_changes_its_root_is_recorded() {
    if !common::is_root() {
        return common::skip("chroot", "only root may change its root");
    }
    let row = Row::new("files", "chroot", "P1 P2");
    check_way(row, "chroot", false);
}

#[test]
fn a_clock_that_is_set_moves_no_event() {
    let row = Row::new(
        "clock",
        "the clock of the day goes back or forth by a year whenever it is read, 5 threads record",
        "P1 P2 P3",
    );
    let unkind = Unkind::new("clock");
    let steps = Host::c("c_tests/clock_steps.c")
        .unlinked()
        .flags(&["-shared", "-fPIC"])
        .compile(&unkind.scratch, "clock_steps.so");
    let words = ["4", "20000", "more", "flush", "fork"];
    let alone = unkind.alone(&words);
    let rounds = if common::soak() { 20 } else { 2 };
    for _ in 0..rounds {
        let folder = unkind.folder();
        let mut command = Command::new(&unkind.host);
        command.args(words);
        let preloads = format!("{}:{}", common::shim().display(), steps.display());
        command.env("LD_PRELOAD", preloads);
        command.env("WHOFREED_OPTIONS", "trace=host.%p.wft:summary=0");
        let outcome = unkind.finish(command, &folder, None);
        outcome.check(&alone, "clock");
        let stderr = &outcome.run.stderr;
        let is_asked = stderr.contains("asked for the day: ");
        assert!(is_asked && !stderr.contains("the day: 0"), "{stderr}");
        assert_eq!(outcome.dropped, 0, "{stderr}");
        assert_eq!(outcome.traces.len(), 2, "a parent's and a child's");
        for path in &outcome.traces {
            let trace = trace_of(path).expect("a trace");
            let times = || trace.events.iter().map(|event| event.time_ns);
            let (first, last) = (times().min(), times().max());
            let span = last.zip(first).map(|(last, first)| last - first);
            assert!(span.is_some_and(|ns| ns < 3_600_000_000_000), "{span:?}");
        }
    }
    row.held(
        rounds,
        "all events recorded, at the times of the monotonic clock, of parent and child",
    );
}

fn check_profiled(name: &str, recorded: &Recorded, scratch: &Scratch) {
    let row = Row::new(
        "signals",
        format!(
            "two timers at 1 kHz whose handlers allocate and free on 8 KiB, also in each other, {name}"
        ),
        "P1 P3",
    );
    let calls = if common::soak() {
        "20000000"
    } else {
        "1000000"
    };
    let trace = scratch.file("profiled.wft");
    let notes = Notes::new(scratch, 3);
    let mut command = recorded.command(&trace);
    let mut child = command
        .arg(notes.path())
        .arg(calls)
        .spawn()
        .expect("the host");
    let status = end_of(&mut child);
    assert_eq!(status.code(), Some(0), "{status}");
    let trace = trace_of(&trace).expect("a trace");
    let mut others = Vec::new();
    let all = nth_events(&trace, &mut others);
    let returned = notes.read();
    assert_eq!(all.get(&0).map_or(0, Seen::count), returned[0]);
    others.retain(|event| event.kind != EventKind::DeviceOpen);
    let recorded = others.len() as u64;
    assert_eq!(returned[1], recorded + trace.dropped_events);
    let told: u64 = trace.losses.iter().map(|loss| loss.events).sum();
    assert_eq!(told, trace.dropped_events);
    assert!(returned[2] > 0, "handlers ran");
    row.held(
        returned[2],
        &format!(
            "of {} events of handlers {recorded} recorded, {} counted as lost; all {} others recorded",
            returned[1], trace.dropped_events, returned[0]
        ),
    );
}

#[test]
fn handlers_that_allocate_are_recorded_or_counted_in_a_linked_host() {
    let scratch = Scratch::new("profiled-linked");
    let recorded = Recorded::linked(&scratch, "c_tests/life/profiled.c", &[]);
    check_profiled("linked", &recorded, &scratch);
}

#[test]
fn handlers_that_allocate_are_recorded_or_counted_under_hooks() {
    let scratch = Scratch::new("profiled-preloaded");
    let recorded = Recorded::preloaded(&scratch, "c_tests/life/profiled.c", &[]);
    check_profiled("preloaded", &recorded, &scratch);
}
