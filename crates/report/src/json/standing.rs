//! What was said of findings before, as JSON: what would silence each, what does, and what an earlier report knows.

use serde::Serialize;
use whofreed_analysis::Analysis;
use whofreed_analysis::Mark;
use whofreed_analysis::SuppressionLine;

/// What all findings come to.
#[derive(Serialize)]
pub(super) struct StandingView<'a> {
    suppressed: u64,
    unsettled: u64,
    baseline: Option<BaselineView>,
    suppressions: Vec<LineView<'a>>,
}

#[derive(Serialize)]
struct BaselineView {
    known: usize,
    new: usize,
}

#[derive(Serialize)]
struct LineView<'a> {
    file: &'a str,
    line: usize,
    finding: &'static str,
    pattern: &'a str,
    silences: u64,
}

impl<'a> StandingView<'a> {
    pub(super) fn new(analysis: &'a Analysis) -> Self {
        let all = analysis.culprits.len();
        let known = (0..all).filter(|&at| analysis.culprit_mark(at).known);
        let known = known.count();
        let baseline = BaselineView {
            known,
            new: all - known,
        };
        Self {
            suppressed: analysis.suppressed(),
            unsettled: analysis.unsettled(),
            baseline: analysis.standing.has_baseline.then_some(baseline),
            suppressions: analysis.standing.lines.iter().map(LineView::new).collect(),
        }
    }
}

impl<'a> LineView<'a> {
    fn new(line: &'a SuppressionLine) -> Self {
        Self {
            file: &line.file,
            line: line.line,
            finding: line.finding.name(),
            pattern: &line.pattern,
            silences: line.silences,
        }
    }
}

/// What was said of one finding.
#[derive(Serialize)]
pub(super) struct MarkView {
    /// The line that would silence it.
    suppress: Option<String>,
    /// The one that does, by its index in `standing.suppressions`.
    suppressed_by: Option<usize>,
    /// Of a leak nothing is known here, and of nothing where there was no earlier report.
    #[serde(skip_serializing_if = "Option::is_none")]
    known: Option<bool>,
}

impl MarkView {
    pub(super) fn new(suppress: Option<String>, mark: Mark, known: Option<bool>) -> Self {
        Self {
            suppress,
            suppressed_by: mark.suppressed_by,
            known,
        }
    }
}
