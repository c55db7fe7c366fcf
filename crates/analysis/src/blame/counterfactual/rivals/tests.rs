//! Who is near enough to surplus frees to have done them. Group 1 is the accused, group 2 hardly ever ends lives.

use super::super::problem::Pattern;
use super::*;

const A: Token = Token::Allocate(0);

const fn f(group: u32) -> Token {
    Token::Free(group)
}

/// Two lives that end as usual, and then so many tokens that tell nothing.
fn after(lives: &[Token], gap: usize) -> Vec<Token> {
    [lives, &vec![Token::Reset; gap]].concat()
}

/// The rivals in a log of so many rows like this one, where group 2 has ended so many lives in all.
fn rivals_in(tokens: &[Token], rows: f64, ended_by_2: f64) -> BTreeMap<u32, BTreeSet<u32>> {
    let pattern = Pattern::new(Vec::new(), tokens.to_vec(), rows, rows);
    let problem = Problem::of_patterns((1, 3), vec![pattern]);
    let mut counts = Counts::new(&problem);
    counts.ended = vec![1000.0, 2.0 * ended_by_2, ended_by_2];
    counts.surplus[1] = 10.0;
    counts.gaps[1][0] = 10.0;
    counts.origins = BTreeMap::from([((Some(0), 1), 10.0)]);
    let model = Model::new(&problem, &counts, &BTreeSet::new(), None);
    rivals(&problem, &counts, &model)
}

fn of_2() -> BTreeMap<u32, BTreeSet<u32>> {
    BTreeMap::from([(1, BTreeSet::from([2]))])
}

#[test]
fn an_unusual_end_eight_tokens_away_is_near() {
    let before = |gap| [after(&[A, f(0), A, f(2)], gap), vec![f(1)]].concat();
    assert_eq!(rivals_in(&before(7), 10.0, 10.0), of_2());
    assert!(rivals_in(&before(8), 10.0, 10.0).is_empty());
    let behind = |gap| [after(&[A, f(0), A, f(0), f(1)], gap), vec![A, f(2)]].concat();
    assert_eq!(rivals_in(&behind(6), 10.0, 10.0), of_2());
    assert!(rivals_in(&behind(7), 10.0, 10.0).is_empty());
}

#[test]
fn in_the_first_life_nobody_else_can_have_been_it() {
    assert!(rivals_in(&[A, f(2), f(1)], 10.0, 10.0).is_empty());
    assert_eq!(rivals_in(&[A, f(0), A, f(2), f(1)], 10.0, 10.0), of_2());
}

#[test]
fn only_who_ends_less_than_half_as_many_is_unusual() {
    // What the accused ends itself is no rival's.
    assert!(rivals_in(&[A, f(1), A, f(0), f(1)], 10.0, 10.0).is_empty());
    assert!(rivals_in(&[A, f(0), A, f(0), f(1)], 10.0, 10.0).is_empty());
}

#[test]
fn a_rival_belongs_to_a_part_of_them() {
    let tokens = [A, f(0), A, f(2), f(1)];
    let nobody = || BTreeMap::from([(1, BTreeSet::new())]);
    // Half of the surplus frees have somebody near.
    assert_eq!(rivals_in(&tokens, 5.0, 10.0), of_2());
    assert!(rivals_in(&tokens, 4.0, 10.0).is_empty());
    // Who ends many lives elsewhere is there by chance.
    assert_eq!(rivals_in(&tokens, 6.0, 20.0), of_2());
    assert_eq!(rivals_in(&tokens, 6.0, 21.0), nobody());
    // The accused has to be right about as often.
    assert_eq!(rivals_in(&tokens, 10.0, 2.5), of_2());
    assert!(rivals_in(&tokens, 10.0, 2.0).is_empty());
}

#[test]
fn of_two_near_the_one_with_a_fifth_is_a_rival() {
    let often = [A, f(0), A, f(2), f(1)];
    let seldom = [A, f(0), A, f(3), f(1)];
    let rivals_with = |of_3: f64| {
        let rows = [(often, 8.0), (seldom, of_3)];
        let rows =
            rows.map(|(tokens, weight)| Pattern::new(Vec::new(), tokens.to_vec(), weight, weight));
        let problem = Problem::of_patterns((1, 4), rows.into());
        let mut counts = Counts::new(&problem);
        counts.ended = vec![1000.0, 50.0, 8.0, of_3];
        counts.surplus[1] = 10.0;
        counts.gaps[1][0] = 10.0;
        counts.origins = BTreeMap::from([((Some(0), 1), 10.0)]);
        let model = Model::new(&problem, &counts, &BTreeSet::new(), None);
        rivals(&problem, &counts, &model)
    };
    assert_eq!(
        rivals_with(2.0),
        BTreeMap::from([(1, BTreeSet::from([2, 3]))])
    );
    assert_eq!(rivals_with(1.0), of_2());
}
