//! What must hold of every analysis, whatever the log.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::analyse;
use whofreed_analysis::history;
use whofreed_corpus::Host;
use whofreed_corpus::Names;
use whofreed_corpus::Owners;
use whofreed_corpus::Random;
use whofreed_corpus::Reuse;
use whofreed_corpus::patterns;
use whofreed_corpus::patterns::PATTERNS;
use whofreed_corpus::patterns::Tells;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::ForkPoint;
use whofreed_trace::Frame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

/// Culprits as far as they must not depend on numbering.
fn culprits(analysis: &Analysis) -> Vec<(String, String, u64, u64, u64, usize)> {
    let mut culprits: Vec<_> = analysis
        .culprits
        .iter()
        .map(|culprit| {
            (
                culprit.site.frame.function.clone().unwrap(),
                culprit.confidence.name().to_owned(),
                culprit.explains,
                culprit.observed,
                culprit.buffers,
                culprit.alternatives.len(),
            )
        })
        .collect();
    culprits.sort();
    culprits
}

fn check_identities(traces: &[Trace], analysis: &Analysis) {
    let totals = &analysis.totals;
    let verdicts = &analysis.verdicts;
    assert_eq!(
        totals.deallocations,
        totals.ok + totals.excess + totals.unknown + totals.invalid
    );
    assert_eq!(totals.deallocations, totals.forwarded + totals.blocked);
    assert_eq!(
        totals.excess,
        verdicts.already_freed + verdicts.stale_owner + verdicts.foreign_owner
    );
    assert_eq!(totals.unknown, verdicts.unknown);
    // A forked child frees what its parent allocated.
    if traces.len() == 1 {
        assert_eq!(
            totals.allocations + totals.retains,
            totals.ok + totals.leaked
        );
    }
    assert_eq!(
        totals.events,
        traces
            .iter()
            .map(|trace| trace.events.len() as u64)
            .sum::<u64>()
    );
    let buffers = &analysis.buffers;
    assert_eq!(
        buffers.unique,
        buffers.balanced + buffers.under_freed + buffers.over_freed
    );
    let explained: u64 = analysis
        .culprits
        .iter()
        .map(|culprit| culprit.explains)
        .sum();
    assert_eq!(explained + totals.unexplained, totals.excess);
    let leaked: u64 = analysis.leaks.iter().map(|leak| leak.count).sum();
    assert_eq!(leaked, totals.leaked);
    for pair in analysis.worst_buffers.windows(2) {
        assert!(pair[0].excess >= pair[1].excess);
    }
    assert!(analysis.worst_buffers.len() <= 20);
}

/// Events at a few addresses without regard to sense, judged by the machine of the host.
fn random_trace(seed: u64, owners: u64, length: u64) -> (Trace, Names) {
    let mut random = Random(seed);
    let mut names = Names::default();
    let mut ledger: BTreeMap<u64, (u64, whofreed_lifecycle::Address<Vec<_>>)> = BTreeMap::new();
    let mut events = Vec::new();
    let mut epoch = 0;
    for time in 0..length {
        let draw = random.below(40);
        let address = random.below(4);
        let owner = if owners == 0 {
            0
        } else {
            1 + random.below(owners)
        };
        let (steps, state) = ledger.entry(address).or_default();
        let (kind, change) = match draw {
            0 => {
                epoch += 1;
                continue;
            }
            1..=14 => (
                EventKind::Allocate,
                whofreed_lifecycle::Event::Allocate { owner },
            ),
            15..=17 => (
                EventKind::Retain,
                whofreed_lifecycle::Event::Retain { owner },
            ),
            18..=19 => (
                EventKind::View,
                whofreed_lifecycle::Event::View { root: owner },
            ),
            _ => (
                EventKind::Deallocate,
                whofreed_lifecycle::Event::Deallocate { owner },
            ),
        };
        let outcome = state.apply(epoch, change).unwrap();
        *steps += 1;
        let site = format!("{kind:?}{} < caller{}", random.below(3), random.below(2));
        events.push(Event {
            kind,
            verdict: outcome.verdict,
            blocked: outcome.verdict.is_excess()
                && kind == EventKind::Deallocate
                && draw.is_multiple_of(2),
            late: outcome.late,
            address_was_unknown: false,
            untracked: false,
            device: 3,
            address,
            owner,
            root_owner: owner,
            size: 64,
            step: *steps,
            epoch,
            kind_label: 0,
            scope: 0,
            stack: names.stack(&site),
            thread: random.below(3) as u32,
            time_ns: time,
        });
    }
    events.sort_by_key(|event| event.thread);
    (
        Trace {
            events,
            ..Trace::default()
        },
        names,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn identities_hold_of_any_log(seed in any::<u64>(), owners in 0_u64..5, length in 0_u64..150) {
        let (trace, names) = random_trace(seed, owners, length);
        let traces = [trace];
        let analysis = analyse(&traces, &names);
        check_identities(&traces, &analysis);
        prop_assert!(analysis.damage.is_empty(), "{:?}", analysis.damage);
        for culprit in &analysis.culprits {
            prop_assert_eq!(culprit.confidence == Confidence::Proven, owners > 0);
            if owners > 0 {
                prop_assert!(culprit.explains <= culprit.observed);
            }
        }
    }

    /// A trace with events missing is judged by what the host said, and no sum breaks.
    #[test]
    fn missing_events_break_no_sum(seed in any::<u64>(), owners in 0_u64..4, kept in 1_u64..10) {
        let (mut trace, names) = random_trace(seed, owners, 120);
        let mut random = Random(seed ^ 1);
        trace.events.retain(|_| random.below(10) < kept);
        let excess = trace.events.iter().filter(|event| {
            event.kind == EventKind::Deallocate && event.verdict.is_excess()
        }).count() as u64;
        let traces = [trace];
        let analysis = analyse(&traces, &names);
        prop_assert_eq!(analysis.totals.excess, excess);
        let explained: u64 = analysis.culprits.iter().map(|culprit| culprit.explains).sum();
        prop_assert_eq!(explained + analysis.totals.unexplained, excess);
    }

    #[test]
    fn history_is_every_step_in_order(seed in any::<u64>(), owners in 0_u64..4) {
        let (trace, _) = random_trace(seed, owners, 100);
        let steps = history(std::slice::from_ref(&trace), 3, 2);
        let here: Vec<&Event> = trace.events.iter().filter(|event| event.address == 2).collect();
        prop_assert_eq!(steps.len(), here.len());
        for (index, step) in steps.iter().enumerate() {
            prop_assert_eq!(step.event.step, index as u64 + 1);
        }
    }
}

/// Stacks under other numbers.
struct Renumbered<'a> {
    names: &'a Names,
    original: BTreeMap<StackId, StackId>,
}

