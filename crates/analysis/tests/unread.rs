//! Logs of which something cannot be read any more, or that are longer than events can be numbered.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use whofreed_analysis::Analysis;
use whofreed_analysis::analyse;
use whofreed_analysis::history;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Events;
use whofreed_trace::Frame;
use whofreed_trace::Run;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

/// Events of which some can be read.
#[derive(Debug, Default)]
struct Sparse {
    runs: Vec<Run>,
    readable: BTreeMap<u64, Event>,
}

impl Sparse {
    /// A thread's events of these numbers; they can be read up to the end of `readable`.
    fn run(&mut self, thread: u32, numbers: Range<u64>, readable: u64) {
        self.runs.push(Run {
            first: numbers.start,
            count: numbers.end - numbers.start,
            thread,
            time_ns: 10 * numbers.start,
        });
        for number in numbers.start..readable {
            self.readable.insert(number, allocate(thread, number));
        }
    }
}

impl Events for Sparse {
    fn len(&self) -> u64 {
        self.runs.iter().map(|run| run.count).sum()
    }

    fn runs(&self) -> Vec<Run> {
        self.runs.clone()
    }

    fn read(&self, first: u64, count: usize, into: &mut Vec<Event>) {
        let wanted = first..first + count as u64;
        into.extend(wanted.map_while(|number| self.readable.get(&number)));
    }

    fn event(&self, index: u64) -> Option<Event> {
        self.readable.get(&index).copied()
    }
}

/// One buffer for each event.
fn allocate(thread: u32, number: u64) -> Event {
    Event {
        device: 1,
        address: number,
        owner: 1,
        root_owner: 1,
        size: 8,
        step: 1,
        thread,
        time_ns: 10 * number,
        ..Event::of(EventKind::Allocate)
    }
}

/// No stack has a name here.
struct Nameless;

impl StackNames for Nameless {
    fn frames(&self, _trace: usize, _stack: StackId) -> Arc<[Frame]> {
        Arc::from([])
    }
}

fn analysis(events: Sparse) -> Analysis {
    let whole = Trace {
        events: Sparse::default(),
        ..empty()
    };
    analyse(&[whole, Trace { events, ..empty() }], &Nameless)
}

fn empty() -> Trace<Sparse> {
    Trace {
        id: 0,
        session: 0,
        process: Default::default(),
        events: Sparse::default(),
        stacks: Vec::new(),
        modules: Vec::new(),
        codes: Vec::new(),
        device_names: BTreeMap::new(),
        kind_names: BTreeMap::new(),
        scopes: BTreeMap::new(),
        coverage: Vec::new(),
        dropped_events: 0,
        unjudged_events: 0,
        losses: Vec::new(),
        damage: Vec::new(),
    }
}

/// How many events are told not to have been read, by trace.
fn unread(analysis: &Analysis) -> Vec<(usize, String)> {
    let told = analysis.damage.iter().map(|(trace, damage)| {
        let count = damage
            .what
            .strip_suffix(" event(s) could not be read any more, or are too many to be told apart");
        (*trace, count.unwrap_or(&damage.what).to_owned())
    });
    told.collect()
}

#[test]
fn what_follows_something_unreadable_is_still_told() {
    let mut events = Sparse::default();
    // More than are looked at in one go, both before and behind what cannot be read.
    events.run(1, 0..1_000, 700);
    events.run(2, 1_000..1_003, 1_003);
    events.run(1, 1_003..1_300, 1_300);
    events.run(3, 1_300..1_301, 1_300);
    let analysis = analysis(events);
    assert_eq!(unread(&analysis), [(1, "301".to_owned())]);
    assert_eq!(analysis.totals.events, 1_301);
    assert_eq!(analysis.totals.allocations, 1_000);
    assert_eq!(analysis.totals.leaked, 1_000);
}

#[test]
fn what_is_beyond_the_last_number_is_counted() {
    let last = 1 << 40;
    let mut events = Sparse::default();
    events.run(1, last - 2..last + 3, last + 3);
    let analysis = analysis(events);
    assert_eq!(unread(&analysis), [(1, "3".to_owned())]);
    assert_eq!(analysis.totals.allocations, 2);
}

#[test]
fn a_log_that_can_be_read_has_no_damage() {
    let mut events = Sparse::default();
    events.run(1, 0..10, 10);
    assert_eq!(unread(&analysis(events)), []);
}

/// The last event of one go, and the first of the next.
#[test]
fn a_history_is_looked_for_everywhere() {
    for address in [0, 1_023, 1_024, 2_047, 2_048, 2_999] {
        let mut events = Sparse::default();
        events.run(1, 0..1_500, 1_500);
        events.run(1, 1_500..3_000, 3_000);
        let traces = [Trace { events, ..empty() }];
        let steps = history(&traces, 1, address);
        let found: Vec<u64> = steps.iter().map(|step| step.event.time_ns).collect();
        assert_eq!(found, [10 * address]);
    }
}
