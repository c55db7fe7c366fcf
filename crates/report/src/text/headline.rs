//! What comes first: the sentence that answers the question, and before or right behind it whatever makes the
//! answer doubtful.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_analysis::Analysis;
use whofreed_trace::Coverage;

use super::Found;
use super::TextOptions;
use super::answer::guilty;
use super::answer::of_processes;
use super::names::fit_middle;
use super::names::printable;
use super::numbers::counted;
use super::numbers::number;
use super::page::Page;
use super::page::Piece;
use super::page::Tone;
use super::page::plain;
use super::page::strong;
use super::standing;

pub(super) fn set(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    for adapter in &options.named_adapters {
        if !binds(analysis, adapter) {
            let why = match options.found {
                Found::Traces if has_gaps(analysis) => {
                    "no call of its functions was seen; what could not be, and why, is told below"
                }
                Found::Traces if is_whole(analysis) => "not one of its functions was called",
                // What was not recorded may have been called all the same.
                Found::Traces | Found::Unreadable | Found::Nothing => {
                    "no call of its functions is on record"
                }
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
    standing::set(page, analysis, options.verbose);
    apart(page, analysis);
    doubts(page, analysis);
    seen(page, analysis);
}

fn binds(analysis: &Analysis, name: &str) -> bool {
    analysis
        .coverage
        .iter()
        .any(|entry| matches!(entry, Coverage::Bound { adapter, .. } if adapter == name))
}

/// Whether all that happened is on record.
fn is_whole(analysis: &Analysis) -> bool {
    analysis.damage.is_empty() && analysis.totals.dropped_events == 0
}

fn has_gaps(analysis: &Analysis) -> bool {
    let mut coverage = analysis.coverage.iter();
    coverage.any(|entry| matches!(entry, Coverage::Unobservable { .. }))
}

/// Through which adapters all this was seen, and that some calls could not be; where, which and why is the end's matter.
fn seen(page: &mut Page, analysis: &Analysis) {
    let mut bound: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut unseen: BTreeSet<&str> = BTreeSet::new();
    for entry in &analysis.coverage {
        match entry {
            Coverage::Bound {
                adapter, symbol, ..
            } => {
                bound.entry(adapter).or_default().insert(symbol);
            }
            Coverage::Unobservable { symbol, .. } => {
                unseen.insert(symbol);
            }
        }
    }
    let mut parts: Vec<String> = bound
        .iter()
        .map(|(adapter, symbols)| {
            let functions = counted(symbols.len() as u64, "function");
            format!("{functions} of {} hooked", fit_middle(adapter, 40))
        })
        .collect();
    if !unseen.is_empty() {
        let functions = counted(unseen.len() as u64, "function");
        parts.push(format!("calls of {functions} not seen, told at the end"));
    }
    if !parts.is_empty() {
        page.prose(0, 2, &[plain(parts.join("; "))]);
    }
}

fn nothing(pieces: &mut Vec<Piece>, analysis: &Analysis, options: &TextOptions) {
    pieces.push(strong(match options.found {
        // The shim makes its file at the first event, which may have been on its way when the process was killed.
        Found::Traces if !analysis.damage.is_empty() => "no event could be read, so nothing is known of the run",
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
    pieces.push(if is_whole(analysis) {
        (Tone::Good, "no excess frees".to_owned())
    } else {
        // Those that are missing may be the ones that it was about.
        (
            Tone::Bad,
            "no excess frees in what is on record, which is not all".to_owned(),
        )
    });
    pieces.push(plain(format!(
        " in {}{}: {}",
        counted(analysis.buffers.unique, "buffer"),
        of_processes(analysis),
        counted(totals.deallocations, "deallocation"),
    )));
    if totals.deallocations > 0 {
        let right = if totals.ok == totals.deallocations {
            "all".to_owned()
        } else {
            number(totals.ok)
        };
        // Without owners, only that somebody still held it is known.
        pieces.push(plain(match totals.ownerless {
            0 => format!(", {right} of them by who held the buffer"),
            some if some < totals.deallocations => format!(
                ", {right} of them of buffers not freed yet; {} told no owner, so by whom is not known of all",
                number(some)
            ),
            _ => format!(
                ", {right} of them of buffers not freed yet; no owners were told, so by whom is not known"
            ),
        }));
    }
    if totals.leaked > 0 {
        pieces.push(plain(format!("; {} never freed", number(totals.leaked))));
    }
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

/// Who lost events, and when: those who lost most.
fn losses(page: &mut Page, analysis: &Analysis) {
    const FEW: usize = 3;
    let mut losses: Vec<_> = analysis.losses.iter().collect();
    losses.sort_by_key(|of| std::cmp::Reverse(of.loss.events));
    let mut told: Vec<String> = losses
        .iter()
        .take(FEW)
        .map(|of| {
            let who = match of.loss.thread {
                Some(thread) => format!("thread T{thread}"),
                None => "unknown threads".to_owned(),
            };
            let at = |ns: u64| {
                let micros = ns.saturating_sub(of.start_ns) / 1000;
                format!("{}.{:06}s", micros / 1_000_000, micros % 1_000_000)
            };
            format!(
                "{who} {} from {} to {}",
                number(of.loss.events),
                at(of.loss.first_ns),
                at(of.loss.last_ns)
            )
        })
        .collect();
    if losses.len() > FEW {
        let more = (losses.len() - FEW) as u64;
        told.push(format!("and {} more", counted(more, "thread")));
    }
    if !told.is_empty() {
        page.prose(0, 2, &[plain(format!("lost by {}", told.join(", ")))]);
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
        losses(page, analysis);
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
