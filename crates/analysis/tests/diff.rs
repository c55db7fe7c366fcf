//! Two analyses held against each other, made by hand: what counts as gone, new, more, or uncertain.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use proptest::prelude::*;
use whofreed_analysis::Analysis;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::Evidence;
use whofreed_analysis::Example;
use whofreed_analysis::Leak;
use whofreed_analysis::Site;
use whofreed_analysis::Totals;
use whofreed_analysis::Victim;
use whofreed_analysis::diff::Answer;
use whofreed_analysis::diff::Diff;
use whofreed_analysis::diff::Doubt;
use whofreed_analysis::diff::Status;
use whofreed_analysis::diff::compare;
use whofreed_trace::Damage;
use whofreed_trace::Exit;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Process;

proptest! {
    #[test]
    fn every_culprit_is_told_once_and_with_its_figures(
        before in proptest::collection::vec((0_u32..6, 1_u64..50), 0..6),
        after in proptest::collection::vec((0_u32..6, 1_u64..50), 0..6),
    ) {
        let run = |list: &[(u32, u64)]| {
            let named: Vec<(String, u64)> = list
                .iter()
                .map(|(number, explains)| (format!("f{number}"), *explains))
                .collect();
            made(&named.iter().map(|(n, e)| (n.as_str(), *e)).collect::<Vec<_>>())
        };
        let (before, after) = (run(&before), run(&after));
        let diff = compare(&before, &after);
        let sum = |of: fn(&whofreed_analysis::diff::Change) -> u64| -> u64 {
            diff.culprits.iter().map(of).sum()
        };
        prop_assert_eq!(
            sum(|c| c.before.as_ref().map_or(0, |tally| tally.count)),
            before.totals.excess
        );
        prop_assert_eq!(
            sum(|c| c.after.as_ref().map_or(0, |tally| tally.count)),
            after.totals.excess
        );
        // As many were seen as are explained.
        for change in &diff.culprits {
            for tally in change.before.iter().chain(&change.after) {
                prop_assert_eq!(tally.observed, tally.count);
            }
            let sides = (change.before.is_some(), change.after.is_some());
            let expected = match change.status {
                Status::New => (false, true),
                Status::Gone | Status::Uncertain => (true, false),
                _ => (true, true),
            };
            prop_assert_eq!(sides, expected);
        }
    }
}

fn frame(function: &str) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        module: Arc::from("/opt/host/host"),
        offset: 0x1000,
        file: Some(Arc::from("host.cpp")),
        line: 10,
        inlined: false,
        tail_called: false,
        language: Language::Native,
    }
}

fn site(function: &str) -> Site {
    Site {
        frame: frame(function),
    }
}

/// A culprit seen once by this stack, innermost first, and named by one of its functions.
fn named_in(stack: &[&str], name: &str, explains: u64) -> Culprit {
    Culprit {
        site: site(name),
        class: Class::Other,
        explains,
        observed: explains,
        buffers: 1,
        devices: vec![0],
        confidence: Confidence::Counterfactual,
        alternatives: Vec::new(),
        evidence: Evidence::default(),
        example: Example {
            excess: stack.iter().map(|name| frame(name)).collect(),
            ..Example::default()
        },
    }
}

/// The analysis of a run of a thousand allocations with these culprits.
fn made(culprits: &[(&str, u64)]) -> Analysis {
    let mut analysis = Analysis {
        totals: Totals {
            allocations: 1000,
            events: 2000,
            ..Totals::default()
        },
        ..Analysis::default()
    };
    for (name, explains) in culprits {
        analysis
            .culprits
            .push(named_in(&[name, "main"], name, *explains));
        analysis.totals.excess += explains;
    }
    analysis
}

fn statuses(diff: &Diff) -> Vec<String> {
    let told = |change: &whofreed_analysis::diff::Change| {
        let name = change.site.frame.function.clone().unwrap();
        format!("{} {name}", change.status.name())
    };
    diff.culprits.iter().map(told).collect()
}

#[test]
fn a_culprit_is_not_gone_where_the_second_run_may_hide_it() {
    let before = made(&[("evict", 100)]);
    let check = |change: fn(&mut Analysis), doubt: Doubt| {
        let mut after = made(&[]);
        change(&mut after);
        let diff = compare(&before, &after);
        assert_eq!(statuses(&diff), ["uncertain evict"], "{doubt:?}");
        assert_eq!(diff.culprits[0].doubts, [doubt]);
        assert_eq!(diff.answer, Answer::Uncertain);
    };
    check(|run| run.totals.dropped_events = 3, Doubt::Lost(3));
    check(|run| run.totals.untracked = 4, Doubt::Untracked(4));
    check(
        |run| {
            run.totals.excess = 2;
            run.totals.unexplained = 2;
        },
        Doubt::Unexplained(2),
    );
    check(
        |run| {
            let what = "a chunk with the wrong checksum".to_owned();
            run.damage.push((0, Damage { offset: 0, what }));
        },
        Doubt::Damaged(1),
    );
    check(
        |run| {
            run.processes.push(Process {
                exit: Some(Exit {
                    code: None,
                    signal: Some(11),
                }),
                ..Process::default()
            });
        },
        Doubt::Killed(11),
    );
    check(|run| run.totals = Totals::default(), Doubt::Empty);
    check(|run| run.totals.allocations = 40, Doubt::Short);
    check(|run| run.totals.allocations = 0, Doubt::Short);
}

