//! What an accusation needs where a log was cut.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::debts::Debts;
use super::model::Counts;
use super::model::Model;
use super::problem::Pattern;
use super::*;

/// A log in which group 1 frees again what group 0 has freed, by rows that were looked at and stand for more.
fn is_enough(rows: &[(f64, f64)]) -> bool {
    let tokens = vec![Token::Allocate(0), Token::Free(0), Token::Free(1)];
    let rows = rows
        .iter()
        .map(|&(seen, weight)| Pattern::new(Vec::new(), tokens.clone(), weight, seen));
    // Rows in which it does nothing, and one in which it is right: they are not asked.
    let quiet = vec![Token::Allocate(0), Token::Free(0)];
    let right = vec![Token::Allocate(1), Token::Free(1)];
    let others = [quiet, right].map(|tokens| Pattern::new(Vec::new(), tokens, 500.0, 100.0));
    let problem = Problem::of_patterns((2, 2), rows.chain(others).collect());
    let mut counts = Counts::new(&problem);
    counts.ended = vec![600.0, 0.0, 0.0, 500.0];
    counts.surplus[1] = 50.0;
    counts.gaps[1][0] = 50.0;
    counts.origins = BTreeMap::from([((Some(0), 1), 50.0)]);
    let model = Model::new(&problem, &counts, &BTreeSet::new(), None);
    is_seen_enough(&problem, &model, 1)
}

#[test]
fn where_rows_stand_for_others_twenty_have_to_have_been_looked_at() {
    assert!(is_enough(&[(3.0, 3.0)]), "each stands for itself");
    assert!(is_enough(&[(20.0, 40.0)]));
    assert!(!is_enough(&[(19.0, 40.0)]));
    assert!(is_enough(&[(10.0, 20.0), (10.0, 30.0)]));
    assert!(is_enough(&[]));
}

#[test]
fn whose_lives_others_strike_can_be_accused_of_their_frees() {
    let is_struck_by = |by: &[((u32, u32), f64)], ends: f64| {
        let problem = Problem::of_patterns((1, 3), Vec::new());
        let mut counts = Counts::new(&problem);
        counts.surplus = vec![10.0, 0.0, 0.0];
        counts.ended = vec![ends, 0.0, 0.0];
        counts.hit_then_ended = by.iter().copied().collect();
        is_struck(&counts, 0)
    };
    assert!(is_struck_by(&[((1, 0), 1.0)], 5.0));
    assert!(!is_struck_by(&[((1, 0), 0.9)], 5.0));
    assert!(is_struck_by(&[((1, 0), 0.5), ((2, 0), 0.5)], 5.0));
    assert!(!is_struck_by(&[((1, 0), 1.0)], 4.0), "it is seldom right");
    assert!(!is_struck_by(&[((0, 0), 9.0)], 5.0), "by itself");
    assert!(!is_struck_by(&[((1, 2), 9.0)], 5.0), "of another");
    assert!(!is_struck_by(&[], 5.0));
}

#[test]
fn the_oldest_debt_is_paid_first_and_none_after_a_reset() {
    let mut debts = Debts::default();
    // Two surplus frees that struck, and one whose labels tell nothing.
    assert_eq!(debts.charged(false, false, Some(3)), None);
    assert_eq!(debts.charged(false, false, None), None);
    assert_eq!(debts.charged(false, false, Some(5)), None);
    assert_eq!(debts.charged(false, true, None), None);
    assert_eq!(debts.charged(true, false, Some(7)), Some(7));
    assert_eq!(debts.charged(true, true, None), Some(3));
    assert_eq!(debts.charged(true, true, None), None);
    debts.reset();
    assert_eq!(debts.charged(true, true, None), None);
    assert_eq!(debts.charged(false, false, Some(9)), None);
    assert_eq!(debts.charged(true, true, None), Some(9));
}
