//! The embedded example, which knows no owners: its culprits have to be told by the addresses alone, exactly, while a
//! plain stack dump at the excess free shows innocent code most of the time.

mod common;

use std::path::PathBuf;

use common::Host;
use common::Scratch;
use common::number;
use common::total;

fn pool_runtime(scratch: &Scratch) -> PathBuf {
    Host::cxx(&["examples/pool_runtime/main.cpp"]).compile(scratch, "pool_runtime")
}

fn number_of_nats(culprit: &serde_json::Value) -> f64 {
    culprit["innocence_costs"].as_f64().unwrap_or(0.0)
}

/// One variant of the embedded example: the culprits exactly, their figures exactly, nobody else.
fn check_variant(variant: &str, seed: u64) {
    let scratch = Scratch::new(variant);
    let host = pool_runtime(&scratch);
    let tracked = common::track(&scratch, &[], &host, &[variant, &seed.to_string()]);
    let truth = tracked.run.expect_code(0).truth();
    let report = &tracked.report;
    common::check_identities(report);
    for key in ["allocations", "deallocations", "excess"] {
        assert_eq!(total(report, key), number(&truth, &[key]), "{key}");
    }
    let mut expected: Vec<(String, u64)> = Vec::new();
    for (site, surplus) in truth["surplus"].as_object().into_iter().flatten() {
        let surplus = surplus.as_u64().unwrap_or(0);
        if surplus > 0 {
            expected.push((site.clone(), surplus));
        }
    }
    expected.sort();
    let names: Vec<&str> = expected.iter().map(|(site, _)| site.as_str()).collect();
    assert_eq!(common::culprits(report), names, "{variant}: {report:#}");
    assert_eq!(total(report, "unexplained"), 0, "{variant}");
    for culprit in common::rows(report, "culprits") {
        let name = culprit["function"].as_str().unwrap_or("?");
        let surplus = expected
            .iter()
            .find(|(site, _)| name.starts_with(site.as_str()));
        assert_eq!(
            surplus.map(|(_, surplus)| *surplus),
            culprit["explains"].as_u64(),
            "{name}"
        );
        // The record needs it, and every free of it is somewhere in the evidence.
        assert!(number_of_nats(culprit) >= 6.0, "{culprit:#}");
        let threads = common::rows(culprit, "threads").iter();
        let by_threads: u64 = threads.map(|thread| number(thread, &["frees"])).sum();
        let is_all = number(culprit, &["thread_count"]) <= 3;
        assert_eq!(is_all, by_threads == number(culprit, &["explains"]));
        assert!(
            culprit["file"]
                .as_str()
                .is_some_and(|file| file.ends_with("caches.hpp"))
        );
    }
    let observed: u64 = common::rows(report, "culprits")
        .iter()
        .map(|culprit| number(culprit, &["observed"]))
        .sum();
    assert_eq!(observed, number(&truth, &["seen_at_culprits"]), "{variant}");
    let excess = total(report, "excess").max(1);
    #[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
    let share = 100.0 * observed as f64 / excess as f64;
    common::note(
        &format!(
            "pool_runtime {variant}, excess frees that a plain stack dump shows at the culprits"
        ),
        &format!("{observed} of {excess} ({share:.1} %)"),
    );
}

#[test]
fn blame_one_culprit() {
    check_variant("one", 1);
    check_variant("one", 2);
}

#[test]
fn blame_two_culprits() {
    check_variant("two", 1);
    check_variant("two", 2);
}

#[test]
fn blame_sparse() {
    check_variant("sparse", 1);
}

#[test]
fn blame_heavy() {
    check_variant("heavy", 1);
}

#[test]
fn blame_threads() {
    check_variant("threads", 1);
}

#[test]
fn blame_two_devices() {
    check_variant("devices", 1);
}

#[test]
fn nobody_is_blamed_where_there_is_no_bug() {
    let scratch = Scratch::new("clean");
    let host = pool_runtime(&scratch);
    let tracked = common::track(&scratch, &[], &host, &["clean"]);
    common::check_identities(&tracked.report);
    assert_eq!(total(&tracked.report, "excess"), 0);
    assert!(common::culprits(&tracked.report).is_empty());
    assert_eq!(total(&tracked.report, "leaked"), 0);
}
