//! The hosts of c_tests/, compiled by the system's compiler and run linked and under `whofreed run`: the verdicts they
//! check themselves, and the totals that the report gives of them.

mod common;

use std::process::Command;

use common::Host;
use common::Scratch;
use common::number;
use common::total;
use serde_json::Value;

const NO_ARGUMENTS: &[&str] = &[];

/// Runs a host alone and under `whofreed run`; either way it must be content. Gives back the report of the latter.
fn content_both_ways(source: &str, arguments: &[&str]) -> (Value, Value) {
    let scratch = Scratch::new("content");
    let host = Host::of(source).compile(&scratch, "host");
    common::run(Command::new(&host).args(arguments)).expect_code(0);
    let tracked = common::track(&scratch, &[], &host, arguments);
    let truth = tracked.run.expect_code(0).truth();
    common::check_identities(&tracked.report);
    assert_eq!(total(&tracked.report, "dropped_events"), 0);
    if truth["excess"].is_u64() {
        assert_eq!(
            total(&tracked.report, "excess"),
            number(&truth, &["excess"])
        );
    }
    (tracked.report, truth)
}

#[test]
fn the_api_from_c() {
    let (report, _) = content_both_ways("c_tests/api.c", NO_ARGUMENTS);
    assert_eq!(total(&report, "allocations"), 14);
    assert_eq!(total(&report, "late"), 1);
    assert_eq!(total(&report, "unknown"), 2);
    // What a reset ended and nobody freed in time.
    assert_eq!(total(&report, "leaked"), 1);
    assert_eq!(number(&report, &["verdicts", "stale_owner"]), 3);
    assert_eq!(number(&report, &["verdicts", "foreign_owner"]), 1);
    assert_eq!(report["device_names"]["2"], "simulated device");
}

#[test]
fn the_api_from_cxx() {
    let (report, _) = content_both_ways("c_tests/api.cpp", NO_ARGUMENTS);
    assert_eq!(total(&report, "allocations"), 5);
    assert_eq!(total(&report, "leaked"), 0);
}

#[test]
fn bad_input_gets_verdicts() {
    let (report, _) = content_both_ways("c_tests/bad_input.c", NO_ARGUMENTS);
    assert!(total(&report, "unknown") >= 3);
    assert_eq!(total(&report, "leaked"), 0);
}

#[test]
fn views_are_told_apart_by_address_and_owner() {
    let (report, _) = content_both_ways("c_tests/views.c", NO_ARGUMENTS);
    assert_eq!(number(&report, &["verdicts", "foreign_owner"]), 0);
    assert_eq!(total(&report, "leaked"), 0, "{report:#}");
}

#[test]
fn a_forked_child_has_a_ledger_and_a_trace_of_its_own() {
    let (report, truth) = content_both_ways("c_tests/fork.c", NO_ARGUMENTS);
    assert_eq!(total(&report, "leaked"), number(&truth, &["leaked"]));
    assert_eq!(total(&report, "unknown"), 1);
    assert_eq!(common::rows(&report, "processes").len(), 3, "{report:#}");
}

#[test]
fn before_main_and_after_it() {
    let (report, truth) = content_both_ways("c_tests/static_init.cpp", NO_ARGUMENTS);
    assert_eq!(
        total(&report, "allocations"),
        number(&truth, &["allocations"])
    );
    assert_eq!(total(&report, "leaked"), 0);
}

