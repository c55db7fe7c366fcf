//! The JSON report has every key of the contract, and its numbers add up.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use serde_json::Value;
use whofreed_analysis::Analysis;
use whofreed_analysis::ChargedTo;
use whofreed_analysis::Confidence;
use whofreed_analysis::HistoryStep;
use whofreed_report::TextOptions;
use whofreed_report::history_to_json;
use whofreed_report::history_to_text;
use whofreed_report::to_json;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Frame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Verdict;

fn parsed(analysis: &Analysis) -> Value {
    serde_json::from_str(&to_json(analysis)).unwrap()
}

/// Every one of `keys` is there.
fn has(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "{key} is missing in {value}");
    }
}

#[test]
fn every_key_of_the_contract_is_there() {
    let mut analysis = common::usual();
    analysis.culprits[0].alternatives = vec![common::site(common::native("other", "/o.cpp", 1))];
    let report = parsed(&analysis);
    assert_eq!(report["schema"], "whofreed-report/1");
    has(
        &report,
        &[
            "process",
            "processes",
            "coverage",
            "totals",
            "verdicts",
            "buffers",
            "device_names",
            "worst_buffers",
            "culprits",
            "victims",
            "unexplained",
            "unexplained_rest",
            "leaks",
        ],
    );
    has(&report["process"], &["pid", "command", "exit", "adapters"]);
    assert_eq!(report["process"], report["processes"][0]);
    has(&report["process"]["exit"], &["code", "signal"]);
    has(
        &report["coverage"]["bound"][0],
        &["adapter", "symbol", "library"],
    );
    has(
        &report["coverage"]["unobservable"][0],
        &["symbol", "why", "library"],
    );
    has(
        &report["totals"],
        &[
            "allocations",
            "retains",
            "deallocations",
            "ok",
            "excess",
            "unknown",
            "late",
            "declined",
            "invalid",
            "leaked",
            "forwarded",
            "blocked",
            "unexplained",
            "events",
            "dropped_events",
            "untracked",
            "ownerless",
        ],
    );
    has(
        &report["verdicts"],
        &["already_freed", "stale_owner", "foreign_owner", "unknown"],
    );
    has(
        &report["buffers"],
        &["unique", "balanced", "under_freed", "over_freed"],
    );
    assert_eq!(report["device_names"]["4"], "chip 4 DRAM");
    has(
        &report["worst_buffers"][0],
        &[
            "pid",
            "device",
            "address",
            "allocated",
            "freed",
            "excess",
            "forwarded",
            "blocked",
        ],
    );
    let culprit = &report["culprits"][0];
    has(
        culprit,
        &[
            "rank",
            "fingerprint",
            "function",
            "file",
            "line",
            "module",
            "class",
            "explains",
            "observed",
            "buffers",
            "devices",
            "confidence",
            "alternatives",
            "stacks",
            "innocence_costs",
            "first",
            "last",
            "threads",
            "thread_count",
            "scopes",
            "allocation_sites",
            "allocation_site_count",
            "allocation_sites_unknown",
        ],
    );
    assert_eq!(culprit["innocence_costs"], 8423.3, "in nats");
    assert_eq!(report["culprits"][1]["innocence_costs"], Value::Null);
    assert_eq!(culprit["first"]["thread"], 4243);
    has(
        &culprit["last"],
        &["pid", "thread", "time_ns", "since_start_ns"],
    );
    has(&culprit["threads"][0], &["pid", "thread", "frees"]);
    has(
        &culprit["scopes"][0],
        &["pid", "scope", "or_scope", "frees", "first_ns", "last_ns"],
    );
    assert_eq!(
        culprit["scopes"][0]["scope"],
        "tests/test_cache.py::test_evict"
    );
    has(
        &culprit["allocation_sites"][0],
        &["function", "file", "line", "module", "frees"],
    );
    assert_eq!(culprit["allocation_site_count"], 5);
    let reuse = &culprit["example"]["reuse"];
    has(reuse, &["never_held", "was_dead", "freed_by_thread"]);
    assert_eq!((&reuse["life"], &reuse["lives"]), (&3.into(), &7.into()));
    assert_eq!(reuse["hit_life"], 7);
    assert_eq!(reuse["hit_allocated_at"]["line"], 9);
    has(
        &culprit["alternatives"][0],
        &["function", "file", "line", "module"],
    );
    assert_eq!(culprit["rank"], 1);
    let fingerprint = analysis.culprits[0].site.fingerprint().to_string();
    assert_eq!(culprit["fingerprint"], fingerprint);
    assert_eq!(culprit["language"], "native");
    assert_eq!(culprit["class"], "program_cache");
    assert_eq!(culprit["confidence"], "counterfactual");
    assert_eq!(culprit["example"]["address"], 694_960_736_u64);
    for stack in ["allocated", "freed", "excess"] {
        let frame = &culprit["stacks"][stack][0];
        has(
            frame,
            &[
                "function",
                "module",
                "offset",
                "file",
                "line",
                "inlined",
                "tail_call",
                "language",
            ],
        );
        assert_eq!(frame["language"], "native");
    }
    let victim = &report["victims"][0];
    has(victim, &["function", "file", "line", "observed"]);
    assert_eq!(victim["culprit"], 1, "the rank, not the index");
    has(
        &report["leaks"][0],
        &["function", "file", "line", "count", "bytes", "stack"],
    );
}

