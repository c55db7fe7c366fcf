//! Both sides of every threshold of the judgement. The accused is group 0 throughout.

use std::collections::BTreeMap;

use super::*;

/// A log of nothing, with so many groups of allocations and of frees.
fn problem(allocs: usize, frees: usize) -> Problem {
    Problem::of_patterns((allocs, frees), Vec::new())
}

/// Counts of a log with six groups of frees, in which the accused has so many surplus frees.
fn counts(allocs: usize, surplus: f64) -> Counts {
    let mut counts = Counts::new(&problem(allocs, 6));
    counts.surplus[0] = surplus;
    counts
}

/// How often which groups ended lives of an allocation group, those of the others 0.
fn ended(counts: &mut Counts, a: usize, by: &[f64]) {
    counts.ended[6 * a..][..by.len()].copy_from_slice(by);
}

fn pairs<const N: usize>(pairs: [((u32, u32), f64); N]) -> BTreeMap<(u32, u32), f64> {
    BTreeMap::from(pairs)
}

fn set<const N: usize>(groups: [u32; N]) -> BTreeSet<u32> {
    BTreeSet::from(groups)
}

#[test]
fn who_strikes_many_and_is_seldom_right_is_the_odd_one() {
    let is_odd = |live: f64, then_ended: &[((u32, u32), f64)]| {
        let mut counts = counts(1, 10.0);
        counts.hit_life = pairs([((0, 0), live)]);
        counts.hit_then_ended = then_ended.iter().copied().collect();
        is_odd_one(&counts, &Chains::default(), 0)
    };
    // Of ten strikes one other ended eight afterwards, or nine.
    assert!(is_odd(10.0, &[((0, 1), 8.0)]));
    assert!(!is_odd(10.0, &[((0, 1), 9.0)]));
    // What others strike, or what it ends itself, is not asked.
    assert!(is_odd(10.0, &[((0, 1), 8.0), ((2, 1), 10.0)]));
    assert!(is_odd(10.0, &[((0, 1), 8.0), ((0, 0), 10.0)]));
    // It has to strike with more than half of its frees.
    assert!(is_odd(6.0, &[]));
    assert!(!is_odd(5.0, &[]));
}

#[test]
fn what_is_struck_in_few_places_can_be_struck_too_early() {
    let enders = |surplus: f64, hits: &[f64], lives: &[f64]| {
        let mut problem = problem(hits.len(), 6);
        problem.allocations = lives.to_vec();
        let mut counts = counts(hits.len(), surplus);
        let struck = hits.iter().enumerate();
        counts.hit_life = struck.map(|(a, &hits)| ((0, a as u32), hits)).collect();
        let live: f64 = hits.iter().sum();
        counts.hit_then_ended = pairs([
            ((0, 0), live),
            ((0, 1), 0.1 * live),
            ((0, 2), 0.05 * live),
            ((3, 4), live),
        ]);
        confined(&problem, &counts, 0)
    };
    let confined = Some(set([1]));
    assert_eq!(enders(10.0, &[9.0], &[9.0]), None);
    assert_eq!(enders(10.0, &[9.0, 0.0], &[1.0, 9.0]), confined);
    assert_eq!(enders(10.0, &[8.0, 0.0], &[1.0, 9.0]), None);
    // Most of the hits are in the first place, where a fifth of the lives are.
    assert_eq!(enders(10.0, &[8.0, 2.0, 0.0], &[2.0, 5.0, 3.0]), confined);
    assert_eq!(enders(10.0, &[7.0, 3.0, 0.0], &[2.0, 5.0, 3.0]), None);
    // The places are taken by how dense the hits are in them, however they are numbered and however few there are.
    assert_eq!(enders(0.1, &[0.09, 0.01, 0.0], &[1.0, 5.0, 4.0]), confined);
    assert_eq!(enders(0.1, &[0.01, 0.09, 0.0], &[5.0, 1.0, 4.0]), confined);
    // Four places are many if hardly any is struck twice.
    let lives = [1.0, 1.0, 1.0, 1.0, 96.0];
    assert_eq!(enders(12.0, &[3.0, 3.0, 3.0, 3.0], &lives), confined);
    assert_eq!(enders(8.0, &[2.0, 2.0, 2.0, 2.0], &lives), None);
    assert_eq!(enders(6.0, &[2.0, 2.0, 2.0], &lives), confined);
}