impl StackNames for Renumbered<'_> {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        self.names
            .frames(trace, *self.original.get(&stack).unwrap_or(&stack))
    }
}

/// The same log with other numbers for stacks, devices and threads, and in another order.
fn renumber<'a>(host: &'a Host, trace: &Trace, seed: u64) -> (Trace, Renumbered<'a>) {
    let mut random = Random(seed);
    let count = host.names.stacks.len() as u32;
    let mut shuffled: Vec<u32> = (1..=count).collect();
    for index in (1..shuffled.len()).rev() {
        shuffled.swap(index, random.below(index as u64 + 1) as usize);
    }
    let new_of = |stack: StackId| StackId(1000 + shuffled[stack.0 as usize - 1]);
    let mut other = trace.clone();
    for event in &mut other.events {
        event.stack = new_of(event.stack);
        event.device = 77 - event.device;
        event.thread = 7 * (event.thread % 5);
        event.address ^= 0xfff0_0000;
    }
    other
        .events
        .sort_by_key(|event| (event.thread, event.stack, event.step));
    let original = (1..=count)
        .map(|stack| (new_of(StackId(stack)), StackId(stack)))
        .collect();
    (
        other,
        Renumbered {
            names: &host.names,
            original,
        },
    )
}

/// The evidence against the culprits, as far as it must not depend on numbering.
fn evidence(analysis: &Analysis) -> Vec<String> {
    let told = |culprit: &Culprit| {
        let evidence = &culprit.evidence;
        let times = [evidence.first, evidence.last].map(|moment| moment.unwrap().time_ns);
        let costs = evidence.innocence_costs.map(|nats| format!("{nats:.6}"));
        let hits = (&evidence.hits, evidence.hit_sites);
        let reuse = &culprit.example.reuse;
        let lives = (reuse.life, reuse.hit_life, reuse.lives, &reuse.hit_site);
        format!("{times:?} {costs:?} {hits:?} {lives:?}")
    };
    analysis.culprits.iter().map(told).collect()
}

#[test]
fn numbering_makes_no_difference() {
    for name in ["stale", "helper_everywhere", "explicit_then_destructor"] {
        for owners in [Owners::Unknown, Owners::Unique] {
            let pattern = patterns::find(name).unwrap();
            let host = patterns::run(pattern, 5, owners, 1_000).host;
            let trace = host.trace();
            let (other, names) = renumber(&host, &trace, 9);
            let (one, two) = (analyse(&[trace], &host.names), analyse(&[other], &names));
            assert_eq!(culprits(&one), culprits(&two), "{name} {owners:?}");
            assert_eq!(evidence(&one), evidence(&two), "{name} {owners:?}");
            assert_eq!(one.totals, two.totals);
        }
    }
}

