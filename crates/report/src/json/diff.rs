//! Two runs held against each other, as JSON (`whofreed-diff/1`).

use serde::Serialize;
use whofreed_analysis::Confidence;
use whofreed_analysis::diff::Change;
use whofreed_analysis::diff::Counts;
use whofreed_analysis::diff::Diff;
use whofreed_analysis::diff::Doubt;
use whofreed_analysis::diff::Guard;
use whofreed_analysis::diff::Run;
use whofreed_analysis::diff::Tally;

use super::SiteView;
use super::account::TotalsView;
use super::pretty;

/// The name and version of the schema.
const SCHEMA: &str = "whofreed-diff/1";

/// What changed between two runs as JSON, with a line feed at the end.
#[must_use]
pub fn diff_to_json(diff: &Diff) -> String {
    pretty(&DiffView {
        schema: SCHEMA,
        answer: diff.answer.name(),
        is_worse: diff.is_worse,
        normalised: diff.ratio.is_some(),
        ratio: diff.ratio,
        counts: DiffCounts {
            culprits: CountsView::new(diff.counts),
            victims: CountsView::new(Counts::new(&diff.victims)),
            leaks: CountsView::new(Counts::new(&diff.leaks)),
        },
        before: RunView::new(&diff.before),
        after: RunView::new(&diff.after),
        culprits: views(&diff.culprits, |tally| CulpritTally {
            explains: tally.count,
            per_million: tally.per_million,
            observed: tally.observed,
            lines: tally.lines,
            confidence: tally.confidence.map(Confidence::name),
        }),
        victims: views(&diff.victims, |tally| VictimTally {
            observed: tally.count,
            per_million: tally.per_million,
            lines: tally.lines,
        }),
        leaks: views(&diff.leaks, |tally| LeakTally {
            count: tally.count,
            per_million: tally.per_million,
            bytes: tally.bytes,
            lines: tally.lines,
        }),
    })
}

#[derive(Serialize)]
struct DiffView<'a> {
    schema: &'static str,
    answer: &'static str,
    is_worse: bool,
    normalised: bool,
    ratio: Option<f64>,
    counts: DiffCounts,
    before: RunView,
    after: RunView,
    culprits: Vec<ChangeView<'a, CulpritTally>>,
    victims: Vec<ChangeView<'a, VictimTally>>,
    leaks: Vec<ChangeView<'a, LeakTally>>,
}

#[derive(Serialize)]
struct DiffCounts {
    culprits: CountsView,
    victims: CountsView,
    leaks: CountsView,
}

#[derive(Serialize)]
struct CountsView {
    gone: u64,
    new: u64,
    more: u64,
    fewer: u64,
    unchanged: u64,
    hidden: u64,
    uncertain: u64,
}

impl CountsView {
    fn new(counts: Counts) -> Self {
        // Every field by name, so that a new one has to be given its key.
        let Counts {
            new,
            more,
            uncertain,
            hidden,
            unchanged,
            fewer,
            gone,
        } = counts;
        Self {
            gone,
            new,
            more,
            fewer,
            unchanged,
            hidden,
            uncertain,
        }
    }
}

#[derive(Serialize)]
struct RunView {
    totals: TotalsView,
    guard: &'static str,
    doubts: Vec<DoubtView>,
}

impl RunView {
    fn new(run: &Run) -> Self {
        Self {
            totals: TotalsView::new(&run.totals),
            guard: match run.guard {
                Guard::Nothing => "none",
                Guard::Some => "some",
                Guard::All => "all",
            },
            doubts: run.doubts.iter().map(DoubtView::new).collect(),
        }
    }
}

/// `count` is that of the events, places or excess frees; `signal` that of the process that was killed.
#[derive(Serialize)]
struct DoubtView {
    why: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
}

impl DoubtView {
    fn new(doubt: &Doubt) -> Self {
        let (count, signal) = match *doubt {
            Doubt::Lost(count)
            | Doubt::Untracked(count)
            | Doubt::Damaged(count)
            | Doubt::Unexplained(count) => (Some(count), None),
            Doubt::Killed(signal) => (None, Some(signal)),
            Doubt::Empty | Doubt::Suspect | Doubt::Victim | Doubt::Nameless | Doubt::Short => {
                (None, None)
            }
        };
        Self {
            why: doubt.name(),
            count,
            signal,
        }
    }
}

/// `before` and `after` are null where the site is not in that run.
#[derive(Serialize)]
struct ChangeView<'a, T> {
    status: &'static str,
    fingerprint: String,
    #[serde(flatten)]
    site: SiteView<'a>,
    named_before: Option<SiteView<'a>>,
    before: Option<T>,
    after: Option<T>,
    doubts: Vec<DoubtView>,
}

impl<'a, T> ChangeView<'a, T> {
    fn new(change: &'a Change, view: impl Fn(&Tally) -> T) -> Self {
        let Change {
            status,
            fingerprint,
            site,
            named_before,
            before,
            after,
            doubts,
        } = change;
        Self {
            status: status.name(),
            fingerprint: fingerprint.to_string(),
            site: SiteView::new(site),
            named_before: named_before.as_ref().map(SiteView::new),
            before: before.as_ref().map(&view),
            after: after.as_ref().map(&view),
            doubts: doubts.iter().map(DoubtView::new).collect(),
        }
    }
}

fn views<T>(changes: &[Change], view: impl Fn(&Tally) -> T) -> Vec<ChangeView<'_, T>> {
    changes
        .iter()
        .map(|change| ChangeView::new(change, &view))
        .collect()
}

#[derive(Serialize)]
struct CulpritTally {
    explains: u64,
    per_million: Option<f64>,
    observed: u64,
    lines: u64,
    confidence: Option<&'static str>,
}

#[derive(Serialize)]
struct VictimTally {
    observed: u64,
    per_million: Option<f64>,
    lines: u64,
}

#[derive(Serialize)]
struct LeakTally {
    count: u64,
    per_million: Option<f64>,
    bytes: u64,
    lines: u64,
}
