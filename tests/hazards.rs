//! What hosts do and tools like this one stumble over: c_tests/hazards.c, linked, with a trace, and under limits.

mod common;

use std::path::Path;
use std::process::Command;

use common::Host;
use common::Scratch;
use common::total;

fn host(scratch: &Scratch) -> std::path::PathBuf {
    Host::c("c_tests/hazards.c").compile(scratch, "host")
}

/// Runs a mode alone, and under `whofreed run`, and expects so many excess frees.
fn content(mode: &str, excess: u64) {
    let scratch = Scratch::new("hazards");
    let host = host(&scratch);
    let quiet = ("WHOFREED_OPTIONS", "summary=0");
    common::run(Command::new(&host).arg(mode).env(quiet.0, quiet.1)).expect_code(0);
    let tracked = common::track(&scratch, &[], &host, &[mode]);
    tracked.run.expect_code(0);
    common::check_identities(&tracked.report);
    assert_eq!(total(&tracked.report, "excess"), excess);
    assert_eq!(total(&tracked.report, "dropped_events"), 0);
}

/// The program's own constructors run before the library's: the first event comes before it was asked to start.
#[test]
fn an_event_before_our_own_constructor_loses_nothing() {
    content("many", 1);
}

#[test]
fn a_cancelled_thread_is_cancelled_where_the_host_says() {
    content("cancel", 1);
}

#[test]
fn a_handler_on_a_small_alternate_stack_has_room() {
    content("small_stack", 101);
}

/// A handler that interrupts an event has its own judged and recorded all the same.
#[test]
fn a_handler_inside_an_event_loses_nothing() {
    content("handler", 1);
}

/// One that interrupts an event of another handler may lose its own: then it is counted, and nobody is accused.
#[test]
fn a_handler_inside_an_event_of_a_handler_makes_nobody_guilty() {
    let scratch = Scratch::new("handlers");
    let host = host(&scratch);
    let tracked = common::track(&scratch, &["--guard"], &host, &["handlers"]);
    tracked.run.expect_code(0);
    common::check_identities(&tracked.report);
    assert_eq!(total(&tracked.report, "excess"), 1);
    common::note(
        "events lost to handlers inside handlers",
        &total(&tracked.report, "dropped_events").to_string(),
    );
}

#[test]
fn resets_that_leave_buffers_behind_do_not_stop_the_judge() {
    content("resets", 2);
}

#[test]
fn too_many_owners_of_one_address_are_not_accused_and_told() {
    let scratch = Scratch::new("crowd");
    let tracked = common::track(&scratch, &[], &host(&scratch), &["crowd"]);
    tracked.run.expect_code(0);
    common::check_identities(&tracked.report);
    assert_eq!(total(&tracked.report, "excess"), 1);
    assert!(total(&tracked.report, "untracked") > 0);
}

#[test]
fn a_module_opened_by_a_relative_path_keeps_its_names() {
    let scratch = Scratch::new("relative");
    let host = host(&scratch);
    let flags = ["-shared", "-fPIC"];
    Host::c("c_tests/hazards_plugin.c")
        .flags(&flags)
        .compile(&scratch, "plugin.so");
    let trace = scratch.file("relative.wft");
    common::run(
        Command::new(common::cli())
            .args(["run", "--trace"])
            .arg(&trace)
            .arg("--shim")
            .arg(common::shim())
            .arg("--")
            .arg(&host)
            .args(["plugin", "./plugin.so"])
            .current_dir(scratch.path()),
    )
    .expect_code(0);
    let report = common::report(&trace);
    let culprits = report["culprits"].as_array().expect("a list");
    assert!(
        culprits
            .iter()
            .any(|culprit| culprit["function"] == "plugin_frees_again"),
        "{report:#}"
    );
}

/// A limit on the size of files is met by counting, never by the signal that would end the host.
#[test]
fn limits_of_the_host_do_not_end_it() {
    let scratch = Scratch::new("limits");
    let host = host(&scratch);
    for limit in ["-f 100", "-f 1000", "-v 500000", "-v 2000000"] {
        for trace in ["", ":trace=limited.wft"] {
            let run = common::run(
                Command::new("bash")
                    .arg("-c")
                    .arg(format!("ulimit {limit}; exec \"$0\" many"))
                    .arg(&host)
                    .current_dir(scratch.path())
                    .env("WHOFREED_OPTIONS", format!("summary=0{trace}")),
            );
            run.expect_code(0);
            let left = scratch.file("limited.wft");
            assert!(!left.exists() || std::fs::remove_file(left).is_ok());
        }
    }
}

