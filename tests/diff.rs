//! `whofreed diff` between real runs of the embedded example: with its bug, without, behind the guard, with another
//! bug, longer, and built again with other lines under another name.

mod common;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use common::Host;
use common::Run;
use common::Scratch;
use common::number;
use common::root;
use serde_json::Value;

const SOURCES: [&str; 4] = ["main.cpp", "caches.hpp", "device.hpp", "operators.hpp"];

/// Records a run, and gives its trace and its JSON report names of their own.
fn record(
    scratch: &Scratch,
    name: &str,
    options: &[&str],
    host: &Path,
    arguments: &[&str],
) -> PathBuf {
    let tracked = common::track(scratch, options, host, arguments);
    tracked.run.expect_code(0);
    let trace = scratch.file(&format!("{name}.wft"));
    fs::rename(tracked.trace, &trace).expect("the trace can be renamed");
    let report = scratch.file(&format!("{name}.json"));
    fs::write(report, tracked.report.to_string()).expect("the report can be kept");
    trace
}

fn run(before: &Path, after: &Path, options: &[&str]) -> Run {
    let mut command = Command::new(common::cli());
    command.arg("diff").arg(before).arg(after).args(options);
    // The cache of symbols would know names whose files are gone.
    command.env("WHOFREED_SYMBOL_CACHE", "0");
    common::run(command.env_remove("COLUMNS"))
}

fn diff(before: &Path, after: &Path) -> Value {
    let run = run(before, after, &["--format", "json"]).expect_code(0);
    serde_json::from_str(&run.stdout).expect("the comparison is JSON")
}

/// Each culprit's status, function, and excess frees before and after.
fn culprits(diff: &Value) -> Vec<(String, String, u64, u64)> {
    let told = |row: &Value| {
        let status = row["status"].as_str().unwrap_or("?").to_owned();
        let count = |side: &str| row[side]["explains"].as_u64().unwrap_or(0);
        let name = common::function(row);
        (status, name, count("before"), count("after"))
    };
    common::rows(diff, "culprits").iter().map(told).collect()
}

fn row(status: &str, function: &str, before: u64, after: u64) -> (String, String, u64, u64) {
    (status.to_owned(), function.to_owned(), before, after)
}

#[test]
fn the_embedded_example_is_fixed_hidden_or_worse() {
    let scratch = Scratch::new("diff");
    let host = Host::cxx(&["examples/pool_runtime/main.cpp"]).compile(&scratch, "pool_runtime");
    let one = record(&scratch, "one", &[], &host, &["one"]);
    let fixed = record(&scratch, "fixed", &[], &host, &["clean"]);
    let guarded = record(&scratch, "guarded", &["--guard"], &host, &["one"]);
    let two = record(&scratch, "two", &[], &host, &["two"]);
    let long = record(&scratch, "long", &[], &host, &["one", "1", "12000"]);

    let diff_of = diff(&one, &fixed);
    let [(status, name, excess, 0)] = &*culprits(&diff_of) else {
        panic!("{diff_of:#}");
    };
    let excess = *excess;
    assert_eq!((&**status, &**name), ("gone", "ProgramCache::evict"));
    assert_eq!(diff_of["answer"], "fixed");
    assert_eq!(number(&diff_of, &["before", "totals", "excess"]), excess);
    assert_eq!(number(&diff_of, &["after", "totals", "excess"]), 0);
    let victims = common::rows(&diff_of, "victims");
    assert!(!victims.is_empty(), "{diff_of:#}");
    assert!(victims.iter().all(|victim| victim["status"] == "gone"));

    let hidden = diff(&one, &guarded);
    assert_eq!(
        culprits(&hidden),
        [row("hidden", "ProgramCache::evict", excess, excess)]
    );
    assert_eq!(hidden["answer"], "not_fixed");
    assert_eq!(hidden["after"]["guard"], "all");
    assert_eq!(number(&hidden, &["after", "totals", "blocked"]), excess);

    let worse = diff(&one, &two);
    let rows = culprits(&worse);
    let [(status, name, 0, added), old] = &*rows else {
        panic!("{worse:#}");
    };
    assert_eq!((&**status, &**name), ("new", "TraceCapture::finish"));
    assert_eq!(
        *old,
        row("unchanged", "ProgramCache::evict", excess, excess)
    );
    assert_eq!(
        number(&worse, &["after", "totals", "excess"]),
        excess + added
    );
    assert_eq!(worse["is_worse"], true);

    let back = diff(&two, &guarded);
    assert_eq!(
        culprits(&back),
        [
            row("hidden", "ProgramCache::evict", excess, excess),
            row("gone", "TraceCapture::finish", *added, 0),
        ]
    );
    let text = run(&two, &guarded, &[]).expect_code(0).stdout;
    let answer = "whofreed: partly fixed: 1 of 2 culprits gone, 1 hidden by the guard; ";
    assert!(text.starts_with(answer), "{text}");

    let longer = diff(&one, &long);
    assert_eq!(longer["normalised"], true);
    assert_eq!(longer["culprits"][0]["status"], "unchanged", "{longer:#}");

    run(&one, &two, &["--error-exitcode", "9"]).expect_code(9);
    run(&two, &one, &["--error-exitcode", "9"]).expect_code(0);
    run(&one, &guarded, &["--error-exitcode", "9"]).expect_code(0);
    run(
        &one,
        &scratch.file("nothing.wft"),
        &["--error-exitcode", "9"],
    )
    .expect_code(125);
}

#[test]
fn a_program_that_was_built_again_is_known_by_its_report_and_by_another_name() {
    let scratch = Scratch::new("rebuilt");
    let source = "examples/pool_runtime/main.cpp";
    let host = Host::cxx(&[source]).compile(&scratch, "pool_runtime");
    let before = record(&scratch, "before", &[], &host, &["one"]);
    // The same code on other lines, optimised in another way, so at other addresses.
    for name in SOURCES {
        let path = root().join("examples/pool_runtime").join(name);
        let text = fs::read_to_string(path).expect("the example is there");
        let moved = text.replace("\nclass ", "\n\n\n// Moved.\nclass ");
        fs::write(scratch.file(name), moved).expect("a copy of the example");
    }
    let copy = scratch.file("main.cpp");
    let copy = copy.to_str().expect("a path in UTF-8");
    let rebuild = |name: &str| Host::cxx(&[copy]).flags(&["-O1"]).compile(&scratch, name);

    let other = record(&scratch, "other", &[], &rebuild("pool_runtime_2"), &["one"]);
    let told = diff(&before, &other);
    assert_eq!(told["culprits"][0]["status"], "unchanged", "{told:#}");
    assert_ne!(
        told["culprits"][0]["line"],
        common::report(&before)["culprits"][0]["line"]
    );
    assert_eq!(
        told["culprits"][0]["fingerprint"],
        common::report(&before)["culprits"][0]["fingerprint"]
    );

    // In its old place: the trace has lost its names, and the report that was kept has not.
    let again = record(&scratch, "again", &[], &rebuild("pool_runtime"), &["one"]);
    let told = diff(&scratch.file("before.json"), &again);
    assert_eq!(told["culprits"][0]["status"], "unchanged", "{told:#}");
    let told = diff(&before, &again);
    assert_eq!(told["answer"], "uncertain", "{told:#}");
    assert_eq!(told["is_worse"], false, "{told:#}");
    let text = run(&before, &again, &[]).expect_code(0).stdout;
    assert!(text.contains("\nnote: before: "), "{text}");
}