#[test]
fn a_suspect_is_not_gone_and_neither_is_one_whom_the_blame_left() {
    let before = made(&[("evict", 100), ("finish", 50)]);
    let mut after = made(&[("finish", 150)]);
    after.culprits[0].alternatives.push(site("evict"));
    let diff = compare(&before, &after);
    assert_eq!(statuses(&diff), ["more finish", "uncertain evict"]);
    assert_eq!(diff.culprits[1].doubts, [Doubt::Suspect]);

    let mut after = made(&[("other", 100), ("finish", 50)]);
    after.victims.push(Victim {
        site: site("evict"),
        observed: 30,
        culprit: Some(0),
    });
    let diff = compare(&before, &after);
    assert_eq!(
        statuses(&diff),
        ["new other", "uncertain evict", "unchanged finish"]
    );
    assert_eq!(diff.culprits[1].doubts, [Doubt::Victim]);
    // Somebody who was to blame before, too, may well have victims.
    after.victims[0].culprit = Some(1);
    assert_eq!(compare(&before, &after).counts.gone, 1);
}

#[test]
fn runs_of_other_lengths_are_compared_for_each_allocation() {
    let before = made(&[("evict", 100), ("finish", 100), ("reset", 100)]);
    let mut after = made(&[("evict", 1000), ("finish", 100), ("reset", 3000)]);
    after.totals.allocations = 10_000;
    let diff = compare(&before, &after);
    assert_eq!(diff.ratio, Some(10.0));
    assert_eq!(
        statuses(&diff),
        ["more reset", "unchanged evict", "fewer finish"]
    );
    let tally = diff.culprits[2].after.as_ref().unwrap();
    assert_eq!(tally.per_million, Some(10_000.0));
    assert_eq!(compare(&before, &before).ratio, None);
}

#[test]
fn that_as_many_are_somebody_else_s_by_now_is_no_progress() {
    let diff = compare(&made(&[("evict", 100)]), &made(&[("reset", 100)]));
    assert_eq!(diff.answer, Answer::Worse);
    let diff = compare(&made(&[("evict", 100)]), &made(&[("reset", 10)]));
    assert_eq!((diff.answer, diff.is_worse), (Answer::PartlyFixed, true));
}

#[test]
fn lines_of_one_function_are_told_together() {
    let mut before = made(&[("main", 100), ("main", 40)]);
    before.culprits[1].site.frame.line = 77;
    before.culprits[1].confidence = Confidence::Undecided;
    let after = made(&[("main", 40)]);
    let diff = compare(&before, &after);
    assert_eq!(statuses(&diff), ["fewer main"]);
    let tally = diff.culprits[0].before.as_ref().unwrap();
    assert_eq!((tally.count, tally.lines), (140, 2));
    assert_eq!(tally.confidence, Some(Confidence::Undecided));
}

#[test]
fn one_culprit_by_two_names_is_known_again() {
    // Which of two suspects is shown changes.
    let mut before = made(&[("evict", 100)]);
    before.culprits[0].alternatives.push(site("drop"));
    let diff = compare(&before, &made(&[("drop", 100)]));
    assert_eq!(statuses(&diff), ["unchanged drop"]);
    assert_eq!(diff.culprits[0].named_before, Some(site("evict")));

    // The name moves outward, because innocent frees come through the inner site by now.
    let by = |name: &str, stack: &[&str]| {
        let mut run = made(&[("x", 100)]);
        run.culprits[0] = named_in(stack, name, 100);
        run
    };
    let before = by("release", &["release", "evict", "Conv::run", "main"]);
    let after = by("evict", &["release", "evict", "Matmul::run", "main"]);
    let diff = compare(&before, &after);
    assert_eq!(statuses(&diff), ["unchanged evict"]);
    // That both are called by the same function says nothing.
    let after = by("main", &["reset", "main"]);
    let diff = compare(&by("evict", &["evict", "main"]), &after);
    assert_eq!(statuses(&diff), ["new main", "gone evict"]);

    // Debug information was added.
    let mut before = made(&[("evict(int)", 100)]);
    before.culprits[0].site.frame.file = None;
    let diff = compare(&before, &made(&[("evict", 100)]));
    assert_eq!(statuses(&diff), ["unchanged evict"]);
    // Neither does that make two functions one, nor a function of another file.
    let diff = compare(&before, &made(&[("reset", 100)]));
    assert_eq!(statuses(&diff), ["new reset", "gone evict(int)"]);
    before.culprits[0].site.frame.file = Some(Arc::from("other.cpp"));
    let diff = compare(&before, &made(&[("evict", 100)]));
    assert_eq!(statuses(&diff), ["new evict", "gone evict(int)"]);
}

