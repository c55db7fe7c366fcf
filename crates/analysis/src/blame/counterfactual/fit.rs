//! Finds the labelling with the shortest description, and what each accusation is worth.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::rc::Rc;

use super::label::Labelled;
use super::model::Counts;
use super::model::Model;
use super::problem::Problem;
use super::problem::Token;

/// Rounds of labelling and counting again, at most.
const ROUNDS: usize = 12;
/// The same when a group was just declared innocent.
const ROUNDS_OF_REVISION: usize = 4;
const ROUNDS_OF_EVIDENCE: usize = 6;
/// The evidence in nats that an accusation needs.
const EVIDENCE: f64 = 6.0;
/// How many accusations are revised at most.
const MOST_REVISED: usize = 60;

/// Of what the models of a fit are kept for the next one, if they have no more pairs of groups than this.
const MOST_KEPT: usize = 1 << 18;

/// A model with its own labelling and the counts of that.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    pub(super) length: f64,
    pub(super) counts: Counts,
    pub(super) model: Rc<Model>,
    labelled: Rc<Labelled>,
    /// More rounds would not have come to another one.
    is_finished: bool,
}

/// The answer: the best fit, and groups that another story needs instead of one of it.
#[derive(Debug)]
pub(super) struct Solution {
    pub(super) fit: Fit,
    /// (accused, others that would take its place).
    pub(super) either: Vec<(u32, Vec<u32>)>,
    /// Those that were declared innocent for good.
    pub(super) banned: BTreeSet<u32>,
    /// By how much the description gets longer without one of those that are left, as far as it was weighed.
    pub(super) costs: BTreeMap<u32, f64>,
}

/// The rounds of the last fit from the same start: those of the next are much like them.
type Trail = Vec<Rc<Labelled>>;

/// Labels and counts in turn until nothing gets shorter, or until `hopeless` of the lengths so far. Labels are taken over
/// from the round before, at first from `near`, and from the same round of the `trail`.
fn fit(
    problem: &Problem,
    model: Model,
    (banned, rounds): (&BTreeSet<u32>, usize),
    near: Option<Rc<Labelled>>,
    trail: &mut Trail,
    hopeless: impl Fn(&[f64]) -> bool,
) -> Fit {
    let mut model = Rc::new(model);
    let mut last = near;
    let mut passed = Trail::new();
    let mut best: Option<Fit> = None;
    let mut before: Option<Counts> = None;
    let mut lengths = Vec::new();
    let mut stale = 0;
    loop {
        let same_round = trail.get(lengths.len());
        let near: Vec<&Labelled> = last.iter().chain(same_round).map(|l| &**l).collect();
        let labelled = Rc::new(Labelled::new(problem, Rc::clone(&model), &near));
        let counts = labelled.count(problem);
        let length = model.description_length(problem, &counts);
        let next = Model::new(problem, &counts, banned, None);
        lengths.push(length);
        // The next round would only repeat this one.
        let is_settled = before.as_ref() == Some(&counts);
        before = Some(counts.clone());
        last = Some(Rc::clone(&labelled));
        if problem.allocs * problem.frees <= MOST_KEPT {
            passed.push(Rc::clone(&labelled));
        }
        let is_shorter = best.as_ref().is_none_or(|best| length < best.length - 0.5);
        let kept = match best.take() {
            Some(best) if !is_shorter => {
                stale += 1;
                best
            }
            _ => {
                stale = 0;
                Fit {
                    length,
                    counts,
                    model,
                    labelled,
                    is_finished: false,
                }
            }
        };
        let is_finished = is_settled || stale == 2 || hopeless(&lengths);
        if is_finished || lengths.len() >= rounds {
            *trail = passed;
            return Fit {
                is_finished,
                ..kept
            };
        }
        best = Some(kept);
        model = Rc::new(next);
    }
}

/// Whether a fit is so far from `goal`, and comes so little nearer, that it will not get there.
fn out_of_reach(lengths: &[f64], goal: f64) -> bool {
    let [.., before, last] = lengths else {
        return false;
    };
    let gap = last - goal;
    lengths.len() >= 3 && gap > 300.0 && before - last < 0.1 * gap
}

