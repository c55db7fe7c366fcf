//! Children of every generation: each has a trace of its own, and none touches another's.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::common::total;

/// Four generations of programs by `exec`, of which the last exits with 5.
const GENERATIONS: &str =
    "bash -c 'perl -e \"exit system(q(/bin/sh -c \\\"exit 5\\\")) >> 8\"; exit $?'; exit $?";

fn track(scratch: &Scratch, script: &str) -> (common::Run, Value) {
    let file = scratch.file("report.json");
    let mut command = Command::new(common::cli());
    command.arg("run").arg("--shim").arg(common::shim());
    command.arg("--trace").arg(scratch.file("%p.wft"));
    command.arg("--report").arg(&file);
    command.args(["--format", "json", "--adapters", "libc"]);
    command.args(["--", "bash", "-c", script]);
    let run = common::run(&mut command);
    let text = fs::read_to_string(file).expect("a report");
    (run, serde_json::from_str(&text).expect("JSON"))
}

fn pids(report: &Value) -> std::collections::BTreeMap<u64, u64> {
    let processes = report["processes"].as_array().expect("a list");
    let number = |process: &Value, key: &str| process[key].as_u64().expect("a number");
    processes
        .iter()
        .map(|process| (number(process, "pid"), number(process, "parent_pid")))
        .collect()
}

#[test]
fn every_generation_has_a_trace_of_its_own() {
    let row = Row::new(
        "children",
        "a tree of four generations by fork and exec",
        "P1 P2",
    );
    let scratch = Scratch::new("generations");
    let (run, report) = track(&scratch, GENERATIONS);
    let run = run.expect_code(5);
    common::check_identities(&report);
    let pids = pids(&report);
    let depth = |mut pid: u64| {
        let mut depth = 1;
        while let Some(parent) = pids.get(&pid).filter(|parent| pids.contains_key(parent)) {
            pid = *parent;
            depth += 1;
        }
        depth
    };
    let deepest = pids.keys().map(|pid| depth(*pid)).max();
    assert!(deepest >= Some(3), "{pids:?} {}", run.stderr);
    assert_eq!(total(&report, "dropped_events"), 0);
    row.held(1, "a trace each, the tree in the report");
}

/// A child with the environment of its parent, and with it the name of its trace.
#[test]
fn a_child_with_its_parents_environment_leaves_its_parents_trace_alone() {
    let row = Row::new(
        "children",
        "100 children with the name of their parent's trace",
        "P2",
    );
    let scratch = Scratch::new("same-name");
    let host = Host::c("c_tests/children.c").compile(&scratch, "host");
    let trace = scratch.file("same.wft");
    let run = common::run(Command::new(&host).arg("100").env(
        "WHOFREED_OPTIONS",
        format!("summary=0:trace={}", trace.display()),
    ));
    run.expect_code(0);
    let parent = common::report(&trace);
    assert_eq!(total(&parent, "allocations"), 200);
    assert_eq!(total(&parent, "excess"), 1);
    let traces = fs::read_dir(scratch.path()).expect("a folder");
    let traces = traces.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().ends_with(".wft")
    });
    assert_eq!(traces.count(), 101);
    row.held(
        100,
        "the parent's trace is as it was, each child has its own",
    );
}

/// The kernel's number of a process is not one of its own.
#[test]
fn a_child_with_its_parents_number_in_another_namespace_has_a_trace_of_its_own() {
    let probe = common::run(Command::new("unshare").args(["--pid", "--fork", "true"]));
    if probe.code() != 0 {
        return common::skip(
            "a child in a namespace of processes",
            "none can be made here",
        );
    }
    let row = Row::new(
        "children",
        "a child in a new namespace of processes, with the number of its parent",
        "P2 P3",
    );
    let scratch = Scratch::new("namespace");
    let host = Host::c("c_tests/children.c").compile(&scratch, "host");
    let options = format!("summary=0:trace={}", scratch.file("%p.wft").display());
    let mut command = Command::new("unshare");
    command
        .args(["--pid", "--fork"])
        .arg(&host)
        .arg("namespace");
    common::run(command.env("WHOFREED_OPTIONS", options)).expect_code(0);
    for name in ["1.wft", "1.1.wft"] {
        let report = common::report(&scratch.file(name));
        assert_eq!(total(&report, "allocations"), 20_000, "{name}");
        assert_eq!(total(&report, "ok"), 20_000, "{name}");
        assert_eq!(total(&report, "dropped_events"), 0, "{name}");
    }
    row.held(1, "each has its own trace, with all of its events");
}
