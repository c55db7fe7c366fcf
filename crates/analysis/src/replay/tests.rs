//! The replay against one that has everything in memory.

mod waiting;

use std::collections::BTreeMap;

use proptest::prelude::*;
use whofreed_lifecycle::Event as Change;
use whofreed_lifecycle::Holder;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::ForkPoint;
use whofreed_trace::StackId;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

use super::Address;
use super::Follower;
use super::Place;
use super::Step;
use super::Walk;
use super::oracle;
use super::replay;
use super::replay_within;
use crate::sources::EventRef;
use crate::sources::Source;

/// A small generator of pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// What may go wrong in a random host.
#[derive(Clone, Copy, Debug)]
struct Nature {
    seed: u64,
    owners: u64,
    /// Of a hundred events, how many are lost.
    lost: u64,
    /// Of a hundred verdicts, how many were recorded wrongly.
    wrong: u64,
    /// By how much clocks of threads differ.
    skew: u64,
    resets: u64,
    processes: u64,
    pointers: bool,
}

/// Steps so far, and the state.
type Kept = (u64, whofreed_lifecycle::Address<Vec<Holder>>);

/// A process with its ledger.
#[derive(Clone)]
struct Host {
    ledger: BTreeMap<(u32, u64), Kept>,
    epochs: [u32; 2],
    trace: Trace,
}

impl Host {
    /// No clock is so wrong that an event seems to lie on the other side of a fork, the last of which was at `forked`.
    fn event(&mut self, random: &mut Random, nature: Nature, time: u64, forked: u64) {
        let device = random.below(2) as u32;
        let thread = random.below(3) as u32;
        let mut event = Event {
            device,
            stack: StackId(random.below(5) as u32),
            thread,
            time_ns: (time + random.below(nature.skew + 1))
                .saturating_sub(nature.skew / 2)
                .max(forked + 1),
            ..Event::of(EventKind::DeviceReset)
        };
        if random.below(100) < nature.resets {
            self.epochs[device as usize] += 1;
            event.epoch = self.epochs[device as usize];
            self.trace.events.push(event);
            return;
        }
        event.address = random.below(4);
        event.epoch = self.epochs[device as usize];
        let owner = match nature.owners {
            0 => 0,
            owners if random.below(50) > 0 => 1 + random.below(owners),
            _ => 0,
        };
        (event.owner, event.root_owner) = (owner, owner);
        let (kind, change) = match random.below(20) {
            0..=7 => (EventKind::Allocate, Change::Allocate { owner }),
            8 => (EventKind::Retain, Change::Retain { owner }),
            9 => (EventKind::View, Change::View { root: owner }),
            _ => (EventKind::Deallocate, Change::Deallocate { owner }),
        };
        event.kind = kind;
        event.size = 64;
        if random.below(100) == 0 {
            event.untracked = true;
            self.trace.events.push(event);
            return;
        }
        let at = (device, event.address);
        let (steps, state) = self.ledger.entry(at).or_default();
        let outcome = state.apply(event.epoch, change).expect("a vector has room");
        *steps += 1;
        event.step = *steps;
        (event.verdict, event.late) = (outcome.verdict, outcome.late);
        if random.below(100) < nature.wrong {
            event.verdict = Verdict::StaleOwner;
        }
        if random.below(100) < nature.lost {
            self.trace.dropped_events += 1;
        } else {
            self.trace.events.push(event);
        }
    }
}