/// Where a fit starts from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Groups in proportion to how exclusively they are seen in lives that were freed twice.
    Spectrum,
    /// All groups that are seen there alike.
    Uniform,
    /// As `Spectrum`, but lives hardly ever stay open.
    SlowToEnd,
}

/// First counts, and a guess at the surplus of each group.
fn start(problem: &Problem, start: Start) -> (Counts, Vec<f64>) {
    let mut counts = Counts::new(problem);
    let mut in_failed = vec![0.0f64; problem.frees];
    let mut in_passed = vec![0.0f64; problem.frees];
    let mut excess = 0.0;
    for pattern in &problem.patterns {
        let weight = pattern.weight;
        let mut rest = pattern.tokens.as_slice();
        while let Some((first, after)) = rest.split_first() {
            let frees = after
                .iter()
                .take_while(|token| matches!(token, Token::Free(_)))
                .count();
            rest = &after[frees..];
            let Token::Allocate(a) = *first else {
                continue;
            };
            for token in &after[..frees] {
                if let Token::Free(f) = *token {
                    counts.ended[a as usize * problem.frees + f as usize] += weight / frees as f64;
                    let seen = if frees > 1 {
                        &mut in_failed
                    } else {
                        &mut in_passed
                    };
                    seen[f as usize] += weight;
                }
            }
            excess += weight * frees.saturating_sub(1) as f64;
        }
    }
    let share = |f: usize| match start {
        Start::Uniform => f64::from(u8::from(in_failed[f] > 0.0)),
        _ => in_failed[f] * in_failed[f] / (in_failed[f] + in_passed[f]).max(1.0),
    };
    let shares: Vec<f64> = (0..problem.frees).map(share).collect();
    let sum = shares.iter().sum::<f64>().max(1e-9);
    if start == Start::SlowToEnd {
        counts.passed.fill(100.0);
        counts.ended_late.fill(2.0);
    }
    (
        counts,
        shares.iter().map(|share| excess * share / sum).collect(),
    )
}

fn fit_from(problem: &Problem, kind: Start) -> Fit {
    let none = BTreeSet::new();
    let (counts, guess) = start(problem, kind);
    let model = Model::new(problem, &counts, &none, Some(&guess));
    let mut trail = Trail::new();
    fit(problem, model, (&none, ROUNDS), None, &mut trail, |_| false)
}

/// A fit from the start that is right most often: good enough to compare groupings by.
pub(super) fn first_fit(problem: &Problem) -> Fit {
    fit_from(problem, Start::Spectrum)
}

/// The best of `first` and the fits from other starts: labelling and counting in turn only finds what is near.
pub(super) fn best_fit(problem: &Problem, first: Fit) -> Fit {
    let others = [Start::Uniform, Start::SlowToEnd].map(|kind| fit_from(problem, kind));
    others.into_iter().fold(first, shorter)
}

fn shorter(a: Fit, b: Fit) -> Fit {
    if b.length < a.length { b } else { a }
}

/// Fits with this group or that declared innocent, one after another.
struct Refits<'a> {
    problem: &'a Problem,
    from_best: Trail,
    afresh: Trail,
    /// The lengths of those from the best fit so far that more rounds would not have made shorter.
    finished: BTreeMap<BTreeSet<u32>, f64>,
}

impl<'a> Refits<'a> {
    fn new(problem: &'a Problem) -> Self {
        Self {
            problem,
            from_best: Trail::new(),
            afresh: Trail::new(),
            finished: BTreeMap::new(),
        }
    }

    /// There is a better fit than the best so far.
    fn has_new_best(&mut self) {
        self.finished.clear();
    }

    /// The best fit in which `banned` are innocent, from `best` on.
    fn go_on_from(&mut self, best: &Fit, banned: &BTreeSet<u32>, rounds: usize) -> Fit {
        let model = Model::new(self.problem, &best.counts, banned, None);
        let near = Some(Rc::clone(&best.labelled));
        let trail = &mut self.from_best;
        let fit = fit(
            self.problem,
            model,
            (banned, rounds),
            near,
            trail,
            |lengths| out_of_reach(lengths, best.length),
        );
        if fit.is_finished {
            self.finished.insert(banned.clone(), fit.length);
        }
        fit
    }

