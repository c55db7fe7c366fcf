//! What was said of findings before: which of them are silenced and by what, and which are news.

use whofreed_analysis::Analysis;
use whofreed_analysis::SuppressionLine;

use super::names::base;
use super::names::fit_middle;
use super::numbers::counted;
use super::numbers::number;
use super::page::Page;
use super::page::Tone;
use super::page::plain;

/// So many lines are told that silenced something.
const FEW: usize = 5;

pub(super) fn set(page: &mut Page, analysis: &Analysis, verbose: bool) {
    let standing = &analysis.standing;
    if standing.has_baseline {
        let culprits = analysis.culprits.len();
        let known = (0..culprits).filter(|&at| analysis.culprit_mark(at).known);
        let known = known.count();
        let new = culprits - known;
        let text = format!(
            "baseline: {} of {} known; {} new or unexplained",
            number(known as u64),
            counted(culprits as u64, "culprit"),
            counted(analysis.unsettled(), "excess free"),
        );
        let tone = if new > 0 { Tone::Strong } else { Tone::Plain };
        page.prose(0, 2, &[(tone, text)]);
    }
    let (used, unused): (Vec<_>, Vec<_>) =
        standing.lines.iter().partition(|line| line.silences > 0);
    let most = if verbose { usize::MAX } else { FEW };
    if !used.is_empty() {
        let told = used.iter().take(most);
        let mut told: Vec<String> = told
            .map(|line| format!("{} {}", told_line(line), number(line.silences)))
            .collect();
        if used.len() > most {
            let more = (used.len() - most) as u64;
            told.push(counted(more, "more line"));
        }
        let text = format!("suppressed by {}", told.join(", "));
        page.prose(0, 2, &[plain(text)]);
    }
    for line in unused.iter().filter(|_| verbose) {
        let text = format!("suppressed nothing: {}", told_line(line));
        page.prose(0, 2, &[(Tone::Faint, text)]);
    }
}

/// `excess:evict (known.supp:3)`.
fn told_line(line: &SuppressionLine) -> String {
    format!(
        "{}:{} ({}:{})",
        line.finding.name(),
        fit_middle(&line.pattern, 60),
        fit_middle(base(&line.file), 40),
        line.line
    )
}
