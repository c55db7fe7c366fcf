//! The traces as the analysis sees them, wherever their events lie.

use std::collections::BTreeMap;

use whofreed_trace::Coverage;
use whofreed_trace::Damage;
use whofreed_trace::Event;
use whofreed_trace::Events;
use whofreed_trace::Loss;
use whofreed_trace::Process;
use whofreed_trace::Trace;

/// How many bits of an [`EventRef`] number the event; the trace's number stands above them.
const EVENT_BITS: u32 = 40;
/// More events of one trace cannot be told apart.
pub(crate) const MOST_EVENTS: u64 = 1 << EVENT_BITS;

/// An event, by the index of its trace and its index in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct EventRef(u64);

impl EventRef {
    pub(crate) const fn new(trace: u32, event: u64) -> Self {
        Self((trace as u64) << EVENT_BITS | event)
    }

    pub(crate) const fn trace(self) -> u32 {
        (self.0 >> EVENT_BITS) as u32
    }

    /// Its index in its trace.
    pub(crate) const fn event(self) -> u64 {
        self.0 & (MOST_EVENTS - 1)
    }

    /// How far it lies behind `first`, where that is not very far.
    pub(crate) fn distance(self, first: Self) -> Option<u32> {
        u32::try_from(self.0.checked_sub(first.0)?).ok()
    }

    /// The event that lies so far behind.
    pub(crate) const fn behind(self, distance: u32) -> Self {
        Self(self.0 + distance as u64)
    }

    /// Appends the `count` events from this one on, as far as they lie in one run and can be read.
    pub(crate) fn read(self, sources: &[Source<'_>], count: usize, into: &mut Vec<Event>) {
        let events = sources[self.trace() as usize].events;
        events.read(self.event(), count, into);
    }

    /// The event itself; `None` where its file cannot be read any more.
    pub(crate) fn of(self, sources: &[Source<'_>]) -> Option<Event> {
        sources[self.trace() as usize].events.event(self.event())
    }
}

/// One trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) id: u64,
    pub(crate) process: &'a Process,
    pub(crate) events: &'a dyn Events,
    pub(crate) dropped_events: u64,
    pub(crate) unjudged_events: u64,
    pub(crate) losses: &'a [Loss],
    pub(crate) damage: &'a [Damage],
    pub(crate) coverage: &'a [Coverage],
    pub(crate) device_names: &'a BTreeMap<u32, String>,
    pub(crate) kind_names: &'a BTreeMap<u32, String>,
    pub(crate) scopes: &'a BTreeMap<u32, String>,
}

impl<'a> Source<'a> {
    pub(crate) fn of<E: Events>(trace: &'a Trace<E>) -> Self {
        Self {
            id: trace.id,
            process: &trace.process,
            events: &trace.events,
            dropped_events: trace.dropped_events,
            unjudged_events: trace.unjudged_events,
            losses: &trace.losses,
            damage: &trace.damage,
            coverage: &trace.coverage,
            device_names: &trace.device_names,
            kind_names: &trace.kind_names,
            scopes: &trace.scopes,
        }
    }

    /// Whether events are known to be missing.
    pub(crate) fn has_losses(&self) -> bool {
        self.dropped_events > 0 || !self.damage.is_empty()
    }
}
