//! `cargo xtask soak reliability [--small] [WORD…]`: every promise of `docs/RELIABILITY.md` broken on purpose at full
//! size, and the document's matrix, made of what the tests said.
//!
//! All of it takes most of an hour. So the rows of tests that were not run stay as they were, with the commit at which
//! they came to be: words choose tests by their names, and `--small` runs them at the size of a test run.

use std::fmt::Write as _;

use crate::figures;
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

const ABOUT_MATRIX: &str = "Written by `cargo xtask soak reliability`, each row by the test that it names, at the commit that it names.";

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
    commit: String,
}

impl Row {
    /// As a test wrote it.
    fn of_line(line: &str, commit: &str) -> Option<Self> {
        Self::of_cells(line.split('\t').chain([commit]))
    }

    /// As it stands in the table, whose cells may hold bars behind backslashes.
    fn of_table(line: &str) -> Option<Self> {
        let cells = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ");
        Self::of_cells(cells)
    }

    fn of_cells<'cells>(cells: impl Iterator<Item = &'cells str>) -> Option<Self> {
        let mut cells = cells.map(str::to_owned);
        Some(Self {
            area: cells.next()?,
            fault: cells.next()?,
            runs: cells.next()?,
            promises: cells.next()?,
            result: cells.next()?,
            test: cells.next()?.trim_matches('`').to_owned(),
            commit: cells.next()?,
        })
    }
}

/// Runs the tests and writes the document's tables; false when a test failed.
pub fn write(arguments: &[&str]) -> Outcome<bool> {
    eprintln!("xtask: soak {NAME}");
    let (options, words): (Vec<&str>, Vec<&str>) =
        arguments.iter().partition(|word| word.starts_with("--"));
    let size = match options[..] {
        [] => "soak",
        ["--small"] => "small",
        _ => return Err(format!("soak {NAME}: [--small] [WORD…]")),
    };
    let told = paths::target().join("whofreed-reliability");
    run::write(&told, "")?;
    let told_path = told.display().to_string();
    let variables = [
        ("WHOFREED_TEST_SIZE", size),
        ("WHOFREED_TEST_RELIABILITY", told_path.as_str()),
    ];
    let filters = [&PROGRAMS[..], &words[..]].concat();
    let tally = test::run_tests(&filters, false, &variables)?;
    let sanitized = match words[..] {
        [] => sanitize::test()?,
        _ => Vec::new(),
    };
    let lines: String = sanitized.iter().map(line_of).collect();
    let text = run::read(&told)? + &lines;
    let commit = figures::commit()?;
    let new = text.lines().filter_map(|line| Row::of_line(line, &commit));
    let document = run::read(&paths::root().join("docs").join(DOCUMENT.name))?;
    let table = matrix(joined(known(&document), new.collect()));
    println!("{table}");
    DOCUMENT.write_section(MATRIX, ABOUT_MATRIX, &table)?;
    let list = paths::root().join("tests/reliability/reports.toml");
    DOCUMENT.write_section(REPORTS, ABOUT_REPORTS, &reports(&run::read(&list)?)?)?;
    Ok(tally.failed() == 0 && sanitized.iter().all(|part| part.is_sound))
}

/// The rows of the document as it is.
fn known(document: &str) -> Vec<Row> {
    let sections = document.split("\n## ");
    let mut own = sections.filter(|section| section.starts_with(MATRIX));
    let lines = own.next().into_iter().flat_map(str::lines);
    let rows = lines.filter(|line| !line.starts_with("| area") && !line.starts_with("|-"));
    rows.filter_map(Row::of_table).collect()
}

/// New rows stand for all that their tests had before.
fn joined(mut known: Vec<Row>, new: Vec<Row>) -> Vec<Row> {
    known.retain(|row| new.iter().all(|new| new.test != row.test));
    known.extend(new);
    known
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
fn matrix(mut rows: Vec<Row>) -> String {
    rows.sort_by(|a, b| (&a.area, &a.test, &a.fault).cmp(&(&b.area, &b.test, &b.fault)));
    let mut table = String::from(
        "| area | fault or input | runs | promises | result | test | commit |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let Row {
            area,
            fault,
            runs,
            promises,
            result,
            test,
            commit,
        } = row;
        let _ = writeln!(
            table,
            "| {area} | {fault} | {runs} | {promises} | {result} | `{test}` | {commit} |"
        );
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
        let row = Row::of_line(&line_of(&part(true)), "c").expect("six cells");
        assert_eq!((row.runs.as_str(), row.promises.as_str()), ("3", "P1"));
        assert!(line_of(&part(false)).contains("not sound"));
    }

    #[test]
    fn rows_stand_by_their_areas_and_new_ones_for_those_of_their_tests() {
        let told =
            "fork\tfork()\t3\tP1\tfine \\| dandy\tfork::b\ncrash\tabort\t1\tP2\tfine\tcrash::a\n";
        let rows = |told: &str, commit: &str| -> Vec<Row> {
            let lines = told.lines();
            lines
                .filter_map(|line| Row::of_line(line, commit))
                .collect()
        };
        let table = matrix(rows(told, "c1"));
        let expected = "\
| area | fault or input | runs | promises | result | test | commit |
|---|---|---|---|---|---|---|
| crash | abort | 1 | P2 | fine | `crash::a` | c1 |
| fork | fork() | 3 | P1 | fine \\| dandy | `fork::b` | c1 |
";
        assert_eq!(table, expected);
        let document = format!("# R\n\n## Other\n\n| a | b |\n\n## {MATRIX}\n\nAbout.\n\n{table}");
        let new = rows("fork\tfork()\t9\tP1\tfine\tfork::b\n", "c2");
        let table = matrix(joined(known(&document), new));
        assert!(
            table.contains("| crash | abort | 1 | P2 | fine | `crash::a` | c1 |"),
            "{table}"
        );
        assert!(
            table.contains("| fork | fork() | 9 | P1 | fine | `fork::b` | c2 |"),
            "{table}"
        );
        assert_eq!(table.lines().count(), 4, "{table}");
    }
}
