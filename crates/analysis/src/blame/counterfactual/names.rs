//! What guilty groups and chains are called: by the labels of all frees, the innermost site that tells them from the
//! innocent.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use super::problem::Problem;
use super::stories::Told;
use crate::blame::Counts;
use crate::bunches::Bunches;
use crate::naming::Known;
use crate::naming::Noise;
use crate::naming::naming;
use crate::sites::ChainId;
use crate::sites::SiteId;
use crate::sites::Sites;

/// Stacks that do not differ so far in are taken for the same.
const MOST_DEPTH: usize = 64;
/// A site through which so many excess frees came that nobody is accused of may be at fault itself: then it is named,
/// and nobody who called it.
const UNEXPLAINED: u64 = 3;
/// What is called from no more sites may be right and wrong by turns, and by chance have been only right when called
/// from one of them: where somebody else may have done it as well, who called it is not named without it.
const FEW_WAYS: usize = 2;
/// A single label can err.
const NOISE: Noise = Noise {
    frees: 2.0,
    share: 0.1,
};

/// What a group is called that may have done it or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Called {
    pub(super) site: SiteId,
    /// What the name passes over, and may be meant as well.
    pub(super) too: Option<SiteId>,
}

/// What the names rest on.
pub(super) struct Names<'a> {
    problem: &'a Problem,
    sites: &'a Sites<'a>,
    guilty: &'a Counts,
    innocent: &'a Counts,
    bunches: &'a Bunches,
    /// What names the guilty chains by all that is known of all frees.
    by_chain: HashMap<ChainId, SiteId>,
}

impl<'a> Names<'a> {
    pub(super) fn new(
        problem: &'a Problem,
        sites: &'a Sites<'a>,
        guilty: &'a Counts,
        innocent: &'a Counts,
        bunches: &'a Bunches,
    ) -> Self {
        let mut names = Self {
            problem,
            sites,
            guilty,
            innocent,
            bunches,
            by_chain: HashMap::new(),
        };
        names.by_chain = naming(sites, &names.known(guilty, innocent));
        names
    }

