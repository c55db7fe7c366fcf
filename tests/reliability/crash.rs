//! Hosts that end without warning: by SIGKILL at some instant, by a crash, by `abort`.

use std::process::Command;

use serde_json::Value;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::common::total;

/// Every free whose call has returned is in the trace: the host has printed its number.
fn check_killed(threads: usize, after: u64, signal: i32) {
    let scratch = Scratch::new("killed");
    let host = Host::c("c_tests/sigkill.c").compile(&scratch, "host");
    let arguments = [after.to_string(), threads.to_string(), signal.to_string()];
    let tracked = common::track(&scratch, &[], &host, &arguments);
    let run = tracked.run.expect_code(128 + signal);
    let printed = run.stdout.lines().count() as u64;
    check_last_words(&tracked.report, printed, threads as u64);
    assert_eq!(tracked.report["process"]["exit"]["signal"], signal);

    // The same without a launcher that could help.
    let trace = scratch.file("linked.wft");
    let run = common::run(
        Command::new(&host)
            .args(&arguments)
            .env("WHOFREED_OPTIONS", format!("trace={}", trace.display())),
    );
    let printed = run.expect_code(128 + signal).stdout.lines().count() as u64;
    check_last_words(&common::report(&trace), printed, threads as u64);
}

fn check_last_words(report: &Value, printed: u64, threads: u64) {
    common::check_identities(report);
    let recorded = total(report, "deallocations");
    assert!(
        printed <= recorded && recorded <= printed + threads,
        "{printed} printed, {recorded} recorded"
    );
    if threads == 1 {
        assert_eq!(total(report, "excess"), recorded / 3);
        assert_eq!(total(report, "dropped_events"), 0);
    }
}

#[test]
fn sigkill_loses_nothing() {
    let row = Row::new("crash", "SIGKILL after the n-th free of one thread", "P2");
    let instants = [1, 2, 3, 1_000, 30_000];
    for after in instants {
        check_killed(1, after, libc_signal::KILL);
    }
    row.held(
        instants.len() as u64 * 2,
        "every free that had returned is in the trace, and one more at most",
    );
}

#[test]
fn a_crash_loses_nothing() {
    let row = Row::new("crash", "SIGSEGV, SIGTERM", "P1 P2");
    check_killed(1, 300, libc_signal::SEGV);
    check_killed(2, 300, libc_signal::TERM);
    row.held(4, "the host dies of its own signal; nothing is lost");
}

#[test]
fn abort_loses_nothing() {
    let row = Row::new("crash", "abort()", "P1 P2");
    let scratch = Scratch::new("abort");
    let host = Host::c("c_tests/abort.c").compile(&scratch, "host");
    let tracked = common::track(&scratch, &[], &host, &["500"]);
    let run = tracked.run.expect_code(134);
    assert_eq!(run.stdout.lines().count(), 500);
    common::check_identities(&tracked.report);
    assert_eq!(total(&tracked.report, "deallocations"), 500);
    assert_eq!(total(&tracked.report, "excess"), 1);
    assert_eq!(common::culprits(&tracked.report).len(), 1);
    row.held(1, "nothing is lost");
}

/// The numbers of signals on Linux.
mod libc_signal {
    pub const KILL: i32 = 9;
    pub const SEGV: i32 = 11;
    pub const TERM: i32 = 15;
}
