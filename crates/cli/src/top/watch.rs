//! Looks at the traces again and again, on a thread of its own, and analyses what is new.
//!
//! What a person sees comes from the same replay and blame as the report, so it says the same. That takes longer the longer
//! a run is: then it is done less often, so that it takes a quarter of a processor at most.

use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use whofreed_analysis::Analysis;
use whofreed_analysis::Rules;
use whofreed_analysis::Timeline;
use whofreed_trace::Events;
use whofreed_trace::FileEvents;
use whofreed_trace::Trace;

use super::attach::Attached;
use crate::symbols::Symbols;

/// A look is followed by a pause of so many times what it took.
const PAUSES: u32 = 3;

/// What there was to see at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) analysis: Analysis,
    pub(super) timeline: Timeline,
    /// When it was read.
    pub(super) taken: Instant,
    /// How long reading and analysing took.
    pub(super) took: Duration,
    /// What could not be read.
    pub(super) wrong: Vec<String>,
}

/// What is new.
#[derive(Debug)]
pub(super) enum News {
    /// There is more to see.
    Snapshot(Box<Snapshot>),
    /// So many events are going to be analysed.
    Reading { events: u64 },
    /// A look is over: whether somebody still writes, and whether all is as it was.
    Looked { is_going_on: bool, is_same: bool },
}

/// What tells whether there is anything new: the events that were recorded and lost, and who has ended.
pub(super) type Mark = Vec<(u64, u64, u64, bool)>;

fn mark(traces: &[Trace<FileEvents>]) -> Mark {
    let of = |trace: &Trace<FileEvents>| {
        (
            trace.id,
            trace.events.len(),
            trace.dropped_events,
            trace.process.exit.is_some(),
        )
    };
    traces.iter().map(of).collect()
}

/// Reads and analyses what is there now; `None` where nobody has recorded anything yet, or nothing since `last`.
pub(super) fn look(
    attached: &mut Attached,
    symbols: &Symbols,
    last: &mut Option<Mark>,
    tell: impl FnOnce(News),
) -> Option<Snapshot> {
    let taken = Instant::now();
    attached.look();
    let (traces, wrong) = attached.read();
    let now = mark(&traces);
    if (traces.is_empty() && wrong.is_empty()) || last.as_ref() == Some(&now) {
        return None;
    }
    let events = now.iter().map(|(_, events, ..)| events).sum();
    *last = Some(now);
    tell(News::Reading { events });
    let names = symbols.resolver(&traces);
    let rules = Rules::of(&traces);
    let (analysis, timeline) = whofreed_analysis::analyse_with_timeline(&traces, &names, &rules);
    names.keep();
    Some(Snapshot {
        analysis,
        timeline,
        taken,
        took: taken.elapsed(),
        wrong,
    })
}

/// Looks until nobody listens any more, each time after `interval` at the earliest.
pub(super) fn watch(
    mut attached: Attached,
    symbols: Symbols,
    interval: Duration,
) -> Receiver<News> {
    let (sender, receiver) = channel();
    thread::spawn(move || until_nobody_listens(&mut attached, &symbols, interval, &sender));
    receiver
}

fn until_nobody_listens(
    attached: &mut Attached,
    symbols: &Symbols,
    interval: Duration,
    sender: &Sender<News>,
) {
    let mut last = None;
    loop {
        let began = Instant::now();
        let snapshot = look(attached, symbols, &mut last, |news| {
            let _ = sender.send(news);
        });
        let is_going_on = attached.is_going_on();
        let took = began.elapsed();
        let is_same = snapshot.is_none();
        if let Some(snapshot) = snapshot
            && sender.send(News::Snapshot(Box::new(snapshot))).is_err()
        {
            return;
        }
        let looked = News::Looked {
            is_going_on,
            is_same,
        };
        if sender.send(looked).is_err() {
            return;
        }
        thread::sleep(interval.max(took * PAUSES));
    }
}