/// Processes that fork while they run; each keeps its ledger.
fn traces(nature: Nature) -> Vec<Trace> {
    let mut random = Random(nature.seed);
    let mut hosts = vec![Host {
        ledger: BTreeMap::new(),
        epochs: [0; 2],
        trace: Trace {
            id: 1,
            ..Trace::default()
        },
    }];
    let length = 30 + random.below(300);
    let mut forked = 0;
    for time in 0..length {
        let count = hosts.len() as u64;
        if count < nature.processes && random.below(length) < 2 * nature.processes {
            let times = hosts.iter().flat_map(|host| &host.trace.events);
            forked = times
                .map(|event| event.time_ns)
                .max()
                .unwrap_or(0)
                .max(forked);
            let mut child = hosts[random.below(count) as usize].clone();
            child.trace = Trace {
                id: count + 1,
                process: whofreed_trace::Process {
                    fork: Some(ForkPoint {
                        parent_trace: child.trace.id,
                        time_ns: forked,
                    }),
                    ..Default::default()
                },
                ..Trace::default()
            };
            hosts.push(child);
        }
        let host = random.below(hosts.len() as u64) as usize;
        hosts[host].event(&mut random, nature, 100 * time + 50, forked);
    }
    let mut traces: Vec<Trace> = hosts.into_iter().map(|host| host.trace).collect();
    for trace in &mut traces {
        trace.process.owners_are_pointers = nature.pointers;
        // Chunks of several events of one thread.
        let mut chunk = 0;
        let mut keyed: Vec<(u64, u32, Event)> = Vec::new();
        for event in &trace.events {
            chunk += u64::from(random.below(10) == 0);
            keyed.push((chunk, event.thread, *event));
        }
        keyed.sort_by_key(|(chunk, thread, _)| (*chunk, *thread));
        trace.events = keyed.into_iter().map(|(_, _, event)| event).collect();
    }
    // A child may be given before its parent.
    if random.below(2) == 0 {
        traces.reverse();
    }
    traces
}

/// A step as both replays tell it.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    at: EventRef,
    verdict: Verdict,
    late: bool,
    after_reset: bool,
    began: Option<EventRef>,
    inherited: bool,
    freed: Option<EventRef>,
    released: Option<EventRef>,
}

/// An address as both tell it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    inherited: Vec<EventRef>,
    inherited_live: usize,
    inherited_known: bool,
    steps: Vec<Told>,
    whole: bool,
    owners_known: bool,
}

/// Notes everything.
#[derive(Default)]
struct Notes {
    loose: Vec<EventRef>,
    addresses: BTreeMap<Place, Seen>,
    resets: Vec<(Place, usize, super::Reset)>,
}

impl Follower for Notes {
    type Kept = Seen;

    fn loose(&mut self, at: EventRef, _event: &Event) {
        self.loose.push(at);
    }

    fn inherits(&mut self, kept: &mut Seen, inherited: &Walk) {
        for ended in inherited.last_ended() {
            assert!(ended.life.inherited);
            kept.inherited.extend([ended.life.began, ended.by]);
        }
        let live = inherited.live().iter();
        kept.inherited.extend(live.map(|life| life.began));
        kept.inherited_live = inherited.live().len();
        kept.inherited_known = inherited.has_lived();
    }

    fn step(&mut self, address: &Address, kept: &mut Seen, step: &Step<'_>) {
        if let Some(released) = step.life.and_then(|life| life.released) {
            self.resets
                .push((address.place, kept.steps.len(), released));
        }
        kept.steps.push(Told {
            at: step.at,
            verdict: step.verdict,
            late: step.late,
            after_reset: step.after_reset,
            began: step.life.map(|life| life.began),
            inherited: step.life.is_some_and(|life| life.inherited),
            freed: step.freed,
            released: None,
        });
    }

    fn ends(&mut self, address: &Address, mut kept: Seen) {
        kept.whole = address.whole;
        kept.owners_known = address.owners_known;
        self.addresses.insert(address.place, kept);
    }
}

