//! Owners are not known: the story of every address is told so that the whole log gets shortest.
//!
//! A stale free takes an address from its new owner, so that the owner's own free looks excessive. To remove
//! whole call sites from the log and see what vanishes cannot express a site that is right nine times and wrong
//! once, so every *free* gets a label: it ends a life, or it frees again what was freed. See `docs/blame.md`.

mod accusations;
mod chains;
mod debts;
mod fit;
mod innocence;
mod judge;
mod label;
mod model;
mod names;
mod problem;
mod rivals;
mod sample;
mod shift;
mod stories;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::judge::Sentence;
use self::label::Label;
use self::label::Labeller;
use self::problem::Losses;
use self::problem::Problem;
use self::problem::Text;
use self::problem::Token;
use self::stories::Stories;
use super::Accused;
use super::Engine;
use crate::bunches::Bunches;
use crate::sites::Sites;
use crate::tally::Tally;

/// By how many of the innermost call sites stacks are grouped; the grouping with the shortest log is taken.
const DEPTHS: [usize; 6] = [1, 2, 3, 4, 6, usize::MAX];
/// A grouping with more pairs of groups than this is too fine to fit.
const MOST_PAIRS: usize = 4_000_000;
/// A site is named only by so many surplus frees that were looked at, where each stands for several.
const FEW_LOOKED_AT: f64 = 20.0;

/// The engine for addresses whose owners are not known, or can be used again.
#[derive(Debug)]
pub(crate) struct Counterfactual;

impl Engine for Counterfactual {
    fn accuse(&self, tally: &Tally<'_>, sites: &mut Sites<'_>) -> Vec<Accused> {
        let Some(text) = Text::new(tally, sites) else {
            return Vec::new();
        };
        let totals = &tally.balance.totals;
        let lost = totals.dropped_events as f64 + tally.untracked.len() as f64;
        let unjudged: u64 = tally.sources.iter().map(|s| s.unjudged_events).sum();
        let losses = Losses {
            drop_rate: lost / (totals.events as f64).max(1.0),
            unjudged: unjudged as f64,
        };
        let sample = sample::sample(&text, sites);
        let ranks = sites.ranks();
        let mut told: Vec<(f64, Problem, fit::Fit)> = Vec::new();
        let mut groups_before = (0, 0);
        for depth in DEPTHS {
            let problem = Problem::new(&text, &sample, sites, &ranks, depth, losses);
            let groups = (problem.allocs, problem.frees);
            if groups == groups_before || !told.is_empty() && groups.0 * groups.1 > MOST_PAIRS {
                continue;
            }
            groups_before = groups;
            let fit = fit::first_fit(&problem);
            told.push((fit.length + problem.chain_code, problem, fit));
        }
        let shortest = told.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, problem, first)) = shortest else {
            return Vec::new();
        };
        let solution = fit::solve(&problem, fit::best_fit(&problem, first));
        let mut sentences: BTreeMap<u32, Sentence> =
            judge::judge(&problem, &solution).into_iter().collect();
        let model = &solution.fit.model;
        sentences.retain(|&group, _| {
            let can_be_another_s = tally.rows.are_cut() && is_struck(&solution.fit.counts, group);
            is_seen_enough(&problem, model, group) && !can_be_another_s
        });
        let mut stories = Stories::default();
        let mut labeller = Labeller::new(&problem, model);
        let (mut context, mut tokens) = (Vec::new(), Vec::new());
        for row in tally.rows.iter() {
            problem.context(row.context, &mut context);
            problem.tokens(row.codes, &mut tokens);
            let labels = labeller.label(&context, &tokens);
            stories.add(&text, &row, &context, &tokens, &labels, model);
        }
        for (codes, times) in tally.rows.quiet() {
            for code in codes.iter().filter(|code| code.freed_by().is_some()) {
                *stories.innocent.entry(text.chain(*code)).or_default() += times;
            }
        }
        let known = (&stories.guilty, &stories.innocent);
        let bunches = Bunches::new(tally, sites, known, &stories.surplus);
        accusations::accusations(stories, &bunches, &problem, &solution, &sentences, sites)
    }
}

/// Whether an accusation rests on enough that was really looked at, where rows stand for others.
fn is_seen_enough(problem: &Problem, model: &model::Model, accused: u32) -> bool {
    let mut labeller = Labeller::new(problem, model);
    let (mut seen, mut weight) = (0.0, 0.0);
    for pattern in &problem.patterns {
        if !pattern.tokens.contains(&Token::Free(accused)) {
            continue;
        }
        let labels = labeller.label(&pattern.context, &pattern.tokens);
        for (&token, &label) in pattern.tokens.iter().zip(&labels) {
            if token == Token::Free(accused) && label == Label::Surplus {
                seen += pattern.seen;
                weight += pattern.weight;
            }
        }
    }
    seen == weight || seen >= FEW_LOOKED_AT
}

/// Whether somebody else strikes the lives that the accused ends: then what looks like its own surplus frees can go
/// back to strikes that lie before the pieces of a log that was cut.
fn is_struck(counts: &model::Counts, accused: u32) -> bool {
    let surplus = counts.surplus[accused as usize];
    let by_others: f64 = counts
        .hit_then_ended
        .iter()
        .filter(|&(&(hitter, ender), _)| ender == accused && hitter != accused)
        .map(|(_, count)| count)
        .sum();
    rivals::is_mixed(counts, accused) && by_others >= 0.1 * surplus
}
