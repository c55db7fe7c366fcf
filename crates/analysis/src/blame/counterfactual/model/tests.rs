//! What a model costs, held against the formulas.

use super::super::problem::Pattern;
use super::super::problem::Token;
use super::*;

/// The log of an address at which group 0 allocates and frees so often.
fn churn(lives: usize) -> Problem {
    let tokens = [Token::Allocate(0), Token::Free(0)].repeat(lives);
    let pattern = Pattern::new(Vec::new(), tokens, 1.0, 1.0);
    Problem::of_patterns((1, 1), vec![pattern])
}

#[track_caller]
fn assert_close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} is not {b}");
}

#[test]
fn a_surplus_free_of_a_life_out_of_sight_has_its_own_price() {
    let problem = churn(100);
    let mut counts = Counts::new(&problem);
    counts.surplus[0] = 10.0;
    counts.gaps[0][7] = 1000.0;
    let model = Model::new(&problem, &counts, &BTreeSet::new(), None);
    let Some(origins) = &model.origins[0] else {
        panic!("it has surplus frees");
    };
    let in_sight: f64 = origins.parts(&[0; LOOK_BACK]).sum();
    let cost_of = |lives: usize| model.surplus_costs(0, &vec![0; lives]).0;
    assert_close(cost_of(LOOK_BACK), -in_sight.ln());
    let with_one_more = in_sight + 0.02 * origins.base;
    assert_close(cost_of(LOOK_BACK + 1), -with_one_more.ln());
    // It hardly ever frees what is near: the life that nobody sees is the likeliest, where there is one.
    assert_eq!(model.likeliest(0, &[0; LOOK_BACK], 0), Some(33));
    assert_eq!(model.likeliest(0, &[0; LOOK_BACK + 1], 0), None);
}

#[test]
fn a_surplus_free_of_what_is_near_is_of_the_nearest() {
    let problem = churn(100);
    let mut counts = Counts::new(&problem);
    counts.surplus[0] = 10.0;
    counts.gaps[0][0] = 1000.0;
    let model = Model::new(&problem, &counts, &BTreeSet::new(), None);
    assert_eq!(model.likeliest(0, &[0; 100], 0), Some(0));
    assert_eq!(model.likeliest(0, &[0; 10], 1), Some(1));
    assert_eq!(model.likeliest(0, &[0], 1), None);
}

#[test]
fn a_surplus_free_whose_life_cannot_be_told_is_one_of_all_lives() {
    let problem = churn(16);
    let counts = Counts::new(&problem);
    let mut with = counts.clone();
    with.origins.insert((None, 0), 4.0);
    let model = Model::new(&problem, &counts, &BTreeSet::new(), None);
    let length = |counts: &Counts| model.description_length(&problem, counts);
    let expected = 4.0 * 4.0_f64.ln() + 4.0 + 0.5 * 16.0_f64.ln();
    assert_close(length(&with) - length(&counts), expected);
}

#[test]
fn a_life_that_nobody_ends_costs_by_how_many_there_are() {
    let problem = churn(9);
    let mut counts = Counts::new(&problem);
    counts.ended[0] = 7.0;
    counts.leaked[0] = 2.0;
    let model = Model::new(&problem, &counts, &BTreeSet::new(), None);
    let share = (2.0 + 0.5) / (9.0 + 1.0);
    assert_close(model.leak[0], -((2.0 + 0.5 * share) / 9.5_f64).ln());
    assert_close(model.end(0, 0), -(7.5_f64 / 9.5).ln());
}

#[test]
fn distances_are_counted_by_their_bounds() {
    let gaps = [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 1000].map(gap_of);
    assert_eq!(gaps, [0, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]);
}
