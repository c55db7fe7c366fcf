//! One case of a culprit: where it freed what it had no right to, what that did to the lives of the address, and what had
//! become of the buffer before.
//!
//! What is wrong with an excess free depends on its verdict, and so does what can be said of it without lying: a free by
//! an owner that never held the buffer frees nothing again.

use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_trace::Verdict;

use super::names::site;
use super::numbers::number;
use super::page::Page;
use super::page::plain;
use super::stack::stack;

/// Columns of a place that breaks its lines itself.
const WIDE: usize = 400;

/// What was wrong with the free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// The buffer had been freed.
    Again,
    /// It had been freed, and the address had gone to another owner.
    Stale,
    /// The buffer was live, and never this owner's.
    Foreign,
}

impl Wrong {
    fn of(culprit: &Culprit) -> Self {
        match culprit.example.verdict {
            // Only what the owners prove is a free whose own verdict tells; another may have taken a live buffer.
            _ if !is_known(culprit) => Self::Again,
            Some(Verdict::StaleOwner) => Self::Stale,
            Some(Verdict::ForeignOwner) => Self::Foreign,
            _ => Self::Again,
        }
    }
}

/// Whether what is said of lives is certain, or what the labels say.
fn is_known(culprit: &Culprit) -> bool {
    culprit.confidence == Confidence::Proven
}

/// Sets the three stacks, with at most so many frames of the excess free, and of those before it.
pub(super) fn set(page: &mut Page, culprit: &Culprit, again: Option<usize>, before: Option<usize>) {
    let example = &culprit.example;
    let frame = Some(&culprit.site.frame);
    let wrong = Wrong::of(culprit);
    page.prose(0, 2, &[plain(freed(wrong, culprit, page.width))]);
    stack(page, &example.excess, frame, again);
    if wrong != Wrong::Foreign {
        page.prose(0, 2, &[plain(first_freed(culprit))]);
        stack(page, &example.freed, frame, before);
    }
    page.line(&[plain(allocated(wrong))]);
    stack(page, &example.allocated, frame, before);
}

/// What stands above the three stacks, for a page that has them side by side: freed again, freed, allocated. The second is
/// missing where nothing was freed before.
pub(crate) fn headings(culprit: &Culprit) -> (String, Option<String>, String) {
    let wrong = Wrong::of(culprit);
    let bare = |text: String| text.trim_end_matches(':').to_owned();
    (
        bare(freed(wrong, culprit, WIDE)),
        (wrong != Wrong::Foreign).then(|| bare(first_freed(culprit))),
        bare(allocated(wrong).to_owned()),
    )
}

const fn allocated(wrong: Wrong) -> &'static str {
    match wrong {
        Wrong::Foreign => "its holder got it here:",
        Wrong::Again | Wrong::Stale => "allocated here:",
    }
}

/// Above the stack of the surplus free.
fn freed(wrong: Wrong, culprit: &Culprit, width: usize) -> String {
    let example = &culprit.example;
    let reuse = &example.reuse;
    let thread = format!("thread T{}", example.thread);
    let mut text = match wrong {
        Wrong::Again | Wrong::Stale => format!("freed again by {thread}"),
        Wrong::Foreign => format!("freed by {thread}, for an owner that never held it"),
    };
    if let Some(life) = reuse.hit_life {
        let hits = if is_known(culprit) {
            "hits"
        } else {
            "would hit"
        };
        text.push_str(&format!("; {hits} life {}", number(life)));
        if wrong == Wrong::Stale {
            text.push_str(" of another owner");
        }
        if let Some(hit) = &reuse.hit_site {
            let hit = site(&hit.frame, width.saturating_sub(8));
            text.push_str(&format!(", allocated at {hit}"));
        }
    } else if wrong == Wrong::Stale {
        text.push_str(", when another owner held the address");
    } else if reuse.was_dead && reuse.lives > 0 {
        let lives = number(reuse.lives);
        text.push_str(&format!("; life {lives} had ended"));
    }
    text.push(':');
    text
}

/// Above the stack of the free before.
fn first_freed(culprit: &Culprit) -> String {
    let reuse = &culprit.example.reuse;
    let mut text = "first freed here".to_owned();
    if let Some(thread) = reuse.freed_by {
        text.push_str(&format!(" by thread T{thread}"));
    }
    if reuse.never_held {
        text.push_str("; who freed again had never held it");
    } else if let Some(life) = reuse.life {
        let is = if is_known(culprit) { "is" } else { "would be" };
        let life = number(life);
        text.push_str(&format!(
            "; the pointer {is} from life {life} of this address"
        ));
    }
    text.push(':');
    text
}
