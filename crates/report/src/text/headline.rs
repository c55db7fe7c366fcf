//! What comes first: the sentence that answers the question, and before or right behind it whatever makes the
//! answer doubtful.

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_trace::Coverage;

use super::Found;
use super::TextOptions;
use super::names::counted;
use super::names::fit_middle;
use super::names::number;
use super::names::printable;
use super::names::site;
use super::page::NO_BREAK;
use super::page::Page;
use super::page::Piece;
use super::page::Tone;
use super::page::plain;
use super::page::strong;

/// So many culprits are named in the sentence.
const NAMED: usize = 2;

pub(super) fn set(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    for adapter in &options.named_adapters {
        if !binds(analysis, adapter) {
            let why = match options.found {
                Found::Traces => "not one of its functions was called",
                // What was not recorded may have been called all the same.
                Found::Unreadable | Found::Nothing => "no call of its functions is on record",
            };
            let warning = format!("adapter {} bound nothing: {why}", fit_middle(adapter, 60));
            page.prose(0, 2, &[plain("whofreed: "), (Tone::Bad, warning)]);
        }
    }
    let mut pieces = vec![plain("whofreed: ")];
    if analysis.totals.events == 0 {
        nothing(&mut pieces, analysis, options);
    } else if analysis.totals.excess == 0 {
        innocent(&mut pieces, analysis);
    } else {
        guilty(&mut pieces, analysis, page.width);
    }
    page.prose(0, 2, &pieces);
    apart(page, analysis);
    doubts(page, analysis);
}

fn binds(analysis: &Analysis, name: &str) -> bool {
    analysis
        .coverage
        .iter()
        .any(|entry| matches!(entry, Coverage::Bound { adapter, .. } if adapter == name))
}

fn nothing(pieces: &mut Vec<Piece>, analysis: &Analysis, options: &TextOptions) {
    pieces.push(strong(match options.found {
        // The shim makes its file at the first event, which may have been on its way when the process was killed.
        Found::Traces => "no event was recorded",
        Found::Unreadable => "no trace could be read, so nothing is known of the run",
        Found::Nothing => {
            "no trace was found: either no hooked function was called, or the trace was removed or could not be \
             written"
        }
    }));
    let mut adapters: Vec<&str> = analysis
        .processes
        .iter()
        .flat_map(|process| &process.adapters)
        .map(String::as_str)
        .collect();
    adapters.sort_unstable();
    adapters.dedup();
    let adapters: Vec<String> = adapters.into_iter().map(printable).collect();
    pieces.push(plain(match &*adapters {
        [] => " (no adapter was in force)".to_owned(),
        [one] => format!(" (adapter in force: {one})"),
        more => format!(" (adapters in force: {})", more.join(", ")),
    }));
}

fn innocent(pieces: &mut Vec<Piece>, analysis: &Analysis) {
    let totals = &analysis.totals;
    pieces.push((Tone::Good, "no excess frees".to_owned()));
    pieces.push(plain(format!(
        " in {}: {}, {} of them by who held the buffer",
        counted(analysis.buffers.unique, "buffer"),
        counted(totals.deallocations, "deallocation"),
        if totals.ok == totals.deallocations {
            "all".to_owned()
        } else {
            number(totals.ok)
        }
    )));
    if totals.leaked > 0 {
        pieces.push(plain(format!("; {} never freed", number(totals.leaked))));
    }
}

