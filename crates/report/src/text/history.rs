//! One address's whole life as text: a line a step, and in full also the stacks.

use whofreed_analysis::HistoryStep;
use whofreed_trace::EventKind;
use whofreed_trace::StackNames;

use super::TextOptions;
use super::names::bytes;
use super::names::columns;
use super::names::counted;
use super::names::number;
use super::names::site;
use super::page::Page;
use super::page::Tone;
use super::page::plain;
use super::page::strong;
use super::stack::stack;
use super::stack::telling_frame;

/// The life of `address` on `device` as text.
#[must_use]
pub fn history_to_text(
    steps: &[HistoryStep],
    names: &dyn StackNames,
    device: u32,
    address: u64,
    options: &TextOptions,
) -> String {
    let mut page = Page::new(options.width, options.color);
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
    let several = steps.iter().any(|step| step.pid != steps[0].pid);
    let owners = steps.iter().any(|step| step.event.owner != 0);
    for step in steps {
        let event = &step.event;
        let frames = names.frames(step.trace, event.stack);
        let time = event.time_ns.saturating_sub(start);
        let mut lead = format!(
            "{:>5}  {:>7}.{:06}s  ",
            event.step,
            time / 1_000_000_000,
            time % 1_000_000_000 / 1_000
        );
        if several {
            lead.push_str(&format!("pid {}  ", step.pid));
        }
        lead.push_str(&format!("T{}  ", event.thread));
        let mut what = event.kind.name().to_owned();
        if event.size > 0 {
            what.push_str(&format!(" {}", bytes(event.size)));
        }
        if owners && event.owner != 0 {
            what.push_str(&format!(" owner {:#x}", event.owner));
        }
        let mut verdict = format!("  {}", event.verdict.name());
        for (marked, word) in [
            (event.late, ", late"),
            (event.blocked, ", blocked"),
            (event.untracked, ", not tracked"),
        ] {
            if marked {
                verdict.push_str(word);
            }
        }
        let used = columns(&lead) + columns(&what) + columns(&verdict) + 2;
        let room = page.width.saturating_sub(used);
        let tone = if is_excess(step) {
            Tone::Bad
        } else {
            Tone::Plain
        };
        let mut line = vec![plain(lead), plain(what), (tone, verdict)];
        let frame = telling_frame(&frames);
        if options.verbose {
            page.line(&line);
            stack(&mut page, &frames, frame, None);
        } else if let Some(frame) = frame {
            if room >= 30 {
                line.push(plain(format!("  {}", site(frame, room))));
                page.line(&line);
            } else {
                page.line(&line);
                let room = page.width.saturating_sub(7);
                page.line(&[plain(format!("       {}", site(frame, room)))]);
            }
        } else {
            page.line(&line);
        }
    }
    page.finish()
}

fn count(steps: &[HistoryStep], kind: EventKind) -> u64 {
    steps.iter().filter(|step| step.event.kind == kind).count() as u64
}

fn is_excess(step: &HistoryStep) -> bool {
    step.event.kind == EventKind::Deallocate && step.event.verdict.is_excess()
}
