//! The replay as it is easiest to understand, with everything in memory: what the real one is held against.

use std::collections::BTreeMap;
use std::ops::Range;

use whofreed_lifecycle::Address;
use whofreed_lifecycle::Holder;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

use super::has_order;

/// An event, by the index of its trace and its index in there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EventRef {
    pub(super) trace: u32,
    pub(super) event: u32,
}

impl EventRef {
    pub(super) fn of(self, traces: &[Trace]) -> &Event {
        &traces[self.trace as usize].events[self.event as usize]
    }
}

/// One instance: a right to deallocate, from the allocate or retain that gave it to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) owner: u64,
    pub(super) began: EventRef,
    /// The deallocate that ended it, or that came late after a reset had.
    pub(super) freed: Option<EventRef>,
    /// The reset or close of the device that ended it.
    pub(super) released: Option<EventRef>,
    /// It began in the process that this one was forked from.
    pub(super) inherited: bool,
}

/// How many of the lives that had ended before a fork are remembered.
const INHERITED_ENDS: usize = 2;

/// One event of an address, judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) event: EventRef,
    pub(super) kind: EventKind,
    pub(super) verdict: Verdict,
    pub(super) late: bool,
    /// Index into [`Replay::lives`]: the life that the event began or ended; of an excess free the one that it
    /// frees again, as far as owner and address tell.
    pub(super) life: Option<u32>,
    /// A reset or close of the device lies between the step before and this one.
    pub(super) after_reset: bool,
}

/// Everything that happened at one address of one process.
#[derive(Clone, Debug)]
pub(super) struct AddressLog {
    pub(super) trace: u32,
    pub(super) device: u32,
    pub(super) address: u64,
    /// Indices into [`Replay::steps`].
    pub(super) steps: Range<usize>,
    /// What the process inherited here when it was forked, for the blame: indices into [`Replay::inherited`].
    pub(super) inherited: Range<usize>,
    /// How many instances it inherited.
    pub(super) inherited_live: u64,
    /// Ancestors allocated here.
    pub(super) inherited_known: bool,
    /// Nothing is missing, and the first event is not that of a buffer from before the tracking.
    pub(super) whole: bool,
    /// Owners are known throughout, and unique.
    pub(super) owners_known: bool,
}

/// All traces, address by address.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) addresses: Vec<AddressLog>,
    pub(super) steps: Vec<Step>,
    pub(super) lives: Vec<Life>,
    /// The allocates, and the frees of the last lives that had ended, of what forked children inherited; none of
    /// them is an event of the child.
    pub(super) inherited: Vec<Step>,
    /// Events without an order at an address.
    pub(super) loose: Vec<EventRef>,
    /// Resets and closes by trace, device and their number.
    pub(super) resets: BTreeMap<(u32, u32, u32), EventRef>,
    /// By trace: how many verdicts differ from the recorded ones, and the first that does.
    pub(super) mismatches: BTreeMap<u32, (u64, EventRef, Verdict)>,
}

impl Replay {
    /// Replays all traces. Addresses come in the order of trace, device and address.
    pub(super) fn new(traces: &[Trace]) -> Self {
        let order: Vec<Vec<u32>> = traces.iter().map(ordered_events).collect();
        let mut replay = Self::default();
        for (trace, events) in (0..).zip(traces.iter().map(|trace| &trace.events)) {
            for (event, recorded) in (0..).zip(events) {
                if matches!(
                    recorded.kind,
                    EventKind::DeviceReset | EventKind::DeviceClose
                ) {
                    let reset = (trace, recorded.device, recorded.epoch);
                    replay.resets.insert(reset, EventRef { trace, event });
                }
            }
        }
        for (index, trace) in traces.iter().enumerate() {
            let number = index as u32;
            for (event, recorded) in trace.events.iter().enumerate() {
                let at = EventRef {
                    trace: number,
                    event: event as u32,
                };
                if !has_order(recorded) {
                    replay.loose.push(at);
                }
            }
            let events = &trace.events;
            for group in order[index]
                .chunk_by(|&a, &b| place(&events[a as usize]) == place(&events[b as usize]))
            {
                let inherited = inherited_events(traces, &order, index, group, 0);
                Walk::new(traces, &mut replay).run(number, group, &inherited);
            }
        }
        replay
    }
}

fn place(event: &Event) -> (u32, u64) {
    (event.device, event.address)
}

fn ordered_events(trace: &Trace) -> Vec<u32> {
    let events = &trace.events;
    let mut order: Vec<u32> = (0..events.len() as u32)
        .filter(|&event| has_order(&events[event as usize]))
        .collect();
    order.sort_unstable_by_key(|&index| {
        let event = &events[index as usize];
        (
            event.device,
            event.address,
            event.step,
            event.time_ns,
            index,
        )
    });
    order
}

