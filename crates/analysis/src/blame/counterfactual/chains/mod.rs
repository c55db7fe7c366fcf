//! Who else can have done it, chain by chain: the check that keeps an accusation from naming an innocent.
//!
//! A description is short, not true: where a stale free always strikes the same buffers, the story in which their
//! owners free twice can be the shorter one. So every excess free is looked at on its own. Its *chain* goes back
//! to the last life that surely ended as such lives do; within it, every free that could be the one too many is a
//! suspect. How lives end is taken from where nothing is wrong, far from any excess free, not from the fit.

mod segments;
mod suspects;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use self::segments::Usual;
use self::segments::chain;
use self::segments::segments;
use self::suspects::Suspects;
use self::suspects::suspects;
use super::debts::Debts;
use super::fit::Solution;
use super::label::Label;
use super::label::Labeller;
use super::problem::Problem;
use super::problem::Token;

/// A chain with more suspects tells little.
const TELLING: usize = 3;
/// Of so many chains some should have no other suspect.
const DOUBTFUL: f64 = 30.0;
/// How often a thing is seen until it is known.
const KNOWN: f64 = 5.0;

/// The chains that end in excess frees which an accused explains.
#[derive(Clone, Debug, Default)]
pub(super) struct Chains {
    /// Surplus frees right after a life that ended as such lives do.
    after_usual: f64,
    /// Suspects, and how many chains have these.
    suspects: BTreeMap<BTreeSet<u32>, f64>,
    all: f64,
    /// Chains that are told better with the accused as a rightful owner.
    better_without: f64,
}

impl Chains {
    /// Long chains in which nearly everybody is a suspect tell nothing; they count only where there are no others.
    fn new(of: Vec<(Suspects, f64)>) -> Self {
        let all: f64 = of.iter().map(|(_, weight)| weight).sum();
        let is_telling = |suspects: &Suspects| suspects.groups.len() <= TELLING;
        let telling: f64 = of
            .iter()
            .filter(|(suspects, _)| is_telling(suspects))
            .map(|(_, weight)| weight)
            .sum();
        let enough = telling >= f64::max(3.0, 0.1 * all);
        let mut chains = Self::default();
        for (suspects, weight) in of {
            if enough && !is_telling(&suspects) {
                continue;
            }
            chains.all += weight;
            if suspects.better_without {
                chains.better_without += weight;
            }
            *chains.suspects.entry(suspects.groups).or_default() += weight;
        }
        chains
    }

    /// Whether nobody else is needed to explain any of it, and nobody else could. Who is `otherwise_right` is a suspect
    /// wherever it frees: where nearly always somebody else is one too, two others need not do for all of it.
    pub(super) fn are_of(&self, accused: u32, otherwise_right: bool) -> bool {
        if self.all == 0.0 {
            return true;
        }
        let alone: f64 = self
            .suspects
            .iter()
            .filter(|(suspects, _)| suspects.len() == 1 && suspects.contains(&accused))
            .map(|(_, weight)| weight)
            .sum();
        if alone >= f64::max(3.0, 0.1 * self.all) {
            return true;
        }
        let is_doubtful = otherwise_right && self.all >= DOUBTFUL && alone < 0.06 * self.all;
        let most = if is_doubtful { 0.6 } else { 0.9 };
        self.better_without <= 0.1 * self.all && self.hit_by(2, accused) < most * self.all
    }

    /// How many surplus frees came when nothing was open, after a life that ended as such lives do.
    pub(super) fn after_usual(&self) -> f64 {
        self.after_usual
    }

    /// Whether there is another who could have done nearly all of it.
    pub(super) fn are_of_one_other(&self, accused: u32) -> bool {
        self.all >= KNOWN && self.hit_by(1, accused) >= 0.9 * self.all
    }

    /// How many chains have one of the `most` others that most chains have.
    fn hit_by(&self, most: usize, accused: u32) -> f64 {
        let mut left: Vec<(&BTreeSet<u32>, f64)> =
            self.suspects.iter().map(|(s, &w)| (s, w)).collect();
        let mut hit = 0.0;
        for _ in 0..most {
            let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
            for (suspects, weight) in &left {
                for &suspect in suspects.iter().filter(|&&suspect| suspect != accused) {
                    *counts.entry(suspect).or_default() += weight;
                }
            }
            let Some((often, count)) = counts
                .into_iter()
                .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
            else {
                break;
            };
            hit += count;
            left.retain(|(suspects, _)| !suspects.contains(&often));
        }
        hit
    }

