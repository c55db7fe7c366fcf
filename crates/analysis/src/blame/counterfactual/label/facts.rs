//! Tests of what a labelled row tells, and how it is counted.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::super::model::Counts;
use super::super::model::Model;
use super::super::problem::Problem;
use super::super::problem::Token;
use super::Fact;
use super::Label;
use super::tell;

const GROUPS: (usize, usize) = (1, 3);

/// What a row tells, counted twice with weight 3.
fn counts(tokens: &[Token], labels: &[Label]) -> Counts {
    let problem = Problem::of_patterns(GROUPS, Vec::new());
    let mut counts = Counts::new(&problem);
    let model = Model::new(&problem, &counts, &BTreeSet::new(), None);
    for _ in 0..2 {
        tell(&model, &[], tokens, labels, |fact| counts.add(fact, 3.0));
    }
    counts
}

#[test]
fn surplus_frees_are_clean_where_no_others_are_among_them() {
    let tokens = |second: u32| {
        let free = Token::Free;
        [Token::Allocate(0), free(0), free(1), free(second)]
    };
    let labels = [Label::Given, Label::Ends(0), Label::Surplus, Label::Surplus];
    assert_eq!(counts(&tokens(1), &labels).clean, [0.0, 12.0, 0.0]);
    assert_eq!(counts(&tokens(2), &labels).clean, [0.0, 0.0, 0.0]);
}

#[test]
fn surplus_frees_in_a_row_are_counted_from_the_second_on() {
    let tokens = [
        Token::Allocate(0),
        Token::Free(0),
        Token::Free(1),
        Token::Free(1),
    ];
    let labels = [Label::Given, Label::Ends(0), Label::Surplus, Label::Surplus];
    let counts = counts(&tokens, &labels);
    assert_eq!(counts.repeated, [0.0, 6.0, 0.0]);
    assert_eq!(counts.surplus, [0.0, 12.0, 0.0]);
}

#[test]
fn a_life_that_ends_under_another_ends_late() {
    let mut counts = Counts::new(&Problem::of_patterns(GROUPS, Vec::new()));
    let ended = |late: bool| Fact::Ended {
        token: 0,
        began: 0,
        alloc: 0,
        free: 1,
        late,
        in_first_life: false,
    };
    counts.add(ended(true), 3.0);
    counts.add(ended(true), 2.0);
    counts.add(ended(false), 1.0);
    assert_eq!(counts.ended_late, [5.0]);
    assert_eq!(counts.ended, [0.0, 6.0, 0.0]);
}

#[test]
fn what_is_told_of_a_surplus_free_is_counted_by_who_and_whose() {
    let tokens = [
        Token::Allocate(0),
        Token::Free(0),
        Token::Free(1),
        Token::Allocate(0),
        Token::Free(2),
        Token::Free(0),
    ];
    let labels = [
        Label::Given,
        Label::Ends(0),
        Label::Surplus,
        Label::Given,
        Label::Surplus,
        Label::Ends(0),
    ];
    let counts = counts(&tokens, &labels);
    let of = |key: (u32, u32)| BTreeMap::from([(key, 6.0)]);
    assert_eq!(counts.ended, [12.0, 0.0, 0.0]);
    assert_eq!(counts.ended_first, of((0, 0)));
    assert_eq!(counts.surplus, [0.0, 6.0, 6.0]);
    assert_eq!(counts.after_end, of((0, 1)));
    assert_eq!(counts.after_end_in_first_life, of((0, 1)));
    // The other one strikes the second life, and frees the first one again.
    assert_eq!(counts.hit_life, of((2, 0)));
    assert_eq!(counts.hit_then_ended, of((2, 0)));
    assert_eq!(
        counts.freed_again,
        BTreeMap::from([((0, 1), 6.0), ((0, 2), 6.0)])
    );
    assert_eq!(
        counts.origins,
        BTreeMap::from([((Some(0), 1), 6.0), ((Some(0), 2), 6.0)])
    );
    assert_eq!(counts.clean, [0.0, 6.0, 6.0]);
}
