//! Owners are not known: the story of every address is told so that the whole log gets shortest.
//!
//! A stale free takes an address from its new owner, so that the owner's own free looks excessive. To remove
//! whole call sites from the log and see what vanishes cannot express a site that is right nine times and wrong
//! once, so every *free* gets a label: it ends a life, or it frees again what was freed. See `docs/blame.md`.

mod chains;
mod fit;
mod innocence;
mod judge;
mod label;
mod model;
mod problem;
mod rivals;
mod sample;
mod shift;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;

use self::judge::Sentence;
use self::label::Fact;
use self::label::Label;
use self::label::Labeller;
use self::problem::Losses;
use self::problem::Problem;
use self::problem::Text;
use self::problem::Token;
use super::Accused;
use super::Case;
use super::Charge;
use super::Engine;
use super::Lives;
use crate::Confidence;
use crate::bunches::Bunches;
use crate::naming::Known;
use crate::naming::Noise;
use crate::naming::naming;
use crate::rows::Meaning;
use crate::rows::Row;
use crate::sites::ChainId;
use crate::sites::SiteId;
use crate::sites::Sites;
use crate::sources::EventRef;
use crate::tally::Tally;

/// By how many of the innermost call sites stacks are grouped; the grouping with the shortest log is taken.
const DEPTHS: [usize; 6] = [1, 2, 3, 4, 6, usize::MAX];
/// A grouping with more pairs of groups than this is too fine to fit.
const MOST_PAIRS: usize = 4_000_000;
/// A description that is longer by no more than this may do as well.
const LONGER: f64 = 1.1;
/// Stacks that do not differ so far in are taken for the same.
const MOST_DEPTH: usize = 64;
/// A site is named only by so many surplus frees that were looked at, where each stands for several.
const FEW_LOOKED_AT: f64 = 20.0;
/// So many of a kind are considered for the example that is shown.
const MOST_CASES: u64 = 1024;
/// So many surplus frees are kept.
const MOST_SURPLUS: usize = 1 << 20;
/// A single label can err.
const NOISE: Noise = Noise {
    frees: 2.0,
    share: 0.1,
};

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
        let Some((problem, solution, mut sentences)) = decide(told) else {
            return Vec::new();
        };
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
        stories.bunches = Bunches::new(tally, sites, known, &stories.surplus);
        stories.names = stories.naming(sites, &stories.guilty, &stories.innocent);
        stories.accuse(&problem, &solution, &sentences, sites)
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
    let mut on_trial: Vec<BTreeSet<ChainId>> = Vec::new();
    for (_, problem, first) in rest.filter(|told| told.0 <= LONGER * shortest).take(2) {
        let solution = fit::solve(&problem, fit::best_fit(&problem, first));
        let mut sentences: BTreeMap<u32, Sentence> =
            judge::judge(&problem, &solution).into_iter().collect();
        for helper in &on_trial {
            spare_several_of(helper, &problem, &mut sentences);
        }
        let is_silent = sentences.values().all(|one| *one == Sentence::Silent);
        if is_silent {
            on_trial = helpers(&problem, &sentences);
        }
        let goes_on = is_silent && !on_trial.is_empty();
        if decided.is_none() || !is_silent {
            decided = Some((problem, solution, sentences));
        }
        if !goes_on {
            break;
        }
    }
    decided
}

/// The chains of each group that is accused and not named, where these are several.
fn helpers(problem: &Problem, sentences: &BTreeMap<u32, Sentence>) -> Vec<BTreeSet<ChainId>> {
    sentences
        .iter()
        .filter(|&(_, sentence)| *sentence == Sentence::Silent)
        .map(|(&group, _)| problem.chains[group as usize].iter().copied().collect())
        .filter(|chains: &BTreeSet<ChainId>| chains.len() > 1)
        .collect()
}

