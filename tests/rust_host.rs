//! The Rust host of examples/: alone nothing happens, under `whofreed run` its cache is the culprit.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use common::Scratch;

/// Cargo builds the examples with the tests, in target/debug/examples.
fn example() -> PathBuf {
    let test = env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("target/debug");
    let example = profile.join("examples/rust_host");
    assert!(
        example.exists(),
        "{} is not there: `cargo test` builds it, `cargo test --test rust_host` does not",
        example.display()
    );
    example
}

#[test]
fn alone_it_runs_as_if_nothing_were_there() {
    let run = common::run(&mut Command::new(example())).expect_code(0);
    let truth = run.truth();
    assert_eq!(truth["loaded"], false);
    assert_eq!(common::number(&truth, &["excess"]), 0);
    assert_eq!(run.stderr, "");
}

#[test]
fn under_whofreed_its_cache_is_the_culprit() {
    let scratch = Scratch::new("rust-host");
    let tracked = common::track(&scratch, &[], &example(), &[] as &[&str]);
    let truth = tracked.run.expect_code(0).truth();
    assert_eq!(truth["loaded"], true);
    common::check_identities(&tracked.report);
    for key in ["allocations", "excess"] {
        assert_eq!(
            common::total(&tracked.report, key),
            common::number(&truth, &[key])
        );
    }
    assert_eq!(
        common::culprits(&tracked.report),
        ["rust_host::Cache::evict"],
        "{:#}",
        tracked.report
    );
}

#[test]
fn it_exports_nothing() {
    let run = common::run(
        Command::new("nm")
            .args(["-D", "--defined-only"])
            .arg(example()),
    );
    assert!(!run.stdout.contains("wf_"), "{}", run.stdout);
}