#[test]
fn a_first_life_that_others_usually_end_was_ended_early() {
    let is_early = |own: f64, others: f64, ended_first: (u32, u32)| {
        let mut counts = counts(1, 1.0);
        ended(&mut counts, 0, &[own, others]);
        counts.ended_first = pairs([(ended_first, 1.0)]);
        comes_early(&counts, 0)
    };
    assert!(is_early(1.0, 9.0, (0, 0)));
    assert!(!is_early(2.0, 8.0, (0, 0)));
    assert!(!is_early(1.0, 9.0, (0, 1)));
}

#[test]
fn lost_events_can_make_as_many_frees_look_surplus_as_a_poisson_law_says() {
    let could_be = |surplus: f64, expected: f64, frees: usize| {
        let mut problem = problem(1, frees);
        problem.drop_rate = 0.01;
        problem.traffic[0] = 100.0 * expected;
        could_be_loss(&problem, &counts(1, surplus), 0)
    };
    // Of one that is expected: seven or more come with a chance of 8.3e-5, eight with 1.0e-5.
    assert!(could_be(6.0, 1.0, 1));
    assert!(!could_be(7.0, 1.0, 1));
    assert!(could_be(7.0, 1.0, 2));
    assert!(!could_be(8.0, 1.0, 2));
    // Of two: nine or more with 2.4e-4, ten with 4.6e-5.
    assert!(could_be(9.0, 2.0, 1));
    assert!(!could_be(10.0, 2.0, 1));
    // Hardly any is expected.
    assert!(could_be(2.0, 1e-9, 1));
    assert!(!could_be(3.0, 1e-9, 1));
}

#[test]
fn lost_events_that_nobody_judged_can_each_make_a_free_look_surplus() {
    let could_be = |drop_rate: f64, unjudged: f64| {
        let mut problem = problem(1, 1);
        problem.drop_rate = drop_rate;
        problem.unjudged = unjudged;
        could_be_loss(&problem, &counts(1, 10.0), 0)
    };
    assert!(could_be(1e-9, 10.0));
    assert!(!could_be(1e-9, 9.0));
    assert!(!could_be(0.0, 10.0));
}

#[test]
fn frees_of_unknown_buffers_can_be_of_older_ones() {
    let could_be = |is_late: bool, unknown: f64, live: f64| {
        let mut problem = problem(1, 6);
        problem.is_late = is_late;
        problem.unknown[0] = unknown;
        let mut counts = counts(1, 100.0);
        counts.hit_life = pairs([((0, 0), live)]);
        could_be_older(&problem, &counts, 0)
    };
    assert!(!could_be(true, 10.0, 0.0));
    assert!(could_be(true, 11.0, 0.0));
    assert!(could_be(false, 3.0, 50.0));
    assert!(!could_be(false, 2.0, 50.0));
    assert!(!could_be(false, 1.0, 50.0));
    // Where hardly anything that lives is struck, any unknown one is enough.
    assert!(could_be(false, 1.0, 5.0));
    assert!(!could_be(false, 1.0, 10.0));
    assert!(!could_be(false, 0.0, 0.0));
}

#[test]
fn in_first_lives_it_was_the_accused_or_the_one_before() {
    let said = |surplus: f64, ends: &[(u32, f64)], alone: f64| {
        let mut counts = counts(1, surplus);
        let first = ends.iter().map(|&(ender, count)| ((ender, 0), count));
        counts.after_end_in_first_life = first.clone().collect();
        counts.after_end = first.collect();
        for &(ender, count) in ends {
            counts.ended[ender as usize] = count + alone;
        }
        enders_in_first_lives(&counts, 0)
    };
    assert_eq!(said(4.0, &[(1, 3.0)], 0.0), None);
    let either = |others: &[u32]| Some(Sentence::Either(others.to_vec()));
    assert_eq!(said(4.0, &[(1, 2.0), (2, 2.0)], 0.0), either(&[1, 2]));
    assert_eq!(
        said(4.0, &[(1, 2.0), (2, 2.0)], 9.0),
        Some(Sentence::Guilty)
    );
    assert_eq!(said(4.0, &[(0, 2.0), (1, 2.0)], 0.0), either(&[1]));
    // One that comes before nearly all of them may be wrong there only.
    assert_eq!(said(4.0, &[(1, 4.0)], 99.0), either(&[1]));
    let four = [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0)];
    assert_eq!(said(4.0, &four, 0.0), Some(Sentence::Silent));
    assert_eq!(said(3.0, &four[..3], 0.0), either(&[1, 2, 3]));
    // With less than three there is nothing to compare.
    assert_eq!(
        said(3.0, &[(1, 2.0), (2, 1.0)], 99.0),
        Some(Sentence::Guilty)
    );
    assert_eq!(
        said(2.0, &[(1, 1.0), (2, 1.0)], 99.0),
        Some(Sentence::Silent)
    );
    assert_eq!(said(2.0, &[(1, 2.0)], 99.0), either(&[1]));
    assert_eq!(said(2.0, &[(0, 2.0)], 99.0), Some(Sentence::Guilty));
}

