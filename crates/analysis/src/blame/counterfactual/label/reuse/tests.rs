//! How far labels stand when costs shift, held against the sums.

use std::collections::BTreeSet;

use super::*;

/// Two groups that allocate and two that free, and models whose costs differ everywhere.
fn shift() -> Shift {
    let mut problem = Problem::of_patterns((2, 2), Vec::new());
    problem.allocations = vec![50.0, 70.0];
    problem.traffic = vec![40.0, 60.0];
    let counts = |by: f64| {
        let mut counts = Counts::new(&problem);
        counts.ended = vec![30.0, 5.0 * by, 9.0, 50.0 * by];
        counts.leaked = vec![2.0 * by, 9.0];
        counts.passed = vec![5.0, 7.0 * by];
        counts.ended_late = vec![1.0 * by, 3.0];
        counts.surplus = vec![0.0, 12.0 * by];
        counts.gaps[1][0] = 12.0 * by;
        counts
    };
    let model = |by: f64| Model::new(&problem, &counts(by), &BTreeSet::new(), None);
    Shift::new(&problem, &model(1.0), &model(1.01))
}

/// What is left of the spare room of each step, where all of it can have been lost but for so much.
#[track_caller]
fn assert_stands(pattern: &Pattern, moved: &[f64]) {
    let shift = shift();
    let needed = |index: usize| 2.0 * moved[index] + ROUNDING * (index + 1) as f64;
    let with = |more: f64| -> Vec<f64> { (0..moved.len()).map(|i| needed(i) + more).collect() };
    let mut spare = vec![7.0];
    assert!(stands(&with(1e-6), &shift, pattern, &mut spare));
    assert_eq!(spare.len(), 1 + moved.len());
    for (index, left) in spare[1..].iter().enumerate() {
        let expected = if moved[index] == 0.0 {
            needed(index) + 1e-6
        } else {
            1e-6
        };
        assert!((left - expected).abs() < 1e-9, "{index}: {left}");
    }
    // One that is too close is enough, and leaves nothing behind.
    for index in (0..moved.len()).filter(|&index| moved[index] > 0.0) {
        let mut known = with(1e-6);
        known[index] = needed(index) - 1e-10;
        let mut spare = vec![7.0];
        assert!(!stands(&known, &shift, pattern, &mut spare), "{index}");
        assert_eq!(spare, [7.0]);
    }
}

#[test]
fn labels_stand_where_no_story_can_have_moved_by_half_of_what_it_had_to_spare() {
    let shift = shift();
    let tokens = vec![
        Token::Allocate(0),
        Token::Allocate(1),
        Token::Free(1),
        Token::Reset,
        Token::Free(0),
    ];
    let pattern = Pattern::new(vec![1], tokens, 1.0, 1.0);
    // Of the lives before the row one is known; each allocate passes by what may be open.
    let passed = shift.pass(&[0]);
    let first_free = passed + shift.free(1, &[0, 1], &[1, 0], 3);
    let second_free = first_free + shift.free(0, &[0, 1], &[1, 0], 3);
    let end = second_free + shift.leak(&[0, 1]) * 3.0;
    assert!(passed > 0.0 && first_free > passed && second_free > first_free && end > second_free);
    assert_stands(
        &pattern,
        &[0.0, passed, first_free, first_free, second_free, end],
    );
}

#[test]
fn beyond_eight_open_lives_one_is_left() {
    let shift = shift();
    let tokens = vec![Token::Allocate(0); 10];
    let pattern = Pattern::new(Vec::new(), tokens, 1.0, 1.0);
    let mut moved = vec![0.0];
    for open in 1..10 {
        let open = open.min(8);
        let left = if open == 8 { shift.leak(&[0]) } else { 0.0 };
        let before = moved[moved.len() - 1];
        moved.push(before + shift.pass(&[0]) * f64::from(open) + left);
    }
    moved.push(moved[9] + shift.leak(&[0]) * 9.0);
    assert_stands(&pattern, &moved);
}
