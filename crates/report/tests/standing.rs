//! What was said of findings before: every form of the report tells what is silenced and what is news.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::page::check_lines;
use common::page::expect;
use common::page::page;
use serde_json::Value;
use whofreed_analysis::Analysis;
use whofreed_analysis::Suppressions;
use whofreed_report::TextOptions;
use whofreed_report::from_json;
use whofreed_report::to_folded;
use whofreed_report::to_json;
use whofreed_report::to_junit;
use whofreed_report::to_sarif;
use whofreed_report::to_text;

fn silenced(mut analysis: Analysis, lines: &str) -> Analysis {
    let lines = Suppressions::parse(lines, "dir/known.supp").unwrap();
    lines.apply(&mut analysis);
    analysis
}

fn json(analysis: &Analysis) -> Value {
    serde_json::from_str(&to_json(analysis)).unwrap()
}

/// The first of two culprits, and a line that silences nothing.
fn first_silenced() -> Analysis {
    let usual = common::usual();
    let line = usual.culprits[0].suppression().unwrap();
    silenced(usual, &format!("# known\n{line}\nexcess:elsewhere\n"))
}

#[test]
fn each_culprit_in_full_names_the_line_that_silences_it_and_json_has_it() {
    let analysis = common::usual();
    let text = to_text(&analysis, &page(100));
    let report = json(&analysis);
    for (at, culprit) in analysis.culprits.iter().enumerate() {
        let line = culprit.suppression().unwrap();
        assert!(text.contains(&format!("\nsuppress: {line}\n")), "{text}");
        assert_eq!(report["culprits"][at]["suppress"], *line);
        let silent = silenced(analysis.clone(), &line);
        assert_eq!(silent.culprit_mark(at).suppressed_by, Some(0));
        assert_eq!(silent.suppressed(), culprit.explains);
    }
    let leak = analysis.leaks[0].suppression().unwrap();
    assert_eq!(report["leaks"][0]["suppress"], *leak);
}

#[test]
fn a_silenced_culprit_is_counted_and_not_shown() {
    let analysis = first_silenced();
    for width in [60, 100, 200] {
        let text = to_text(&analysis, &page(width));
        check_lines(&text, width);
        expect(&format!("silenced-{width}.txt"), &text);
    }
    let text = to_text(&analysis, &page(100));
    assert!(!text.contains("culprit 1:"), "{text}");
    assert!(text.contains("culprit 2:"), "{text}");
    assert!(!text.contains("because of culprit 1"), "{text}");
    assert!(!text.contains("suppressed nothing"), "{text}");
    let verbose = TextOptions {
        verbose: true,
        ..page(100)
    };
    let text = to_text(&analysis, &verbose);
    let unused = "suppressed nothing: excess:elsewhere (known.supp:3)";
    assert!(text.contains(unused), "{text}");
}

#[test]
fn a_run_in_which_all_is_silenced_says_so_and_is_settled() {
    let usual = common::usual();
    let lines: Vec<String> = usual
        .culprits
        .iter()
        .filter_map(|c| c.suppression())
        .collect();
    let analysis = silenced(usual, &lines.join("\n"));
    assert_eq!(analysis.unsettled(), 0);
    let text = to_text(&analysis, &page(100));
    let first = text.lines().next().unwrap();
    assert!(first.ends_with("buffers, all suppressed"), "{text}");
    let summary = "SUMMARY: whofreed: 1,618 excess frees, all suppressed\n";
    assert!(text.contains(summary), "{text}");
    assert!(!text.contains("==ERROR"), "{text}");
    assert_eq!(to_folded(&analysis), "");
}

#[test]
fn silenced_leaks_are_left_out_and_counted() {
    let usual = common::usual();
    let line = usual.leaks[0].suppression().unwrap();
    let more = usual.leaks.len() as u64 - 1;
    let analysis = silenced(usual, &line);
    let text = to_text(&analysis, &page(100));
    let site = if more == 1 { "site" } else { "sites" };
    let told = format!("from {more} call {site}, of 1 more suppressed");
    assert!(text.contains(&told), "{text}");
    assert_eq!(json(&analysis)["leaks"][0]["suppressed_by"], 0);
}

#[test]
fn what_is_not_in_the_baseline_is_new() {
    let mut analysis = common::usual();
    let mut before = analysis.clone();
    before.culprits.remove(0);
    let before = from_json(&to_json(&before)).unwrap();
    analysis.hold_against(&before);
    assert_eq!(analysis.unsettled(), analysis.culprits[0].explains);
    for width in [60, 100, 200] {
        let text = to_text(&analysis, &page(width));
        check_lines(&text, width);
        expect(&format!("baseline-{width}.txt"), &text);
    }
    let text = to_text(&analysis, &page(100));
    assert!(
        text.contains("\nbaseline: 1 of 2 culprits known; "),
        "{text}"
    );
    assert!(text.contains("\nculprit 1 (new): "), "{text}");
    assert!(text.contains("\nculprit 2 (known): "), "{text}");
    let report = json(&analysis);
    assert_eq!(report["standing"]["baseline"]["new"], 1);
    assert_eq!(report["culprits"][1]["known"], true);

    let log: Value = serde_json::from_str(&to_sarif(&analysis, None)).unwrap();
    let results = &log["runs"][0]["results"];
    assert_eq!(results[0]["baselineState"], "new");
    assert_eq!(results[1]["baselineState"], "unchanged");
    let junit = to_junit(&analysis, &page(100));
    assert!(
        junit.contains("failures=\"1\" errors=\"0\" skipped=\"1\""),
        "{junit}"
    );
}

#[test]
fn a_report_is_no_news_to_itself() {
    for analysis in [
        common::usual(),
        common::many(),
        common::unexplained(),
        common::interpreted(),
    ] {
        let before = from_json(&to_json(&analysis)).unwrap();
        let mut after = analysis;
        after.hold_against(&before);
        // Unexplained ones without a place cannot be known.
        let placed: u64 = after
            .unexplained
            .sites
            .iter()
            .map(|seen| seen.observed)
            .sum();
        let rest = after.unexplained.more_observed;
        let nowhere = after.totals.unexplained - (placed + rest).min(after.totals.unexplained);
        assert_eq!(after.unsettled(), nowhere);
    }
}

#[test]
fn silenced_results_are_marked_in_sarif_and_skipped_in_junit() {
    let analysis = first_silenced();
    let log: Value = serde_json::from_str(&to_sarif(&analysis, None)).unwrap();
    let results = &log["runs"][0]["results"];
    assert_eq!(
        results[0]["suppressions"][0]["justification"],
        "dir/known.supp:2"
    );
    assert_eq!(results[1]["suppressions"].as_array().unwrap().len(), 0);
    let junit = to_junit(&analysis, &page(100));
    assert!(
        junit.contains("<skipped message=\"suppressed by dir/known.supp:2; "),
        "{junit}"
    );
    let weights: u64 = to_folded(&analysis)
        .lines()
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap())
        .sum();
    assert_eq!(weights, analysis.culprits[1].explains);
}
