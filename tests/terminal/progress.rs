//! Long work tells somebody at a terminal how far it is, and nobody else.

use std::path::PathBuf;
use std::process::Command;

use crate::common;
use crate::common::Host;
use crate::common::Scratch;
use crate::window::Window;

/// A trace of so many events that a report takes longer than anybody waits without a word.
fn long_trace(scratch: &Scratch) -> PathBuf {
    let trace = scratch.file("long.wft");
    let host = Host::c("c_tests/life/guarded.c").compile(scratch, "host");
    let mut command = Command::new(host);
    command.args(["6000000", "10000"]);
    command.env(
        "WHOFREED_OPTIONS",
        format!("guard=1:stacks=excess:summary=0:trace={}", trace.display()),
    );
    common::run(&mut command).expect_code(0);
    trace
}

#[test]
fn a_long_report_tells_how_far_it_is_at_a_terminal_only_and_leaves_nothing_of_that() {
    let scratch = Scratch::new("progress");
    let trace = long_trace(&scratch);
    let report = || {
        let mut command = Command::new(common::cli());
        command.env_remove("LD_LIBRARY_PATH");
        command.arg("report").arg(&trace).env("COLUMNS", "100");
        command
    };
    let plain = common::run(&mut report()).expect_code(0);
    assert_eq!(plain.stderr, "");

    let mut command = report();
    command.args(["--output", "/dev/null"]);
    let mut screen = Window::start(&mut command, 100, 10);
    screen.wait_for("how far it is", |text| {
        text.contains("whofreed: replaying events: ") && text.contains(" %), ")
    });
    assert_eq!(screen.end().code(), Some(0));
    screen.wait_for("nothing", |text| text.trim().is_empty());
}
