//! Events that come before their turn, that have none, or that are missing.

use std::collections::BTreeMap;

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

use super::Nature;
use super::Notes;
use crate::replay::Address;
use crate::replay::Follower;
use crate::replay::Step;
use crate::replay::Walk;
use crate::replay::has_order;
use crate::replay::replay;
use crate::replay::replay_within;
use crate::sources::EventRef;
use crate::sources::Source;

/// Notes in which order steps are told, and what is known of each address in the end.
#[derive(Default)]
struct Order {
    steps: Vec<(u64, u64)>,
    /// The owner of the life that each excess free ends again.
    again: Vec<Option<u64>>,
    addresses: BTreeMap<u64, (bool, bool)>,
}

impl Follower for Order {
    type Kept = ();

    fn loose(&mut self, _at: EventRef, _event: &Event) {}

    fn inherits(&mut self, (): &mut (), _inherited: &Walk) {}

    fn step(&mut self, _address: &Address, (): &mut (), step: &Step<'_>) {
        self.steps.push((step.event.address, step.event.step));
        if step.event.kind == EventKind::Deallocate && step.verdict.is_excess() {
            self.again.push(step.life.map(|life| life.owner));
        }
    }

    fn ends(&mut self, address: &Address, (): ()) {
        let known = (address.recorded, address.whole);
        self.addresses.insert(address.place.address, known);
    }
}

fn event(kind: EventKind, verdict: Verdict, address: u64, step: u64) -> Event {
    Event {
        verdict,
        address,
        owner: 1,
        root_owner: 1,
        step,
        ..Event::of(kind)
    }
}

/// The replay of events that one thread recorded, where so many may wait.
fn order(most: usize, mut events: Vec<Event>) -> Order {
    for (time_ns, event) in (0..).zip(&mut events) {
        event.time_ns = time_ns;
    }
    let trace = Trace {
        events,
        ..Trace::default()
    };
    let mut order = Order::default();
    replay_within(&[Source::of(&trace)], &mut order, most);
    order
}

/// The order in which views are told, each by its address and its step there.
fn told(most: usize, views: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let view = |&(address, step)| event(EventKind::View, Verdict::Ok, address, step);
    order(most, views.iter().map(view).collect()).steps
}

#[test]
fn what_comes_before_its_turn_is_told_when_that_has_come() {
    let early = [2, 1, 4, 3, 6, 5, 8, 7].map(|step| (0, step));
    assert_eq!(
        told(2, &early),
        [1, 2, 3, 4, 5, 6, 7, 8].map(|step| (0, step))
    );
}

/// Where more wait than may, the first of them is told, and whatever follows it; the missing ones come late.
#[test]
fn no_more_wait_than_may() {
    let early = [5, 4, 3, 2, 1].map(|step| (0, step));
    assert_eq!(told(2, &early), [3, 4, 5, 2, 1].map(|step| (0, step)));
    assert_eq!(told(3, &early), [2, 3, 4, 5, 1].map(|step| (0, step)));
    assert_eq!(told(4, &early), [1, 2, 3, 4, 5].map(|step| (0, step)));
}

/// What still waits after one event has come is told as soon as the next one has.
#[test]
fn nothing_waits_longer_than_it_has_to() {
    let events = [(7, 3), (7, 1), (7, 2), (8, 2), (8, 1)];
    let expected = [(7, 1), (7, 2), (7, 3), (8, 1), (8, 2)];
    assert_eq!(told(1, &events), expected);
}

#[test]
fn an_address_with_a_gap_is_not_recorded_and_one_from_before_is_not_whole() {
    let (allocate, free) = (EventKind::Allocate, EventKind::Deallocate);
    let order = order(
        usize::MAX,
        vec![
            event(allocate, Verdict::Ok, 0, 1),
            event(free, Verdict::Ok, 0, 2),
            event(allocate, Verdict::Ok, 1, 1),
            event(free, Verdict::Ok, 1, 3),
            event(free, Verdict::Unknown, 2, 1),
            event(allocate, Verdict::Ok, 2, 2),
        ],
    );
    let known = [(0, (true, true)), (1, (false, false)), (2, (true, false))];
    assert_eq!(order.addresses, BTreeMap::from(known));
}

/// Of many lives only the last are remembered. An excess free of one that is forgotten is of none, not of another.
#[test]
fn a_forgotten_life_is_not_mistaken_for_another() {
    let lives = 40;
    let mut events = Vec::new();
    let mut of_owner = |kind, verdict, owner| {
        let mut event = event(kind, verdict, 0, events.len() as u64 + 1);
        event.root_owner = owner;
        events.push(event);
    };
    for owner in 1..=lives {
        of_owner(EventKind::Allocate, Verdict::Ok, owner);
        of_owner(EventKind::Deallocate, Verdict::Ok, owner);
    }
    for owner in [1, lives - 1, lives] {
        of_owner(EventKind::Deallocate, Verdict::AlreadyFreed, owner);
    }
    let order = order(usize::MAX, events);
    assert_eq!(order.again, [None, Some(lives - 1), Some(lives)]);
}

/// A broken file may tell of an event at an address that has no step there: it is nobody's past.
#[test]
fn an_event_without_a_step_is_in_no_order() {
    let mut traces = super::traces(Nature {
        seed: 1,
        owners: 3,
        lost: 0,
        wrong: 0,
        skew: 0,
        resets: 0,
        processes: 1,
        pointers: false,
    });
    let told = |traces: &[Trace]| {
        let mut notes = Notes::default();
        let findings = replay(&[Source::of(&traces[0])], &mut notes);
        assert!(findings.mismatches.is_empty());
        notes
    };
    let before = told(&traces);
    let events = &mut traces[0].events;
    let mut without = events.iter().find(|event| has_order(event)).copied();
    let without = without.as_mut().expect("some event has an order");
    without.step = 0;
    events.push(*without);
    let last = EventRef::new(0, traces[0].events.len() as u64 - 1);
    let after = told(&traces);
    assert!(after.loose.contains(&last));
    assert_eq!(after.addresses, before.addresses);
}
