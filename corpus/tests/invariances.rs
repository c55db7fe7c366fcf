//! What must not change whom the blame names: the order of what happened at different addresses, the log twice, two logs
//! together, and a log without its culprits.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::analyse;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Random;
use whofreed_corpus::patterns;
use whofreed_lifecycle::Address;
use whofreed_lifecycle::Holder;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Trace;

/// Patterns whose culprits do nothing but free again.
const PATTERNS: [&str; 5] = [
    "stale",
    "live_only",
    "behind_helper",
    "cache_not_cleared",
    "armed_after_move",
];

fn host(name: &str, seed: u64) -> Host {
    patterns::run(patterns::find(name).unwrap(), seed, Owners::Unknown, 1_500).host
}

/// Those who are named alone, with what they explain.
fn named(analysis: &Analysis) -> BTreeMap<String, u64> {
    analysis
        .culprits
        .iter()
        .filter(|culprit| culprit.confidence != Confidence::Undecided)
        .map(|culprit| {
            let name = culprit.site.frame.function.clone().unwrap();
            (name, culprit.explains)
        })
        .collect()
}

/// How many events an address has had, and its state.
type Kept = (u64, Address<Vec<Holder>>);

/// The events in their order, judged anew.
fn judged(events: impl IntoIterator<Item = Event>) -> Trace {
    let mut events: Vec<Event> = events.into_iter().collect();
    let mut ledger: BTreeMap<(u32, u64), Kept> = BTreeMap::new();
    for event in &mut events {
        let (step, address) = ledger.entry((event.device, event.address)).or_default();
        let owner = event.root_owner;
        let change = match event.kind {
            EventKind::Allocate => whofreed_lifecycle::Event::Allocate { owner },
            _ => whofreed_lifecycle::Event::Deallocate { owner },
        };
        *step += 1;
        event.step = *step;
        event.verdict = address.apply(event.epoch, change).unwrap().verdict;
    }
    Trace {
        id: 1,
        events,
        ..Trace::default()
    }
}

fn on_other_devices(events: &[Event]) -> impl Iterator<Item = Event> {
    events.iter().map(|event| Event {
        device: event.device + 100,
        ..*event
    })
}

/// The events with those of different addresses in another order: each address goes on whenever it is its turn by lot.
fn reordered(events: &[Event], seed: u64) -> Vec<Event> {
    let mut random = Random(seed);
    let mut queues: BTreeMap<(u32, u64), VecDeque<Event>> = BTreeMap::new();
    for event in events {
        let of = queues.entry((event.device, event.address)).or_default();
        of.push_back(*event);
    }
    let mut queues: Vec<VecDeque<Event>> = queues.into_values().collect();
    let mut times: Vec<u64> = events.iter().map(|event| event.time_ns).collect();
    times.sort_unstable();
    let next = |time_ns: u64| {
        let at = random.below(queues.len() as u64) as usize;
        let event = queues[at].pop_front().unwrap();
        if queues[at].is_empty() {
            queues.swap_remove(at);
        }
        Event { time_ns, ..event }
    };
    times.into_iter().map(next).collect()
}

#[test]
fn the_order_of_events_at_different_addresses_changes_nothing() {
    for name in PATTERNS {
        for seed in 0..4 {
            let host = host(name, seed);
            let before = named(&analyse(&[host.trace()], &host));
            let events = reordered(host.events(), seed);
            assert_ne!(events, host.events());
            let after = named(&analyse(&[judged(events)], &host));
            assert_eq!(after, before, "{name} {seed}");
        }
    }
}

#[test]
fn the_log_twice_names_the_same_for_twice_as_much() {
    for name in PATTERNS {
        for seed in 0..4 {
            let host = host(name, seed);
            let once = named(&analyse(&[host.trace()], &host));
            let events = host.events().iter().copied();
            let twice = judged(events.chain(on_other_devices(host.events())));
            let twice = named(&analyse(&[twice], &host));
            for (site, explains) in &once {
                assert_eq!(
                    twice.get(site),
                    Some(&(2 * explains)),
                    "{name} {seed} {site}"
                );
            }
            let truth: BTreeSet<&String> = host.truth.keys().collect();
            assert!(
                twice.keys().all(|site| truth.contains(site)),
                "{name} {seed}"
            );
        }
    }
}

#[test]
fn two_processes_together_are_blamed_for_what_each_did() {
    for (one, other) in [
        ("stale", "cache_not_cleared"),
        ("live_only", "armed_after_move"),
    ] {
        for seed in 0..3 {
            // One host has the names of both.
            let mut both = host(one, seed);
            let second = host(other, seed + 50);
            let mut number = BTreeMap::new();
            for (index, sites) in second.names.stacks.iter().enumerate() {
                let stack = both.names.stack(&sites.join(" < "));
                number.insert(index as u32 + 1, stack);
            }
            let mut trace = second.trace();
            trace.id = 2;
            trace.process.pid = 99;
            for event in &mut trace.events {
                event.stack = number[&event.stack.0];
            }
            let truth: BTreeSet<&String> = both.truth.keys().chain(second.truth.keys()).collect();
            let analysis = analyse(&[both.trace(), trace], &both.names);
            let named = named(&analysis);
            assert!(!named.is_empty(), "{one} {other} {seed}");
            assert!(
                named.keys().all(|site| truth.contains(site)),
                "{named:?} {truth:?}"
            );
        }
    }
}

#[test]
fn without_the_frees_of_its_culprits_a_log_is_clean() {
    for name in PATTERNS {
        let mut excess = 0;
        for seed in 0..4 {
            let host = host(name, seed);
            excess += host.excess;
            let is_guilty = |event: &Event| {
                event.kind == EventKind::Deallocate
                    && host.truth.contains_key(host.names.naming(event.stack))
            };
            let rest = host
                .events()
                .iter()
                .copied()
                .filter(|event| !is_guilty(event));
            let analysis = analyse(&[judged(rest)], &host);
            assert_eq!(analysis.totals.excess, 0, "{name} {seed}");
            assert!(analysis.culprits.is_empty(), "{name} {seed}");
        }
        assert!(excess > 0, "{name}");
    }
}
