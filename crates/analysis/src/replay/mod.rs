//! The replay stop of an event's way: the events of each address in their order, judged again.
//!
//! The verdicts are those of [`whofreed_lifecycle::Address`], as in the host. Where events of an address are
//! missing from the trace (its steps have a gap) the host knew more than the trace tells, and the recorded
//! verdicts stand from there on.
//!
//! Events are taken as they come, about in the order of time; of each address only its present state is kept. An
//! event that comes before its turn waits for the steps before it. What is to be remembered of a step is up to the
//! [`Follower`].

mod forks;
pub(crate) mod merge;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;
use std::collections::HashMap;

use foldhash::fast::FixedState;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

pub(crate) use self::walk::Life;
pub(crate) use self::walk::Reset;
pub(crate) use self::walk::Step;
pub(crate) use self::walk::Walk;

use self::forks::Forks;
use crate::sources::EventRef;
use crate::sources::MOST_EVENTS;
use crate::sources::Source;

/// So many events of a trace may wait for their turn before a step counts as missing.
const MOST_WAITING: usize = 1 << 20;
/// The same where it is known that some are missing.
const MOST_WAITING_OF_LOSSY: usize = 1 << 16;

/// So many events are looked up together, so that waiting for one address in memory is waiting for all of them.
const AT_ONCE: usize = 48;

/// A map that costs little.
pub(crate) type Map<K, V> = HashMap<K, V, FixedState>;

/// An address of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) trace: u32,
    pub(crate) device: u32,
    pub(crate) address: u64,
}

/// What is known of an address that does not depend on who follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) place: Place,
    /// Nothing is missing.
    pub(crate) recorded: bool,
    /// Neither is anything missing, nor was there a buffer from before the tracking.
    pub(crate) whole: bool,
    /// Owners are known throughout, and unique.
    pub(crate) owners_known: bool,
}

/// Who is told of every step.
pub(crate) trait Follower {
    /// What is kept of an address for as long as its trace is replayed.
    type Kept: Default;

    /// An event without an order at an address.
    fn loose(&mut self, at: EventRef, event: &Event);

    /// An address of a forked child, and what the child inherited there.
    fn inherits(&mut self, kept: &mut Self::Kept, inherited: &Walk);

    /// Reads a little of everything that the next step needs.
    fn touch(&self, _kept: &Self::Kept) -> u64 {
        0
    }

    /// The next event of an address.
    fn step(&mut self, address: &Address, kept: &mut Self::Kept, step: &Step<'_>);

    /// All events of the trace were told; addresses come in their order.
    fn ends(&mut self, address: &Address, kept: Self::Kept);
}

/// What the replay itself comes to.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Resets and closes by trace, device and their number.
    resets: BTreeMap<(u32, u32, u32), EventRef>,
    /// By trace: how many verdicts differ from the recorded ones, and the first that does.
    pub(crate) mismatches: BTreeMap<u32, (u64, Mismatch)>,
    /// By trace: how many events could not be read any more.
    pub(crate) unread: BTreeMap<u32, u64>,
}

/// A verdict that the replay does not come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mismatch {
    pub(crate) event: Event,
    pub(crate) verdict: Verdict,
}

impl Findings {
    /// The event that ended what lived at an address of the device.
    pub(crate) fn reset(&self, device: u32, reset: Reset) -> Option<EventRef> {
        let reset = (reset.trace, device, reset.epoch);
        self.resets.get(&reset).copied()
    }

    fn differs(&mut self, trace: u32, event: &Event, verdict: Verdict) {
        let mismatch = Mismatch {
            event: *event,
            verdict,
        };
        let (count, first) = self.mismatches.entry(trace).or_insert((0, mismatch));
        *count += 1;
        let order = |event: &Event| (event.device, event.address, event.step);
        if order(event) < order(&first.event) {
            *first = mismatch;
        }
    }
}

