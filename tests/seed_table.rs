//! The seed table, whole: 8,876 buffers on 8 devices, of which 938 are freed too often, and the figures that the
//! report has to give, with and without owners, forwarded and guarded.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::process::Command;

use common::Host;
use common::Scratch;
use serde_json::Value;

/// What the host says and the report must say too.
fn check(report: &Value, truth: &Value, guarded: bool) {
    common::check_identities(report);
    let buffers = |key: &str| common::number(report, &["buffers", key]);
    assert_eq!(buffers("unique"), 8_876);
    assert_eq!(buffers("balanced"), 7_914);
    assert_eq!(buffers("under_freed"), 24);
    assert_eq!(buffers("over_freed"), 938);
    assert_eq!(common::total(report, "leaked"), 24);
    assert_eq!(common::total(report, "dropped_events"), 0);
    assert_eq!(common::total(report, "excess"), 3_831);
    for key in ["allocations", "deallocations", "excess"] {
        assert_eq!(
            common::total(report, key),
            common::number(truth, &[key]),
            "{key}"
        );
    }
    for key in ["forwarded", "blocked"] {
        assert_eq!(
            common::total(report, key),
            common::number(truth, &[key]),
            "{key}"
        );
    }
    let worst = common::rows(report, "worst_buffers")
        .first()
        .expect("a worst buffer");
    let of_worst = |key: &str| common::number(worst, &[key]);
    assert_eq!((of_worst("device"), of_worst("address")), (4, 694_960_736));
    assert_eq!(
        (of_worst("allocated"), of_worst("freed"), of_worst("excess")),
        (1_112, 2_133, 1_021)
    );
    let (forwarded, blocked) = if guarded { (1_112, 1_021) } else { (2_133, 0) };
    assert_eq!(
        (of_worst("forwarded"), of_worst("blocked")),
        (forwarded, blocked)
    );
    assert_eq!(
        common::number(truth, &["special_forwarded"]),
        forwarded,
        "{truth}"
    );
    assert_eq!(report["device_names"]["4"], "chip 4 DRAM");
}

fn check_run(name: &str, guarded: bool, arguments: &[&str]) {
    let scratch = Scratch::new(name);
    let host = Host::c("c_tests/seed_table.c").compile(&scratch, "seed_table");
    let options: &[&str] = if guarded { &["--guard"] } else { &[] };
    let tracked = common::track(&scratch, options, &host, arguments);
    let truth = tracked.run.expect_code(0).truth();
    check(&tracked.report, &truth, guarded);
    check_culprits(&tracked.report, arguments.is_empty());
}

/// With owners the cache is proven guilty. By address alone there are frees of which the log cannot tell whether the
/// cache or the operator was the one too many; then both are named, and never the operator alone.
fn check_culprits(report: &Value, with_owners: bool) {
    if with_owners {
        assert_eq!(common::culprits(report), ["program_cache_evict"]);
    }
    let first = common::rows(report, "culprits").first().expect("a culprit");
    assert_eq!(first["function"], "program_cache_evict", "{report:#}");
    for culprit in common::rows(report, "culprits") {
        let named = [&culprit["function"], &culprit["alternatives"]];
        let names = named.map(Value::to_string).concat();
        assert!(names.contains("program_cache_evict"), "{culprit:#}");
    }
}

#[test]
fn with_owners() {
    check_run("seed", false, &[]);
}

#[test]
fn by_address_alone() {
    check_run("seed-addresses", false, &["no-owners"]);
}

#[test]
fn guarded_with_owners() {
    check_run("seed-guard", true, &[]);
}

#[test]
fn guarded_by_address_alone() {
    check_run("seed-guard-addresses", true, &["no-owners"]);
}

/// The same host linked to the library and started by itself: a trace because it is asked for, and the same table.
#[test]
fn in_a_linked_host() {
    let scratch = Scratch::new("seed-linked");
    let host = Host::c("c_tests/seed_table.c").compile(&scratch, "seed_table");
    let trace = scratch.file("linked.wft");
    let options = format!("trace={}:guard=1", trace.display());
    let run = common::run(Command::new(&host).env("WHOFREED_OPTIONS", options)).expect_code(0);
    check(&common::report(&trace), &run.truth(), true);
}

/// The text says the figures as people write them.
#[test]
fn the_text_report_prints_the_table() {
    let scratch = Scratch::new("seed-text");
    let host = Host::c("c_tests/seed_table.c").compile(&scratch, "seed_table");
    let tracked = common::track(&scratch, &[], &host, &[] as &[&str]);
    let text = common::run(
        Command::new(common::cli())
            .arg("report")
            .arg(&tracked.trace),
    )
    .expect_code(0)
    .stdout;
    for figure in [
        "3,831",
        "8,876",
        "7,914",
        "938",
        "694960736",
        "1,112",
        "2,133",
        "1,021",
    ] {
        assert!(text.contains(figure), "{figure} is not in\n{text}");
    }
}
