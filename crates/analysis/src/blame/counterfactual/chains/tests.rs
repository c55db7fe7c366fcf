//! How far a chain goes back, and what the suspects of many chains say.

use super::super::problem::Pattern;
use super::*;

fn a(group: u32) -> Token {
    Token::Allocate(group)
}

fn f(group: u32) -> Token {
    Token::Free(group)
}

/// How lives end in a log in which they ended so often.
fn usual(ended: &[((u32, u32), usize)]) -> Usual {
    let of = |&((alloc, free), times): &((u32, u32), usize)| {
        let tokens = [a(alloc), f(free)].repeat(times);
        Pattern::new(Vec::new(), tokens, 1.0, 1.0)
    };
    let patterns = ended.iter().map(of).collect();
    Usual::new(&Problem::of_patterns((10, 10), patterns))
}

/// Chains with so many of each set of suspects.
fn chains_of(of: &[(&[u32], f64)], better_without: f64) -> Chains {
    let suspects = of.iter().map(|(groups, weight)| {
        let groups = groups.iter().copied().collect();
        (groups, *weight)
    });
    Chains {
        after_usual: 0.0,
        suspects: suspects.collect(),
        all: of.iter().map(|(_, weight)| weight).sum(),
        better_without,
    }
}

#[test]
fn chains_without_other_suspects_are_of_the_accused() {
    let are_of =
        |of: &[(&[u32], f64)], otherwise_right: bool| chains_of(of, 0.0).are_of(0, otherwise_right);
    assert!(are_of(&[], false));
    // Three are enough, or a tenth where that is more.
    assert!(are_of(&[(&[0], 3.0), (&[0, 1], 27.0)], true));
    assert!(!are_of(&[(&[0], 2.0), (&[0, 1], 18.0)], true));
    assert!(are_of(&[(&[0], 10.0), (&[0, 1], 90.0)], true));
    assert!(!are_of(&[(&[0], 9.0), (&[0, 1], 91.0)], true));
    // Alone, but not the accused.
    assert!(!are_of(&[(&[1], 30.0)], false));
}

#[test]
fn chains_of_which_two_others_could_do_most_are_not_surely_of_the_accused() {
    let others = |by_two: f64, by_many: u32, otherwise_right: bool, better_without: f64| {
        let mut of: Vec<(Vec<u32>, f64)> = vec![(vec![0, 1], by_two)];
        of.extend((0..by_many).map(|one| (vec![0, 2 + one], 1.0)));
        let of: Vec<(&[u32], f64)> = of.iter().map(|(s, w)| (s.as_slice(), *w)).collect();
        chains_of(&of, better_without).are_of(0, otherwise_right)
    };
    // Of twenty, two others could have done seventeen or eighteen.
    assert!(others(16.0, 4, false, 0.0));
    assert!(!others(17.0, 3, false, 0.0));
    // Of one that is otherwise right it may not be more than six in ten, if there are thirty.
    assert!(others(22.0, 8, false, 0.0));
    assert!(others(16.0, 14, true, 0.0));
    assert!(!others(17.0, 13, true, 0.0));
    assert!(others(20.0, 9, true, 0.0));
    // Some are told better without it.
    assert!(others(16.0, 4, false, 2.0));
    assert!(!others(16.0, 4, false, 3.0));
}

#[test]
fn where_the_accused_is_sometimes_alone_others_may_do_for_more() {
    let are_of = |alone: f64| {
        let of: [(&[u32], f64); 3] = [(&[0], alone), (&[0, 1], 40.0), (&[0, 1, 2], 10.0 - alone)];
        chains_of(&of, 0.0).are_of(0, true)
    };
    assert!(!are_of(0.0));
    assert!(!are_of(2.0));
    assert!(are_of(5.0));
    // From six in a hundred on it is not doubtful, though not sure either.
    let of = |alone: f64| {
        let of: [(&[u32], f64); 4] = [
            (&[0], alone),
            (&[0, 1], 40.0),
            (&[0, 2], 30.0),
            (&[0, 3], 30.0 - alone),
        ];
        chains_of(&of, 0.0).are_of(0, true)
    };
    assert!(!of(5.0));
    assert!(of(6.0));
}