#[test]
fn the_unexplained_adds_up() {
    let analysis = common::unexplained();
    let report = parsed(&analysis);
    let sites = report["unexplained"].as_array().unwrap();
    let keys = ["function", "file", "line", "module", "observed", "stack"];
    has(&sites[0], &keys);
    assert_eq!(sites[0]["file"], "/src/device/cache.cpp");
    assert_eq!(sites[0]["stack"].as_array().unwrap().len(), 3);
    let observed = sites.iter().map(|site| site["observed"].as_u64().unwrap());
    let rest = &report["unexplained_rest"];
    assert_eq!(rest["sites"], 2);
    assert_eq!(
        observed.sum::<u64>() + rest["observed"].as_u64().unwrap(),
        report["totals"]["unexplained"]
    );
}

#[test]
fn the_identities_hold_in_what_is_written() {
    for analysis in [
        common::usual(),
        common::clean(),
        common::interpreted(),
        common::many(),
    ] {
        let report = parsed(&analysis);
        let total = |key: &str| report["totals"][key].as_u64().unwrap();
        if report["culprits"].as_array().unwrap().len() < 12 {
            assert_eq!(
                total("deallocations"),
                total("ok") + total("excess") + total("unknown") + total("invalid")
            );
        }
        assert_eq!(
            total("deallocations"),
            total("forwarded") + total("blocked")
        );
        let explained: u64 = report["culprits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|culprit| culprit["explains"].as_u64().unwrap())
            .sum();
        assert_eq!(explained + total("unexplained"), total("excess"));
    }
}

#[test]
fn hostile_names_come_back_as_they_were() {
    let analysis = common::hostile();
    let report = parsed(&analysis);
    let name = analysis.culprits[0].site.frame.function.as_deref();
    assert_eq!(report["culprits"][0]["function"].as_str(), name);
}

#[test]
fn an_empty_analysis_is_a_whole_report() {
    let report = parsed(&Analysis::default());
    assert_eq!(report["process"]["exit"]["code"], Value::Null);
    assert_eq!(report["culprits"], serde_json::json!([]));
    assert_eq!(report["totals"]["excess"], 0);
}

struct OneFrame;

impl StackNames for OneFrame {
    fn frames(&self, _trace: usize, stack: StackId) -> Arc<[Frame]> {
        match stack.0 {
            0 => Arc::from([]),
            number => Arc::from([common::native("host::use()", "/src/host/use.cpp", number)]),
        }
    }
}

fn life() -> Vec<HistoryStep> {
    let event = |step, kind, verdict, stack| HistoryStep {
        trace: 0,
        pid: 7,
        charged_to: None,
        event: Event {
            kind,
            verdict,
            blocked: false,
            late: false,
            address_was_unknown: false,
            untracked: false,
            device: 4,
            address: 64,
            owner: 9,
            root_owner: 9,
            size: if kind == EventKind::Allocate { 4096 } else { 0 },
            step,
            epoch: 0,
            kind_label: 0,
            scope: 0,
            stack: StackId(stack),
            thread: 70,
            time_ns: 1_000_000 + step * 1_500,
        },
    };
    vec![
        event(1, EventKind::Allocate, Verdict::Ok, 11),
        event(2, EventKind::Deallocate, Verdict::Ok, 12),
        event(3, EventKind::Deallocate, Verdict::AlreadyFreed, 0),
    ]
}

/// The same life, and the last free is charged to the second culprit.
fn charged(confidence: Confidence) -> Vec<HistoryStep> {
    let mut steps = life();
    steps[2].charged_to = Some(ChargedTo {
        culprit: 1,
        confidence,
    });
    steps
}

#[test]
fn a_history_is_a_list_of_steps() {
    let steps = charged(Confidence::Proven);
    let steps: Value = serde_json::from_str(&history_to_json(&steps, &OneFrame)).unwrap();
    let steps = steps.as_array().unwrap();
    assert_eq!(steps.len(), 3);
    for step in steps {
        has(
            step,
            &[
                "step", "event", "verdict", "owner", "size", "thread", "time_ns", "pid", "stack",
            ],
        );
    }
    assert_eq!(steps[0]["event"], "allocate");
    assert_eq!(steps[0]["stack"][0]["line"], 11);
    assert_eq!(steps[2]["verdict"], "already_freed");
    assert_eq!(steps[2]["stack"], serde_json::json!([]));
    assert_eq!(steps[1]["charged_to"], Value::Null);
    assert_eq!(steps[2]["charged_to"], 2, "the rank, not the index");
    assert_eq!(history_to_json(&[], &OneFrame), "[]\n");
}

#[test]
fn a_history_is_told_line_by_line() {
    let text = history_to_text(&life(), &OneFrame, 4, 64, &TextOptions::default());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "whofreed: address 0x40 (64) on device 4: 3 events, allocated 1, freed 2, excess 1"
    );
    assert_eq!(
        lines[1],
        "    1   0.000000s  allocate 4.0 KiB owner 0x9  ok  host::use (use.cpp:11)"
    );
    assert_eq!(
        lines[3],
        "    3   0.000003s  deallocate owner 0x9  already_freed  (no stack was recorded)"
    );
    let none = history_to_text(&[], &OneFrame, 1, 2, &TextOptions::default());
    assert!(none.ends_with("no event in this record\n"), "{none}");
}

