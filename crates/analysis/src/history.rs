//! The whole life of one address.

use whofreed_trace::Event;
use whofreed_trace::Trace;

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
pub(crate) fn history(sources: &[Source<'_>], device: u32, address: u64) -> Vec<HistoryStep> {
    let kept: Vec<Trace> = sources
        .iter()
        .map(|source| Trace {
            id: source.id,
            process: source.process.clone(),
            events: of_address(source, device, address),
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
        .map(|(trace, event)| HistoryStep {
            trace: trace as usize,
            pid: kept[trace as usize].process.pid,
            event,
        })
        .collect();
    all.sort_by_key(|step| step.trace);
    all
}

fn of_address(source: &Source<'_>, device: u32, address: u64) -> Vec<Event> {
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
            let here = |event: &&Event| event.device == device && event.address == address;
            kept.extend(events.iter().filter(here));
            read += wanted;
        }
    }
    kept
}

/// So many events are looked at in one go.
const AT_ONCE: u64 = 1024;

/// Notes every step.
#[derive(Default)]
struct Steps {
    judged: Vec<(u32, Event)>,
    loose: Vec<(u32, Event)>,
}

impl Follower for Steps {
    type Kept = ();

    fn loose(&mut self, at: EventRef, event: &Event) {
        if event.untracked && is_of_address(event.kind) {
            self.loose.push((at.trace(), *event));
        }
    }

    fn inherits(&mut self, (): &mut (), _inherited: &Walk) {}

    fn step(&mut self, _address: &Address, (): &mut (), step: &Step<'_>) {
        let mut event = *step.event;
        event.verdict = step.verdict;
        event.late = step.late;
        self.judged.push((step.at.trace(), event));
    }

    fn ends(&mut self, _address: &Address, (): ()) {}
}