/// The events at the address of `group` that happened in the ancestors of trace `child` before it was forked.
fn inherited_events(
    traces: &[Trace],
    order: &[Vec<u32>],
    child: usize,
    group: &[u32],
    depth: usize,
) -> Vec<EventRef> {
    let Some(&first) = group.first() else {
        return Vec::new();
    };
    let first = &traces[child].events[first as usize];
    inherited_before(traces, order, child, place(first), first.step, depth)
}

fn inherited_before(
    traces: &[Trace],
    order: &[Vec<u32>],
    child: usize,
    at: (u32, u64),
    first_step: u64,
    depth: usize,
) -> Vec<EventRef> {
    let Some(fork) = traces[child].process.fork else {
        return Vec::new();
    };
    let parent = traces.iter().position(|t| t.id == fork.parent_trace);
    let Some(parent) = parent.filter(|&parent| parent != child && depth < traces.len()) else {
        return Vec::new();
    };
    let events = &traces[parent].events;
    let start = order[parent].partition_point(|&e| place(&events[e as usize]) < at);
    let here = order[parent][start..]
        .iter()
        .take_while(|&&event| place(&events[event as usize]) == at);
    // The child goes on counting the steps of the ledger that it inherited; the clock is for a child whose
    // count starts anew.
    let own: Vec<EventRef> = here
        .filter(|&&event| {
            let event = &events[event as usize];
            if first_step > 1 {
                event.step < first_step
            } else {
                event.time_ns <= fork.time_ns
            }
        })
        .map(|&event| EventRef {
            trace: parent as u32,
            event,
        })
        .collect();
    let parent_first = own.first().map_or(first_step, |own| own.of(traces).step);
    let mut all = inherited_before(traces, order, parent, at, parent_first, depth + 1);
    all.extend(own);
    all
}

/// The walk through one address.
struct Walk<'a> {
    traces: &'a [Trace],
    replay: &'a mut Replay,
    address: Address<Vec<Holder>>,
    epoch: u32,
    /// Lives that go on, the oldest first.
    live: Vec<u32>,
    /// Lives that a reset ended and whose own deallocate has not come yet.
    reset: Vec<u32>,
    last_ended: Option<u32>,
    last_of_owner: BTreeMap<u64, u32>,
    /// No event was missing so far.
    exact: bool,
}

impl<'a> Walk<'a> {
    fn new(traces: &'a [Trace], replay: &'a mut Replay) -> Self {
        Self {
            traces,
            replay,
            address: Address::default(),
            epoch: 0,
            live: Vec::new(),
            reset: Vec::new(),
            last_ended: None,
            last_of_owner: BTreeMap::new(),
            exact: true,
        }
    }

    fn run(mut self, trace: u32, group: &[u32], inherited: &[EventRef]) {
        let mut expected = 1;
        let first_life = self.replay.lives.len();
        for &event in inherited {
            self.check_order(event, &mut expected);
            let _ = self.judge(event);
        }
        for life in &mut self.replay.lives[first_life..] {
            life.inherited = true;
        }
        let inherited_known = self.replay.lives.len() > first_life;
        let inherited_live = self.live.len() as u64;
        let inherited = self.inherit(first_life);
        let first = self.replay.steps.len();
        let mut owners_known = !self.traces[trace as usize].process.owners_are_pointers;
        let mut whole = true;
        for (index, &event) in group.iter().enumerate() {
            let event = EventRef { trace, event };
            if index == 0 && event.of(self.traces).step == 1 {
                expected = 1;
            }
            self.check_order(event, &mut expected);
            let step = self.judge(event);
            let recorded = event.of(self.traces);
            owners_known &= recorded.root_owner != 0;
            whole &= self.exact && step.verdict != Verdict::Unknown;
            if self.exact && (step.verdict, step.late) != (recorded.verdict, recorded.late) {
                let entry = self.replay.mismatches.entry(trace);
                entry.or_insert((0, event, step.verdict)).0 += 1;
            }
            self.replay.steps.push(step);
        }
        let at = EventRef {
            trace,
            event: group[0],
        };
        let (device, address) = place(at.of(self.traces));
        self.replay.addresses.push(AddressLog {
            trace,
            device,
            address,
            steps: first..self.replay.steps.len(),
            inherited,
            inherited_live,
            inherited_known,
            whole,
            owners_known,
        });
    }

