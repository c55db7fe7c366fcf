//! Owners are not known: the story of every address is told so that the whole log gets shortest.
//!
//! A stale free takes an address from its new owner, so that the owner's own free looks excessive. To remove
//! whole call sites from the log and see what vanishes cannot express a site that is right nine times and wrong
//! once, so every *free* gets a label: it ends a life, or it frees again what was freed. See `docs/blame.md`.

mod chains;
mod fit;
mod judge;
mod label;
mod model;
mod problem;
mod rivals;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;

use self::judge::Sentence;
use self::label::Fact;
use self::label::Label;
use self::label::Labeller;
use self::problem::Losses;
use self::problem::Problem;
use self::problem::Row;
use self::problem::Token;
use self::problem::Unknown;
use super::Accused;
use super::Charge;
use super::Engine;
use super::Log;
use crate::Confidence;
use crate::sites::ChainId;
use crate::sites::Noise;
use crate::sites::SiteId;
use crate::sites::Sites;

/// By how many of the innermost call sites stacks are grouped; the grouping with the shortest log is taken.
const DEPTHS: [usize; 6] = [1, 2, 3, 4, 6, usize::MAX];
/// A grouping with more pairs of groups than this is too fine to fit.
const MOST_PAIRS: usize = 4_000_000;
/// A description that is longer by no more than this may do as well.
const LONGER: f64 = 1.1;
/// Stacks that do not differ so far in are taken for the same.
const MOST_DEPTH: usize = 64;
/// A single label can err.
const NOISE: Noise = Noise {
    frees: 2.0,
    share: 0.1,
};

/// The engine for addresses whose owners are not known, or can be used again.
#[derive(Debug)]
pub(crate) struct Counterfactual;

impl Engine for Counterfactual {
    fn accuse(&self, log: &Log<'_>, sites: &mut Sites<'_>) -> Vec<Accused> {
        let unknown = Unknown::new(log, sites);
        let Some(rows) = problem::rows(log, sites, &unknown) else {
            return Vec::new();
        };
        let is_excess = |&step: &usize| log.replay.step(step).verdict.is_excess();
        if !rows.iter().any(|row| row.steps.iter().any(is_excess)) {
            return Vec::new();
        }
        let events: usize = log.traces.iter().map(|trace| trace.events.len()).sum();
        let dropped: u64 = log.traces.iter().map(|trace| trace.dropped_events).sum();
        let lost = dropped as f64 + log.untracked.len() as f64;
        let unjudged: u64 = log.traces.iter().map(|trace| trace.unjudged_events).sum();
        let losses = Losses {
            drop_rate: lost / (events as f64).max(1.0),
            unjudged: unjudged as f64,
        };
        let ranks = sites.ranks();
        let mut told: Vec<(f64, Problem, fit::Fit)> = Vec::new();
        let mut groups_before = (0, 0);
        for depth in DEPTHS {
            let problem = Problem::new(&rows, sites, &ranks, depth, losses, &unknown);
            let groups = (problem.allocs, problem.frees);
            if groups == groups_before || !told.is_empty() && groups.0 * groups.1 > MOST_PAIRS {
                continue;
            }
            groups_before = groups;
            let fit = fit::first_fit(&problem);
            told.push((fit.length + problem.chain_code, problem, fit));
        }
        let Some((problem, solution, sentences)) = decide(told) else {
            return Vec::new();
        };
        let mut stories = Stories::default();
        let model = &solution.fit.model;
        let mut labeller = Labeller::new(&problem, model);
        for pattern in &problem.patterns {
            let labels = labeller.label(&pattern.tokens);
            for &row in &pattern.rows {
                stories.add(log, &rows[row], &pattern.tokens, &labels, model);
            }
        }
        stories.accuse(&problem, &sentences, sites)
    }
}

/// Judges by the grouping with the shortest description. Where that puts a helper of several on trial, which cannot be
/// named, by the next finer one, if that is about as short.
fn decide(
    told: Vec<(f64, Problem, fit::Fit)>,
) -> Option<(Problem, fit::Solution, BTreeMap<u32, Sentence>)> {
    let shortest = told.iter().map(|told| told.0).fold(f64::INFINITY, f64::min);
    let rest = told.into_iter().skip_while(|told| told.0 > shortest);
    let mut decided = None;
    for (_, problem, first) in rest.filter(|told| told.0 <= LONGER * shortest).take(2) {
        let solution = fit::solve(&problem, fit::best_fit(&problem, first));
        let sentences: BTreeMap<u32, Sentence> =
            judge::judge(&problem, &solution).into_iter().collect();
        let is_helper = |(group, sentence): (&u32, &Sentence)| {
            *sentence == Sentence::Silent && problem.chains[*group as usize].len() > 1
        };
        let is_silent = sentences.values().all(|one| *one == Sentence::Silent);
        let goes_on = is_silent && sentences.iter().any(is_helper);
        if decided.is_none() || !is_silent {
            decided = Some((problem, solution, sentences));
        }
        if !goes_on {
            break;
        }
    }
    decided
}