/// Where several parts of a helper are accused, it may as well be the helper: labels agree within a group, so that one part of
/// what it does comes out as right and another as wrong. Nothing is said of them.
fn spare_several_of(
    helper: &BTreeSet<ChainId>,
    problem: &Problem,
    sentences: &mut BTreeMap<u32, Sentence>,
) {
    let is_part = |group: u32| {
        let chains = &problem.chains[group as usize];
        chains.iter().all(|chain| helper.contains(chain))
    };
    let mut accused: BTreeSet<u32> = BTreeSet::new();
    let mut parts: BTreeSet<u32> = BTreeSet::new();
    for (&group, sentence) in sentences.iter() {
        if *sentence == Sentence::Silent || !is_part(group) {
            continue;
        }
        accused.insert(group);
        parts.insert(group);
        if let Sentence::Either(others) = sentence {
            parts.extend(others.iter().copied().filter(|&other| is_part(other)));
        }
    }
    if parts.len() > 1 {
        for group in accused {
            sentences.insert(group, Sentence::Silent);
        }
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

/// What excess frees have in common that the labels make the same of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    /// The group of the surplus free, and its chain.
    group: u32,
    chain: ChainId,
    /// Those of the excess free.
    excess_group: u32,
    excess_chain: ChainId,
}

/// Excess frees and what the labels make of them.
#[derive(Clone, Debug)]
struct Told {
    chain: ChainId,
    excess_group: u32,
    charge: Charge,
    /// The same as the other story has it: the surplus free was the owner's, the excess one came again.
    swapped: Charge,
}

/// All labelled rows, as far as the accusations need them.
#[derive(Debug, Default)]
struct Stories {
    told: BTreeMap<Kind, Told>,
    guilty: BTreeMap<ChainId, u64>,
    innocent: BTreeMap<ChainId, u64>,
    /// The guilty ones, as far as they are many.
    surplus: HashSet<EventRef>,
    bunches: Bunches,
    /// What names the guilty chains by all that is known of all frees.
    names: HashMap<ChainId, SiteId>,
}

impl Stories {
    fn add(
        &mut self,
        text: &Text<'_>,
        row: &Row<'_>,
        context: &[u32],
        tokens: &[Token],
        labels: &[Label],
        model: &model::Model,
    ) {
        // By token: what ended the life that it began, what began the life that it ended, and what began the life that
        // it freed again.
        let mut ended_at: Vec<Option<usize>> = vec![None; tokens.len()];
        let mut began_by_end = ended_at.clone();
        let mut surplus_origin = ended_at.clone();
        let mut surplus_struck = ended_at.clone();
        let mut surplus_before = ended_at.clone();
        label::tell(model, context, tokens, labels, |fact| match fact {
            Fact::Ended { token, began, .. } => {
                ended_at[began] = Some(token);
                began_by_end[token] = Some(began);
            }
            Fact::Surplus(surplus) => {
                surplus_origin[surplus.token] = surplus.origin_began;
                surplus_struck[surplus.token] = surplus.struck_began;
                surplus_before[surplus.token] = surplus.origin_before;
            }
            _ => {}
        });
        let event = |token: usize| row.event(token);
        let numbers: OnceCell<Vec<u32>> = OnceCell::new();
        let number = |token: usize| numbers.get_or_init(|| row.lives())[token];
        let case = |surplus: usize, [allocated, freed, hit]: [Option<usize>; 3]| {
            let lives = Lives {
                own: allocated.map(number),
                never_held: false,
                hit: hit.map(|began| (number(began), event(began))),
                was_dead: row.codes[surplus].is_excess(),
                all: number(surplus),
            };
            let (allocated, freed) = (allocated.map(event), freed.map(event));
            Case::new(text.tally.sources, event(surplus), allocated, freed, lives)
        };
        // Surplus frees that took a live instance, whose owner's free will look excessive. `None`: nobody knows.
        let mut debts: VecDeque<Option<usize>> = VecDeque::new();
        for (index, (&token, &label)) in tokens.iter().zip(labels).enumerate() {
            let Token::Free(group) = token else {
                if token == Token::Reset {
                    debts.clear();
                }
                continue;
            };
            let chain = text.chain(row.codes[index]);
            let is_excess = matches!(row.codes[index].meaning(), Meaning::Excess(_));
            let ends_life = began_by_end[index].is_some();
            if ends_life {
                *self.innocent.entry(chain).or_default() += 1;
            }
            if label == Label::Surplus {
                *self.guilty.entry(chain).or_default() += 1;
                if self.surplus.len() < MOST_SURPLUS {
                    self.surplus.insert(row.event(index));
                }
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
            let origin = surplus_origin[by];
            let freed = origin.and_then(|began| ended_at[began]);
            let freed = freed.filter(|&end| end < by);
            let struck = began_by_end[index].or(origin);
            // By the verdict nothing was there to be hit, though somebody believes to hold it still.
            let hit = surplus_struck[by].filter(|_| !row.codes[by].is_excess());
            let freed_before = if by == index { freed } else { Some(by) };
            let kind = Kind {
                group: by_group,
                chain: text.chain(row.codes[by]),
                excess_group: group,
                excess_chain: chain,
            };
            let told = self.told.entry(kind).or_insert_with(|| Told {
                chain: kind.chain,
                excess_group: group,
                charge: Charge::new(chain, kind.chain),
                swapped: Charge::new(chain, chain),
            });
            let (mut own, mut swapped) = (None, None);
            if told.charge.count < MOST_CASES {
                own = Some(case(by, [origin, freed, hit]));
                swapped = Some(case(index, [struck, freed_before, None]));
            }
            let chain_of = |began: usize| text.chain(row.codes[began]);
            let before = surplus_before[by].map(|life| text.chain(row.context[life]));
            let allocated_by = hit.or(origin).map(chain_of).or(before);
            told.charge.add(row.place(), event(by), allocated_by, own);
            let allocated_by = struck.map(chain_of).or(before);
            told.swapped
                .add(row.place(), event(index), allocated_by, swapped);
        }
    }

    fn accuse(
        mut self,
        problem: &Problem,
        solution: &fit::Solution,
        sentences: &BTreeMap<u32, Sentence>,
        sites: &Sites<'_>,
    ) -> Vec<Accused> {
        let mut by_group: BTreeMap<u32, Vec<Told>> = BTreeMap::new();
        for (kind, told) in std::mem::take(&mut self.told) {
            by_group.entry(kind.group).or_default().push(told);
        }
        let mut accused: BTreeMap<(u32, SiteId), Accused> = BTreeMap::new();
        let mut groups: BTreeMap<(SiteId, Confidence), BTreeSet<u32>> = BTreeMap::new();
        for (group, told) in by_group {
            let told = self.apart_enough(told);
            let (confidence, others) = match sentences.get(&group) {
                Some(Sentence::Guilty) => (Confidence::Counterfactual, [].as_slice()),
                Some(Sentence::Either(others)) => (Confidence::Undecided, others.as_slice()),
                _ => continue,
            };
            // Of two sites that fit alike, the one is shown first where the excess was seen.
            let seen_at = |wanted: u32| -> u64 {
                let there = told.iter().filter(|told| told.excess_group == wanted);
                there.map(|told| told.charge.count).sum()
            };
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
                    (_, None) => (self.names[&told.chain], told.charge),
                    (_, Some(shown)) => (names[&shown], told.swapped),
                };
                let entry = accused.entry((group, site)).or_insert_with(|| Accused {
                    site,
                    confidence,
                    alternatives: alternatives.clone(),
                    innocence_costs: None,
                    charges: Vec::new(),
                });
                entry.charges.push(charge);
                groups.entry((site, confidence)).or_default().insert(first);
            }
        }
        for ((site, confidence), groups) in groups {
            let costs = innocence::costs(problem, solution, &groups);
            let named = accused.values_mut();
            named
                .filter(|one| (one.site, one.confidence) == (site, confidence))
                .for_each(|one| one.innocence_costs = Some(costs));
        }
        accused.into_values().collect()
    }
}

