//! Where the excess frees were seen that nobody is blamed for, and how to learn more of them.

use whofreed_analysis::Analysis;
use whofreed_analysis::Seen;
use whofreed_trace::Frame;

use super::TextOptions;
use super::names::site;
use super::numbers::counted;
use super::numbers::number;
use super::page::Page;
use super::page::Tone;
use super::page::plain;
use super::page::strong;
use super::stack::stack;

/// So many sites are shown where nobody is blamed for anything, and beside culprits.
const ALONE: usize = 5;
const BESIDE: usize = 2;
/// So many frames the first has where it is all there is to look at.
const FRAMES: usize = 6;

pub(super) fn set(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let unexplained = &analysis.unexplained;
    let shown: Vec<&Seen> = analysis.shown_unexplained().map(|(_, seen)| seen).collect();
    if shown.is_empty() {
        return;
    }
    if analysis.victims.is_empty() {
        page.blank();
    }
    let is_alone = analysis.culprits.is_empty();
    let most = match (options.verbose, is_alone) {
        (true, _) => usize::MAX,
        (false, true) => ALONE,
        (false, false) => BESIDE,
    };
    for (index, seen) in shown.iter().take(most).enumerate() {
        let name = if is_nameless(&seen.site.frame) {
            "(no stack was recorded)".to_owned()
        } else {
            site(&seen.site.frame, page.width.saturating_sub(24))
        };
        page.prose(
            0,
            2,
            &[
                plain("seen here, not necessarily guilty: "),
                strong(name),
                plain(format!(" {}", number(seen.observed))),
            ],
        );
        if seen.stack.is_empty() {
            continue;
        }
        if options.verbose {
            stack(page, &seen.stack, Some(&seen.site.frame), None);
        } else if is_alone && index == 0 {
            stack(page, &seen.stack, Some(&seen.site.frame), Some(FRAMES));
        }
    }
    let rest = shown.get(most..).unwrap_or_default();
    let sites = rest.len() as u64 + unexplained.more_sites;
    if sites > 0 {
        let observed = rest.iter().map(|seen| seen.observed).sum::<u64>();
        let text = format!(
            "… and {} {}",
            counted(sites, "more place"),
            number(observed + unexplained.more_observed)
        );
        page.line(&[(Tone::Faint, text)]);
    }
    let text = format!("HINT: to get further, {}", advice(analysis));
    page.prose(0, 2, &[(Tone::Faint, text)]);
}

/// What would make the record tell more, of what it does not have.
fn advice(analysis: &Analysis) -> String {
    let mut all = Vec::new();
    if analysis.totals.ownerless > 0 {
        all.push("pass owners (unique ids of what holds a buffer)");
    }
    let has_no_line = |seen: &Seen| seen.site.frame.file.is_none() || seen.site.frame.line == 0;
    if analysis.unexplained.sites.iter().any(has_no_line) {
        all.push("build with -g");
    }
    all.push("record a longer run");
    match &*all {
        [one] => (*one).to_owned(),
        [one, two] => format!("{one}, or {two}"),
        more => more.join(", or "),
    }
}

/// As the analysis has a stack of which nothing is known.
fn is_nameless(frame: &Frame) -> bool {
    frame.function.is_none() && frame.file.is_none() && frame.module.is_empty() && frame.offset == 0
}
