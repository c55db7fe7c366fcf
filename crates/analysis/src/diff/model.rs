//! The result of a comparison: what its report shows.

use super::Fingerprint;
use crate::Confidence;
use crate::Site;
use crate::Totals;

/// What changed from one run to the other.
#[derive(Clone, Debug)]
pub struct Diff {
    /// The one word.
    pub answer: Answer,
    /// A culprit is new or clearly has more excess frees, or there are clearly more of them in all. New is only who
    /// cannot be one that lacks a name in one of the runs.
    pub is_worse: bool,
    /// The culprits by what became of them.
    pub counts: Counts,
    /// The first run.
    pub before: Run,
    /// The second run.
    pub after: Run,
    /// How many times as long as the first run the second was, in allocations, where that is to be noticed. Then
    /// counts are compared for each allocation.
    pub ratio: Option<f64>,
    /// Culprits, by what became of them.
    pub culprits: Vec<Change>,
    /// Call sites that only look guilty.
    pub victims: Vec<Change>,
    /// Call sites whose buffers were never freed.
    pub leaks: Vec<Change>,
}

/// The answer to "is it fixed?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Every culprit is gone, and nothing is new.
    Fixed,
    /// Some culprit is gone, others are not; or some are new, and there are clearly fewer excess frees all the same.
    PartlyFixed,
    /// No culprit is gone.
    NotFixed,
    /// Something is new or more, and what is gone does not make up for it.
    Worse,
    /// No culprit is seen any more, and yet none is gone for certain.
    Uncertain,
    /// Neither run names a culprit.
    NobodyNamed,
}

impl Answer {
    /// The word in the JSON report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::PartlyFixed => "partly_fixed",
            Self::NotFixed => "not_fixed",
            Self::Worse => "worse",
            Self::Uncertain => "uncertain",
            Self::NobodyNamed => "nobody_named",
        }
    }
}

/// What became of a call site, in the order of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Only in the second run.
    New,
    /// In both, clearly more often in the second.
    More,
    /// Only in the first run, and yet it may be in the second: see [`Change::doubts`].
    Uncertain,
    /// A culprit in both, whose excess frees only the guard of the second run held back: not fixed.
    Hidden,
    /// In both, about as often.
    Unchanged,
    /// In both, clearly less often in the second.
    Fewer,
    /// Only in the first run.
    Gone,
}

impl Status {
    /// The word in both reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::More => "more",
            Self::Uncertain => "uncertain",
            Self::Hidden => "hidden",
            Self::Unchanged => "unchanged",
            Self::Fewer => "fewer",
            Self::Gone => "gone",
        }
    }
}

/// Call sites by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// See [`Status::New`]; the others likewise.
    pub new: u64,
    /// Clearly more.
    pub more: u64,
    /// No longer certain.
    pub uncertain: u64,
    /// Held back by the guard.
    pub hidden: u64,
    /// As before.
    pub unchanged: u64,
    /// Clearly fewer.
    pub fewer: u64,
    /// Gone.
    pub gone: u64,
}

impl Counts {
    /// The counts of these changes.
    #[must_use]
    pub fn new(changes: &[Change]) -> Self {
        let count = |status| changes.iter().filter(|c| c.status == status).count() as u64;
        Self {
            new: count(Status::New),
            more: count(Status::More),
            uncertain: count(Status::Uncertain),
            hidden: count(Status::Hidden),
            unchanged: count(Status::Unchanged),
            fewer: count(Status::Fewer),
            gone: count(Status::Gone),
        }
    }

    /// How many there were in the first run.
    #[must_use]
    pub const fn of_before(&self) -> u64 {
        self.more + self.uncertain + self.hidden + self.unchanged + self.fewer + self.gone
    }
}

/// One of the two runs, as a whole.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its sums.
    pub totals: Totals,
    /// What the guard did.
    pub guard: Guard,
    /// Why it may hide something.
    pub doubts: Vec<Doubt>,
}

/// How much of a run's excess the guard held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing: it was off, or had nothing to do.
    Nothing,
    /// Some: traces with the guard and without were taken together.
    Some,
    /// Every excess free.
    All,
}

/// Why something that is not seen in a run may be there all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing was recorded.
    Empty,
    /// So many events were lost.
    Lost(u64),
    /// So many events could not be judged.
    Untracked(u64),
    /// The traces have so many faults.
    Damaged(u64),
    /// A process was killed by this signal, perhaps before it came there.
    Killed(i32),
    /// So many excess frees are explained by nobody.
    Unexplained(u64),
    /// It is one of the suspects for somebody else's excess frees.
    Suspect,
    /// It only looks guilty now, because of a culprit that is new: the blame may have moved.
    Victim,
    /// One of the runs has no name for it, or for somebody who is new, by which it could be known again.
    Nameless,
    /// The run was so much shorter that it may not have come there.
    Short,
}

impl Doubt {
    /// The word in the JSON report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "nothing_recorded",
            Self::Lost(_) => "lost_events",
            Self::Untracked(_) => "untracked_events",
            Self::Damaged(_) => "damaged",
            Self::Killed(_) => "killed",
            Self::Unexplained(_) => "unexplained",
            Self::Suspect => "suspect",
            Self::Victim => "victim",
            Self::Nameless => "nameless",
            Self::Short => "short_run",
        }
    }
}

/// What became of a call site.
#[derive(Clone, Debug)]
pub struct Change {
    /// In a word.
    pub status: Status,
    /// The site's, in the second run where it is there.
    pub fingerprint: Fingerprint,
    /// Where, in the second run where it is there.
    pub site: Site,
    /// The site that named it in the first run, where that was another one.
    pub named_before: Option<Site>,
    /// In the first run.
    pub before: Option<Tally>,
    /// In the second run.
    pub after: Option<Tally>,
    /// Why it may not be gone; only where the status is [`Status::Uncertain`].
    pub doubts: Vec<Doubt>,
}

/// A call site in one run. Lines of one function are one site here, since lines move.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// A culprit's excess frees explained, a victim's seen, or a leak's instances.
    pub count: u64,
    /// The same for a million allocations; only where the runs differ in length.
    pub per_million: Option<f64>,
    /// Excess frees seen there, explained or not; 0 for leaks.
    pub observed: u64,
    /// The bytes of a leak; 0 for others.
    pub bytes: u64,
    /// How many lines of the function.
    pub lines: u64,
    /// How a culprit was named, by the weakest of its lines.
    pub confidence: Option<Confidence>,
}
