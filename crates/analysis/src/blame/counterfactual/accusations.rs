//! From groups of stacks that are judged to call sites that are named, each with the excess frees that it explains.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::fit;
use super::innocence;
use super::judge::Sentence;
use super::names::Names;
use super::problem::Problem;
use super::stories::Stories;
use super::stories::Told;
use crate::Confidence;
use crate::blame::Accused;
use crate::blame::Counts;
use crate::bunches::Bunches;
use crate::naming::through;
use crate::sites::SiteId;
use crate::sites::Sites;

/// Charges what the accused explain to them, by name.
pub(super) fn accusations(
    stories: Stories,
    bunches: &Bunches,
    problem: &Problem,
    solution: &fit::Solution,
    sentences: &BTreeMap<u32, Sentence>,
    sites: &Sites<'_>,
) -> Vec<Accused> {
    let mut by_group: BTreeMap<u32, Vec<Told>> = BTreeMap::new();
    let names = Names::new(problem, sites, &stories.guilty, &stories.innocent, bunches);
    let unexplained = unexplained(&stories, sentences);
    let unexplained = through(sites, &unexplained);
    for (kind, told) in stories.told {
        by_group.entry(kind.group).or_default().push(told);
    }
    let mut accused: BTreeMap<(u32, SiteId), Accused> = BTreeMap::new();
    let mut groups: BTreeMap<(SiteId, Confidence), BTreeSet<u32>> = BTreeMap::new();
    for (group, told) in by_group {
        let told = names.apart_enough(told);
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
        let called = names.of_groups(&all, &unexplained);
        let first = shown.unwrap_or(group);
        let name = called[&first].site;
        let mut alternatives = Vec::new();
        if confidence == Confidence::Undecided {
            let all = called
                .values()
                .flat_map(|called| [Some(called.site), called.too]);
            alternatives.extend(all.flatten().filter(|&other| other != name));
        }
        for told in told {
            let (site, mut charge) = match (confidence, shown) {
                (Confidence::Undecided, None) => (called[&group].site, told.charge),
                (_, None) => (names.of_chain(told.chain), told.charge),
                (_, Some(shown)) => (called[&shown].site, told.swapped),
            };
            if confidence != Confidence::Undecided {
                charge.others = Vec::new();
            }
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

/// The excess frees of each chain that nobody is accused of.
fn unexplained(stories: &Stories, sentences: &BTreeMap<u32, Sentence>) -> Counts {
    let mut unexplained = stories.excess.clone();
    for (kind, told) in &stories.told {
        let is_silent = matches!(sentences.get(&kind.group), None | Some(Sentence::Silent));
        if let Some(left) = unexplained
            .get_mut(&kind.excess_chain)
            .filter(|_| !is_silent)
        {
            *left = left.saturating_sub(told.charge.count);
        }
    }
    unexplained
}
