//! The whole life of one address.

use whofreed_trace::Event;
use whofreed_trace::Trace;

use crate::ChargedTo;
use crate::HistoryStep;
use crate::replay::Address;
use crate::replay::Follower;
use crate::replay::Step;
use crate::replay::Walk;
use crate::replay::is_of_address;
use crate::replay::replay;
use crate::sources::EventRef;
use crate::sources::Source;

/// The steps of `address` on `device`, process by process; events that the ledger had no room for come last.
/// `charged_to` knows of each event whether it is charged to somebody.
pub(crate) fn history(
    sources: &[Source<'_>],
    device: u32,
    address: u64,
    charged_to: impl Fn(EventRef) -> Option<ChargedTo>,
) -> Vec<HistoryStep> {
    let of_sources = sources
        .iter()
        .map(|source| of_address(source, device, address));
    let (numbers, events): (Vec<Vec<u64>>, Vec<Vec<Event>>) = of_sources.unzip();
    let kept: Vec<Trace> = sources
        .iter()
        .zip(events)
        .map(|(source, events)| Trace {
            id: source.id,
            process: source.process.clone(),
            events,
            ..Trace::default()
        })
        .collect();
    let kept: Vec<Source<'_>> = kept.iter().map(Source::of).collect();
    let mut steps = Steps::default();
    replay(&kept, &mut steps);
    let mut all: Vec<HistoryStep> = steps
        .judged
        .into_iter()
        .chain(steps.loose)
        .map(|(at, event)| {
            let trace = at.trace();
            let number = numbers[trace as usize][at.event() as usize];
            HistoryStep {
                trace: trace as usize,
                pid: kept[trace as usize].process.pid,
                event,
                charged_to: charged_to(EventRef::new(trace, number)),
            }
        })
        .collect();
    all.sort_by_key(|step| step.trace);
    all
}

/// The events of an address, and their numbers in the trace before.
fn of_address(source: &Source<'_>, device: u32, address: u64) -> (Vec<u64>, Vec<Event>) {
    let mut numbers = Vec::new();
    let mut kept = Vec::new();
    let mut events = Vec::new();
    for run in source.events.runs() {
        let mut read = 0;
        while read < run.count {
            events.clear();
            let wanted = (run.count - read).min(AT_ONCE);
            source
                .events
                .read(run.first + read, wanted as usize, &mut events);
            for (number, event) in (run.first + read..).zip(&events) {
                if event.device == device && event.address == address {
                    numbers.push(number);
                    kept.push(*event);
                }
            }
            read += wanted;
        }
    }
    (numbers, kept)
}

/// So many events are looked at in one go.
const AT_ONCE: u64 = 1024;

/// Notes every step.
#[derive(Default)]
struct Steps {
    judged: Vec<(EventRef, Event)>,
    loose: Vec<(EventRef, Event)>,
}

impl Follower for Steps {
    type Kept = ();

    fn loose(&mut self, at: EventRef, event: &Event) {
        if event.untracked && is_of_address(event.kind) {
            self.loose.push((at, *event));
        }
    }

    fn inherits(&mut self, (): &mut (), _inherited: &Walk) {}

    fn step(&mut self, _address: &Address, (): &mut (), step: &Step<'_>) {
        let mut event = *step.event;
        event.verdict = step.verdict;
        event.late = step.late;
        self.judged.push((step.at, event));
    }

    fn ends(&mut self, _address: &Address, (): ()) {}
}
