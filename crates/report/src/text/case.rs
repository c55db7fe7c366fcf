//! One case of a culprit: where it freed what it had no right to, and what had become of the buffer before.
//!
//! What is wrong with an excess free depends on its verdict, and so does what can be said of it without lying: a free by
//! an owner that never held the buffer frees nothing again. An example does not carry its verdict: what it was is told
//! where all excess frees of the run had the same, and else only what holds for any.

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;

use super::page::Page;
use super::page::plain;
use super::stack::stack;

/// What was wrong with the free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// The buffer had been freed.
    Again,
    /// It had been freed, and the address had gone to another owner.
    Stale,
    /// The buffer was live, and never this owner's.
    Foreign,
    /// One or another of these.
    Untold,
}

impl Wrong {
    fn of(analysis: &Analysis, culprit: &Culprit) -> Self {
        let verdicts = &analysis.verdicts;
        let excess = verdicts.already_freed + verdicts.stale_owner + verdicts.foreign_owner;
        // Only what the owners prove is a free whose own verdict is excess; another may have taken a live buffer.
        let is_each = |verdict: u64| culprit.confidence == Confidence::Proven && verdict == excess;
        // Before a free by a stranger there is no other to show: the buffer is still live.
        if verdicts.foreign_owner == 0 || !culprit.example.freed.is_empty() {
            if is_each(verdicts.stale_owner) {
                Self::Stale
            } else {
                Self::Again
            }
        } else if is_each(verdicts.foreign_owner) {
            Self::Foreign
        } else {
            Self::Untold
        }
    }
}

/// Sets the three stacks, with at most so many frames of the excess free, and of those before it.
pub(super) fn set(
    page: &mut Page,
    analysis: &Analysis,
    culprit: &Culprit,
    again: Option<usize>,
    before: Option<usize>,
) {
    let example = &culprit.example;
    let frame = Some(&culprit.site.frame);
    let wrong = Wrong::of(analysis, culprit);
    let thread = format!("thread T{}", example.thread);
    let lead = match wrong {
        Wrong::Again => format!("freed again by {thread}:"),
        Wrong::Stale => format!("freed again by {thread}, when another owner held the address:"),
        Wrong::Foreign => format!("freed by {thread}, for an owner that never held it:"),
        Wrong::Untold => format!("freed by {thread}, without a right to it:"),
    };
    page.prose(0, 2, &[plain(lead)]);
    stack(page, &example.excess, frame, again);
    if matches!(wrong, Wrong::Again | Wrong::Stale) {
        page.line(&[plain("first freed here:")]);
        stack(page, &example.freed, frame, before);
    }
    page.line(&[plain(match wrong {
        Wrong::Foreign => "its holder got it here:",
        Wrong::Again | Wrong::Stale | Wrong::Untold => "allocated here:",
    })]);
    stack(page, &example.allocated, frame, before);
}
