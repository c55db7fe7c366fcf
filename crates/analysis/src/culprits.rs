//! Makes the report's culprits and victims of what the engines charge.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use whofreed_trace::Event;
use whofreed_trace::Frame;

use crate::Confidence;
use crate::Culprit;
use crate::Evidence;
use crate::Example;
use crate::Site;
use crate::Victim;
use crate::blame::Accused;
use crate::blame::Case;
use crate::evidence;
use crate::evidence::Allocating;
use crate::evidence::Charged;
use crate::naming::Known;
use crate::naming::naming;
use crate::replay::Place;
use crate::sites::ChainId;
use crate::sites::SiteId;
use crate::sites::Sites;
use crate::sources::EventRef;
use crate::tally::Tally;

/// What becomes of the accusations.
#[derive(Debug)]
pub(crate) struct Assembled {
    pub(crate) culprits: Vec<Culprit>,
    pub(crate) victims: Vec<Victim>,
    /// How many excess frees the culprits explain.
    pub(crate) explained: u64,
    /// Which frees are charged to them.
    pub(crate) charged: Charged,
}

/// Culprits and victims.
pub(crate) fn assemble(
    tally: &Tally<'_>,
    accused: Vec<Accused>,
    sites: &mut Sites<'_>,
) -> Assembled {
    let accused = merge(accused, sites);
    let mut guilty: HashMap<ChainId, usize> = HashMap::new();
    for (index, accused) in accused.iter().enumerate() {
        for charge in &accused.charges {
            guilty.entry(charge.surplus).or_insert(index);
        }
    }
    // Whoever could have done it as well is no victim.
    let suspects: BTreeSet<SiteId> = accused
        .iter()
        .flat_map(|accused| accused.alternatives.iter().copied())
        .collect();
    let mut observed = vec![0u64; accused.len()];
    if !accused.is_empty() {
        for (chain, count) in tally.by_chain(&tally.excess, sites) {
            if let Some(&culprit) = guilty.get(&chain) {
                observed[culprit] += count;
            }
        }
    }
    let mut victim_chains: BTreeMap<ChainId, (u64, BTreeMap<usize, u64>)> = BTreeMap::new();
    for (index, accused) in accused.iter().enumerate() {
        for charge in &accused.charges {
            let sites = sites.sites(charge.excess);
            let is_suspect = sites.iter().any(|site| suspects.contains(site));
            if !guilty.contains_key(&charge.excess) && !is_suspect {
                let entry = victim_chains.entry(charge.excess).or_default();
                entry.0 += charge.count;
                *entry.1.entry(index).or_default() += charge.count;
            }
        }
    }
    let explained = accused.iter().map(Accused::explains).sum();
    let charged = evidence::charged(&accused);
    let allocating = Allocating::new(&accused, sites);
    let evidence = evidence::evidence(tally, &accused, &charged, allocating, sites);
    let culprits: Vec<Culprit> = accused
        .iter()
        .zip(observed)
        .zip(evidence)
        .map(|((accused, observed), evidence)| Culprit {
            observed,
            evidence,
            ..culprit(tally, accused, allocating, sites)
        })
        .collect();
    let guilty_counts = guilty.keys().map(|&chain| (chain, 1)).collect();
    let victims = victims(&victim_chains, &guilty_counts, sites);
    Assembled {
        culprits,
        victims,
        explained,
        charged,
    }
}

/// One entry for each site and confidence, the one that explains most first.
fn merge(accused: Vec<Accused>, sites: &Sites<'_>) -> Vec<Accused> {
    let mut merged: BTreeMap<(SiteId, Confidence), Accused> = BTreeMap::new();
    for mut next in accused {
        if next.explains() == 0 {
            continue;
        }
        match merged.entry((next.site, next.confidence)) {
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(next);
            }
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let entry = entry.get_mut();
                entry.charges.append(&mut next.charges);
                entry.alternatives.append(&mut next.alternatives);
            }
        }
    }
    let mut accused: Vec<Accused> = merged.into_values().collect();
    for one in &mut accused {
        let site = one.site;
        one.alternatives.retain(|&other| other != site);
        one.alternatives
            .sort_by(|&a, &b| sites.frame(a).cmp(sites.frame(b)));
        one.alternatives.dedup();
    }
    accused.sort_by(|a, b| {
        let most = b.explains().cmp(&a.explains());
        most.then_with(|| sites.frame(a.site).cmp(sites.frame(b.site)))
            .then_with(|| a.confidence.cmp(&b.confidence))
    });
    accused
}