/// What the replay in memory says. Lives that end later are told as the other replay must tell them: as they are
/// at the moment.
fn oracle_s(traces: &[Trace]) -> (Notes, oracle::Replay) {
    let replay = oracle::Replay::new(traces);
    let at = |at: oracle::EventRef| EventRef::new(at.trace, at.event.into());
    let mut notes = Notes {
        loose: replay.loose.iter().map(|&loose| at(loose)).collect(),
        ..Notes::default()
    };
    for address in &replay.addresses {
        let place = Place {
            trace: address.trace,
            device: address.device,
            address: address.address,
        };
        let inherited = &replay.inherited[address.inherited.clone()];
        let mut order: BTreeMap<EventRef, usize> = BTreeMap::new();
        let steps = &replay.steps[address.steps.clone()];
        for (index, step) in steps.iter().enumerate() {
            order.insert(at(step.event), index);
        }
        let told = steps.iter().enumerate().map(|(index, step)| {
            let life = step.life.map(|life| &replay.lives[life as usize]);
            let is_past = |by: &EventRef| order.get(by).is_none_or(|&other| other < index);
            let is_excess = step.kind == EventKind::Deallocate && step.verdict.is_excess();
            Told {
                at: at(step.event),
                verdict: step.verdict,
                late: step.late,
                after_reset: step.after_reset,
                began: life.map(|life| at(life.began)),
                inherited: life.is_some_and(|life| life.inherited),
                freed: life
                    .filter(|_| is_excess)
                    .and_then(|life| life.freed.map(at))
                    .filter(is_past),
                released: life.and_then(|life| life.released.map(at)),
            }
        });
        let seen = Seen {
            inherited: inherited.iter().map(|step| at(step.event)).collect(),
            inherited_live: address.inherited_live as usize,
            inherited_known: address.inherited_known,
            steps: told.collect(),
            whole: address.whole,
            owners_known: address.owners_known,
        };
        notes.addresses.insert(place, seen);
    }
    (notes, replay)
}

fn check(traces: &[Trace]) {
    let (mut expected, in_memory) = oracle_s(traces);
    let sources: Vec<Source<'_>> = traces.iter().map(Source::of).collect();
    let mut notes = Notes::default();
    let findings = replay(&sources, &mut notes);
    for (place, step, reset) in &notes.resets {
        let released = findings.reset(place.device, *reset);
        let seen = notes.addresses.get_mut(place).expect("it was told");
        seen.steps[*step].released = released;
    }
    notes.loose.sort();
    expected.loose.sort();
    assert_eq!(notes.loose, expected.loose);
    let places = |notes: &Notes| notes.addresses.keys().copied().collect::<Vec<_>>();
    assert_eq!(places(&notes), places(&expected));
    for (place, mut seen) in notes.addresses {
        let mut expected = expected.addresses.remove(&place).expect("the same places");
        for (step, wanted) in seen.steps.iter_mut().zip(&mut expected.steps) {
            // A reset that is seen after the step can end the life of a foreign free.
            if wanted.released.is_some() && step.released.is_none() {
                wanted.released = None;
            }
        }
        assert_eq!(seen, expected, "at {place:?}");
    }
    let mismatches: Vec<_> = findings
        .mismatches
        .iter()
        .map(|(&trace, (count, first))| (trace, *count, first.event.step, first.verdict))
        .collect();
    let expected: Vec<_> = in_memory
        .mismatches
        .iter()
        .map(|(&trace, &(count, first, verdict))| (trace, count, first.of(traces).step, verdict))
        .collect();
    assert_eq!(mismatches, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn it_says_what_a_replay_in_memory_says(
        seed in any::<u64>(),
        owners in 0_u64..6,
        lost in prop_oneof![Just(0_u64), 0_u64..30],
        wrong in prop_oneof![3 => Just(0_u64), 1 => 0_u64..10],
        skew in prop_oneof![Just(0_u64), 0_u64..3_000],
        resets in 0_u64..6,
        processes in 1_u64..5,
        pointers in any::<bool>(),
    ) {
        check(&traces(Nature { seed, owners, lost, wrong, skew, resets, processes, pointers }));
    }

    /// Where too much waits, nothing waits for ever, and nothing is told twice.
    #[test]
    fn every_event_is_told_once(seed in any::<u64>(), most in 0_usize..20, lost in 0_u64..30) {
        let nature = Nature {
            seed,
            owners: 3,
            lost,
            wrong: 0,
            skew: 3_000,
            resets: 2,
            processes: 2,
            pointers: false,
        };
        let traces = traces(nature);
        let sources: Vec<Source<'_>> = traces.iter().map(Source::of).collect();
        let mut notes = Notes::default();
        replay_within(&sources, &mut notes, most);
        let steps = notes.addresses.values().flat_map(|seen| &seen.steps);
        let mut told: Vec<EventRef> = steps.map(|step| step.at).chain(notes.loose).collect();
        told.sort();
        let all = (0..).zip(&traces).flat_map(|(trace, of)| {
            (0..of.events.len() as u64).map(move |event| EventRef::new(trace, event))
        });
        prop_assert!(told.into_iter().eq(all));
    }
}
