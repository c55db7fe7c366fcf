//! The guard holds back what has no right, and nothing else, however fast buffers go from thread to thread:
//! c_tests/life/guarded.c.

use std::process::Command;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::common::number;
use crate::common::total;

const SOURCE: &str = "c_tests/life/guarded.c";

#[test]
fn the_guard_never_holds_a_legitimate_free_back() {
    let row = Row::new(
        "guard",
        "legal frees by all of the C API, of 64 buffers that 4 threads pass to each other",
        "P1",
    );
    let mistakes_row = Row::new(
        "guard",
        "double and stale frees among them, by owner and by nobody",
        "P1",
    );
    let scratch = Scratch::new("guarded");
    let host = Host::c(SOURCE).compile(&scratch, "host");
    let (rounds, frees) = if common::soak() {
        (25, "40000000")
    } else {
        (1, "10000000")
    };
    let (mut all, mut mistakes) = (0, 0);
    for _ in 0..rounds {
        let mut command = Command::new(&host);
        command.args([frees, "100000"]);
        command.env("WHOFREED_OPTIONS", "guard=1:stacks=excess:summary=0");
        let truth = common::run(&mut command).expect_code(0).truth();
        assert_eq!(truth["blocked"], 0, "{truth}");
        assert_eq!(truth["missed"], 0, "{truth}");
        all += number(&truth, &["frees"]);
        mistakes += number(&truth, &["mistakes"]);
    }
    row.held(all, "0 held back");
    mistakes_row.held(mistakes, "all held back");
}

/// What the host was told is what the trace says afterwards, and what the report counts.
#[test]
fn what_the_guard_held_back_is_what_the_trace_says() {
    let row = Row::new(
        "guard",
        "the same with a trace, held against the replay",
        "P1 P3",
    );
    let scratch = Scratch::new("guarded-trace");
    let host = Host::c(SOURCE).compile(&scratch, "host");
    let frees = if common::soak() { "2000000" } else { "100000" };
    let options = ["--guard", "--stacks", "excess"];
    let tracked = common::track(&scratch, &options, &host, &[frees, "4000"]);
    let truth = tracked.run.expect_code(0).truth();
    common::check_identities(&tracked.report);
    let (legal, mistakes) = (number(&truth, &["frees"]), number(&truth, &["mistakes"]));
    assert_eq!(total(&tracked.report, "deallocations"), legal + mistakes);
    assert_eq!(total(&tracked.report, "ok"), legal);
    assert_eq!(total(&tracked.report, "excess"), mistakes);
    assert_eq!(total(&tracked.report, "blocked"), mistakes);
    assert_eq!(total(&tracked.report, "dropped_events"), 0);
    assert_eq!(tracked.report["damage"].as_array().map(Vec::len), Some(0));
    row.held(
        legal + mistakes,
        "host, trace and replay agree on each free",
    );
}