#[test]
fn others_are_named_from_three_in_a_hundred_on() {
    let of: [(&[u32], f64); 3] = [(&[0, 1], 3.0), (&[0, 2], 2.0), (&[0], 95.0)];
    assert_eq!(chains_of(&of, 0.0).others(0), BTreeSet::from([1]));
}

#[test]
fn a_reset_ends_what_ended_as_usual() {
    let usual = usual(&[((0, 0), 5)]);
    let ends = Label::Ends(0);
    let found = |tokens: &[Token], labels: &[Label]| surplus_after_usual(tokens, labels, &usual);
    let tokens = [a(0), f(0), f(1)];
    assert_eq!(found(&tokens, &[Label::Given, ends, Label::Surplus]), [1]);
    let tokens = [a(0), f(0), Token::Reset, f(1)];
    let labels = [Label::Given, ends, Label::Given, Label::Surplus];
    assert!(found(&tokens, &labels).is_empty());
    let tokens = [a(0), f(0), a(0), Token::Reset, a(0), f(0), f(1)];
    let labels = [
        Label::Given,
        ends,
        Label::Given,
        Label::Given,
        Label::Given,
        ends,
        Label::Surplus,
    ];
    assert_eq!(found(&tokens, &labels), [1]);
}

#[test]
fn how_lives_end_is_known_from_those_that_end_so_often_enough() {
    let few_of_many = usual(&[((0, 0), 990), ((0, 1), 10), ((1, 2), 2), ((2, 3), 1)]);
    assert!(few_of_many.has(Some((0, 0))));
    assert!(!few_of_many.has(Some((0, 1))));
    assert!(few_of_many.has(Some((1, 2))));
    assert!(!few_of_many.has(Some((2, 3))));
    assert!(usual(&[((0, 0), 970), ((0, 1), 30)]).has(Some((0, 1))));
}

#[test]
fn segments_begin_where_nothing_is_open() {
    let of = |tokens: &[Token]| {
        let segments = segments(tokens);
        let of = segments.into_iter();
        of.map(|segment| (segment.tokens, segment.has_excess))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&[a(0), a(1), f(0), f(1)]), [(0..4, false)]);
    assert_eq!(of(&[a(0), f(0), f(0), a(0)]), [(0..3, true), (3..4, false)]);
    // A reset is no free, and what was open is so no more.
    assert_eq!(of(&[a(0), f(0), Token::Reset]), [(0..2, false)]);
    assert_eq!(
        of(&[a(0), Token::Reset, a(0), f(0)]),
        [(0..1, false), (2..4, false)]
    );
}

#[test]
fn a_chain_goes_back_to_what_ended_as_usual_and_not_too_far() {
    let usual = usual(&[((0, 0), 5)]);
    let unusual = [a(1), f(1)];
    let chain_of = |tokens: &[Token], by: usize| {
        let excess = tokens.len() - 1;
        chain(&segments(tokens), &usual, excess, by)
    };
    // Six segments, and the one with the excess free.
    let mut tokens = unusual.repeat(10);
    tokens.extend([a(1), f(1), f(1)]);
    assert_eq!(chain_of(&tokens, 22), 8..23);
    // One that ended as usual is gone past, not two.
    let mut tokens = [[a(0), f(0)]; 3].concat();
    tokens.extend([a(1), f(1), f(1)]);
    assert_eq!(chain_of(&tokens, 8), 4..9);
    // The free charged with it is in it in any case, also one before all that is known.
    assert_eq!(chain_of(&tokens, 1), 0..9);
    assert_eq!(chain_of(&[f(1)], 0), 0..1);
    assert_eq!(chain_of(&[f(1), a(0), f(0), f(0)], 0), 0..4);
}

#[test]
fn in_a_chain_with_a_reset_everybody_is_a_suspect() {
    let usual = usual(&[((0, 0), 9), ((0, 1), 9), ((1, 2), 9)]);
    let groups = |tokens: &[Token]| suspects(tokens, false, &usual, 0, |_| false).groups;
    // That the first life's end was the surplus free would leave two lives to ends that they never have.
    let tokens = [a(0), f(0), a(1), f(2), f(1)];
    assert_eq!(groups(&tokens), BTreeSet::from([0, 1]));
    let with_reset = [&tokens[..2], &[Token::Reset], &tokens[2..]].concat();
    assert_eq!(groups(&with_reset), BTreeSet::from([0, 1, 2]));
}
