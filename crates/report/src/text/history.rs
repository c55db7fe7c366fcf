//! One address's whole life as text: a line a step, and in full also the stacks.

use std::sync::Arc;

use whofreed_analysis::Confidence;
use whofreed_analysis::HistoryStep;
use whofreed_trace::EventKind;
use whofreed_trace::Frame;
use whofreed_trace::StackNames;

use super::TextOptions;
use super::names::columns;
use super::names::site;
use super::numbers::bytes;
use super::numbers::counted;
use super::numbers::number;
use super::page::Page;
use super::page::Piece;
use super::page::Tone;
use super::page::plain;
use super::page::strong;
use super::stack::stack;
use super::stack::telling_frames;

/// The life of `address` on `device` as text.
#[must_use]
pub fn history_to_text(
    steps: &[HistoryStep],
    names: &dyn StackNames,
    device: u32,
    address: u64,
    options: &TextOptions,
) -> String {
    let mut page = Page::new(options);
    let allocated = count(steps, EventKind::Allocate) + count(steps, EventKind::Retain);
    let freed = count(steps, EventKind::Deallocate);
    let excess = steps.iter().filter(|step| is_excess(step)).count() as u64;
    let mut pieces = vec![
        plain("whofreed: address "),
        strong(format!("{address:#x}")),
        plain(format!(" ({address}) on device {device}: ")),
    ];
    if steps.is_empty() {
        pieces.push(plain("no event in this record"));
        page.prose(0, 2, &pieces);
        return page.finish();
    }
    pieces.push(plain(format!(
        "{}, allocated {}, freed {}, excess ",
        counted(steps.len() as u64, "event"),
        number(allocated),
        number(freed)
    )));
    let tone = if excess > 0 { Tone::Bad } else { Tone::Good };
    pieces.push((tone, number(excess)));
    page.prose(0, 2, &pieces);

    let start = steps
        .iter()
        .map(|step| step.event.time_ns)
        .min()
        .unwrap_or(0);
    let columns = Columns {
        start,
        pids: steps.iter().any(|step| step.pid != steps[0].pid),
        // One thread in each process tells nothing.
        threads: steps
            .windows(2)
            .any(|pair| pair[0].pid == pair[1].pid && pair[0].event.thread != pair[1].event.thread),
    };
    let stacks: Vec<Arc<[Frame]>> = steps
        .iter()
        .map(|step| names.frames(step.trace, step.event.stack))
        .collect();
    let common = Common::of(steps, &stacks);
    for (step, frames) in steps.iter().zip(&stacks) {
        let (mut line, used) = columns.line(step);
        if options.verbose {
            page.line(&line);
            stack(&mut page, frames, None, None);
            continue;
        }
        let telling = common.cut(step, telling_frames(frames));
        let room = page.width.saturating_sub(used + 2);
        if room >= ROOM_FOR_PLACE {
            line.push(plain(format!("  {}", places(&telling, room))));
            page.line(&line);
        } else {
            page.line(&line);
            let room = page.width.saturating_sub(INDENT);
            let places = places(&telling, room);
            page.line(&[plain(" ".repeat(INDENT)), plain(places)]);
        }
    }
    page.finish()
}

/// How many of the innermost frames all steps of a kind have in common: the runtime's own functions, mostly, which tell
/// nothing about any of them.
struct Common {
    frees: usize,
    others: usize,
}

impl Common {
    fn of(steps: &[HistoryStep], stacks: &[Arc<[Frame]>]) -> Self {
        let of_kind = |frees: bool| {
            let kind = steps.iter().zip(stacks);
            let kind = kind.filter(|(step, stack)| is_free(step) == frees && !stack.is_empty());
            let telling: Vec<Vec<&Frame>> = kind.map(|(_, stack)| telling_frames(stack)).collect();
            let Some((first, rest)) = telling.split_first() else {
                return 0;
            };
            let shared = |other: &Vec<&Frame>| {
                let pairs = first.iter().zip(other);
                pairs
                    .take_while(|(one, two)| one.function == two.function)
                    .count()
            };
            // Where all stacks are one and the same, all of it tells.
            match rest.iter().map(shared).min() {
                Some(common) if telling.iter().any(|stack| stack.len() > common) => common,
                _ => 0,
            }
        };
        Self {
            frees: of_kind(true),
            others: of_kind(false),
        }
    }

