//! What became of the mutants: noted as it happens, and summed up by file.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use crate::paths;
use crate::run;
use crate::run::Outcome;

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Caught,
    /// Its tests ran on and on, which is noticed as well.
    RanOn,
    Survived,
    /// It cannot be planted with the others.
    Left,
}

impl End {
    const ALL: [Self; 4] = [Self::Caught, Self::RanOn, Self::Survived, Self::Left];

    fn name(self) -> &'static str {
        match self {
            Self::Caught => "caught",
            Self::RanOn => "ran on",
            Self::Survived => "survived",
            Self::Left => "left",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.name() == name)
    }
}

/// The ends of mutants by their names, in a file that outlives a run.
#[derive(Debug)]
pub struct Log {
    file: PathBuf,
    ends: BTreeMap<String, End>,
}

impl Log {
    fn at(name: &str) -> PathBuf {
        let name = format!("{}.log", name.replace('/', "-"));
        paths::target().join("whofreed-mutants").join(name)
    }

    /// One that begins anew.
    pub fn new(name: &str) -> Self {
        Self {
            file: Self::at(name),
            ends: BTreeMap::new(),
        }
    }

    /// That of an earlier run, where there is one.
    pub fn read(name: &str) -> Self {
        let mut log = Self::new(name);
        let text = fs::read_to_string(&log.file).unwrap_or_default();
        for line in text.lines() {
            if let Some((end, name)) = line.split_once('\t')
                && let Some(end) = End::of(end)
            {
                log.ends.insert(name.to_owned(), end);
            }
        }
        log
    }

    /// Notes and shows the end of one mutant.
    pub fn note(&mut self, name: &str, end: End) -> Outcome<()> {
        println!("{}\t{name}", end.name());
        self.ends.insert(name.to_owned(), end);
        let lines = self.ends.iter();
        let lines: String = lines
            .map(|(name, end)| format!("{}\t{name}\n", end.name()))
            .collect();
        run::write(&self.file, &lines)
    }

    /// Whether it survived before.
    pub fn survived(&self, name: &str) -> bool {
        self.ends.get(name) == Some(&End::Survived)
    }

    /// Whether it survived before, and is one of those that may.
    pub fn is_one_of(&self, name: &str, equivalent: &BTreeSet<String>) -> bool {
        self.survived(name) && equivalent.contains(&without_place(name))
    }

    /// Whether a test noticed this mutant before.
    pub fn was_noticed(&self, name: &str) -> bool {
        matches!(self.ends.get(name), Some(End::Caught | End::RanOn))
    }
}

/// How many mutants of a file went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    caught: u64,
    ran_on: u64,
    equivalent: u64,
    survived: u64,
    not_tried: u64,
}

/// Sums by file.
#[derive(Debug, Default)]
pub struct Results {
    by_file: BTreeMap<String, Tally>,
    /// In words, without their place in the file; not those that are known to be equivalent.
    pub survived: Vec<String>,
    /// With their place.
    pub left: Vec<String>,
}

impl Results {
    /// The results of all mutants that compile, by their names; `equivalent` ones may survive.
    pub fn of<'a>(
        log: &Log,
        names: impl IntoIterator<Item = &'a String>,
        equivalent: &BTreeSet<String>,
    ) -> Self {
        let mut results = Self::default();
        for name in names {
            let file = name.split(':').next().unwrap_or_default();
            let tally = results.by_file.entry(file.to_owned()).or_default();
            match log.ends.get(name) {
                Some(End::Caught) => tally.caught += 1,
                Some(End::RanOn) => tally.ran_on += 1,
                Some(End::Survived) if equivalent.contains(&without_place(name)) => {
                    tally.equivalent += 1;
                }
                Some(End::Survived) => {
                    tally.survived += 1;
                    results.survived.push(without_place(name));
                }
                Some(End::Left) => {
                    tally.not_tried += 1;
                    results.left.push(name.clone());
                }
                None => tally.not_tried += 1,
            }
        }
        results.survived.sort();
        results
    }

    /// As a table, with the survivors.
    pub fn table(&self) -> String {
        let mut table = String::from(
            "| file | mutants | caught | ran on and on | equivalent | survived | survived, % | not tried |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        let mut sum = Tally::default();
        for (file, tally) in &self.by_file {
            row(&mut table, file, tally);
            sum.caught += tally.caught;
            sum.ran_on += tally.ran_on;
            sum.equivalent += tally.equivalent;
            sum.survived += tally.survived;
            sum.not_tried += tally.not_tried;
        }
        row(&mut table, "all", &sum);
        if !self.survived.is_empty() {
            table.push_str("\nThe survivors:\n\n");
            for mutant in &self.survived {
                // Writing to a string cannot fail.
                let _ = writeln!(table, "- `{mutant}`");
            }
        }
        table
    }
}

fn row(table: &mut String, name: &str, tally: &Tally) {
    let Tally {
        caught,
        ran_on,
        equivalent,
        survived,
        not_tried,
    } = *tally;
    let tried = caught + ran_on + equivalent + survived;
    let share = 100.0 * survived as f64 / tried.max(1) as f64;
    let all = tried + not_tried;
    let _ = writeln!(
        table,
        "| {name} | {all} | {caught} | {ran_on} | {equivalent} | {survived} | {share:.1} | {not_tried} |"
    );
}

/// `file:line:column: what` without line and column, which the next change moves.
fn without_place(mutant: &str) -> String {
    let mut parts = mutant.splitn(4, ':');
    match (parts.next(), parts.nth(2)) {
        (Some(file), Some(what)) => format!("{file}:{what}"),
        _ => mutant.to_owned(),
    }
}

/// The mutants that the document argues to be equivalent: rows of a table that begin with the mutant in backticks.
pub fn equivalent(document: &str) -> BTreeSet<String> {
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| row.split_once('`'));
    // What is a column to a table is none to us.
    names.map(|(name, _)| name.replace("\\|", "|")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_counts_by_file_and_names_the_survivors_without_lines() {
        let mut log = Log::new("never-written");
        let mut names = Vec::new();
        for (name, end) in [
            ("a.rs:1:2: replace x with y", Some(End::Caught)),
            ("a.rs:3:4: replace + with |", Some(End::Survived)),
            ("a.rs:3:4: replace | with -", None),
            ("b.rs:5:6: delete !", Some(End::RanOn)),
            (
                "b.rs:7:8: replace <impl A::B> -> u8 with 0",
                Some(End::Survived),
            ),
            ("b.rs:9:8: replace c with ()", Some(End::Left)),
        ] {
            names.push(name.to_owned());
            log.ends.extend(end.map(|end| (name.to_owned(), end)));
        }
        let known =
            equivalent("| mutant | why |\n|---|---|\n| `a.rs: replace + with \\|` | for `b` |\n");
        let results = Results::of(&log, &names, &known);
        assert_eq!(
            results.table(),
            "| file | mutants | caught | ran on and on | equivalent | survived | survived, % | not tried |\n\
             |---|---|---|---|---|---|---|---|\n\
             | a.rs | 3 | 1 | 0 | 1 | 0 | 0.0 | 1 |\n\
             | b.rs | 3 | 0 | 1 | 0 | 1 | 50.0 | 1 |\n\
             | all | 6 | 1 | 1 | 1 | 1 | 25.0 | 2 |\n\
             \nThe survivors:\n\n- `b.rs: replace <impl A::B> -> u8 with 0`\n"
        );
        assert_eq!(results.left, ["b.rs:9:8: replace c with ()"]);
    }
}