/// The rest of it is up to the caller.
fn culprit(
    tally: &Tally<'_>,
    accused: &Accused,
    allocating: Allocating,
    sites: &mut Sites<'_>,
) -> Culprit {
    let all = || accused.charges.iter().flat_map(|charge| &charge.buffers);
    let buffers: BTreeSet<Place> = all().copied().collect();
    let devices: BTreeSet<u32> = all().map(|place| place.device).collect();
    let cases = accused.charges.iter().filter_map(|charge| charge.case);
    let best = cases.min_by_key(Case::order);
    let example = best.map_or_else(Example::default, |case| {
        example(tally, &case, allocating, sites)
    });
    let frame = sites.frame(accused.site).clone();
    Culprit {
        class: sites.class(accused.site, &example.excess),
        site: Site { frame },
        evidence: Evidence::default(),
        explains: accused.explains(),
        observed: 0,
        buffers: buffers.len() as u64,
        devices: devices.into_iter().collect(),
        confidence: accused.confidence,
        alternatives: accused
            .alternatives
            .iter()
            .map(|&site| Site {
                frame: sites.frame(site).clone(),
            })
            .collect(),
        example,
    }
}

fn example(
    tally: &Tally<'_>,
    case: &Case,
    allocating: Allocating,
    sites: &mut Sites<'_>,
) -> Example {
    let sources = tally.sources;
    let source = &sources[case.surplus.trace() as usize];
    // Where the file cannot be read any more there is nothing to show.
    let Some(event) = case.surplus.of(sources) else {
        return Example::default();
    };
    let reuse = evidence::reuse(tally, case, allocating, sites);
    let read = |of: Option<EventRef>| of.and_then(|of| Some((of.trace(), of.of(sources)?)));
    let stack = |of: Option<(u32, Event)>| -> Arc<[Frame]> {
        of.map_or_else(
            || Arc::from([]),
            |(trace, event)| sites.stack(trace, event.stack),
        )
    };
    let allocated = read(case.allocated);
    let allocation = allocated.map(|(_, event)| event);
    let label = |names: &BTreeMap<u32, String>, number: u32| {
        names.get(&number).cloned().unwrap_or_default()
    };
    Example {
        pid: source.process.pid,
        device: event.device,
        address: event.address,
        size: allocation.map_or(0, |allocation| allocation.size),
        kind: label(
            source.kind_names,
            allocation.map_or(event.kind_label, |allocation| allocation.kind_label),
        ),
        scope: label(source.scopes, event.scope),
        thread: event.thread,
        allocated: stack(allocated),
        freed: stack(read(case.freed)),
        excess: sites.stack(case.surplus.trace(), event.stack),
        verdict: Some(event.verdict),
        reuse,
    }
}

/// Sites that only look guilty; named by the frame that tells them from the culprits.
fn victims(
    chains: &BTreeMap<ChainId, (u64, BTreeMap<usize, u64>)>,
    guilty: &BTreeMap<ChainId, u64>,
    sites: &Sites<'_>,
) -> Vec<Victim> {
    let looks_guilty = chains
        .iter()
        .map(|(&chain, seen)| (chain, seen.0))
        .collect();
    let naming = naming(sites, &Known::plainly(&looks_guilty, guilty));
    let mut by_site: BTreeMap<SiteId, (u64, BTreeMap<usize, u64>)> = BTreeMap::new();
    for (chain, (observed, culprits)) in chains {
        let entry = by_site.entry(naming[chain]).or_default();
        entry.0 += observed;
        for (&culprit, count) in culprits {
            *entry.1.entry(culprit).or_default() += count;
        }
    }
    let mut victims: Vec<Victim> = by_site
        .into_iter()
        .map(|(site, (observed, culprits))| Victim {
            site: Site {
                frame: sites.frame(site).clone(),
            },
            observed,
            culprit: culprits
                .iter()
                .max_by_key(|&(&index, &count)| (count, Reverse(index)))
                .map(|(&index, _)| index),
        })
        .collect();
    victims.sort_by(|a, b| {
        b.observed
            .cmp(&a.observed)
            .then_with(|| a.site.cmp(&b.site))
    });
    victims
}