fn guilty(pieces: &mut Vec<Piece>, analysis: &Analysis, width: usize) {
    let totals = &analysis.totals;
    pieces.push((Tone::Bad, counted(totals.excess, "excess free")));
    // Leaks can outweigh the excess of a buffer: then none was freed more often than it was allocated.
    pieces.push(plain(match analysis.buffers.over_freed {
        0 => ", ".to_owned(),
        over => format!(
            " in {} of {}, ",
            number(over),
            counted(analysis.buffers.unique, "buffer")
        ),
    }));
    if analysis.culprits.is_empty() {
        pieces.push(plain(
            "none explained: the record does not tell who is to blame",
        ));
    } else {
        let explained = number(totals.excess.saturating_sub(totals.unexplained));
        let many = if totals.unexplained > 0 {
            &explained
        } else {
            "all"
        };
        let culprits = analysis.culprits.len();
        let undecided = analysis.culprits.iter().filter(|c| is_undecided(c)).count();
        pieces.push(plain(if undecided == culprits && totals.unexplained > 0 {
            format!("{explained} narrowed down to ")
        } else if undecided == culprits {
            "narrowed down to ".to_owned()
        } else if undecided > 0 {
            let culprits = counted(culprits as u64, "culprit");
            format!("{many} explained by {culprits}, {undecided} of them undecided: ")
        } else {
            let culprits = counted(culprits as u64, "culprit");
            format!("{many} explained by {culprits}: ")
        }));
        names(pieces, &analysis.culprits, width);
        if totals.unexplained > 0 {
            pieces.push(plain(format!(
                "; {} unexplained",
                number(totals.unexplained)
            )));
        }
    }
    if totals.blocked > 0 {
        pieces.push(plain(format!(
            "; the guard held {} back",
            number(totals.blocked)
        )));
    }
}

/// `a (x.cpp:1) 12, b (y.cpp:2) 3 and 2 more`.
fn names(pieces: &mut Vec<Piece>, culprits: &[Culprit], width: usize) {
    let named = culprits.len().min(NAMED);
    for (position, culprit) in culprits[..named].iter().enumerate() {
        if position > 0 {
            let last = position + 1 == culprits.len();
            pieces.push(plain(if last { " and " } else { ", " }));
        }
        pieces.push(strong(site(&culprit.site.frame, width.saturating_sub(12))));
        if is_undecided(culprit)
            && let Some((other, more)) = culprit.alternatives.split_first()
        {
            pieces.push(plain(" or "));
            pieces.push(strong(site(&other.frame, width.saturating_sub(12))));
            if !more.is_empty() {
                pieces.push(plain(format!(" or {} more", more.len())));
            }
        }
        pieces.push(plain(format!("{NO_BREAK}{}", number(culprit.explains))));
    }
    let rest = &culprits[named..];
    if !rest.is_empty() {
        let explained = rest.iter().map(|culprit| culprit.explains).sum();
        pieces.push(plain(format!(
            " and {} more {}",
            rest.len(),
            number(explained)
        )));
    }
}

fn is_undecided(culprit: &Culprit) -> bool {
    culprit.confidence == Confidence::Undecided
}

/// What is no excess, and yet not in order.
fn apart(page: &mut Page, analysis: &Analysis) {
    let totals = &analysis.totals;
    let unknown = if totals.untracked > 0 {
        // Their allocations may be among those that could not be judged.
        "unknown (no allocation was tracked)"
    } else {
        "unknown (never seen allocated)"
    };
    let counts = [
        (totals.unknown, unknown),
        (totals.late, "late (after a reset or close)"),
        (totals.declined, "declined by the host itself"),
        (totals.invalid, "invalid (named no address)"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", number(*count)))
        .collect();
    if !told.is_empty() {
        page.prose(
            0,
            2,
            &[plain(format!("counted apart: {}", told.join(", ")))],
        );
    }
}

fn doubts(page: &mut Page, analysis: &Analysis) {
    let dropped = analysis.totals.dropped_events;
    if dropped > 0 {
        let text = format!(
            "{} lost: the counts are too low by that, and a verdict may be wrong",
            if dropped == 1 {
                "1 event was".to_owned()
            } else {
                format!("{} events were", number(dropped))
            }
        );
        page.prose(0, 2, &[(Tone::Bad, text)]);
    }
    let untracked = analysis.totals.untracked;
    if untracked > 0 {
        let text = format!(
            "{} could not be judged: a table of the ledger was at its bound",
            counted(untracked, "event")
        );
        page.prose(0, 2, &[(Tone::Bad, text)]);
    }
    for (process, damage) in analysis.damage.iter().take(3) {
        let pid = analysis.processes.get(*process).map_or(0, |p| p.pid);
        let text = format!(
            "the trace of process {pid} is damaged at offset {}: {}; it was read as far as it goes",
            damage.offset,
            fit_middle(&damage.what, 200)
        );
        page.prose(0, 2, &[(Tone::Bad, text)]);
    }
    if analysis.damage.len() > 3 {
        let text = format!("and {} more damaged places", analysis.damage.len() - 3);
        page.prose(0, 2, &[(Tone::Bad, text)]);
    }
}