#[test]
fn a_history_marks_the_frees_that_are_charged_to_a_culprit() {
    for (confidence, mark) in [
        (Confidence::Proven, "surplus: charged to culprit 2"),
        (
            Confidence::Undecided,
            "perhaps surplus: culprit 2, undecided",
        ),
    ] {
        let steps = charged(confidence);
        let text = history_to_text(&steps, &OneFrame, 4, 64, &TextOptions::default());
        assert_eq!(text.matches("surplus").count(), 1, "{text}");
        assert!(text.contains(&format!("already_freed, {mark}")), "{text}");
    }
}

/// Every free comes through the same two functions of the runtime: what tells is who called them.
struct CommonFrames;

impl StackNames for CommonFrames {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        let named = |function: &str| Frame {
            function: Some(function.to_owned()),
            ..OneFrame.frames(trace, StackId(12))[0].clone()
        };
        let caller = if stack.0 == 12 {
            "Layer::forward"
        } else {
            "Cache::evict"
        };
        [
            named("Device::give_back"),
            named("Buffer::free"),
            named(caller),
        ]
        .into()
    }
}

#[test]
fn a_history_leaves_out_what_all_steps_have_in_common() {
    let mut steps = life();
    steps[2].event.stack = StackId(13);
    let text = history_to_text(&steps, &CommonFrames, 4, 64, &TextOptions::default());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[2].contains("ok  Layer::forward"), "{text}");
    assert!(lines[3].contains("already_freed  Cache::evict"), "{text}");
    assert!(!lines[3].contains("give_back"), "{text}");
}
