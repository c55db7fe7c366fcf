//! docs/features.md: each row has a test that is there, or says why there is none.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use common::page;
use common::root;

/// The page.
const PAGE: &str = "docs/features.md";

/// What a row without a test begins its reason with.
const NO_TEST: &str = "none: ";

/// The rows of the page's tables: feature, what there is, tests, where it falls short.
fn rows() -> Vec<[String; 4]> {
    let text = page::read(PAGE);
    let lines = text.lines().filter(|line| line.starts_with("| "));
    let cells = lines.map(|line| line.trim_matches('|').split('|').map(str::trim));
    let rows = cells.map(|cells| cells.map(str::to_owned).collect::<Vec<String>>());
    rows.map(|row| row.try_into().expect("four cells"))
        .filter(|row: &[String; 4]| row[2] != "test")
        .collect()
}

/// The texts between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_feature_has_its_test_or_a_reason_and_says_where_it_falls_short() {
    let rows = rows();
    let mut wrong = Vec::new();
    for [feature, what, tests, short] in &rows {
        if let Some(reason) = tests.strip_prefix(NO_TEST) {
            if reason.len() < 20 {
                wrong.push(format!("{feature}: no reason"));
            }
        } else if quoted(tests).next().is_none() {
            wrong.push(format!("{feature}: neither a test nor a reason"));
        } else {
            let missing = quoted(tests).filter(|test| !is_a_test(test));
            wrong.extend(missing.map(|test| format!("{feature}: no such test: {test}")));
        }
        if what.is_empty() || short.is_empty() {
            wrong.push(format!("{feature}: an empty cell"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let names: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(names.len(), rows.len(), "a row stands there twice");
    let begin = |start: String| names.iter().filter(|name| name.starts_with(&start)).count();
    for ask in 'A'..='I' {
        assert_eq!(begin(format!("{ask}: ")), 1, "ask {ask}");
    }
    for rule in 1..=12 {
        assert_eq!(begin(format!("{rule}: ")), 1, "rule {rule}");
    }
    assert_eq!(rows.len(), 31 + 9 + 12);
}

#[test]
fn a_test_that_is_not_there_is_noticed() {
    assert!(is_a_test(
        "exports sarif_is_what_the_validator_of_its_editors_expects"
    ));
    assert!(!is_a_test("exports sarif_is_what_nobody_expects"));
    assert!(!is_a_test(
        "no_such_program sarif_is_what_the_validator_of_its_editors_expects"
    ));
    // A function, but no test.
    assert!(!is_a_test("exports reader"));
}

/// `program name`, `program module::name`, `CRATE/program name`, or a file below `src` for the tests within it.
fn is_a_test(test: &str) -> bool {
    let Some((program, name)) = test.split_once(' ') else {
        return false;
    };
    let (module, name) = name
        .split_once("::")
        .map_or((None, name), |(module, name)| (Some(module), name));
    let Ok(source) = fs::read_to_string(source_of(program, module)) else {
        return false;
    };
    let mut lines = source.lines().map(str::trim);
    let start = format!("fn {name}()");
    // Other attributes may stand in between.
    while lines.any(|line| line == "#[test]") {
        let function = lines.find(|line| !line.starts_with("#["));
        if function.is_some_and(|line| line.starts_with(&start)) {
            return true;
        }
    }
    false
}

/// The file with the tests of a module of a test program.
fn source_of(program: &str, module: Option<&str>) -> PathBuf {
    let file = match program.split_once('/') {
        Some(("src", _)) => root().join(program),
        Some((_, rest)) if rest.starts_with("src/") => root().join("crates").join(program),
        Some((package, rest)) => root().join("crates").join(package).join("tests").join(rest),
        None => root().join("tests").join(program),
    };
    match module {
        Some(module) => file.join(module).with_extension("rs"),
        None => file.with_extension("rs"),
    }
}
