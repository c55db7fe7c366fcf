//! Who is named where optimized code left no frame, and by rules of the user's own.

mod common;

use std::fs;

use common::Host;
use common::Scratch;
use common::rows;
use serde_json::Value;

const NO_ARGUMENTS: &[&str] = &[];

/// The functions that are named, with their classes.
fn named(report: &Value) -> Vec<(&str, &str)> {
    rows(report, "culprits")
        .iter()
        .map(|culprit| {
            let function = culprit["function"].as_str().unwrap_or("?");
            (function, culprit["class"].as_str().unwrap_or("?"))
        })
        .collect()
}

#[test]
fn a_culprit_that_left_by_a_tail_call_is_named_and_the_other_on_its_line_is_not() {
    let scratch = Scratch::new("tail");
    let host = Host::c("c_tests/tail_calls.c").compile(&scratch, "host");
    let report = common::track(&scratch, &[], &host, NO_ARGUMENTS).report;
    // Both free through the same function, whose name says nothing.
    assert_eq!(named(&report), [("evict", "cache")]);
    let stack = &report["culprits"][0]["stacks"]["excess"];
    let stack = stack.as_array().expect("there is a stack");
    let told: Vec<(&str, bool)> = stack[..3]
        .iter()
        .map(|frame| {
            let function = frame["function"].as_str().unwrap_or("?");
            (function, frame["tail_call"] == true)
        })
        .collect();
    assert_eq!(
        told,
        [("device_free", true), ("evict", true), ("main", false)]
    );

    // Without debug information it is the caller, as before.
    let host = Host::c("c_tests/tail_calls.c")
        .flags(&["-g1"])
        .compile(&scratch, "host");
    let report = common::track(&scratch, &[], &host, NO_ARGUMENTS).report;
    assert_eq!(named(&report), [("main", "explicit")]);
}

#[test]
fn rules_move_the_name_and_tell_the_class() {
    let scratch = Scratch::new("rules");
    let host = Host::c("c_tests/tail_calls.c").compile(&scratch, "host");
    let rules = scratch.file("mine.rules");
    fs::write(&rules, "function evict\nclass pool function main\n").expect("a file");
    let option = rules.to_str().expect("text");

    let tracked = common::track(&scratch, &["--rules", option], &host, NO_ARGUMENTS);
    assert_eq!(named(&tracked.report), [("main", "pool")]);

    // Afterwards, too: the trace itself knows nothing of rules.
    assert_eq!(named(&common::report(&tracked.trace)), [("evict", "cache")]);
    let report = common::report_by(&tracked.trace, &["--rules", option]);
    assert_eq!(named(&report), [("main", "pool")]);
}

#[test]
fn an_adapter_s_rules_are_used_in_its_run_and_where_it_is_given() {
    let scratch = Scratch::new("carried");
    let host = Host::c("c_tests/tail_calls.c").compile(&scratch, "host");
    let adapter = scratch.file("mine.toml");
    let text = "name = \"mine\"\nlibrary = \"libmine.so\"\nmachinery = [\"function evict\"]\n\
                [[hook]]\nevent = \"deallocate\"\nsymbols = [\"mine_free\"]\naddress = \"arg0\"\n";
    fs::write(&adapter, text).expect("a file");
    let option = adapter.to_str().expect("text");

    let tracked = common::track(&scratch, &["--adapters", option], &host, NO_ARGUMENTS);
    assert_eq!(named(&tracked.report), [("main", "explicit")]);
    assert_eq!(named(&common::report(&tracked.trace)), [("evict", "cache")]);
    let report = common::report_by(&tracked.trace, &["--rules", option]);
    assert_eq!(named(&report), [("main", "explicit")]);
}
