//! What the cases say of themselves.

use std::collections::BTreeMap;

use super::run::Run;

/// What a case says of itself.
pub struct Expected {
    /// Excess frees by line.
    pub lines: BTreeMap<u64, u64>,
    /// Totals: name, whether more is right too, value.
    pub totals: Vec<(String, bool, u64)>,
}

impl Expected {
    /// What the source says, with this bug asked for.
    pub fn of(source: &str, bug: &str) -> Self {
        let mut expected = Self {
            lines: BTreeMap::new(),
            totals: Vec::new(),
        };
        for (number, line) in (1..).zip(source.lines()) {
            if let Some(totals) = line.strip_prefix("# expect: ") {
                expected.totals.extend(totals.split(", ").map(Self::total));
            }
            let Some((_, mark)) = line.split_once("  # excess") else {
                continue;
            };
            let count = match mark.trim() {
                "" => 1,
                mark if mark.starts_with('(') => u64::from(mark == format!("({bug})")),
                mark => mark
                    .trim_start_matches('x')
                    .parse()
                    .expect("a number after the x"),
            };
            if count > 0 {
                expected.lines.insert(number, count);
            }
        }
        expected
    }

    /// Compares the totals that the case names.
    pub fn check_totals(&self, run: &Run) {
        for (name, or_more, value) in &self.totals {
            let found = run.total(name);
            let right = if *or_more {
                found >= *value
            } else {
                found == *value
            };
            assert!(right, "{name} is {found}, not {value}\n{}", run.shown());
        }
    }

    /// `late >= 1`
    fn total(text: &str) -> (String, bool, u64) {
        let words: Vec<&str> = text.split(' ').collect();
        let [name, relation @ ("=" | ">="), value] = words[..] else {
            panic!("`{text}` is no expectation");
        };
        (
            name.to_owned(),
            relation == ">=",
            value.parse().expect("a number"),
        )
    }
}
