//! Threads that come and go with events to their very end, and many at once: c_tests/life/short_threads.c.

use std::fs;

use whofreed_trace::EventKind;

use crate::common;
use crate::common::Row;
use crate::common::Scratch;
use crate::life::Notes;
use crate::life::Recorded;
use crate::life::end_of;
use crate::life::nth_events;
use crate::life::trace_of;

const SOURCE: &str = "c_tests/life/short_threads.c";
/// As in the host.
const MOST_LIVE: usize = 1000;

fn check_threads(name: &'static str, recorded: &Recorded, scratch: &Scratch) {
    let (count, live) = if common::soak() {
        (100_000, 1000)
    } else {
        (10_000, 200)
    };
    let row = Row::new(
        "threads",
        format!(
            "{count} short threads with events in destructors, ended by return, pthread_exit and pthread_cancel, after \
             {live} at once, {name}"
        ),
        "P1 P2 P3",
    );
    let trace = scratch.file("threads.wft");
    let notes = Notes::new(scratch, MOST_LIVE);
    let mut command = recorded.command(&trace);
    command.arg(notes.path());
    command.args([count.to_string(), live.to_string()]);
    let mut child = command.spawn().expect("the host");
    let status = end_of(&mut child);
    assert_eq!(status.code(), Some(0), "{status}: memory grows, or a check");
    let read = trace_of(&trace).expect("a trace");
    let mut others = Vec::new();
    let all = nth_events(&read, &mut others);
    others.retain(|event| event.kind != EventKind::DeviceOpen);
    assert_eq!(others, []);
    assert_eq!(read.dropped_events, 0);
    let mut events = 0;
    for (number, returned) in (0..).zip(notes.read()) {
        let recorded = all.get(&number);
        let seen = recorded.map_or(0, |seen| seen.events.len() as u64);
        let count = recorded.map_or(0, |seen| seen.count());
        assert_eq!((seen, count), (returned, returned), "of place {number}");
        assert_eq!(recorded.map_or(0, |seen| seen.without_stack), 0);
        events += count;
    }
    let _ = fs::remove_file(&trace);
    row.held(
        count + live,
        &format!("all {events} events recorded; less than 1 MiB more memory after the first half"),
    );
}

#[test]
fn threads_leave_nothing_behind_and_lose_nothing_of_a_linked_host() {
    let scratch = Scratch::new("threads-linked");
    let recorded = Recorded::linked(&scratch, SOURCE, &[]);
    check_threads("linked", &recorded, &scratch);
}

#[test]
fn threads_leave_nothing_behind_and_lose_nothing_of_hooked_calls() {
    let scratch = Scratch::new("threads-preloaded");
    let recorded = Recorded::preloaded(&scratch, SOURCE, &[]);
    check_threads("preloaded", &recorded, &scratch);
}
