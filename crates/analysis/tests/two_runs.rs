//! Two runs of simulated hosts held against each other: built again, run again, fixed, and guarded.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use whofreed_analysis::Analysis;
use whofreed_analysis::analyse;
use whofreed_analysis::diff::Answer;
use whofreed_analysis::diff::Diff;
use whofreed_analysis::diff::Fingerprint;
use whofreed_analysis::diff::Guard;
use whofreed_analysis::diff::Status;
use whofreed_analysis::diff::compare;
use whofreed_corpus::Host;
use whofreed_corpus::Names;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;
use whofreed_trace::EventKind;
use whofreed_trace::Frame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

/// A host whose culprits, each called by many, free a share of all buffers again, in percent.
fn simulated(seed: u64, owners: Owners, bugs: &[(&str, u64)], steps: u64) -> Host {
    let mut host = Host::new(seed, owners, 2, Reuse::LastFirst, 64);
    host.threads = 3;
    for _ in 0..steps {
        let device = host.random.below(2) as u32;
        let caller = host.random.below(5);
        let buffer = host.allocate(&format!("make < Layer{caller}::run"), device);
        host.free(&format!("Layer{caller}::run < step"), buffer);
        // Nobody has it in between: the address tells who it was, with owners and without.
        for (site, percent) in bugs {
            if host.random.below(100) < *percent {
                host.free(&format!("{site} < Layer{caller}::run < step"), buffer);
            }
        }
    }
    host
}

/// The names of the same program, compiled again after an edit.
struct Rebuilt<'a> {
    names: &'a Names,
    lines_moved: u32,
    bytes_moved: u64,
}

impl StackNames for Rebuilt<'_> {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        let mut frames = self.names.frames(trace, stack).to_vec();
        for (position, frame) in (0_u64..).zip(&mut frames) {
            frame.line += self.lines_moved;
            frame.offset += self.bytes_moved * (position + 1);
            frame.module = Arc::from("/home/me/build/host_fixed");
            frame.file = Some(Arc::from("/home/me/src/host.cpp"));
            let name = frame.function.take().unwrap_or_default();
            frame.function = Some(if name.starts_with("std::") {
                name
            } else {
                format!("void {name}<int, {position}>(std::vector<int> const&) const")
            });
        }
        frames.into()
    }
}

/// The same events at other addresses, on devices and threads of other numbers, in the other order.
fn renumbered(mut trace: Trace, moved: u64) -> Trace {
    for event in &mut trace.events {
        event.address += moved * 0x40;
        event.device = 7 - event.device;
        event.thread = 900 - event.thread;
    }
    trace.events.sort_by_key(|event| event.thread);
    trace.process.pid += 1000;
    trace
}

/// How many excess frees each fingerprint explains.
fn explained(analysis: &Analysis) -> BTreeMap<Fingerprint, u64> {
    let culprits = analysis.culprits.iter();
    culprits
        .map(|culprit| (culprit.site.fingerprint(), culprit.explains))
        .collect()
}

const BUGS: [(&str, u64); 2] = [("Cache::evict", 20), ("Capture::finish", 10)];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn culprits_are_known_again_in_another_build(
        seed in 0_u64..1000,
        has_owners in any::<bool>(),
        lines_moved in 0_u32..500,
        bytes_moved in 0_u64..5000,
        moved in 0_u64..100,
    ) {
        let owners = if has_owners { Owners::Unique } else { Owners::Unknown };
        let host = simulated(seed, owners, &BUGS, 150);
        let before = analyse(&[host.trace()], &host.names);
        let names = Rebuilt { names: &host.names, lines_moved, bytes_moved };
        let after = analyse(&[renumbered(host.trace(), moved)], &names);
        prop_assert!(!before.culprits.is_empty());
        prop_assert_eq!(explained(&before), explained(&after));
        let diff = compare(&before, &after);
        prop_assert!(diff.culprits.iter().all(|c| c.status == Status::Unchanged), "{:?}", diff);
        prop_assert!(diff.victims.iter().all(|c| c.status == Status::Unchanged), "{:?}", diff);
        prop_assert!(!diff.is_worse);
    }

    #[test]
    fn culprits_are_known_again_in_another_run(seed in 0_u64..1000) {
        let run = |seed| {
            let host = simulated(seed, Owners::Unique, &BUGS, 150);
            analyse(&[host.trace()], &host.names)
        };
        let (before, after) = (run(seed), run(seed + 1));
        let known = |run: &Analysis| explained(run).into_keys().collect::<Vec<_>>();
        prop_assert_eq!(known(&before), known(&after));
        prop_assert_eq!(known(&before).len(), 2);
    }
}