impl Stories {
    fn naming(
        &self,
        sites: &Sites<'_>,
        guilty: &BTreeMap<ChainId, u64>,
        innocent: &BTreeMap<ChainId, u64>,
    ) -> HashMap<ChainId, SiteId> {
        let known = Known {
            guilty,
            innocent,
            bunches: &self.bunches,
            noise: NOISE,
        };
        naming(sites, &known)
    }

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
            let name = self.name_of(problem, sites, group, (depth, &apart));
            (group, name)
        };
        groups.iter().map(name).collect()
    }

    /// The name of a whole group, apart from the others `named` with it, from which its innermost `depth` sites tell it,
    /// and from the innocent. It lies no further out than what names the guilty chain by all frees: a site that is right
    /// and wrong by turns may have been only right on some ways, and these are no reason to name who called it.
    fn name_of(
        &self,
        problem: &Problem,
        sites: &Sites<'_>,
        group: u32,
        (depth, named): (usize, &[u32]),
    ) -> SiteId {
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
        let by_all = |chain: ChainId, site: SiteId| {
            let further_in = sites.sites(chain).iter().take_while(|&&one| one != site);
            let mut telling = further_in.skip(depth - 1);
            let name = self.names.get(&chain);
            name.filter(|&name| telling.any(|one| one == name))
                .copied()
                .unwrap_or(site)
        };
        let mut names: BTreeMap<SiteId, u64> = BTreeMap::new();
        for (chain, site) in self.naming(sites, &of_group, &of_others) {
            *names.entry(by_all(chain, site)).or_default() += of_group[&chain];
        }
        let most = names.into_iter().max_by(|a, b| {
            a.1.cmp(&b.1)
                .then_with(|| sites.frame(b.0).cmp(sites.frame(a.0)))
        });
        most.map_or(SiteId(0), |(site, _)| site)
    }

    /// Where the chains of one group have several names, the frees of those names that stand on their own: what is
    /// little, or more often right than wrong, is a label gone astray.
    fn apart_enough(&self, told: Vec<Told>) -> Vec<Told> {
        let mut names: BTreeMap<SiteId, (u64, u64)> = BTreeMap::new();
        let chains: BTreeSet<ChainId> = told.iter().map(|told| told.chain).collect();
        for chain in chains {
            let count = |of: &BTreeMap<ChainId, u64>| of.get(&chain).copied().unwrap_or(0);
            let entry = names.entry(self.names[&chain]).or_default();
            entry.0 += count(&self.guilty);
            entry.1 += count(&self.innocent);
        }
        if names.len() < 2 {
            return told;
        }
        let stands = |told: &Told| {
            let (guilty, innocent) = names[&self.names[&told.chain]];
            guilty >= 3 && guilty >= innocent
        };
        told.into_iter().filter(stands).collect()
    }
}
