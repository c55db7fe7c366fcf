//! What speaks against a culprit, in a sentence.

use whofreed_analysis::Analysis;
use whofreed_analysis::Culprit;
use whofreed_analysis::Moment;

use super::names::site;
use super::numbers::counted;
use super::numbers::number;
use super::page::NO_BREAK;
use super::page::Page;
use super::page::plain;

/// Room for a name where there is enough.
const WIDE: usize = 400;

/// `evidence: innocence would cost 90 nats; first at 0.5s, last at 2.0s, by thread T7; hits buffers allocated at
/// a (x.c:1) 12 and b (y.c:2) 3`. In short where there are others to be shown.
pub(super) fn set(page: &mut Page, analysis: &Analysis, culprit: &Culprit, in_short: bool) {
    let parts = parts(analysis, culprit, in_short, page.width.saturating_sub(16));
    if !parts.is_empty() {
        let text = format!("evidence: {}", parts.join("; "));
        page.prose(0, 4, &[plain(text)]);
    }
}

/// The same, whole, for a page that breaks its lines itself; empty where there is none.
pub(crate) fn sentence(analysis: &Analysis, culprit: &Culprit) -> String {
    let text = parts(analysis, culprit, false, WIDE).join("; ");
    text.replace(NO_BREAK, " ")
}

/// What the sentence is made of; names of sites have so much room.
fn parts(analysis: &Analysis, culprit: &Culprit, in_short: bool, room: usize) -> Vec<String> {
    let evidence = &culprit.evidence;
    let mut parts: Vec<String> = Vec::new();
    if let Some(nats) = evidence.innocence_costs {
        let nats = counted(nats.round() as u64, "nat");
        parts.push(format!("innocence would cost {nats}"));
    }
    if let (Some(first), Some(last)) = (evidence.first, evidence.last) {
        let times = if culprit.explains == 1 {
            format!("at {}", time(analysis, first))
        } else {
            format!(
                "first at {}, last at {}",
                time(analysis, first),
                time(analysis, last)
            )
        };
        parts.push(format!("{times}, {}", threads(culprit, in_short)));
    }
    if !evidence.hits.is_empty() {
        let most = if in_short { 1 } else { usize::MAX };
        let sites = evidence.hits.iter().take(most).map(|hits| {
            let frees = number(hits.frees);
            format!("{}{NO_BREAK}{frees}", site(&hits.site.frame, room))
        });
        let sites = list(sites.collect(), evidence.hit_sites, "call site");
        let unknown = match evidence.hits_unknown {
            0 => String::new(),
            frees => format!(", {} not known", number(frees)),
        };
        parts.push(format!("hits buffers allocated at {sites}{unknown}"));
    }
    parts
}

/// The time since the start of the process, as in a history; and which process, where there are several.
fn time(analysis: &Analysis, moment: Moment) -> String {
    let time = moment.since_start_ns;
    let of_process = match analysis.processes.len() {
        0 | 1 => String::new(),
        _ => format!(" of process {}", moment.pid),
    };
    format!(
        "{}.{:06}s{of_process}",
        time / 1_000_000_000,
        time % 1_000_000_000 / 1_000
    )
}

/// `by thread T7`, or `by threads T7 12 and T9 3`, or `by 2 threads`.
fn threads(culprit: &Culprit, in_short: bool) -> String {
    let evidence = &culprit.evidence;
    if let ([one], 1) = (evidence.threads.as_slice(), evidence.thread_count) {
        return format!("by thread T{}", one.thread);
    }
    if in_short {
        return format!("by {}", counted(evidence.thread_count, "thread"));
    }
    let threads = evidence.threads.iter();
    let threads = threads.map(|of| format!("T{}{NO_BREAK}{}", of.thread, number(of.frees)));
    let threads = list(threads.collect(), evidence.thread_count, "thread");
    format!("by threads {threads}")
}

/// `a, b and c`, or `a, b, c and 2 more call sites` where there are more than are named.
fn list(mut named: Vec<String>, all: u64, noun: &str) -> String {
    let more = all.saturating_sub(named.len() as u64);
    if more > 0 {
        named.push(counted(more, &format!("more {noun}")));
    }
    match named.pop() {
        Some(last) if !named.is_empty() => format!("{} and {last}", named.join(", ")),
        last => last.unwrap_or_default(),
    }
}