    /// A step's frames without those, but for the one that is left when there are no others.
    fn cut<'frames>(&self, step: &HistoryStep, frames: Vec<&'frames Frame>) -> Vec<&'frames Frame> {
        let common = if is_free(step) {
            self.frees
        } else {
            self.others
        };
        let cut = common.min(frames.len().saturating_sub(1));
        frames.into_iter().skip(cut).collect()
    }
}

fn is_free(step: &HistoryStep) -> bool {
    matches!(step.event.kind, EventKind::Deallocate | EventKind::Declined)
}

/// With less room than this on its line, the place has a line of its own.
const ROOM_FOR_PLACE: usize = 36;
/// Columns before a place on a line of its own.
const INDENT: usize = 7;

/// What differs between the steps, and is shown.
struct Columns {
    start: u64,
    pids: bool,
    threads: bool,
}

impl Columns {
    /// The step without its place, and how many columns it takes.
    fn line(&self, step: &HistoryStep) -> (Vec<Piece>, usize) {
        let event = &step.event;
        let time = event.time_ns.saturating_sub(self.start);
        let mut lead = format!(
            "{:>5} {:>3}.{:06}s  ",
            event.step,
            time / 1_000_000_000,
            time % 1_000_000_000 / 1_000
        );
        if self.pids {
            lead.push_str(&format!("pid {}  ", step.pid));
        }
        if self.threads {
            lead.push_str(&format!("T{}  ", event.thread));
        }
        lead.push_str(event.kind.name());
        if event.size > 0 {
            lead.push_str(&format!(" {}", bytes(event.size)));
        }
        if event.owner != 0 {
            lead.push_str(&format!(" owner {:#x}", event.owner));
        }
        lead.push_str("  ");
        let mut verdict = event.verdict.name().to_owned();
        for (marked, word) in [
            (event.late, ", late"),
            (event.blocked, ", blocked"),
            (event.untracked, ", not tracked"),
        ] {
            if marked {
                verdict.push_str(word);
            }
        }
        if let Some(to) = step.charged_to {
            let number = to.culprit + 1;
            verdict.push_str(&match to.confidence {
                Confidence::Undecided => format!(", perhaps surplus: culprit {number}, undecided"),
                Confidence::Proven | Confidence::Counterfactual => {
                    format!(", surplus: charged to culprit {number}")
                }
            });
        }
        let used = lead.len() + verdict.len();
        let tone = if is_excess(step) || step.charged_to.is_some() {
            Tone::Bad
        } else {
            Tone::Plain
        };
        (vec![plain(lead), (tone, verdict)], used)
    }
}

/// The innermost telling frame, and as many of its callers as there is room for.
fn places(frames: &[&Frame], room: usize) -> String {
    let Some((first, callers)) = frames.split_first() else {
        return "(no stack was recorded)".to_owned();
    };
    let mut text = site(first, room);
    for caller in callers {
        let caller = format!(" < {}", site(caller, room));
        if columns(&text) + columns(&caller) + 2 > room {
            text.push_str(" …");
            break;
        }
        text.push_str(&caller);
    }
    text
}

fn count(steps: &[HistoryStep], kind: EventKind) -> u64 {
    steps.iter().filter(|step| step.event.kind == kind).count() as u64
}

fn is_excess(step: &HistoryStep) -> bool {
    step.event.kind == EventKind::Deallocate && step.event.verdict.is_excess()
}