    /// Everybody else who could have done a part of it that is worth a word.
    pub(super) fn others(&self, accused: u32) -> BTreeSet<u32> {
        let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
        for (suspects, weight) in &self.suspects {
            for &suspect in suspects.iter().filter(|&&suspect| suspect != accused) {
                *counts.entry(suspect).or_default() += weight;
            }
        }
        let enough = 0.03 * self.all;
        counts.retain(|_, count| *count >= enough);
        counts.into_keys().collect()
    }
}

/// The chains of everybody with surplus frees.
pub(super) fn chains(problem: &Problem, solution: &Solution) -> BTreeMap<u32, Chains> {
    let usual = Usual::new(problem);
    let mut chains: BTreeMap<u32, Vec<(Suspects, f64)>> = BTreeMap::new();
    let mut labeller = Labeller::new(problem, &solution.fit.model);
    let mut after_usual: BTreeMap<u32, f64> = BTreeMap::new();
    for pattern in &problem.patterns {
        let tokens = &pattern.tokens;
        let segments = segments(tokens);
        if !segments.iter().any(|segment| segment.has_excess) {
            continue;
        }
        let weight = pattern.weight;
        let is_start = pattern.context.is_empty();
        let labels = labeller.label(&pattern.context, tokens);
        for free in surplus_after_usual(tokens, &labels, &usual) {
            *after_usual.entry(free).or_default() += weight;
        }
        for (excess, by) in charges(tokens, &labels) {
            let Token::Free(accused) = tokens[by] else {
                continue;
            };
            let chain = chain(&segments, &usual, excess, by);
            let is_usual = |token: usize| {
                let at = segments.partition_point(|segment| segment.tokens.start <= token);
                let segment = at.checked_sub(1).and_then(|at| segments.get(at));
                token != by && segment.is_some_and(|segment| usual.has(segment.ordinary))
            };
            let is_start = is_start && chain.start == 0;
            let of = suspects(&tokens[chain.clone()], is_start, &usual, accused, |token| {
                is_usual(chain.start + token)
            });
            let entry = chains.entry(accused).or_default();
            entry.push((of, weight));
        }
    }
    let only_telling = |(accused, of)| {
        let after_usual = after_usual.get(&accused).copied().unwrap_or(0.0);
        let chains = Chains {
            after_usual,
            ..Chains::new(of)
        };
        (accused, chains)
    };
    chains.into_iter().map(only_telling).collect()
}

/// The groups of surplus frees that came when nothing was open, after a life that ended as usual, one by one.
fn surplus_after_usual(tokens: &[Token], labels: &[Label], usual: &Usual) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = 0_usize;
    let mut ended_as_usual = false;
    for (&token, &label) in tokens.iter().zip(labels) {
        match (token, label) {
            (Token::Allocate(_), _) => open += 1,
            (Token::Reset, _) => {
                open = 0;
                ended_as_usual = false;
            }
            (Token::Free(f), Label::Ends(a)) => {
                open = open.saturating_sub(1);
                ended_as_usual = usual.cost(a, f) == 0.0;
            }
            (Token::Free(f), Label::Surplus) if open == 0 && ended_as_usual => found.push(f),
            _ => {}
        }
    }
    found
}

/// The excess frees of a labelled row, by count, each with the surplus free that is charged with it.
fn charges(tokens: &[Token], labels: &[Label]) -> Vec<(usize, usize)> {
    let mut charges = Vec::new();
    let mut open = 0_usize;
    let mut debts = Debts::default();
    for (index, (&token, &label)) in tokens.iter().zip(labels).enumerate() {
        match token {
            Token::Allocate(_) => open += 1,
            Token::Reset => {
                open = 0;
                debts.reset();
            }
            Token::Free(_) => {
                let is_excess = open == 0;
                open = open.saturating_sub(1);
                let ends_life = matches!(label, Label::Ends(_));
                let surplus = (label == Label::Surplus).then_some(index);
                let by = debts.charged(is_excess, ends_life, surplus);
                charges.extend(by.map(|by| (index, by)));
            }
        }
    }
    charges
}