    /// Notes the last lives that had ended before the fork, and those that go on.
    fn inherit(&mut self, first_life: usize) -> Range<usize> {
        let lives = &self.replay.lives;
        let start = self.replay.inherited.len();
        let ended = |life: u32| lives[life as usize].freed.map(|freed| (freed, life));
        let mut ended: Vec<(EventRef, u32)> = (first_life as u32..lives.len() as u32)
            .filter_map(ended)
            .collect();
        let step = |at: EventRef| at.of(self.traces).step;
        ended.sort_by_key(|&(freed, _)| (step(freed), freed));
        let last = ended.len().saturating_sub(INHERITED_ENDS);
        let mut note = |event: EventRef, kind: EventKind, life: u32| {
            self.replay.inherited.push(Step {
                event,
                kind,
                verdict: Verdict::Ok,
                late: false,
                life: Some(life),
                after_reset: false,
            });
        };
        for &(freed, life) in &ended[last..] {
            note(lives[life as usize].began, EventKind::Allocate, life);
            note(freed, EventKind::Deallocate, life);
        }
        for &life in &self.live {
            note(lives[life as usize].began, EventKind::Allocate, life);
        }
        start..self.replay.inherited.len()
    }

    fn check_order(&mut self, event: EventRef, expected: &mut u64) {
        let step = event.of(self.traces).step;
        self.exact &= step == *expected;
        *expected = step.saturating_add(1);
    }

    fn judge(&mut self, at: EventRef) -> Step {
        let event = at.of(self.traces);
        let after_reset = event.epoch > self.epoch;
        if after_reset {
            // The first reset since the address was last touched ended whatever lived there.
            let reset = (at.trace, event.device, self.epoch + 1);
            let released = self.replay.resets.get(&reset).copied();
            for &life in &self.live {
                self.replay.lives[life as usize].released = released;
            }
            self.epoch = event.epoch;
            self.reset.append(&mut self.live);
        }
        let (verdict, late) = self.verdict(event);
        let owner = event.root_owner;
        let life = match event.kind {
            EventKind::Allocate => {
                // With no owner to tell two lives apart, a late right cannot outlive the next one.
                let lives = &self.replay.lives;
                self.reset.retain(|&life| lives[life as usize].owner != 0);
                Some(self.begin(at, owner))
            }
            EventKind::Retain if verdict == Verdict::Ok => Some(self.begin(at, owner)),
            EventKind::Deallocate if verdict == Verdict::Ok => self.end(at, owner, late),
            EventKind::Deallocate if verdict.is_excess() => self.freed_again(owner),
            _ => None,
        };
        Step {
            event: at,
            kind: event.kind,
            verdict,
            late,
            life,
            after_reset,
        }
    }

    fn verdict(&mut self, event: &Event) -> (Verdict, bool) {
        use whofreed_lifecycle::Event as Change;
        let owner = event.root_owner;
        let change = match event.kind {
            EventKind::Allocate => Change::Allocate { owner },
            EventKind::Retain => Change::Retain { owner },
            EventKind::View => Change::View { root: owner },
            EventKind::Deallocate => Change::Deallocate { owner },
            _ => return (event.verdict, event.late),
        };
        match self.address.apply(event.epoch, change) {
            Ok(outcome) if self.exact => (outcome.verdict, outcome.late),
            _ => (event.verdict, event.late),
        }
    }

    fn begin(&mut self, at: EventRef, owner: u64) -> u32 {
        let life = self.replay.lives.len() as u32;
        self.replay.lives.push(Life {
            owner,
            began: at,
            freed: None,
            released: None,
            inherited: false,
        });
        self.live.push(life);
        life
    }

    fn owner_of(&self, life: u32) -> u64 {
        self.replay.lives[life as usize].owner
    }

    /// Finds the life that a legitimate deallocate ended, by the order of the contract's rules.
    fn end(&mut self, at: EventRef, owner: u64, late: bool) -> Option<u32> {
        let found = if late {
            let index = self.reset.iter().rposition(|&l| self.owner_of(l) == owner);
            index.map(|index| self.reset.remove(index))
        } else {
            let held_by = |wanted: u64| self.live.iter().rposition(|&l| self.owner_of(l) == wanted);
            let newest = if owner == 0 {
                self.live.len().checked_sub(1)
            } else {
                None
            };
            let index = held_by(owner).or_else(|| held_by(0)).or(newest);
            index.map(|index| self.live.remove(index))
        };
        if let Some(life) = found {
            self.replay.lives[life as usize].freed = Some(at);
            self.last_ended = Some(life);
            self.last_of_owner.insert(self.owner_of(life), life);
        }
        found
    }

    fn freed_again(&mut self, owner: u64) -> Option<u32> {
        if owner != 0 {
            // The right that a reset left is used up by a deallocate that came too late.
            let index = self.reset.iter().rposition(|&l| self.owner_of(l) == owner);
            if let Some(index) = index {
                return Some(self.reset.remove(index));
            }
            if let Some(&life) = self.last_of_owner.get(&owner) {
                return Some(life);
            }
        }
        if self.live.is_empty() || owner == 0 {
            self.last_ended
        } else {
            self.live.last().copied()
        }
    }
}
