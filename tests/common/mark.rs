//! Holding a report against the truth that a host of the corpus tells of itself.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::function;
use super::number;
use super::rows;
use super::total;

/// How a report stands to the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The culprits are named, and nobody else.
    Exact,
    /// All culprits are named or among those of whom one is said to be it; nobody innocent is named for certain.
    Either,
    /// A culprit is not named; nobody innocent is.
    Silent,
    /// An innocent is named for certain, or only innocents are said to be it, one or another.
    Bad,
}

/// A report that has been marked.
pub struct Marked {
    /// How it stands to the truth.
    pub mark: Mark,
    /// What is bad about it: the innocents by entry, each with the culprit that it called, if it did.
    pub innocents: Vec<Innocents>,
    /// Excess frees that an entry without a mistake explains.
    pub explained: u64,
    /// All excess frees.
    pub excess: u64,
}

/// The innocents of one entry.
#[derive(Clone, Debug)]
pub struct Innocents {
    /// Their functions.
    pub functions: Vec<String>,
    /// The culprit that stands further in on the entry's own stack: the name is too far out.
    pub called: Option<String>,
}

impl fmt::Display for Innocents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.functions.join(" or "))?;
        match &self.called {
            Some(culprit) => write!(f, " (which called {culprit})"),
            None => Ok(()),
        }
    }
}

impl Marked {
    /// Marks a report by a host's last line. What the report counts must be what the host counts, always; with unique
    /// owners that holds for each culprit.
    #[track_caller]
    pub fn new(report: &Value, truth: &Value) -> Self {
        for key in ["allocations", "deallocations", "excess"] {
            assert_eq!(
                total(report, key),
                number(truth, &[key]),
                "{key} of {truth}"
            );
        }
        let guilty = truth["culprits"].as_object().expect("culprits is a map");
        assert_eq!(truth["clean"], guilty.is_empty(), "{truth}");
        let mut named = BTreeSet::new();
        let mut perhaps = BTreeSet::new();
        let mut innocents = Vec::new();
        let mut explained = 0;
        let mut explains: BTreeMap<String, u64> = BTreeMap::new();
        for entry in rows(report, "culprits") {
            let sites = std::iter::once(entry).chain(rows(entry, "alternatives"));
            let functions: Vec<String> = sites.map(function).collect();
            let explained_here = number(entry, &["explains"]);
            if !functions
                .iter()
                .any(|function| guilty.contains_key(function))
            {
                let stack = rows(&entry["stacks"], "excess").iter().map(function);
                let called = stack.into_iter().find(|name| guilty.contains_key(name));
                innocents.push(Innocents { functions, called });
                continue;
            }
            explained += explained_here;
            if let [only] = functions.as_slice() {
                *explains.entry(only.clone()).or_default() += explained_here;
                named.insert(only.clone());
            } else {
                perhaps.extend(functions);
            }
        }
        let covered = |name: &String| named.contains(name) || perhaps.contains(name);
        let mark = if !innocents.is_empty() {
            Mark::Bad
        } else if !guilty.keys().all(covered) {
            Mark::Silent
        } else if perhaps.is_empty() {
            Mark::Exact
        } else {
            Mark::Either
        };
        if truth["owners"] == "unique" && mark == Mark::Exact {
            for (name, surplus) in guilty {
                assert_eq!(Some(&explains[name]), surplus.as_u64().as_ref(), "{name}");
            }
        }
        Self {
            mark,
            innocents,
            explained,
            excess: total(report, "excess"),
        }
    }
}

/// How many runs got which mark.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    marks: [u64; 4],
    explained: u64,
    excess: u64,
}

impl Tally {
    /// Counts a run.
    pub fn add(&mut self, run: &Marked) {
        self.marks[run.mark as usize] += 1;
        self.explained += run.explained;
        self.excess += run.excess;
    }

    /// Adds what another has counted.
    pub fn join(&mut self, other: &Self) {
        for (sum, more) in self.marks.iter_mut().zip(other.marks) {
            *sum += more;
        }
        self.explained += other.explained;
        self.excess += other.excess;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["exact", "either", "silent", "BAD"];
        let parts: Vec<String> = names
            .iter()
            .zip(self.marks)
            .filter(|&(_, count)| count > 0)
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        f.write_str(&parts.join(" "))?;
        // Rounded down: 100 % means all.
        if let Some(share) = (self.explained * 100).checked_div(self.excess) {
            write!(f, " ({share} %)")?;
        }
        Ok(())
    }
}
