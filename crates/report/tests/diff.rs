//! What a person sees of two runs held against each other, at several widths, and what a program is told.
//! `UPDATE_EXPECT=1` rewrites tests/snapshots.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;

use common::page::check_lines;
use common::page::expect;
use serde_json::Value;
use whofreed_analysis::Analysis;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::Leak;
use whofreed_analysis::Totals;
use whofreed_analysis::diff::Status;
use whofreed_analysis::diff::compare;
use whofreed_report::TextOptions;
use whofreed_report::diff_to_json;
use whofreed_report::diff_to_text;
use whofreed_report::from_json;
use whofreed_report::to_json;

fn page(width: usize) -> TextOptions {
    TextOptions {
        width,
        trace_hint: Some("whofreed.device_host.4343.wft".to_owned()),
        ..TextOptions::default()
    }
}

fn at_widths(name: &str, before: &Analysis, after: &Analysis) {
    let diff = compare(before, after);
    for width in [60, 100, 200] {
        let text = diff_to_text(&diff, &page(width));
        check_lines(&text, width);
        expect(&format!("diff-{name}-{width}.txt"), &text);
    }
}

/// The usual case later: one culprit fixed, the other still at it behind the guard, and a new one.
fn later() -> Analysis {
    let mut analysis = common::usual();
    let reset = common::native(
        "device::Stream::reset(device::Buffer&)",
        "/src/device/stream.cpp",
        7,
    );
    analysis.culprits[0] = common::culprit(&reset, 12, Class::Explicit);
    analysis.culprits.swap(0, 1);
    analysis.culprits[0].site.frame.line = 91;
    analysis.totals = Totals {
        deallocations: 12_585,
        excess: 609,
        blocked: 609,
        forwarded: 11_976,
        leaked: 424,
        ..analysis.totals
    };
    analysis.victims.clear();
    let mut leak = Leak {
        site: common::site(common::native(
            "device::ProgramCache<device::Program>::evict(device::Key const&)",
            "/src/device/cache.cpp",
            44,
        )),
        count: 400,
        bytes: 400 * 2048,
        stack: Arc::from([]),
    };
    std::mem::swap(&mut leak, &mut analysis.leaks[0]);
    analysis.leaks.push(leak);
    analysis
}

/// A shorter run, of which not everything is known.
fn doubtful() -> Analysis {
    let mut analysis = common::usual();
    analysis.culprits.remove(0);
    analysis.culprits[0].confidence = Confidence::Undecided;
    analysis.culprits[0].explains = 60;
    analysis.totals = Totals {
        allocations: 1_200,
        deallocations: 1_260,
        ok: 1_197,
        excess: 63,
        unexplained: 3,
        forwarded: 1_260,
        leaked: 3,
        events: 2_460,
        dropped_events: 5,
        ..Totals::default()
    };
    analysis
}

#[test]
fn one_sentence_says_what_became_of_whom() {
    let (before, after) = (common::usual(), later());
    at_widths("later", &before, &after);
    let text = diff_to_text(&compare(&before, &after), &page(200));
    assert!(
        text.starts_with(
            "whofreed: partly fixed: 1 of 2 culprits gone, 1 hidden by the guard, 1 new; "
        ),
        "{text}"
    );
}

#[test]
fn what_is_fixed_is_said_to_be_fixed() {
    at_widths("fixed", &common::usual(), &common::clean());
    let clean = common::clean();
    let text = diff_to_text(&compare(&clean, &clean), &page(100));
    assert!(
        text.starts_with("whofreed: no excess frees before, and none after\n"),
        "{text}"
    );
}

#[test]
fn doubts_come_right_behind_the_answer() {
    let (before, after) = (common::usual(), doubtful());
    at_widths("doubtful", &before, &after);
    let options = TextOptions {
        notes: vec!["before: libdevice.so changed since the recording".to_owned()],
        ..page(100)
    };
    let text = diff_to_text(&compare(&before, &after), &options);
    let (head, _) = text.split_once("\n\n").unwrap();
    assert!(head.ends_with("note: before: libdevice.so changed since the recording"));
}

#[test]
fn what_is_worse_begins_with_what_is_new() {
    at_widths("worse", &later(), &common::usual());
    let text = diff_to_text(&compare(&common::clean(), &common::many()), &page(100));
    assert!(
        text.starts_with("whofreed: worse: 12 new culprits; "),
        "{text}"
    );
}

#[test]
fn hostile_names_do_nothing() {
    at_widths("hostile", &common::usual(), &common::hostile());
}

#[test]
fn everything_is_shown_when_told_so() {
    let diff = compare(&common::clean(), &common::many());
    let options = TextOptions {
        verbose: true,
        ..page(100)
    };
    let text = diff_to_text(&diff, &options);
    for change in diff.culprits.iter().chain(&diff.victims) {
        let fingerprint = format!("fingerprint {}", change.fingerprint);
        assert!(
            text.replace("\n             ", " ").contains(&fingerprint),
            "{text}"
        );
    }
    let short = diff_to_text(&diff, &page(100));
    assert!(
        short.contains("… and 4 more (--verbose shows them)"),
        "{short}"
    );
}