#[test]
fn a_culprit_without_a_name_may_be_one_that_is_new() {
    let mut before = made(&[("evict", 100)]);
    before.culprits[0].site.frame.function = None;
    before.culprits[0].site.frame.file = None;
    let after = made(&[("evict", 100)]);
    let diff = compare(&before, &after);
    assert_eq!((diff.counts.uncertain, diff.counts.new), (1, 1));
    assert_eq!(diff.culprits[1].doubts, [Doubt::Nameless]);
    assert_eq!((diff.answer, diff.is_worse), (Answer::Uncertain, false));
    // Two that are new cannot both be the one.
    let two = made(&[("evict", 60), ("reset", 40)]);
    assert!(compare(&before, &two).is_worse);
    let diff = compare(&after, &before);
    assert_eq!((diff.counts.uncertain, diff.counts.new), (1, 1));
    // Where nobody is new, there is nobody whom it could be.
    assert_eq!(compare(&before, &made(&[])).counts.gone, 1);
}

#[test]
fn unexplained_excess_frees_can_make_a_run_worse() {
    let before = made(&[("evict", 100)]);
    let mut after = made(&[("evict", 100)]);
    after.totals.excess += 60;
    after.totals.unexplained += 60;
    let diff = compare(&before, &after);
    assert!(diff.is_worse);
    assert_eq!(diff.answer, Answer::Worse);
    assert_eq!(diff.counts.unchanged, 1);
}

#[test]
fn leaks_and_victims_are_compared_by_site_and_make_no_run_worse() {
    let leak = |name: &str, count: u64| Leak {
        site: site(name),
        count,
        bytes: count * 16,
        stack: Arc::from([]),
    };
    let victim = |name: &str, observed: u64| Victim {
        site: site(name),
        observed,
        culprit: None,
    };
    let mut before = made(&[("evict", 100)]);
    before.leaks = vec![leak("load", 24), leak("open", 9)];
    before.victims = vec![victim("run", 61), victim("retire", 7)];
    let mut after = made(&[("evict", 1000)]);
    after.totals.allocations = 10_000;
    after.leaks = vec![leak("load", 24), leak("evict", 400)];
    after.victims = vec![victim("run", 610)];
    let diff = compare(&before, &after);
    let of = |changes: &[whofreed_analysis::diff::Change]| -> Vec<String> {
        let told = |c: &whofreed_analysis::diff::Change| {
            format!(
                "{} {}",
                c.status.name(),
                c.site.frame.function.clone().unwrap()
            )
        };
        changes.iter().map(told).collect()
    };
    assert_eq!(
        of(&diff.leaks),
        ["new evict", "unchanged load", "gone open"]
    );
    assert_eq!(of(&diff.victims), ["unchanged run", "gone retire"]);
    assert!(!diff.is_worse);
    let tally = diff.leaks[0].after.as_ref().unwrap();
    assert_eq!((tally.count, tally.bytes), (400, 6400));
    let tally = diff.victims[0].after.as_ref().unwrap();
    assert_eq!((tally.count, tally.observed), (610, 610));
}

#[test]
fn one_culprit_that_is_more_makes_a_run_worse_whatever_the_others_are() {
    let before = made(&[("evict", 100), ("finish", 100)]);
    let diff = compare(&before, &made(&[("evict", 150), ("finish", 40)]));
    assert_eq!(statuses(&diff), ["more evict", "fewer finish"]);
    assert!(diff.is_worse);
    assert!(!compare(&before, &made(&[("evict", 100), ("finish", 40)])).is_worse);
}

/// What nobody explains are excess frees: they say nothing of leaks.
#[test]
fn a_leak_is_gone_unless_events_are() {
    let mut before = made(&[]);
    before.leaks.push(Leak {
        site: site("load"),
        count: 9,
        bytes: 90,
        stack: Arc::from([]),
    });
    let gone = |change: fn(&mut Totals)| {
        let mut after = made(&[]);
        change(&mut after.totals);
        let diff = compare(&before, &after);
        (diff.leaks[0].status, diff.leaks[0].doubts.clone())
    };
    let unexplained = gone(|totals| (totals.excess, totals.unexplained) = (2, 2));
    assert_eq!(unexplained, (Status::Gone, Vec::new()));
    let lost = gone(|totals| totals.dropped_events = 3);
    assert_eq!(lost, (Status::Uncertain, vec![Doubt::Lost(3)]));
}
