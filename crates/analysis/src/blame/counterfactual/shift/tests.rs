//! No cost moves by more than a shift says.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::model::Counts;
use super::*;

const ALLOCS: usize = 3;
const FREES: usize = 4;

/// Counts of a log, as numbers say.
fn counts(problem: &Problem, numbers: &[f64]) -> Counts {
    let mut counts = Counts::new(problem);
    let mut numbers = numbers.iter().copied().cycle();
    let mut next = || numbers.next().unwrap_or(0.0);
    counts.ended.fill_with(&mut next);
    counts.leaked.fill_with(&mut next);
    counts.passed.fill_with(&mut next);
    counts.ended_late.fill_with(&mut next);
    for f in 0..FREES {
        counts.surplus[f] = next();
        counts.gaps[f].fill_with(&mut next);
        for a in 0..ALLOCS {
            counts.origins.insert((Some(a as u32), f as u32), next());
        }
    }
    counts
}

fn models(drop_rate: f64, of: [&[f64]; 2]) -> (Problem, [Model; 2]) {
    let mut problem = Problem::of_patterns((ALLOCS, FREES), Vec::new());
    problem.allocations = vec![100.0, 60.0, 40.0];
    problem.traffic = vec![10.0, 80.0, 60.0, 40.0];
    problem.drop_rate = drop_rate;
    let model =
        |numbers: &&[f64]| Model::new(&problem, &counts(&problem, numbers), &BTreeSet::new(), None);
    let models = [model(&of[0]), model(&of[1])];
    (problem, models)
}

fn numbers() -> impl Strategy<Value = Vec<f64>> {
    let number = prop_oneof![Just(0.0), 1.0..3.0_f64, 0.0..50.0_f64];
    proptest::collection::vec(number, 7..40)
}

proptest! {
    #[test]
    fn no_cost_moves_further(
        from in numbers(),
        to in numbers(),
        drop_rate in prop_oneof![Just(0.0), Just(0.01)],
        lives in proptest::collection::vec(0..ALLOCS as u32, 1..60),
    ) {
        let (problem, [from, to]) = models(drop_rate, [&from, &to]);
        let shift = Shift::new(&problem, &from, &to);
        let all: Vec<u32> = (0..ALLOCS as u32).collect();
        for f in 0..FREES as u32 {
            let moved = shift.free(f, &all, &all, lives.len());
            let mut costs = vec![(from.unexplained[f as usize], to.unexplained[f as usize])];
            let surplus = [&from, &to].map(|model| model.surplus_costs(f, &lives));
            costs.push((surplus[0].0, surplus[1].0));
            costs.push((surplus[0].1, surplus[1].1));
            for a in 0..ALLOCS as u32 {
                let late = |model: &Model| model.end(a, f) + model.late[a as usize];
                costs.push((from.end(a, f), to.end(a, f)));
                costs.push((late(&from), late(&to)));
            }
            for (from, to) in costs {
                prop_assert!((from - to).abs() <= moved + 1e-9, "{f}: {from} {to} {moved}");
            }
        }
        for a in 0..ALLOCS {
            prop_assert!((from.pass[a] - to.pass[a]).abs() <= shift.pass(&[a as u32]) + 1e-12);
            prop_assert!((from.leak[a] - to.leak[a]).abs() <= shift.leak(&[a as u32]) + 1e-12);
        }
    }
}

/// What is asked of the groups that are named, and of no others: else too little would stand.
#[test]
fn only_what_is_asked_for_moves() {
    let mut numbers = vec![5.0; 80];
    let (problem, [from, _]) = models(0.0, [&numbers, &numbers]);
    let same = Shift::new(&problem, &from, &from);
    assert_eq!(same.free(1, &[0, 1, 2], &[0, 1, 2], 60), 0.0);
    // Lives of 0 that the first group ended: the ends of others of its lives cost more, those of 1 and 2 the same.
    numbers[0] = 500.0;
    let (problem, [_, mut to]) = models(0.0, [&numbers, &numbers]);
    to.surplus.clone_from(&from.surplus);
    to.origins.clone_from(&from.origins);
    to.end[FREES..].copy_from_slice(&from.end[FREES..]);
    let shift = Shift::new(&problem, &from, &to);
    assert!(shift.free(1, &[0], &[0, 1, 2], 1) > 1.0);
    assert_eq!(shift.free(1, &[1, 2], &[0, 1, 2], 1), 0.0);
    // A life that is out of sight has a cost of its own, which counts from the 49th on.
    let mut far = from.clone();
    if let Some(origins) = &mut far.origins[2] {
        origins.base *= 8.0;
    }
    let shift = Shift::new(&problem, &from, &far);
    assert_eq!(shift.free(2, &[], &[0], LOOK_BACK), 0.0);
    assert!(shift.free(2, &[], &[0], LOOK_BACK + 1) > 2.0);
    // The rates are those of the group and of its lives.
    let mut other = from.clone();
    if let Some(origins) = &mut other.origins[2] {
        origins.rate[1] *= 2.0;
    }
    let shift = Shift::new(&problem, &from, &other);
    assert_eq!(shift.free(2, &[], &[0, 2], 3), 0.0);
    assert!(shift.free(2, &[], &[1], 3) > 0.6);
    assert_eq!(shift.free(1, &[], &[1], 3), 0.0);
    assert_eq!(shift.free(3, &[], &[1], 3), 0.0);
}