#[test]
fn colours_are_written_only_when_told_so() {
    let diff = compare(&common::usual(), &later());
    let without = diff_to_text(&diff, &page(100));
    assert!(!without.contains('\u{1b}'));
    let options = TextOptions {
        color: true,
        ..page(100)
    };
    let with = diff_to_text(&diff, &options);
    expect("diff-later-100-colour.txt", &with);
    let mut stripped = with;
    for code in ["[0m", "[1m", "[2m", "[31m", "[32m"] {
        stripped = stripped.replace(&format!("\u{1b}{code}"), "");
    }
    assert_eq!(stripped, without);
}

#[test]
fn a_program_is_told_the_same() {
    let diff = compare(&common::usual(), &doubtful());
    let json: Value = serde_json::from_str(&diff_to_json(&diff)).unwrap();
    assert_eq!(json["schema"], "whofreed-diff/1");
    assert_eq!(json["answer"], "not_fixed");
    assert_eq!(json["is_worse"], false);
    assert_eq!(json["normalised"], true);
    assert_eq!(json["ratio"], 0.1);
    let counts = &json["counts"]["culprits"];
    for status in [
        "gone",
        "new",
        "more",
        "fewer",
        "unchanged",
        "hidden",
        "uncertain",
    ] {
        assert!(counts[status].is_u64(), "{status} in {counts}");
    }
    assert_eq!(counts["uncertain"], 1);
    assert_eq!(json["before"]["totals"]["excess"], 1_618);
    assert_eq!(json["after"]["totals"]["excess"], 63);
    assert_eq!(json["after"]["guard"], "none");
    assert_eq!(json["after"]["doubts"][0]["why"], "lost_events");
    assert_eq!(json["after"]["doubts"][0]["count"], 5);
    let gone = &json["culprits"][0];
    assert_eq!(gone["status"], "uncertain");
    assert_eq!(gone["after"], Value::Null);
    assert_eq!(gone["before"]["explains"], 1_021);
    assert_eq!(gone["doubts"][1]["why"], "unexplained");
    assert_eq!(gone["named_before"], Value::Null);
    assert_eq!(gone["fingerprint"].as_str().unwrap().len(), 16);
    for key in ["function", "file", "line", "module", "offset", "language"] {
        assert!(gone.get(key).is_some(), "{key} is missing in {gone}");
    }
    assert_eq!(json["culprits"][1]["after"]["confidence"], "undecided");
    assert_eq!(json["victims"][0]["after"]["observed"], 681);
    assert_eq!(json["leaks"][0]["before"]["bytes"], 24 * 1536 * 1024);
}

#[test]
fn a_report_that_was_kept_is_as_good_as_its_trace() {
    let analyses = [
        common::usual(),
        later(),
        doubtful(),
        common::interpreted(),
        common::hostile(),
        common::many(),
    ];
    for (number, analysis) in analyses.iter().enumerate() {
        let kept = from_json(&to_json(analysis)).unwrap();
        for other in &analyses {
            assert_eq!(
                diff_to_json(&compare(&kept, other)),
                diff_to_json(&compare(analysis, other)),
                "{number}"
            );
            assert_eq!(
                diff_to_json(&compare(other, &kept)),
                diff_to_json(&compare(other, analysis)),
                "{number}"
            );
        }
    }
}

#[test]
fn a_report_of_before_there_were_fingerprints_is_read_too() {
    let analysis = common::interpreted();
    let mut report: Value = serde_json::from_str(&to_json(&analysis)).unwrap();
    for list in ["culprits", "victims", "leaks"] {
        for row in report[list].as_array_mut().unwrap() {
            let row = row.as_object_mut().unwrap();
            row.remove("fingerprint");
            row.remove("language");
        }
    }
    let kept = from_json(&report.to_string()).unwrap();
    let diff = compare(&kept, &analysis);
    assert!(diff.culprits.iter().all(|c| c.status == Status::Unchanged));
}

#[test]
fn what_is_no_report_is_refused_with_its_reason() {
    for (text, reason) in [
        ("{", "is neither a trace nor a JSON report: "),
        ("{}", "is neither a trace nor a JSON report: "),
        (
            "{\"schema\": \"whofreed-report/2\"}",
            "is no report of the schema whofreed-report/1: its schema is \"whofreed-report/2\"",
        ),
        (
            "{\"schema\": \"whofreed-diff/1\", \"totals\": {}}",
            "is no report of the schema whofreed-report/1",
        ),
        (
            "{\"schema\": \"whofreed-report/1\"}",
            "is no report of the schema whofreed-report/1: missing field `totals`",
        ),
        (
            "{\"schema\": \"whofreed-report/1\", \"totals\": {\"excess\": -1}}",
            "is no report of the schema whofreed-report/1: ",
        ),
    ] {
        let error = from_json(text).unwrap_err();
        assert!(error.starts_with(reason), "{error}");
    }
    // Figures that cannot be come to nothing worse than a strange comparison.
    let most = format!(
        "{{\"schema\": \"whofreed-report/1\", \"totals\": {{\"excess\": {0}, \"allocations\": 1, \"events\": {0}}}, \
         \"culprits\": [{{\"explains\": {0}}}, {{\"explains\": {0}}}]}}",
        u64::MAX
    );
    let strange = from_json(&most).unwrap();
    let diff = compare(&strange, &common::usual());
    check_lines(&diff_to_text(&diff, &page(200)), 200);
    assert!(!diff_to_json(&diff).is_empty());
}