#[test]
fn a_linked_host_with_excess_frees_says_so_at_its_exit() {
    let scratch = Scratch::new("summary");
    let host = Host::cxx(&["c_tests/static_init.cpp"]).compile(&scratch, "host");
    let run = common::run(&mut Command::new(&host)).expect_code(0);
    assert!(run.stderr.contains("2 excess"), "{}", run.stderr);
    let silent = common::run(Command::new(&host).env("WHOFREED_OPTIONS", "summary=0"));
    assert_eq!(silent.expect_code(0).stderr, "");
    // One without excess frees has nothing to say.
    let clean = Host::c("c_tests/threads.c").compile(&scratch, "clean");
    let run = common::run(Command::new(&clean).arg("800")).expect_code(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn what_the_report_hints_at_can_be_pasted() {
    let scratch = Scratch::new("hint");
    let host = Host::c("c_tests/abort.c").compile(&scratch, "host");
    let folder = scratch.file("my traces");
    std::fs::create_dir(&folder).expect("a folder");
    let run = common::run(
        Command::new(common::cli())
            .current_dir(&folder)
            .arg("run")
            .arg("--shim")
            .arg(common::shim())
            .arg("--")
            .arg(&host)
            .arg("500"),
    );
    let said = run.expect_code(134).stderr;
    let hint = said.lines().find(|line| line.starts_with("HINT: "));
    let (_, command) = hint
        .and_then(|hint| hint.rsplit_once(": "))
        .unwrap_or_else(|| panic!("no hint: {said}"));
    let history = common::run(
        Command::new("sh")
            .current_dir(&folder)
            .args(["-c", command]),
    );
    let history = history.expect_code(0).stdout;
    assert!(history.contains(", excess 1\n"), "{history}");
    let marked = "already_freed, surplus: charged to culprit 1";
    assert!(history.contains(marked), "{history}");
    assert_eq!(history.matches("surplus").count(), 1, "{history}");
    // The last line is what the run has left.
    let trace = said
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("trace: "));
    assert!(folder.join(trace.expect("its name")).is_file(), "{said}");
}

#[test]
fn eight_threads_without_a_bug_are_counted_exactly() {
    let (report, truth) = content_both_ways("c_tests/threads.c", &["400000"]);
    check_threads(&report, &truth);
    if common::soak() {
        // More than a linked host without a trace would keep.
        let scratch = Scratch::new("threads");
        let host = Host::c("c_tests/threads.c").compile(&scratch, "host");
        let tracked = common::track(&scratch, &[], &host, &["4000000"]);
        check_threads(&tracked.report, &tracked.run.expect_code(0).truth());
    }
}

fn check_threads(report: &Value, truth: &Value) {
    let expected = number(truth, &["allocations"]);
    assert!(expected >= 400_000);
    assert_eq!(total(report, "allocations"), expected);
    assert_eq!(total(report, "deallocations"), expected);
    assert_eq!(total(report, "ok"), expected);
    for nothing in ["excess", "unknown", "leaked", "late", "dropped_events"] {
        assert_eq!(total(report, nothing), 0, "{nothing}");
    }
}

/// The host compares every verdict with what it knows of its own buffers.
#[test]
fn owners_are_told_apart_exactly() {
    let (report, truth) = content_both_ways("c_tests/owners.c", NO_ARGUMENTS);
    for key in ["allocations", "deallocations", "ok", "forwarded"] {
        assert_eq!(total(&report, key), number(&truth, &[key]), "{key}");
    }
    assert_eq!(total(&report, "ok"), total(&report, "allocations"));
    assert_eq!(common::culprits(&report), ["cache_evict"], "{report:#}");
    assert_eq!(report["culprits"][0]["confidence"], "proven");
}

/// Its pool would notice if a free that is not legitimate were forwarded, or a legitimate one were not.
#[test]
fn a_guarded_host_forwards_exactly_the_legitimate_frees() {
    let scratch = Scratch::new("owners-guard");
    let host = Host::c("c_tests/owners.c").compile(&scratch, "owners");
    let tracked = common::track(&scratch, &["--guard"], &host, &["guard"]);
    let truth = tracked.run.expect_code(0).truth();
    common::check_identities(&tracked.report);
    assert_eq!(number(&truth, &["forwarded"]), number(&truth, &["ok"]));
    for key in ["forwarded", "blocked"] {
        assert_eq!(total(&tracked.report, key), number(&truth, &[key]), "{key}");
    }
}