#[test]
fn unique_owners_prove_every_excess_free() {
    for &pattern in PATTERNS {
        let name = pattern.name;
        let host = patterns::run(pattern, 3, Owners::Unique, 1_500).host;
        let traces = host.traces();
        let analysis = analyse(&traces, &host);
        check_identities(&traces, &analysis);
        let named: BTreeMap<String, u64> = analysis
            .culprits
            .iter()
            .map(|culprit| {
                assert_eq!(culprit.confidence, Confidence::Proven);
                assert!(culprit.explains <= culprit.observed);
                assert!(!culprit.example.excess.is_empty());
                (
                    culprit.site.frame.function.clone().unwrap(),
                    culprit.explains,
                )
            })
            .collect();
        // What is missing in the record weakens what can be proven.
        if host.dropped == 0 && analysis.totals.unknown == 0 {
            assert_eq!(named, host.all_truth(), "{name}");
            assert!(analysis.victims.is_empty());
        }
    }
}

#[test]
fn clean_runs_name_nobody() {
    for &pattern in PATTERNS {
        let name = pattern.name;
        for owners in [Owners::Unknown, Owners::Unique] {
            if pattern.tells == Tells::Nobody {
                let host = patterns::run(pattern, 1, owners, 3_000).host;
                let analysis = analyse(&[host.trace()], &host.names);
                assert!(analysis.culprits.is_empty(), "{name}");
                assert!(analysis.victims.is_empty(), "{name}");
            }
        }
    }
}

/// A host with one block that follows a script: `+site` allocates the buffer of that number, `site` frees it.
fn scripted(owners: bool, script: &[(&str, u64)]) -> (Trace, Names) {
    let mut host = Host::new(
        1,
        if owners {
            Owners::Unique
        } else {
            Owners::Unknown
        },
        1,
        Reuse::LastFirst,
        1,
    );
    let mut buffers = BTreeMap::new();
    for &(site, buffer) in script {
        if let Some(site) = site.strip_prefix('+') {
            let allocated = host.allocate(site, 0);
            buffers.insert(buffer, allocated);
        } else {
            host.free(site, buffers[&buffer]);
        }
    }
    (host.trace(), host.names)
}

#[test]
fn the_contract_s_example() {
    let script = [("+a", 1), ("f", 1), ("+b", 2), ("stale", 1), ("g", 2)];
    let (trace, names) = scripted(true, &script);
    let analysis = analyse(&[trace], &names);
    assert_eq!(analysis.verdicts.stale_owner, 1);
    let culprit = &analysis.culprits[0];
    assert_eq!(culprit.site.frame.function.as_deref(), Some("stale"));
    let innermost_own = |stack: &[Frame]| stack[2].function.clone().unwrap();
    assert_eq!(innermost_own(&culprit.example.allocated), "a");
    assert_eq!(innermost_own(&culprit.example.freed), "f");
    assert_eq!(innermost_own(&culprit.example.excess), "stale");

    // Without owners it is the free of the rightful owner that looks wrong: too little to accuse anybody.
    let (trace, names) = scripted(false, &script);
    let analysis = analyse(&[trace], &names);
    assert_eq!(analysis.verdicts.already_freed, 1);
    assert_eq!(
        (analysis.culprits.len(), analysis.totals.unexplained),
        (0, 1)
    );
}

#[test]
fn a_single_double_free_is_told_with_both_ends() {
    let (trace, names) = scripted(false, &[("+a", 1), ("f", 1), ("again", 1)]);
    let analysis = analyse(&[trace], &names);
    let culprit = &analysis.culprits[0];
    assert_eq!(culprit.site.frame.function.as_deref(), Some("again"));
    assert_eq!(culprit.confidence, Confidence::Undecided);
    assert_eq!(culprit.alternatives[0].frame.function.as_deref(), Some("f"));
    assert_eq!((culprit.explains, culprit.observed), (1, 1));

    // Both by the same line: nobody else can have been it.
    let (trace, names) = scripted(false, &[("+a", 1), ("f", 1), ("f", 1)]);
    let analysis = analyse(&[trace], &names);
    assert_eq!(analysis.culprits[0].confidence, Confidence::Counterfactual);
    assert_eq!(
        analysis.culprits[0].site.frame.function.as_deref(),
        Some("f")
    );
}

