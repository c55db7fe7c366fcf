//! Which accusations of a solution are spoken out. To name an innocent is the worst failure: whatever is thin is
//! left unexplained, and where the log fits two stories both are told.

use std::collections::BTreeSet;

use super::chains::Chains;
use super::chains::chains;
use super::fit::Solution;
use super::model::Counts;
use super::problem::Problem;
use super::rivals::is_mixed;
use super::rivals::rivals;

/// A site that is mostly right needs this many surplus frees to be named at all,
const FEW_OF_MIXED: f64 = 5.0;
/// this many where its stacks differ further out, since it may then be a helper of several,
const FEW_OF_SEVERAL: f64 = 100.0;
/// and this many where somebody else could have done each of them.
const FEW: f64 = 20.0;

/// With more alternatives than these an accusation says nothing.
const MOST_OTHERS: usize = 3;

/// What is said of an accused group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sentence {
    /// It did it.
    Guilty,
    /// It did, or these did.
    Either(Vec<u32>),
    /// Nothing.
    Silent,
}

/// Judges every group with surplus frees.
pub(super) fn judge(problem: &Problem, solution: &Solution) -> Vec<(u32, Sentence)> {
    let counts = &solution.fit.counts;
    let rivals = rivals(problem, solution);
    let chains = chains(problem, solution);
    let sentence = |accused: u32| {
        if could_be_loss(problem, counts, accused) {
            return Sentence::Silent;
        }
        let in_first_lives = enders_in_first_lives(counts, accused);
        if let Some(sentence) = in_first_lives {
            return sentence;
        }
        if is_thin(problem, counts, accused) {
            return Sentence::Silent;
        }
        if let Some((_, instead)) = solution.either.iter().find(|(f, _)| *f == accused) {
            return Sentence::Either(instead.clone());
        }
        let mut others = interchangeable(counts, accused);
        if let Some(rivals) = rivals.get(&accused) {
            if rivals.is_empty() && counts.surplus[accused as usize] < FEW {
                return Sentence::Silent;
            }
            others.extend(rivals);
        }
        if others.is_empty() {
            Sentence::Guilty
        } else {
            Sentence::Either(others.into_iter().collect())
        }
    };
    counts
        .culprits()
        .into_iter()
        .map(|accused| {
            let sentence = sentence(accused);
            match chains.get(&accused) {
                Some(chains) => (accused, review(sentence, chains, accused)),
                None => (accused, sentence),
            }
        })
        .collect()
}

/// What is left of a sentence when everybody else who could have done it is heard.
fn review(sentence: Sentence, chains: &Chains, accused: u32) -> Sentence {
    if sentence == Sentence::Silent || chains.are_of(accused) {
        return sentence;
    }
    let mut others = chains.others(accused);
    if let Sentence::Either(instead) = sentence {
        others.extend(instead);
    }
    if others.is_empty() || others.len() > MOST_OTHERS {
        Sentence::Silent
    } else {
        Sentence::Either(others.into_iter().collect())
    }
}

/// Whether lost events alone would make as many of this group's frees look surplus.
fn could_be_loss(problem: &Problem, counts: &Counts, accused: u32) -> bool {
    let surplus = counts.surplus[accused as usize];
    if problem.drop_rate == 0.0 {
        return false;
    }
    if surplus <= problem.unjudged {
        return true;
    }
    let expected = problem.drop_rate * problem.traffic[accused as usize];
    let mut term = (-expected).exp();
    let mut below = 0.0;
    for k in 0..surplus as u64 {
        below += term;
        term *= expected / (k as f64 + 1.0);
    }
    surplus < 3.0 || 1.0 - below > 1e-4 / problem.frees as f64
}

/// Where every surplus free came right after the end of an address's first life, nobody else can have held the
/// address: it was freed again by this group, or too early by the one before.
fn enders_in_first_lives(counts: &Counts, accused: u32) -> Option<Sentence> {
    let surplus = counts.surplus[accused as usize];
    let enders: Vec<(u32, f64)> = counts
        .after_end_in_first_life
        .iter()
        .filter(|((_, free), _)| *free == accused)
        .map(|((ender, _), &count)| (*ender, count))
        .collect();
    let all: f64 = enders.iter().map(|ender| ender.1).sum();
    if all < surplus {
        return None;
    }
    let others: Vec<u32> = enders
        .iter()
        .map(|ender| ender.0)
        .filter(|&e| e != accused)
        .collect();
    let often_with_others = surplus >= 3.0 && others.len() >= 2;
    let alone = others
        .iter()
        .any(|&other| counts.ended_by(other) > 1.2 * surplus_after(counts, other, accused));
    if others.is_empty() || often_with_others || (surplus >= 3.0 && alone) {
        Some(Sentence::Guilty)
    } else {
        Some(Sentence::Either(others))
    }
}

fn surplus_after(counts: &Counts, ender: u32, accused: u32) -> f64 {
    counts
        .after_end
        .get(&(ender, accused))
        .copied()
        .unwrap_or(0.0)
}

/// Whether too little stands behind an accusation.
fn is_thin(problem: &Problem, counts: &Counts, accused: u32) -> bool {
    let surplus = counts.surplus[accused as usize];
    let clean = counts.clean[accused as usize];
    let traffic = problem.traffic[accused as usize];
    let is_mixed = is_mixed(counts, accused);
    let is_crowded = surplus < 0.6 * traffic && clean < 0.4 * surplus;
    let is_rare = surplus < 0.05 * traffic && (clean < 2.0 || clean < 0.1 * surplus);
    let is_several = problem.chains[accused as usize].len() > 1;
    let few = if is_several {
        FEW_OF_SEVERAL
    } else {
        FEW_OF_MIXED
    };
    surplus < 3.0 || is_mixed && surplus < few || is_crowded || is_rare
}

/// The groups whose part in the story could be exchanged with the accused's.
fn interchangeable(counts: &Counts, accused: u32) -> BTreeSet<u32> {
    let surplus = counts.surplus[accused as usize];
    let frees = counts.surplus.len();
    let mut others = BTreeSet::new();
    for (&(hitter, ender), &count) in &counts.hit_then_ended {
        if hitter == accused && count >= 0.9 * surplus {
            others.insert(ender);
        }
    }
    for (&(hitter, struck), &count) in &counts.hit_life {
        if hitter == accused && count >= 0.9 * surplus {
            let row = &counts.ended[struck as usize * frees..][..frees];
            let lives: f64 = row.iter().sum();
            others.extend(
                (0..frees)
                    .filter(|&f| row[f] > 0.0 && row[f] >= 0.03 * lives)
                    .map(|f| f as u32),
            );
        }
    }
    for (&(ender, after), &count) in &counts.after_end {
        let in_first = counts
            .after_end_in_first_life
            .get(&(ender, after))
            .copied()
            .unwrap_or(0.0);
        if after == accused
            && count >= 0.95 * counts.ended_by(ender)
            && count >= 0.8 * surplus
            && in_first < 3.0
        {
            others.insert(ender);
        }
    }
    others.remove(&accused);
    others
}
