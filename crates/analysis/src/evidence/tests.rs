//! Events are read again in their order, each once, however they lie in the file.

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Events;
use whofreed_trace::Run;
use whofreed_trace::Trace;

use super::each_event;
use crate::sources::EventRef;
use crate::sources::Source;

/// Events that lie in runs of seven, as in a file; those of one run cannot be read any more.
#[derive(Debug, Default)]
struct InRuns(Vec<Event>);

const RUN: u64 = 7;
const GONE: u64 = 3;

impl Events for InRuns {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn runs(&self) -> Vec<Run> {
        Vec::new()
    }

    fn read(&self, first: u64, count: usize, into: &mut Vec<Event>) {
        if first / RUN != GONE {
            let left = (RUN - first % RUN).min(count as u64);
            let events = self.0.iter().skip(first as usize);
            into.extend(events.take(left as usize));
        }
    }

    fn event(&self, index: u64) -> Option<Event> {
        let mut event = Vec::new();
        self.read(index, 1, &mut event);
        event.pop()
    }
}

fn event(time_ns: u64) -> Event {
    Event {
        step: 1,
        thread: 1,
        time_ns,
        ..Event::of(EventKind::Deallocate)
    }
}

#[test]
fn each_event_is_told_once_but_for_those_that_cannot_be_read() {
    let traces: Vec<Trace<InRuns>> = (0..2)
        .map(|_| Trace {
            events: InRuns((0..400).map(event).collect()),
            ..Trace::default()
        })
        .collect();
    let sources: Vec<Source<'_>> = traces.iter().map(Source::of).collect();
    for apart in [1, 2, 5, 64, 65, 90] {
        let numbers =
            || (0..2).flat_map(|trace| (0..400).step_by(apart).map(move |at| (trace, at)));
        let charged = numbers().map(|(trace, at)| (EventRef::new(trace, at), at as u32));
        let mut told = Vec::new();
        each_event(&sources, &charged.collect(), |free, event, index| {
            assert_eq!(event.time_ns, u64::from(index));
            assert_eq!(free.event(), event.time_ns);
            told.push((free.trace(), event.time_ns));
        });
        let readable = numbers().filter(|(_, at)| at / RUN != GONE);
        assert_eq!(told, readable.collect::<Vec<_>>(), "{apart}");
    }
}