#[test]
fn a_forked_child_inherits_and_does_not_leak_what_it_inherited() {
    let (mut parent, names) = scripted(true, &[("+a", 1), ("+b", 2), ("f", 2)]);
    parent.id = 11;
    let allocated = *parent
        .events
        .iter()
        .find(|event| event.kind == EventKind::Allocate)
        .unwrap();
    let mut child = Trace {
        id: 12,
        ..Trace::default()
    };
    child.process.pid = 8;
    child.process.fork = Some(ForkPoint {
        parent_trace: 11,
        time_ns: 1 << 40,
    });
    let free = |step: u64, verdict: Verdict| Event {
        kind: EventKind::Deallocate,
        verdict,
        step,
        ..allocated
    };
    child.events = vec![free(2, Verdict::Ok), free(3, Verdict::AlreadyFreed)];
    let analysis = analyse(&[parent, child], &names);
    assert!(analysis.damage.is_empty(), "{:?}", analysis.damage);
    let totals = &analysis.totals;
    assert_eq!((totals.allocations, totals.ok, totals.excess), (2, 2, 1));
    // The parent never freed its own copy; the child leaks nothing.
    assert_eq!(totals.leaked, 1);
    // The child's copy is a buffer of its own, freed more often than it was handed down.
    assert_eq!(
        (analysis.buffers.unique, analysis.buffers.over_freed),
        (3, 1)
    );
    let worst = analysis.worst_buffers[0];
    assert_eq!(
        (worst.pid, worst.allocated, worst.freed, worst.excess),
        (8, 1, 2, 1)
    );
}

#[test]
fn a_forked_child_s_double_frees_of_what_it_inherited_are_explained() {
    let mut host = Host::new(1, Owners::Unknown, 1, Reuse::LastFirst, 60);
    let buffers: Vec<_> = (0..60).map(|_| host.allocate("a", 0)).collect();
    let mut parent = host.trace();
    parent.id = 11;
    for &buffer in &buffers {
        host.free("once", buffer);
        host.free("again", buffer);
    }
    let mut child = host.trace();
    child.id = 12;
    child.process.pid = 8;
    child.process.fork = Some(ForkPoint {
        parent_trace: 11,
        time_ns: 60_000,
    });
    child
        .events
        .retain(|event| event.kind == EventKind::Deallocate);
    let traces = [parent, child];
    let analysis = analyse(&traces, &host.names);
    assert!(analysis.damage.is_empty(), "{:?}", analysis.damage);
    let totals = &analysis.totals;
    assert_eq!((totals.allocations, totals.ok, totals.excess), (60, 60, 60));
    assert_eq!((totals.leaked, totals.unexplained), (60, 0));
    let buffers = &analysis.buffers;
    assert_eq!((buffers.unique, buffers.over_freed), (120, 60));
    let culprit = &analysis.culprits[0];
    assert_eq!(culprit.site.frame.function.as_deref(), Some("again"));
    assert!(!culprit.example.allocated.is_empty());
    assert!(!culprit.example.freed.is_empty());
    assert_eq!(analysis.worst_buffers[0].allocated, 1);
}

#[test]
fn events_without_room_are_counted() {
    let (mut trace, names) = scripted(true, &[("+a", 1), ("f", 1)]);
    trace.events[1].untracked = true;
    let analysis = analyse(&[trace], &names);
    assert_eq!(analysis.totals.untracked, 1);
    assert_eq!(analysis.totals.deallocations, 1);
}

/// Each event that nobody judged may be the right that one free seems to lack; judged ones cannot.
#[test]
fn what_unjudged_events_can_explain_is_nobody_s_fault() {
    for (owners, frees) in [(true, 3), (false, 8)] {
        let script: Vec<_> = (0..frees)
            .flat_map(|buffer| [("+a", buffer), ("f", buffer), ("f", buffer)])
            .collect();
        for (dropped, unjudged, named) in [
            (50, 0, owners),
            (0, 0, true),
            (frees - 1, frees - 1, owners),
            (frees, frees, false),
        ] {
            let (mut trace, names) = scripted(owners, &script);
            trace.dropped_events = dropped;
            trace.unjudged_events = unjudged;
            let analysis = analyse(&[trace], &names);
            let told = (owners, dropped, unjudged);
            assert_eq!(analysis.totals.excess, frees, "{told:?}");
            assert_eq!(!analysis.culprits.is_empty(), named, "{told:?}");
        }
    }
}

#[test]
fn a_wrong_recorded_verdict_is_shown() {
    let (mut trace, names) = scripted(true, &[("+a", 1), ("f", 1), ("f", 1)]);
    for event in &mut trace.events {
        event.verdict = Verdict::Ok;
    }
    let analysis = analyse(&[trace], &names);
    assert_eq!(analysis.totals.excess, 1);
    assert_eq!(analysis.damage.len(), 1);
    assert!(
        analysis.damage[0]
            .1
            .what
            .contains("recorded ok, replayed already_freed")
    );
}
