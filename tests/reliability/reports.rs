//! What broke tools of this kind before: each report has its test here, or a sentence why it cannot happen to us.
//!
//! `reports.toml` is the list; `cargo xtask soak reliability` makes the document's table of it.

use std::fs;

use crate::common;
use crate::common::root;

/// Reports on other tools, as many as the list has.
const REPORTS: usize = 46;

/// A test that is named is one, and each report has a test or a sentence.
#[test]
fn every_report_on_another_tool_has_its_test_or_its_reason() {
    let text = fs::read_to_string(root().join("tests/reliability/reports.toml")).expect("the list");
    let list: toml::Table = text.parse().expect("TOML");
    let reports = list["report"].as_array().expect("a list of reports");
    assert_eq!(reports.len(), REPORTS);
    let mut wrong = Vec::new();
    for (number, report) in (1..).zip(reports) {
        assert_eq!(report["number"].as_integer(), Some(number), "{report}");
        let tests = report.get("tests").and_then(toml::Value::as_array);
        let names = tests.into_iter().flatten().filter_map(toml::Value::as_str);
        let unknown: Vec<&str> = names.filter(|test| !is_a_test(test)).collect();
        if !unknown.is_empty() {
            wrong.push(format!("{number}: no such test: {}", unknown.join(", ")));
        }
        let reason = report.get("reason").and_then(toml::Value::as_str);
        if tests.is_none_or(Vec::is_empty) && reason.is_none_or(str::is_empty) {
            wrong.push(format!("{number}: neither a test nor a reason"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `tests/hazards.rs: its_name`, or `crates/trace/tests/read.rs: its_name`: a function under `#[test]` in that file.
fn is_a_test(place: &str) -> bool {
    let Some((file, name)) = place.split_once(": ") else {
        return false;
    };
    let Ok(source) = fs::read_to_string(common::root().join(file)) else {
        return false;
    };
    // Programs stand in a table, of which a macro makes tests.
    source.contains(&format!("#[test]\nfn {name}()"))
        || source.contains(&format!("\n    {name}: \""))
}