/// Replays all traces, parents before their children.
pub(crate) fn replay<F: Follower>(sources: &[Source<'_>], follower: &mut F) -> Findings {
    replay_within(sources, follower, usize::MAX)
}

/// The same where not more than `most` events wait.
fn replay_within<F: Follower>(sources: &[Source<'_>], follower: &mut F, most: usize) -> Findings {
    let mut findings = Findings::default();
    let mut forks = Forks::new(sources);
    for trace in forks.order() {
        let source = &sources[trace as usize];
        let replay = Replay {
            trace,
            has_owners: !source.process.owners_are_pointers,
            most_waiting: most.min(if source.has_losses() {
                MOST_WAITING_OF_LOSSY
            } else {
                MOST_WAITING
            }),
            findings: &mut findings,
            forks: &mut forks,
            follower,
            of_place: Map::default(),
            slots: Vec::new(),
            waiting: BTreeMap::new(),
            waiting_count: 0,
        };
        let unread = replay.run(source);
        if unread > 0 {
            findings.unread.insert(trace, unread);
        }
    }
    findings
}

/// Whether the event has its place in the order of an address.
fn has_order(event: &Event) -> bool {
    is_of_address(event.kind)
        && event.step != 0
        && !event.untracked
        && event.verdict != Verdict::Invalid
}

/// Whether events of this kind concern one address, not a whole device.
pub(crate) fn is_of_address(kind: EventKind) -> bool {
    !matches!(
        kind,
        EventKind::DeviceOpen | EventKind::DeviceReset | EventKind::DeviceClose
    )
}

/// An address while its trace is replayed.
struct Slot<K> {
    address: Address,
    walk: Walk,
    kept: K,
    /// Events wait here for their turn.
    has_waiting: bool,
    /// A forked child is still to be handed down what happened here.
    is_wanted: bool,
    /// The trace has an event here that came before.
    is_begun: bool,
}

/// Events of one address that came before their turn: by step, time and number.
type Waiting = BTreeMap<(u64, u64, u64), Event>;

/// One trace.
struct Replay<'a, F: Follower> {
    trace: u32,
    has_owners: bool,
    most_waiting: usize,
    findings: &'a mut Findings,
    forks: &'a mut Forks,
    follower: &'a mut F,
    of_place: Map<(u32, u64), u32>,
    slots: Vec<Slot<F::Kept>>,
    /// By index into `slots`.
    waiting: BTreeMap<u32, Waiting>,
    waiting_count: usize,
}

impl<F: Follower> Replay<'_, F> {
    /// Replays all events; returns how many cannot be read.
    fn run(mut self, source: &Source<'_>) -> u64 {
        let mut untold = 0;
        let mut together = Vec::with_capacity(AT_ONCE);
        let unread = merge::each_event(source.events, |index, event| {
            if index >= MOST_EVENTS {
                untold += 1;
                return;
            }
            together.push((index, *event));
            if together.len() == AT_ONCE {
                self.events(&together);
                together.clear();
            }
        });
        self.events(&together);
        let waiting: Vec<u32> = self.waiting.keys().copied().collect();
        for slot in waiting {
            self.judge_waiting(slot, 0);
        }
        self.end();
        unread + untold
    }

    /// The next events; at most [`AT_ONCE`].
    fn events(&mut self, events: &[(u64, Event)]) {
        let mut slots = [0; AT_ONCE];
        for (slot, (_, event)) in slots.iter_mut().zip(events) {
            if has_order(event) {
                *slot = self.slot(event);
            }
        }
        // What is read here comes from memory at the same time, and is there when its turn comes.
        let mut touched = 0;
        for (&slot, _) in slots.iter().zip(events) {
            if let Some(slot) = self.slots.get(slot as usize) {
                touched ^= slot.walk.touch() ^ self.follower.touch(&slot.kept);
            }
        }
        std::hint::black_box(touched);
        for (&slot, (index, event)) in slots.iter().zip(events) {
            self.event(slot, *index, event);
        }
    }

    fn event(&mut self, number: u32, index: u64, event: &Event) {
        let at = EventRef::new(self.trace, index);
        if matches!(event.kind, EventKind::DeviceReset | EventKind::DeviceClose) {
            let reset = (self.trace, event.device, event.epoch);
            self.findings.resets.insert(reset, at);
        }
        if !has_order(event) {
            self.follower.loose(at, event);
            return;
        }
        let slot = &self.slots[number as usize];
        if event.step > slot.walk.expected {
            self.wait(number, index, event);
        } else {
            let has_waiting = slot.has_waiting;
            self.judge(number, at, event);
            if has_waiting {
                self.judge_waiting(number, usize::MAX);
            }
        }
    }

    fn slot(&mut self, event: &Event) -> u32 {
        let at = (event.device, event.address);
        if let Some(&slot) = self.of_place.get(&at) {
            return slot;
        }
        let place = Place {
            trace: self.trace,
            device: event.device,
            address: event.address,
        };
        let mut kept = F::Kept::default();
        let mut walk = Walk::default();
        if let Some(first) = self.forks.first_step(place) {
            if let Some(inherited) = self.forks.inherited(place) {
                self.follower.inherits(&mut kept, &inherited);
                walk = inherited;
            }
            // The child goes on counting the steps of the ledger that it inherited, or begins anew.
            walk.exact &= first == walk.expected || first == 1;
            walk.expected = first;
        }
        let slot = self.slots.len() as u32;
        self.slots.push(Slot {
            address: Address {
                place,
                recorded: true,
                whole: true,
                owners_known: self.has_owners,
            },
            walk,
            kept,
            has_waiting: false,
            is_wanted: self.forks.is_wanted(place),
            is_begun: false,
        });
        self.of_place.insert(at, slot);
        slot
    }

    fn judge(&mut self, slot: u32, at: EventRef, event: &Event) {
        let slot = &mut self.slots[slot as usize];
        if slot.is_wanted {
            let walk = slot.is_begun.then_some(&slot.walk);
            slot.is_wanted = self.forks.hand_down(slot.address.place, walk, Some(event));
        }
        slot.is_begun = true;
        let step = slot.walk.step(at, event);
        slot.address.owners_known &= event.root_owner != 0;
        slot.address.recorded &= slot.walk.exact;
        slot.address.whole &= slot.walk.exact && step.verdict != Verdict::Unknown;
        if slot.walk.exact && (step.verdict, step.late) != (event.verdict, event.late) {
            self.findings.differs(self.trace, event, step.verdict);
        }
        self.follower.step(&slot.address, &mut slot.kept, &step);
    }

    fn wait(&mut self, slot: u32, index: u64, event: &Event) {
        let order = (event.step, event.time_ns, index);
        self.waiting.entry(slot).or_default().insert(order, *event);
        self.slots[slot as usize].has_waiting = true;
        self.waiting_count += 1;
        if self.waiting_count > self.most_waiting {
            self.judge_waiting(slot, self.most_waiting);
        }
    }

    /// Judges what waits at an address: whatever has its turn, and more while more than `most` wait altogether.
    fn judge_waiting(&mut self, slot: u32, most: usize) {
        let Some(mut waiting) = self.waiting.remove(&slot) else {
            return;
        };
        while let Some(next) = waiting.first_entry() {
            let &(step, _, index) = next.key();
            let is_due = step <= self.slots[slot as usize].walk.expected;
            if !is_due && self.waiting_count <= most {
                break;
            }
            let event = next.remove();
            self.waiting_count -= 1;
            self.judge(slot, EventRef::new(self.trace, index), &event);
        }
        self.slots[slot as usize].has_waiting = !waiting.is_empty();
        if !waiting.is_empty() {
            self.waiting.insert(slot, waiting);
        }
    }

    fn end(self) {
        let mut slots = self.slots;
        slots.sort_unstable_by_key(|slot| slot.address.place);
        for slot in slots {
            if slot.is_wanted {
                let walk = slot.is_begun.then_some(&slot.walk);
                self.forks.hand_down(slot.address.place, walk, None);
            }
            self.follower.ends(&slot.address, slot.kept);
        }
    }
}