#[test]
fn who_is_nearly_always_freed_after_never_ends_alone() {
    let never = |after: ((u32, u32), f64), again: ((u32, u32), f64), right: f64| {
        let mut counts = counts(1, 4.0);
        ended(&mut counts, 0, &[right, 10.0]);
        counts.after_end = pairs([after]);
        counts.freed_again = pairs([again]);
        never_ends_alone(&counts, 1)
    };
    let nothing = ((5, 5), 0.0);
    assert!(never(((1, 0), 8.0), nothing, 0.0));
    assert!(!never(((1, 0), 7.0), nothing, 0.0));
    assert!(!never(((1, 1), 10.0), nothing, 0.0));
    assert!(!never(((2, 0), 10.0), nothing, 0.0));
    // Freed again by one that is also right, which takes more than a quarter.
    assert!(never(nothing, ((1, 0), 5.0), 2.0));
    assert!(!never(nothing, ((1, 0), 4.0), 2.0));
    assert!(!never(nothing, ((1, 0), 5.0), 1.0));
    assert!(!never(nothing, ((1, 1), 10.0), 2.0));
    assert!(!never(nothing, ((2, 0), 10.0), 2.0));
}

#[test]
fn only_who_comes_before_a_part_of_them_may_be_too_early() {
    let early = |surplus: f64, before: &[(u32, f64)]| {
        let mut counts = counts(1, surplus);
        for &(ender, count) in before {
            counts.after_end.insert((ender, 0), count);
            counts.ended[ender as usize] = count;
        }
        too_early(&counts, 0)
    };
    assert_eq!(early(10.0, &[(1, 5.0)]), set([1]));
    assert_eq!(early(10.0, &[(1, 4.0)]), set([]));
    assert_eq!(early(100.0, &[(1, 60.0), (2, 3.0), (3, 2.0)]), set([1, 2]));
}

#[test]
fn an_accusation_needs_enough_that_is_its_own() {
    /// What stands behind one: the accused's surplus and clean frees, all of its frees, and the lives it ends.
    #[derive(Clone, Copy)]
    struct Behind(f64, f64, f64, f64);
    let thin = |Behind(surplus, clean, traffic, ends): Behind, chains: u32| {
        let mut problem = problem(1, 6);
        problem.traffic[0] = traffic;
        problem.chains[0] = (0..chains).map(crate::sites::ChainId).collect();
        let mut counts = counts(1, surplus);
        counts.clean[0] = clean;
        ended(&mut counts, 0, &[ends]);
        is_thin(&problem, &counts, 0)
    };
    assert!(thin(Behind(2.0, 2.0, 2.0, 0.0), 1));
    assert!(!thin(Behind(3.0, 3.0, 3.0, 0.0), 1));
    // One of much that it frees, and seldom alone.
    assert!(thin(Behind(10.0, 3.0, 100.0, 0.0), 1));
    assert!(!thin(Behind(10.0, 4.0, 100.0, 0.0), 1));
    assert!(thin(Behind(6.0, 0.0, 11.0, 0.0), 1));
    assert!(!thin(Behind(6.0, 0.0, 10.0, 0.0), 1));
    // Few of very much.
    assert!(thin(Behind(4.0, 1.8, 100.0, 0.0), 1));
    assert!(!thin(Behind(4.0, 2.0, 100.0, 0.0), 1));
    assert!(!thin(Behind(4.0, 1.8, 80.0, 0.0), 1));
    // Also right.
    assert!(thin(Behind(4.0, 4.0, 4.0, 2.0), 1));
    assert!(!thin(Behind(5.0, 5.0, 5.0, 2.5), 1));
    assert!(thin(Behind(5.0, 1.0, 5.0, 2.5), 1));
    // And perhaps of several.
    assert!(thin(Behind(99.0, 99.0, 99.0, 50.0), 2));
    assert!(!thin(Behind(100.0, 100.0, 100.0, 50.0), 2));
}