/// An excess free and what the labels make of it.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The group of the surplus free.
    group: u32,
    charge: Charge,
    /// The chain of the surplus free.
    chain: ChainId,
    excess_group: u32,
    /// The same as the other story has it: the surplus free was the owner's, the excess one came again.
    swapped: Charge,
}

/// All labelled rows, as far as the accusations need them.
#[derive(Debug, Default)]
struct Stories {
    told: Vec<Told>,
    guilty: BTreeMap<ChainId, u64>,
    innocent: BTreeMap<ChainId, u64>,
}

impl Stories {
    fn add(
        &mut self,
        log: &Log<'_>,
        row: &Row,
        tokens: &[Token],
        labels: &[Label],
        model: &model::Model,
    ) {
        let mut ended_at: BTreeMap<usize, usize> = BTreeMap::new();
        let mut began_by_end: BTreeMap<usize, usize> = BTreeMap::new();
        let mut surplus_origin: BTreeMap<usize, Option<usize>> = BTreeMap::new();
        label::tell(model, tokens, labels, |fact| match fact {
            Fact::Ended { token, began, .. } => {
                ended_at.insert(began, token);
                began_by_end.insert(token, began);
            }
            Fact::Surplus(surplus) => {
                surplus_origin.insert(surplus.token, surplus.origin_began);
            }
            _ => {}
        });
        let event = |token: usize| log.replay.step(row.steps[token]).event;
        // Surplus frees that took a live instance, whose owner's free will look excessive. `None`: nobody knows.
        let mut debts: VecDeque<Option<usize>> = VecDeque::new();
        for (index, (&token, &label)) in tokens.iter().zip(labels).enumerate() {
            let Token::Free(group) = token else {
                if token == Token::Reset {
                    debts.clear();
                }
                continue;
            };
            let chain = row.tokens[index].1;
            let is_excess = log.replay.step(row.steps[index]).verdict.is_excess();
            let ends_life = began_by_end.contains_key(&index);
            if ends_life {
                *self.innocent.entry(chain).or_default() += 1;
            }
            if label == Label::Surplus {
                *self.guilty.entry(chain).or_default() += 1;
            }
            let culprit = (label == Label::Surplus).then_some(index);
            let by = match (is_excess, ends_life) {
                (false, true) => continue,
                (false, false) => {
                    debts.push_back(culprit);
                    continue;
                }
                (true, true) => debts.pop_front().flatten(),
                (true, false) => culprit,
            };
            let Some(by) = by else {
                continue;
            };
            let Token::Free(by_group) = tokens[by] else {
                continue;
            };
            let origin = surplus_origin.get(&by).copied().flatten();
            let freed = origin
                .and_then(|began| ended_at.get(&began))
                .filter(|&&end| end < by);
            let struck = began_by_end.get(&index).copied().or(origin);
            self.told.push(Told {
                group: by_group,
                charge: Charge {
                    excess: row.steps[index],
                    surplus: row.steps[by],
                    allocated: origin.map(event),
                    freed: freed.map(|&end| event(end)),
                },
                chain: row.tokens[by].1,
                excess_group: group,
                swapped: Charge {
                    excess: row.steps[index],
                    surplus: row.steps[index],
                    allocated: struck.map(event),
                    freed: if by == index {
                        freed.map(|&end| event(end))
                    } else {
                        Some(event(by))
                    },
                },
            });
        }
    }

    fn accuse(
        mut self,
        problem: &Problem,
        sentences: &BTreeMap<u32, Sentence>,
        sites: &Sites<'_>,
    ) -> Vec<Accused> {
        let mut by_group: BTreeMap<u32, Vec<Told>> = BTreeMap::new();
        for told in std::mem::take(&mut self.told) {
            by_group.entry(told.group).or_default().push(told);
        }
        let naming = sites.naming(&self.guilty, &self.innocent, NOISE);
        let mut accused: BTreeMap<(u32, SiteId), Accused> = BTreeMap::new();
        for (group, told) in by_group {
            let told = self.apart_enough(told, &naming);
            let (confidence, others) = match sentences.get(&group) {
                Some(Sentence::Guilty) => (Confidence::Counterfactual, [].as_slice()),
                Some(Sentence::Either(others)) => (Confidence::Undecided, others.as_slice()),
                _ => continue,
            };
            // Of two sites that fit alike, the one is shown first where the excess was seen.
            let seen_at = |wanted: u32| told.iter().filter(|t| t.excess_group == wanted).count();
            let shown = others
                .iter()
                .copied()
                .filter(|&other| seen_at(other) > seen_at(group))
                .max_by_key(|&other| (seen_at(other), std::cmp::Reverse(other)));
            let mut all: Vec<u32> = others.to_vec();
            all.push(group);
            let names = self.names_of(problem, sites, &all);
            let first = shown.unwrap_or(group);
            let alternatives: Vec<SiteId> = all
                .iter()
                .map(|other| names[other])
                .filter(|&name| name != names[&first])
                .collect();
            for told in told {
                let (site, charge) = match (confidence, shown) {
                    (Confidence::Undecided, None) => (names[&group], told.charge),
                    (_, None) => (naming[&told.chain], told.charge),
                    (_, Some(shown)) => (names[&shown], told.swapped),
                };
                let entry = accused.entry((group, site)).or_insert_with(|| Accused {
                    site,
                    confidence,
                    alternatives: alternatives.clone(),
                    charges: Vec::new(),
                });
                entry.charges.push(charge);
            }
        }
        accused.into_values().collect()
    }
}