    fn known<'b>(&'b self, guilty: &'b Counts, innocent: &'b Counts) -> Known<'b> {
        Known {
            guilty,
            innocent,
            bunches: self.bunches,
            noise: NOISE,
            spares_helpers: true,
        }
    }

    /// The name of a guilty chain.
    pub(super) fn of_chain(&self, chain: ChainId) -> SiteId {
        self.by_chain[&chain]
    }

    /// The names of groups of which any can have done it: told apart where their stacks first differ, so that a
    /// helper that all of them share is not named, nor one site twice for what lies further out. Counted are the
    /// `unexplained` excess frees, by the innermost sites that they came through.
    pub(super) fn of_groups(
        &self,
        groups: &[u32],
        unexplained: &HashMap<&[SiteId], u64>,
    ) -> BTreeMap<u32, Called> {
        let (problem, sites) = (self.problem, self.sites);
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
            let site = self.of_group(group, (depth, &apart));
            let is_open =
                |sites: &[SiteId]| unexplained.get(sites).is_some_and(|&n| n >= UNEXPLAINED);
            let site = self.passed(group, site, depth, is_open).unwrap_or(site);
            let is_little_used = |sites: &[SiteId]| self.ways(sites) <= FEW_WAYS;
            let too = self.passed(group, site, depth, is_little_used);
            let too = too.filter(|&too| too != site);
            (group, Called { site, too })
        };
        groups.iter().map(name).collect()
    }

    /// The innermost site of a group's stacks, among those that tell it from the others named with it and that `name`
    /// passes over on its way outward, of which `is_it` holds.
    fn passed(
        &self,
        group: u32,
        name: SiteId,
        depth: usize,
        is_it: impl Fn(&[SiteId]) -> bool,
    ) -> Option<SiteId> {
        let chains = self.problem.chains[group as usize].iter();
        let passed = chains.filter_map(|&chain| {
            let sites = self.sites.sites(chain);
            let at = sites.iter().position(|&site| site == name)?;
            let depth = (depth..=at).find(|&depth| is_it(&sites[..depth]))?;
            Some((depth, sites[depth - 1]))
        });
        let innermost = passed.min_by(|a, b| {
            let frame = |site| self.sites.frame(site);
            a.0.cmp(&b.0).then_with(|| frame(a.1).cmp(frame(b.1)))
        });
        innermost.map(|(_, site)| site)
    }

    /// From how many sites frees came to these innermost ones.
    fn ways(&self, innermost: &[SiteId]) -> usize {
        let chains = self.guilty.keys().chain(self.innocent.keys());
        let next = chains.filter_map(|&chain| {
            let sites = self.sites.sites(chain);
            let is_by = sites.starts_with(innermost);
            is_by.then(|| sites.get(innermost.len()))
        });
        next.collect::<BTreeSet<_>>().len()
    }

    /// The name of a whole group, apart from the others `named` with it, from which its innermost `depth` sites tell
    /// it, and from the innocent. It lies no further out than what names the guilty chain by all frees: a site that is
    /// right and wrong by turns may have been only right on some ways, and these are no reason to name who called it.
    fn of_group(&self, group: u32, (depth, named): (usize, &[u32])) -> SiteId {
        let (problem, sites) = (self.problem, self.sites);
        let chains = &problem.chains[group as usize];
        let is_named = |chain: &ChainId| {
            let mut groups = named.iter().map(|&group| &problem.chains[group as usize]);
            groups.any(|chains| chains.contains(chain))
        };
        let mut of_group: BTreeMap<ChainId, u64> = chains.iter().map(|&chain| (chain, 1)).collect();
        let mut of_others: BTreeMap<ChainId, u64> = BTreeMap::new();
        for (&chain, &count) in [self.guilty, self.innocent].into_iter().flatten() {
            let guilty = self.guilty.get(&chain).copied().unwrap_or(0);
            let innocent = self.innocent.get(&chain).copied().unwrap_or(0);
            if chains.contains(&chain) {
                *of_group.entry(chain).or_default() += count;
            } else if is_innocent(guilty, innocent) || is_named(&chain) {
                *of_others.entry(chain).or_default() += count;
            }
        }
        let by_all = |chain: ChainId, site: SiteId| {
            let further_in = sites.sites(chain).iter().take_while(|&&one| one != site);
            let mut telling = further_in.skip(depth - 1);
            let name = self.by_chain.get(&chain);
            name.filter(|&name| telling.any(|one| one == name))
                .copied()
                .unwrap_or(site)
        };
        let mut names: BTreeMap<SiteId, u64> = BTreeMap::new();
        for (chain, site) in naming(sites, &self.known(&of_group, &of_others)) {
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
    pub(super) fn apart_enough(&self, told: Vec<Told>) -> Vec<Told> {
        let chains: BTreeSet<ChainId> = told.iter().map(|told| told.chain).collect();
        let named = chains.into_iter().map(|chain| {
            let count = |of: &BTreeMap<ChainId, u64>| of.get(&chain).copied().unwrap_or(0);
            let counts = (count(self.guilty), count(self.innocent));
            (self.by_chain[&chain], counts)
        });
        let standing = standing(named);
        let stands = |told: &Told| standing.contains(&self.by_chain[&told.chain]);
        told.into_iter().filter(stands).collect()
    }
}

/// Whether a chain of so many guilty and innocent frees is taken for innocent.
fn is_innocent(guilty: u64, innocent: u64) -> bool {
    guilty as f64 <= NOISE.share / 2.0 * (guilty + innocent) as f64
}

/// Those of several names that stand on their own, by the guilty and innocent frees of their chains; or the only one.
fn standing(named: impl Iterator<Item = (SiteId, (u64, u64))>) -> BTreeSet<SiteId> {
    let mut names: BTreeMap<SiteId, (u64, u64)> = BTreeMap::new();
    for (name, (guilty, innocent)) in named {
        let entry = names.entry(name).or_default();
        entry.0 += guilty;
        entry.1 += innocent;
    }
    let is_alone = names.len() < 2;
    names.retain(|_, (guilty, innocent)| is_alone || *guilty >= 3 && guilty >= innocent);
    names.into_keys().collect()
}
