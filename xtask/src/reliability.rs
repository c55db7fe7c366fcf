//! `cargo xtask soak reliability`: every promise of `docs/RELIABILITY.md` broken on purpose at full size, and the
//! document's matrix, made of what the tests said.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::figures::Document;
use crate::paths;
use crate::run;
use crate::run::Outcome;
use crate::sanitize;
use crate::sanitize::Tested;
use crate::test;

/// What it is called among the soaks.
pub const NAME: &str = "reliability";

/// The test programs whose tests fill rows.
const PROGRAMS: [&str; 1] = ["in=reliability"];

const MATRIX: &str = "The matrix: what is done to it, and what comes of it";

const REPORTS: &str = "What broke other tools";

const ABOUT_REPORTS: &str = "Written by `cargo xtask soak reliability` from `tests/reliability/reports.toml`; that every test named \
                             here is there is a test. `#` is an issue, `!` a change that was proposed.";

const DOCUMENT: Document = Document {
    name: "RELIABILITY.md",
    head: "# Reliability\n",
};

/// A line that a test wrote by `tests/common/reliability.rs`.
struct Row {
    area: String,
    fault: String,
    runs: String,
    promises: String,
    result: String,
    test: String,
}

impl Row {
    fn of_line(line: &str) -> Option<Self> {
        let mut cells = line.split('\t').map(str::to_owned);
        Some(Self {
            area: cells.next()?,
            fault: cells.next()?,
            runs: cells.next()?,
            promises: cells.next()?,
            result: cells.next()?,
            test: cells.next()?,
        })
    }
}

/// Runs the tests and writes the document's tables; false when a test failed.
pub fn write() -> Outcome<bool> {
    eprintln!("xtask: soak {NAME}");
    let rows = paths::target().join("whofreed-reliability");
    run::write(&rows, "")?;
    let rows_path = rows.display().to_string();
    let variables = [
        ("WHOFREED_TEST_SIZE", "soak"),
        ("WHOFREED_TEST_RELIABILITY", rows_path.as_str()),
    ];
    let tally = test::run_tests(&PROGRAMS, false, &variables)?;
    let sanitized = sanitize::test()?;
    let lines: String = sanitized.iter().map(line_of).collect();
    let table = matrix(&(run::read(&rows)? + &lines));
    println!("{table}");
    let about = format!(
        "Written by `cargo xtask soak {NAME}`, each row by the test that it names. {tally}."
    );
    DOCUMENT.write_section(MATRIX, &about, &table)?;
    let list = paths::root().join("tests/reliability/reports.toml");
    DOCUMENT.write_section(REPORTS, ABOUT_REPORTS, &reports(&run::read(&list)?)?)?;
    Ok(tally.failed() == 0 && sanitized.iter().all(|part| part.is_sound))
}

/// A line as tests write it, of what was run under AddressSanitizer.
fn line_of(part: &Tested) -> String {
    let Tested {
        name,
        tally,
        promises,
        is_sound,
    } = part;
    let result = match is_sound {
        true => "it has nothing to tell",
        false => "**not sound**",
    };
    let passed = tally.passed();
    format!(
        "memory\ttests under AddressSanitizer: {name}\t{passed}\t{promises}\t{result}\tcargo xtask sanitize\n"
    )
}

/// The rows, by their areas.
fn matrix(text: &str) -> String {
    let mut areas: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in text.lines().filter_map(Row::of_line) {
        areas.entry(row.area.clone()).or_default().push(row);
    }
    let mut table = String::from(
        "| area | fault or input | runs | promises | result | test |\n|---|---|---|---|---|---|\n",
    );
    for (area, mut rows) in areas {
        rows.sort_by(|a, b| (&a.test, &a.fault).cmp(&(&b.test, &b.fault)));
        for row in rows {
            let Row {
                fault,
                runs,
                promises,
                result,
                test,
                ..
            } = row;
            let _ = writeln!(
                table,
                "| {area} | {fault} | {runs} | {promises} | {result} | `{test}` |"
            );
        }
    }
    table
}

/// What broke other tools, and what shows that it does not break this one.
fn reports(list: &str) -> Outcome<String> {
    let list: toml::Table = list.parse().map_err(|error| format!("reports: {error}"))?;
    let text = |report: &toml::Value, key: &str| {
        let value = report.get(key).and_then(toml::Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let mut table = String::from("| | where | what broke | here |\n|---|---|---|---|\n");
    let reports = list.get("report").and_then(toml::Value::as_array);
    for (number, report) in (1..).zip(reports.into_iter().flatten()) {
        let tests = report.get("tests").and_then(toml::Value::as_array);
        let tests = tests.into_iter().flatten().filter_map(toml::Value::as_str);
        let shown = tests
            .map(|test| format!("`{test}`"))
            .chain(report.get("reason").map(|_| text(report, "reason")));
        let shown = shown.collect::<Vec<_>>().join("; ");
        let (place, broke) = (text(report, "where"), text(report, "broke"));
        let _ = writeln!(table, "| {number} | {place} | {broke} | {shown} |");
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::Tally;

    #[test]
    fn a_report_has_its_tests_and_its_reason() {
        let list =
            "[[report]]\nwhere = \"a#1\"\nbroke = \"b\"\ntests = [\"c.rs: d\"]\nreason = \"e\"\n";
        let expected = "\
| | where | what broke | here |
|---|---|---|---|
| 1 | a#1 | b | `c.rs: d`; e |
";
        assert_eq!(reports(list), Ok(expected.to_owned()));
    }

    #[test]
    fn what_was_sanitized_is_a_row() {
        let output = "test result: ok. 3 passed; 0 failed; 0 ignored; finished in 1.20s\n";
        let part = |is_sound| Tested {
            name: "the core",
            promises: "P1",
            tally: Tally::of_output(output),
            is_sound,
        };
        let row = Row::of_line(&line_of(&part(true))).expect("six cells");
        assert_eq!((row.runs.as_str(), row.promises.as_str()), ("3", "P1"));
        assert!(line_of(&part(false)).contains("not sound"));
    }

    #[test]
    fn rows_stand_by_their_areas() {
        let lines = "fork\tfork()\t3\tP1\tfine\tfork::b\ncrash\tabort\t1\tP2\tfine\tcrash::a\n";
        let expected = "\
| area | fault or input | runs | promises | result | test |
|---|---|---|---|---|---|
| crash | abort | 1 | P2 | fine | `crash::a` |
| fork | fork() | 3 | P1 | fine | `fork::b` |
";
        assert_eq!(matrix(lines), expected);
    }
}