impl Stories {
    /// The names of groups of which any can have done it: told apart where their stacks first differ, so that a
    /// helper that all of them share is not named, nor one site twice for what lies further out.
    fn names_of(
        &self,
        problem: &Problem,
        sites: &Sites<'_>,
        groups: &[u32],
    ) -> BTreeMap<u32, SiteId> {
        let innermost = |group: u32, depth: usize| -> &[SiteId] {
            let chain = problem.chains[group as usize].first();
            let sites = chain.map_or([].as_slice(), |&chain| sites.sites(chain));
            &sites[..depth.min(sites.len())]
        };
        let differ = |depth: &usize| {
            let mut others = groups.iter().skip(1);
            others.any(|&other| innermost(other, *depth) != innermost(groups[0], *depth))
        };
        let depth = (1..=MOST_DEPTH).find(differ).unwrap_or(MOST_DEPTH);
        let name = |&group: &u32| {
            let mut apart = groups.to_vec();
            apart.retain(|&other| innermost(other, depth) != innermost(group, depth));
            (group, self.name_of(problem, sites, group, &apart))
        };
        groups.iter().map(name).collect()
    }

    /// The name of a whole group, apart from the others `named` with it and from the innocent.
    fn name_of(&self, problem: &Problem, sites: &Sites<'_>, group: u32, named: &[u32]) -> SiteId {
        let chains = &problem.chains[group as usize];
        let is_named = |chain: &ChainId| {
            let mut groups = named.iter().map(|&group| &problem.chains[group as usize]);
            groups.any(|chains| chains.contains(chain))
        };
        let mut of_group: BTreeMap<ChainId, u64> = chains.iter().map(|&chain| (chain, 1)).collect();
        let mut of_others: BTreeMap<ChainId, u64> = BTreeMap::new();
        for (&chain, &count) in [&self.guilty, &self.innocent].into_iter().flatten() {
            let guilty = self.guilty.get(&chain).copied().unwrap_or(0);
            let innocent = self.innocent.get(&chain).copied().unwrap_or(0);
            let is_innocent = guilty as f64 <= NOISE.share / 2.0 * (guilty + innocent) as f64;
            if chains.contains(&chain) {
                *of_group.entry(chain).or_default() += count;
            } else if is_innocent || is_named(&chain) {
                *of_others.entry(chain).or_default() += count;
            }
        }
        let mut names: BTreeMap<SiteId, u64> = BTreeMap::new();
        for (chain, site) in sites.naming(&of_group, &of_others, NOISE) {
            *names.entry(site).or_default() += of_group[&chain];
        }
        let most = names.into_iter().max_by(|a, b| {
            a.1.cmp(&b.1)
                .then_with(|| sites.frame(b.0).cmp(sites.frame(a.0)))
        });
        most.map_or(SiteId(0), |(site, _)| site)
    }

    /// Where the chains of one group have several names, the frees of those names that stand on their own: what is
    /// little, or more often right than wrong, is a label gone astray.
    fn apart_enough(&self, told: Vec<Told>, naming: &HashMap<ChainId, SiteId>) -> Vec<Told> {
        let mut names: BTreeMap<SiteId, (u64, u64)> = BTreeMap::new();
        let chains: BTreeSet<ChainId> = told.iter().map(|told| told.chain).collect();
        for chain in chains {
            let count = |of: &BTreeMap<ChainId, u64>| of.get(&chain).copied().unwrap_or(0);
            let entry = names.entry(naming[&chain]).or_default();
            entry.0 += count(&self.guilty);
            entry.1 += count(&self.innocent);
        }
        if names.len() < 2 {
            return told;
        }
        let stands = |told: &Told| {
            let (guilty, innocent) = names[&naming[&told.chain]];
            guilty >= 3 && guilty >= innocent
        };
        told.into_iter().filter(stands).collect()
    }
}