fn statuses(diff: &Diff) -> Vec<String> {
    let told = |change: &whofreed_analysis::diff::Change| {
        let name = change.site.frame.function.clone().unwrap();
        format!("{} {name}", change.status.name())
    };
    diff.culprits.iter().map(told).collect()
}

#[test]
fn a_fixed_culprit_is_gone_and_another_one_is_new() {
    let run = |bugs: &[(&str, u64)]| {
        let host = simulated(1, Owners::Unique, bugs, 400);
        analyse(&[host.trace()], &host.names)
    };
    let one = run(&[("Cache::evict", 20)]);
    let other = run(&[("Capture::finish", 10)]);
    let clean = run(&[]);
    let diff = compare(&one, &clean);
    assert_eq!(diff.answer, Answer::Fixed);
    assert_eq!(statuses(&diff), ["gone Cache::evict"]);
    assert!(!diff.is_worse);
    let diff = compare(&one, &other);
    assert_eq!(diff.answer, Answer::PartlyFixed);
    assert_eq!(
        statuses(&diff),
        ["new Capture::finish", "gone Cache::evict"]
    );
    assert!(diff.is_worse);
    let diff = compare(&clean, &one);
    assert_eq!(diff.answer, Answer::Worse);
    assert_eq!(compare(&clean, &clean).answer, Answer::NobodyNamed);
    let diff = compare(&one, &one);
    assert_eq!(diff.answer, Answer::NotFixed);
    assert_eq!(statuses(&diff), ["unchanged Cache::evict"]);
}

#[test]
fn what_only_the_guard_holds_back_is_hidden_not_gone() {
    let host = simulated(1, Owners::Unique, &BUGS, 400);
    let guarded = {
        let mut trace = host.trace();
        for event in &mut trace.events {
            event.blocked = event.kind == EventKind::Deallocate && event.verdict.is_excess();
        }
        analyse(&[trace], &host.names)
    };
    let plain = analyse(&[host.trace()], &host.names);
    let diff = compare(&plain, &guarded);
    assert_eq!(diff.after.guard, Guard::All);
    assert_eq!(
        statuses(&diff),
        ["hidden Cache::evict", "hidden Capture::finish"]
    );
    assert_eq!(diff.answer, Answer::NotFixed);
    assert!(!diff.is_worse);
    // Where both runs were guarded, it hides nothing that it had not hidden before.
    let diff = compare(&guarded, &guarded);
    assert_eq!(diff.counts.unchanged, 2);
    // One that is really gone is not hidden.
    let fixed = simulated(1, Owners::Unique, &[], 400);
    let diff = compare(&plain, &analyse(&[fixed.trace()], &fixed.names));
    assert_eq!(diff.answer, Answer::Fixed);
    // More is more, guard or not.
    let mut more = guarded.clone();
    more.culprits[0].explains *= 3;
    assert_eq!(compare(&plain, &more).culprits[0].status, Status::More);
    // A guard of some traces only leaves it open whose excess frees it held back.
    let mut some = guarded;
    some.totals.blocked /= 2;
    let diff = compare(&plain, &some);
    assert_eq!((diff.after.guard, diff.counts.hidden), (Guard::Some, 0));
}
