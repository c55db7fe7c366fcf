//! No event takes anything of the host's heap, or gives anything back to it: a host counts that itself.

use std::process::Command;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::common::number;

/// Events of all kinds in a round of the host.
const EVENTS: u64 = 10;

fn check(threads: u64, rounds: u64, into_file: bool) -> u64 {
    let scratch = Scratch::new("heap");
    // The heap's own functions are replaced: the compiler must not know better what they do.
    let host = Host::c("c_tests/no_heap.c")
        .flags(&["-fno-builtin"])
        .compile(&scratch, "host");
    let mut options = "stacks=all:summary=0".to_owned();
    if into_file {
        options += &format!(":trace={}", scratch.file("heap.wft").display());
    }
    let run = common::run(
        Command::new(&host)
            .args([threads.to_string(), rounds.to_string()])
            .env("WHOFREED_OPTIONS", &options),
    );
    let truth = run.expect_code(0).truth();
    assert_eq!(number(&truth, &["heap"]), 0, "{truth}");
    number(&truth, &["mappings"])
}

fn check_threads(threads: u64, fault: &str) {
    let row = Row::new("heap", fault, "P4");
    let rounds = if common::soak() { 1_000_000 } else { 20_000 } / threads;
    let in_memory = check(threads, rounds, false);
    assert_eq!(in_memory, 0, "memory was mapped as a whole");
    let mapped = check(threads, rounds, true);
    let events = 2 * EVENTS * threads * rounds;
    // As many chunks as the events fill, where the writer thread had none ready.
    let chunks = events / 1000 + threads * 4;
    assert!(mapped <= chunks, "{mapped} mappings for {chunks} chunks");
    row.held(
        events,
        &format!(
            "no call of the heap within an event; {mapped} chunks mapped by the event's thread"
        ),
    );
}

#[test]
fn events_of_one_thread_leave_the_heap_alone() {
    check_threads(1, "heap calls counted within all kinds of events");
}

#[test]
fn events_of_eight_threads_leave_the_heap_alone() {
    check_threads(
        8,
        "heap calls counted within all kinds of events, eight threads",
    );
}
