//! What somebody has said of findings before: lines that silence them, and the report of an earlier run.
//!
//! Nothing is taken out of an analysis: its sums stay what was recorded. A finding gets a [`Mark`], and whoever shows it or ends
//! with a code for it asks for that.

mod baseline;
mod parse;
mod silence;
#[cfg(test)]
mod tests;

pub use parse::SuppressionError;
pub use parse::Suppressions;
pub use silence::all_suppressions;

use crate::Analysis;
use crate::Culprit;
use crate::Leak;
use crate::Seen;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Finding {
    /// Frees without a right.
    Excess,
    /// Buffers that were never freed.
    Leak,
}

impl Finding {
    /// How a line about it begins.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Excess => "excess",
            Self::Leak => "leak",
        }
    }
}

/// What was said of one finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Index into [`Standing::lines`] of the first line that matches it.
    pub suppressed_by: Option<usize>,
    /// It is in the report of the earlier run.
    pub known: bool,
}

/// A line of suppressions, and what it matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressionLine {
    /// The file, as the user named it.
    pub file: String,
    /// The line in it, from 1.
    pub line: usize,
    /// What it is about.
    pub finding: Finding,
    /// Its pattern, as it stands there.
    pub pattern: String,
    /// How many excess frees or leaked buffers it silences: those of the findings of which it is the first line that matches.
    pub silences: u64,
}

/// What was said of all findings. The lists are empty where nobody was asked.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Of each of [`Analysis::culprits`].
    pub culprits: Vec<Mark>,
    /// Of each of the sites of [`Analysis::unexplained`].
    pub unexplained: Vec<Mark>,
    /// Of each of [`Analysis::leaks`].
    pub leaks: Vec<Mark>,
    /// All lines that could silence something.
    pub lines: Vec<SuppressionLine>,
    /// Whether there was the report of an earlier run.
    pub has_baseline: bool,
    /// That report had more unexplained places than it could name, so those that this one cannot name are not new.
    pub knows_the_rest: bool,
}

impl Mark {
    /// Somebody has spoken for it.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        self.suppressed_by.is_some() || self.known
    }
}

impl Analysis {
    /// The culprits that nobody has silenced, with their indices.
    pub fn shown_culprits(&self) -> impl Iterator<Item = (usize, &Culprit)> {
        shown(&self.culprits, &self.standing.culprits)
    }

    /// The unexplained sites that nobody has silenced, with their indices.
    pub fn shown_unexplained(&self) -> impl Iterator<Item = (usize, &Seen)> {
        shown(&self.unexplained.sites, &self.standing.unexplained)
    }

    /// The leaks that nobody has silenced, with their indices.
    pub fn shown_leaks(&self) -> impl Iterator<Item = (usize, &Leak)> {
        shown(&self.leaks, &self.standing.leaks)
    }

    /// What was said of the culprit with this index.
    #[must_use]
    pub fn culprit_mark(&self, index: usize) -> Mark {
        mark(&self.standing.culprits, index)
    }

    /// What was said of the unexplained site with this index.
    #[must_use]
    pub fn unexplained_mark(&self, index: usize) -> Mark {
        mark(&self.standing.unexplained, index)
    }

    /// What was said of the leak with this index.
    #[must_use]
    pub fn leak_mark(&self, index: usize) -> Mark {
        mark(&self.standing.leaks, index)
    }

    /// How many excess frees are silenced.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.count_marked(|mark| mark.suppressed_by.is_some())
    }

    /// How many excess frees nobody has spoken for: neither silenced nor known. With one of these, a run has failed.
    #[must_use]
    pub fn unsettled(&self) -> u64 {
        let spoken_for = self.count_marked(Mark::is_settled);
        let rest = match self.standing.knows_the_rest {
            true => self.unexplained.more_observed,
            false => 0,
        };
        self.totals.excess.saturating_sub(spoken_for + rest)
    }

    fn count_marked(&self, is_meant: impl Fn(Mark) -> bool) -> u64 {
        let culprits = self.culprits.iter().map(|culprit| culprit.explains);
        let seen = self.unexplained.sites.iter().map(|seen| seen.observed);
        sum(culprits, &self.standing.culprits, &is_meant)
            + sum(seen, &self.standing.unexplained, &is_meant)
    }
}

fn shown<'a, T>(all: &'a [T], marks: &'a [Mark]) -> impl Iterator<Item = (usize, &'a T)> {
    all.iter()
        .enumerate()
        .filter(|(at, _)| mark(marks, *at).suppressed_by.is_none())
}

fn mark(marks: &[Mark], index: usize) -> Mark {
    marks.get(index).copied().unwrap_or_default()
}

fn sum(counts: impl Iterator<Item = u64>, marks: &[Mark], is_meant: impl Fn(Mark) -> bool) -> u64 {
    let marked = counts.zip(marks);
    let meant = marked.filter(|(_, mark)| is_meant(**mark));
    meant.map(|(count, _)| count).sum()
}
