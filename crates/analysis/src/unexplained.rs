//! Where the excess frees were seen that nobody is charged with: no accusation, but a place to look at.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashSet;

use whofreed_trace::EventKind;
use whofreed_trace::Trace;

use crate::Seen;
use crate::Site;
use crate::Unexplained;
use crate::blame::Accused;
use crate::replay::EventRef;
use crate::replay::Replay;
use crate::sites::ChainId;
use crate::sites::Noise;
use crate::sites::SiteId;
use crate::sites::Sites;

/// So many sites are listed; the others are only counted.
const MOST: usize = 20;

/// The steps that somebody is charged with.
pub(crate) fn explained(accused: &[Accused]) -> HashSet<usize> {
    let charges = accused.iter().flat_map(|accused| &accused.charges);
    charges.map(|charge| charge.excess).collect()
}

/// The sites of all excess frees that are not among the `explained`, most frees first.
pub(crate) fn unexplained(
    traces: &[Trace],
    replay: &Replay,
    explained: &HashSet<usize>,
    sites: &mut Sites<'_>,
) -> Unexplained {
    let is_unexplained = |index: usize| {
        let step = replay.step(index);
        step.kind == EventKind::Deallocate
            && step.verdict.is_excess()
            && !explained.contains(&index)
    };
    // Before any stack is named: most runs have none.
    if !(0..replay.steps.len()).any(is_unexplained) {
        return Unexplained::default();
    }
    let mut seen: BTreeMap<ChainId, (u64, EventRef)> = BTreeMap::new();
    let mut innocent: BTreeMap<ChainId, u64> = BTreeMap::new();
    for (index, step) in replay.steps.iter().enumerate() {
        if step.kind != EventKind::Deallocate {
            continue;
        }
        let chain = sites.chain_of(step.event.trace, step.event.of(traces));
        if is_unexplained(index) {
            seen.entry(chain).or_insert((0, step.event)).0 += 1;
        } else {
            *innocent.entry(chain).or_default() += 1;
        }
    }
    let names = names(&seen, &innocent, sites);
    let mut by_site: BTreeMap<SiteId, (u64, EventRef)> = BTreeMap::new();
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
            stack: sites.stack(first.trace, first.of(traces).stack),
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
    seen: &BTreeMap<ChainId, (u64, EventRef)>,
    innocent: &BTreeMap<ChainId, u64>,
    sites: &Sites<'_>,
) -> BTreeMap<ChainId, SiteId> {
    let counts = seen.iter().map(|(&chain, &(count, _))| (chain, count));
    let naming = sites.naming(&counts.collect(), innocent, Noise::NONE);
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