    /// The same, also from scratch: how long it is, and the fit if it is a match for the best one.
    fn also_afresh(&mut self, best: &Fit, banned: &BTreeSet<u32>) -> (f64, Option<Fit>) {
        let (counts, mut guess) = start(self.problem, Start::Spectrum);
        for &group in banned {
            guess[group as usize] = 0.0;
        }
        let model = Model::new(self.problem, &counts, banned, Some(&guess));
        let rounds = (banned, ROUNDS_OF_EVIDENCE);
        let hopeless = |lengths: &[f64]| out_of_reach(lengths, best.length);
        let afresh = fit(
            self.problem,
            model,
            rounds,
            None,
            &mut self.afresh,
            hopeless,
        );
        let is_no_match = |length: f64| length - best.length >= EVIDENCE;
        if let Some(&known) = self.finished.get(banned)
            && is_no_match(known)
            && is_no_match(afresh.length)
        {
            return (known.min(afresh.length), None);
        }
        let both = shorter(self.go_on_from(best, banned, ROUNDS_OF_EVIDENCE), afresh);
        let length = both.length;
        (length, (!is_no_match(length)).then_some(both))
    }
}

/// The length of the best fit in which `banned` are innocent, from `best` on and from scratch.
pub(super) fn length_without(problem: &Problem, best: &Fit, banned: &BTreeSet<u32>) -> f64 {
    Refits::new(problem).also_afresh(best, banned).0
}

/// Revises a first fit, and weighs each of its accusations by forbidding it.
pub(super) fn solve(problem: &Problem, first: Fit) -> Solution {
    let mut best = first;
    let mut banned = BTreeSet::new();
    let mut refits = Refits::new(problem);
    revise(&mut refits, &mut best, &mut banned);
    let mut either = Vec::new();
    let mut weighed = BTreeSet::new();
    let mut costs = BTreeMap::new();
    loop {
        let culprits = best.counts.culprits();
        let order = by_surplus(&best.counts);
        let Some(&accused) = order.iter().find(|&f| !weighed.contains(f)) else {
            break;
        };
        weighed.insert(accused);
        let mut without = banned.clone();
        without.insert(accused);
        let (length, other) = refits.also_afresh(&best, &without);
        costs.insert(accused, length - best.length);
        let Some(mut other) = other else {
            continue;
        };
        let mut instead: Vec<u32> = other
            .counts
            .culprits()
            .difference(&culprits)
            .copied()
            .collect();
        if !instead.is_empty() {
            // Those who would take its place may be as dispensable.
            let mut without_any = without.clone();
            without_any.extend(&instead);
            if let Some(third) = refits.also_afresh(&best, &without_any).1 {
                let third_new = third.counts.culprits().difference(&culprits).count();
                if third_new == 0 {
                    other = third;
                    without = without_any;
                    instead.clear();
                }
            }
        }
        if instead.is_empty() {
            best = other;
            banned = without;
            costs.clear();
            refits.has_new_best();
        } else {
            either.push((accused, instead));
        }
    }
    Solution {
        fit: best,
        either,
        banned,
        costs,
    }
}

/// Declares innocent whoever the description does not need: early labellings mask each other.
fn revise(refits: &mut Refits<'_>, best: &mut Fit, banned: &mut BTreeSet<u32>) {
    let mut tried = BTreeSet::new();
    'again: loop {
        let count = best.counts.culprits().len();
        for accused in by_surplus(&best.counts).into_iter().take(MOST_REVISED) {
            if !tried.insert((accused, count)) {
                continue;
            }
            let mut without = banned.clone();
            without.insert(accused);
            let other = refits.go_on_from(best, &without, ROUNDS_OF_REVISION);
            if other.length < best.length + 1.0 {
                *best = other;
                *banned = without;
                refits.has_new_best();
                continue 'again;
            }
        }
        break;
    }
}

/// The accused, the one with fewest surplus frees first.
fn by_surplus(counts: &Counts) -> Vec<u32> {
    let mut order: Vec<u32> = counts.culprits().into_iter().collect();
    order.sort_by(|&a, &b| {
        counts.surplus[a as usize]
            .total_cmp(&counts.surplus[b as usize])
            .then(a.cmp(&b))
    });
    order
}
