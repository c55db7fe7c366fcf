//! Where the excess frees were seen that nobody is charged with: no accusation, but a place to look at.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::Seen;
use crate::Site;
use crate::Unexplained;
use crate::blame::Accused;
use crate::naming::Known;
use crate::naming::naming;
use crate::sites::ChainId;
use crate::sites::SiteId;
use crate::sites::Sites;
use crate::stacks::StackNumber;
use crate::tally::Tally;

/// So many sites are listed; the others are only counted.
const MOST: usize = 20;

/// The sites of all excess frees that nobody is charged with, most frees first.
pub(crate) fn unexplained(
    tally: &Tally<'_>,
    accused: &[Accused],
    sites: &mut Sites<'_>,
) -> Unexplained {
    // Before any stack is named: most runs have none.
    let charged: u64 = accused.iter().map(Accused::explains).sum();
    if charged == tally.balance.totals.excess {
        return Unexplained::default();
    }
    let mut innocent = tally.by_chain(&tally.rightful, sites);
    let mut seen: BTreeMap<ChainId, (u64, StackNumber)> = BTreeMap::new();
    for (stack, &count) in tally.excess.iter().filter(|(_, count)| **count > 0) {
        let chain = tally.chain(stack, sites);
        seen.entry(chain).or_insert((0, stack)).0 += count;
    }
    for charge in accused.iter().flat_map(|accused| &accused.charges) {
        *innocent.entry(charge.excess).or_default() += charge.count;
        if let Some((count, _)) = seen.get_mut(&charge.excess) {
            *count = count.saturating_sub(charge.count);
        }
    }
    seen.retain(|_, (count, _)| *count > 0);
    let names = names(&seen, &innocent, sites);
    let mut by_site: BTreeMap<SiteId, (u64, StackNumber)> = BTreeMap::new();
    for (chain, &(count, first)) in &seen {
        by_site.entry(names[chain]).or_insert((0, first)).0 += count;
    }
    let mut found: Vec<Seen> = by_site
        .into_iter()
        .map(|(site, (observed, first))| Seen {
            site: Site {
                frame: sites.frame(site).clone(),
            },
            observed,
            stack: {
                let (trace, stack) = tally.stacks.of(first);
                sites.stack(trace, stack)
            },
        })
        .collect();
    found.sort_by(|a, b| {
        let key = |seen: &Seen| Reverse(seen.observed);
        key(a).cmp(&key(b)).then_with(|| a.site.cmp(&b.site))
    });
    let more = found.split_off(found.len().min(MOST));
    Unexplained {
        sites: found,
        more_sites: more.len() as u64,
        more_observed: more.iter().map(|seen| seen.observed).sum(),
    }
}

/// Which site names each of the chains: as everywhere the first that tells it from the innocent, but none that
/// all frees of the log have in common.
fn names(
    seen: &BTreeMap<ChainId, (u64, StackNumber)>,
    innocent: &BTreeMap<ChainId, u64>,
    sites: &Sites<'_>,
) -> BTreeMap<ChainId, SiteId> {
    let counts = seen.iter().map(|(&chain, &(count, _))| (chain, count));
    let naming = naming(sites, &Known::plainly(&counts.collect(), innocent));
    let common = common(seen.keys().chain(innocent.keys()), sites);
    let name = |(&chain, &site): (&ChainId, &SiteId)| {
        let all = sites.sites(chain);
        let tells = |&at: &usize| at >= common;
        match all.iter().position(|&other| other == site).filter(tells) {
            Some(_) => (chain, site),
            None => (chain, all[common.min(all.len() - 1)]),
        }
    };
    naming.iter().map(name).collect()
}

/// How many of the innermost sites all chains have in common; none where all are one and the same.
fn common<'chains>(chains: impl Iterator<Item = &'chains ChainId>, sites: &Sites<'_>) -> usize {
    let mut known = chains.filter(|&&chain| !sites.is_nameless(chain));
    let Some(&first) = known.next() else {
        return 0;
    };
    let first = sites.sites(first);
    let shared = |&other: &ChainId| {
        let pairs = first.iter().zip(sites.sites(other));
        pairs.take_while(|(one, two)| one == two).count()
    };
    match known.map(shared).min() {
        Some(common) if common < first.len() => common,
        _ => 0,
    }
}
