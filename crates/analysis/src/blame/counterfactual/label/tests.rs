//! The fast ways to label come to the same labels as the slow one.

use std::collections::BTreeSet;
use std::rc::Rc;

use proptest::prelude::*;

use super::super::model::Counts;
use super::super::model::Model;
use super::super::problem::Pattern;
use super::super::problem::Problem;
use super::super::problem::Token;
use super::Labelled;
use super::Labeller;
use super::oracle::Slow;

/// A generator of pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % bound.max(1)
    }
}

/// What the rows of a made-up log are like: how many groups there are, and of ten tokens how many are allocates.
#[derive(Clone, Copy, Debug)]
struct Nature {
    allocs: usize,
    frees: usize,
    allocates: usize,
    len: usize,
}

fn pattern(random: &mut Random, nature: Nature) -> Pattern {
    let group = |random: &mut Random, groups: usize| {
        // Some are much more frequent than others.
        let most = 1 + random.below(groups);
        random.below(most) as u32
    };
    let mut tokens = Vec::new();
    for _ in 0..random.below(nature.len) {
        tokens.push(if random.below(60) == 0 {
            Token::Reset
        } else if random.below(10) < nature.allocates {
            Token::Allocate(group(random, nature.allocs))
        } else {
            Token::Free(group(random, nature.frees))
        });
    }
    let before = random.below(12);
    let context = (0..before).map(|_| group(random, nature.allocs)).collect();
    Pattern::new(context, tokens, 1.0 + random.below(3) as f64 / 2.0, 1.0)
}

fn problem(random: &mut Random, nature: Nature, rows: usize) -> Problem {
    Problem::of_patterns(
        (nature.allocs, nature.frees),
        (0..rows).map(|_| pattern(random, nature)).collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_fast_search_finds_what_the_slow_one_found(
        seed in any::<u64>(),
        allocs in 1_usize..12,
        frees in 1_usize..12,
        allocates in 2_usize..8,
        len in prop_oneof![4 => 1_usize..24, 1 => 24_usize..200],
        banned in proptest::collection::btree_set(0_u32..12, 0..3),
    ) {
        let nature = Nature { allocs, frees, allocates, len };
        let mut random = Random(seed);
        let problem = problem(&mut random, nature, 40);
        let counts = Counts::new(&problem);
        let guess: Vec<f64> = (0..frees).map(|_| random.below(6) as f64).collect();
        let mut model = Model::new(&problem, &counts, &banned, Some(&guess));
        for _ in 0..4 {
            let mut fast = Labeller::new(&problem, &model);
            let mut slow = Slow::new(&model);
            for pattern in &problem.patterns {
                let (context, tokens) = (&pattern.context, &pattern.tokens);
                prop_assert_eq!(fast.label(context, tokens), slow.label(context, tokens));
            }
            let counts = Labelled::new(&problem, Rc::new(model), &[]).count(&problem);
            model = Model::new(&problem, &counts, &BTreeSet::new(), None);
        }
    }

    /// As in a fit: the next model is a little different, or one group is declared innocent.
    #[test]
    fn labels_that_are_taken_over_are_those_that_would_be_found(
        seed in any::<u64>(),
        allocs in 1_usize..12,
        frees in 1_usize..12,
        allocates in 3_usize..7,
        len in prop_oneof![4 => 1_usize..24, 1 => 24_usize..120],
    ) {
        rounds(seed, Nature { allocs, frees, allocates, len })?;
    }
}

/// Some rounds as of a fit; how many labels were taken over.
fn rounds(seed: u64, nature: Nature) -> Result<usize, TestCaseError> {
    let frees = nature.frees;
    let mut random = Random(seed);
    let problem = problem(&mut random, nature, 60);
    let mut counts = Counts::new(&problem);
    let guess: Vec<f64> = (0..frees).map(|_| random.below(6) as f64).collect();
    let mut banned = BTreeSet::new();
    let mut guess = Some(guess.as_slice());
    let mut rounds: Vec<Labelled> = Vec::new();
    let mut taken_over = 0;
    for round in 0..8 {
        if round % 3 == 2 {
            banned.insert(random.below(frees) as u32);
        }
        let model = Rc::new(Model::new(&problem, &counts, &banned, guess.take()));
        let near: Vec<&Labelled> = rounds.iter().rev().take(2).collect();
        let labelled = Labelled::new(&problem, Rc::clone(&model), &near);
        let afresh = Labelled::new(&problem, model, &[]);
        prop_assert_eq!(labelled.labels(), afresh.labels());
        taken_over += labelled.taken_over();
        counts = labelled.count(&problem);
        rounds.push(labelled);
    }
    Ok(taken_over)
}

/// Where rows are short, many stand; the property above would hold if none ever did.
#[test]
fn many_labels_are_taken_over() {
    let nature = Nature {
        allocs: 6,
        frees: 6,
        allocates: 5,
        len: 12,
    };
    let taken_over: usize = (0..20)
        .map(|seed| rounds(seed, nature).expect("they are the same"))
        .sum();
    // Of 60 in each of 8 rounds.
    assert!(taken_over > 20 * 8 * 60 / 5, "{taken_over}");
}