#[test]
fn a_callback_is_never_called_with_what_belongs_to_another() {
    content("callbacks", 50_001);
}

/// The summary comes all the same where stderr is read; where nobody reads that either, the host ends without it.
#[test]
fn a_report_that_nobody_reads_does_not_keep_the_host_from_ending() {
    let scratch = Scratch::new("stuck");
    let host = host(&scratch);
    let run = common::run(Command::new("timeout").arg("20").arg(&host).arg("stuck"));
    let run = run.expect_code(0);
    assert!(run.stderr.contains("1 excess free"), "{}", run.stderr);

    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut full = Command::new("timeout");
    full.args(["20", "bash", "-c", FILL_AND_RUN])
        .arg(&host)
        .env_remove("LD_LIBRARY_PATH")
        .stderr(writer);
    let status = full.status().expect("bash");
    assert!(status.success(), "{status}");
    drop(reader);
}

/// Fills the pipe behind stderr, then runs the host.
const FILL_AND_RUN: &str = "timeout 1 head -c 10000000 /dev/zero >&2; \"$0\" stuck";

/// The exit code tells of excess frees even where the host did away with the trace.
#[test]
fn without_a_trace_the_exit_code_tells_all_the_same() {
    let scratch = Scratch::new("no-trace");
    // Without an event before main, which would make the trace while it can be made.
    let late = Host::c("c_tests/hazards.c")
        .flags(&["-DNO_EVENT_BEFORE_MAIN"])
        .compile(&scratch, "late");
    let trace = scratch.file("gone.wft");
    let trace = trace.to_string_lossy();
    for mode in [&["no_descriptors"][..], &["remove"], &["many"]] {
        let run = common::run(
            Command::new(common::cli())
                .args(["run", "--error-exitcode", "7", "--trace", &trace, "--shim"])
                .arg(common::shim())
                .arg("--")
                .arg(&late)
                .args(mode)
                .current_dir(scratch.path()),
        );
        let run = run.expect_code(7);
        let is_said = run.stderr.contains("1 excess free is in no trace");
        assert_eq!(is_said, mode != ["many"], "{}", run.stderr);
    }
}

/// `follow_children=0`: what the first process starts is not recorded, and the user's own preloads stay.
#[test]
fn children_are_left_alone_when_asked() {
    let scratch = Scratch::new("alone");
    let host = host(&scratch);
    let run = common::run(
        Command::new(common::cli())
            .args(["run", "--follow-children", "0", "--shim"])
            .arg(common::shim())
            .args(["--trace", "t.wft", "--", "bash", "-c"])
            .arg("\"$0\" many; echo \"left: [$LD_PRELOAD]\"")
            .arg(&host)
            .current_dir(scratch.path()),
    )
    .expect_code(0);
    assert!(run.stdout.contains("left: []"), "{}", run.stdout);
    assert!(!Path::new(&scratch.file("t.wft")).exists());
}

#[test]
fn a_host_whose_last_thread_has_ended_ends() {
    let scratch = Scratch::new("last-thread");
    let host = Host::c("c_tests/last_thread.c").compile(&scratch, "host");
    let mut command = Command::new("timeout");
    command.args([
        "60",
        common::cli().to_str().expect("a path"),
        "run",
        "--trace",
    ]);
    command.arg(scratch.file("last.wft")).arg("--").arg(&host);
    common::run(&mut command).expect_code(0);
    // Linked, without a launcher.
    let mut command = Command::new("timeout");
    common::run(command.arg("60").arg(&host)).expect_code(0);
}

#[test]
fn a_host_that_may_not_read_the_processors_counter_is_recorded() {
    let scratch = Scratch::new("no-counter");
    let host = Host::c("c_tests/no_counter.c").compile(&scratch, "host");
    let tracked = common::track(&scratch, &[], &host, &[""; 0]);
    tracked.run.expect_code(0);
    assert_eq!(total(&tracked.report, "allocations"), 5000);
    assert_eq!(total(&tracked.report, "excess"), 1);
}