#[test]
fn who_is_struck_nearly_always_could_change_places_with_the_accused() {
    let ender = |count: f64| {
        let mut counts = counts(1, 10.0);
        counts.hit_then_ended = pairs([((0, 1), count), ((2, 3), 10.0)]);
        interchangeable(&counts, 0)
    };
    assert_eq!(ender(9.0), set([1]));
    assert_eq!(ender(8.0), set([]));
    let enders = |count: f64, by: [f64; 5]| {
        let mut counts = counts(1, 10.0);
        counts.hit_life = pairs([((0, 0), count)]);
        ended(&mut counts, 0, &by);
        interchangeable(&counts, 0)
    };
    let by = [0.0, 95.0, 3.0, 2.0, 0.0];
    assert_eq!(enders(9.0, by), set([1, 2]));
    assert_eq!(enders(8.0, by), set([]));
    assert_eq!(enders(9.0, [0.0; 5]), set([]));
}

#[test]
fn with_too_many_others_nothing_is_said() {
    let said = |enders: u32, rivals: Option<&BTreeSet<u32>>, surplus: f64| {
        let mut problem = problem(2, 6);
        problem.traffic[0] = surplus;
        problem.allocations = vec![1.0, 99.0];
        let mut counts = counts(2, surplus);
        counts.clean[0] = surplus;
        counts.hit_life = pairs([((0, 0), surplus)]);
        let struck = (1..=enders).map(|ender| ((0, ender), 0.2 * surplus));
        counts.hit_then_ended = struck.collect();
        sentence(&problem, &counts, 0, None, rivals)
    };
    assert_eq!(said(0, None, 10.0), Sentence::Guilty);
    assert_eq!(said(3, None, 10.0), Sentence::Either(vec![1, 2, 3]));
    assert_eq!(said(4, None, 10.0), Sentence::Silent);
    // Rivals of which none can have done all of it.
    assert_eq!(said(0, Some(&set([])), 19.0), Sentence::Silent);
    assert_eq!(said(0, Some(&set([])), 20.0), Sentence::Guilty);
    let rivals = set([5]);
    assert_eq!(said(0, Some(&rivals), 19.0), Sentence::Either(vec![5]));
}

#[test]
fn who_is_right_more_than_once_in_four_surplus_frees_is_otherwise_right() {
    let is_right = |ends: f64| {
        let mut counts = counts(1, 4.0);
        ended(&mut counts, 0, &[ends]);
        is_otherwise_right(&counts, 0)
    };
    assert!(!is_right(1.0));
    assert!(is_right(2.0));
}

#[test]
fn few_surplus_frees_beside_those_of_others_may_be_their_traces() {
    let little = |sentence: &Sentence, surplus: f64, [open, sure, other]: [f64; 3], costs: f64| {
        let beside = Beside { open, sure, other };
        beside.is_little(sentence, surplus, || costs)
    };
    let guilty = Sentence::Guilty;
    assert!(little(&guilty, 49.0, [100.0, 0.0, 0.0], 1e9));
    assert!(!little(&guilty, 50.0, [100.0, 0.0, 0.0], 1e9));
    assert!(little(&guilty, 14.0, [0.0, 100.0, 0.0], 1e9));
    assert!(!little(&guilty, 15.0, [0.0, 100.0, 0.0], 1e9));
    // Where they are less than twice another's, the description has to need them.
    assert!(little(&guilty, 100.0, [0.0, 0.0, 51.0], 349.0));
    assert!(!little(&guilty, 100.0, [0.0, 0.0, 51.0], 350.0));
    assert!(!little(&guilty, 100.0, [0.0, 0.0, 50.0], 1.0));
    let either = Sentence::Either(vec![1]);
    assert!(little(&either, 24.0, [100.0, 0.0, 0.0], 1e9));
    assert!(little(&either, 24.0, [0.0, 100.0, 0.0], 1e9));
    assert!(!little(&either, 25.0, [100.0, 0.0, 100.0], 0.0));
    assert!(!little(&Sentence::Silent, 0.0, [100.0, 100.0, 100.0], 0.0));
}
