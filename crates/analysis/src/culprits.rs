//! Makes the report's culprits and victims of what the engines charge.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use whofreed_trace::EventKind;
use whofreed_trace::Frame;
use whofreed_trace::Trace;

use crate::Confidence;
use crate::Culprit;
use crate::Example;
use crate::Site;
use crate::Victim;
use crate::blame::Accused;
use crate::blame::Charge;
use crate::classify::classify;
use crate::replay::EventRef;
use crate::replay::Replay;
use crate::sites::ChainId;
use crate::sites::Noise;
use crate::sites::SiteId;
use crate::sites::Sites;

/// Culprits and victims, and how many excess frees the culprits explain.
pub(crate) fn assemble(
    traces: &[Trace],
    replay: &Replay,
    accused: Vec<Accused>,
    sites: &mut Sites<'_>,
) -> (Vec<Culprit>, Vec<Victim>, u64) {
    let accused = merge(accused, sites);
    let chain_of_step = |sites: &mut Sites<'_>, step: usize| -> ChainId {
        let event = replay.step(step).event;
        sites.chain_of(event.trace, event.of(traces))
    };
    let mut guilty: HashMap<ChainId, usize> = HashMap::new();
    let mut charged: HashMap<usize, usize> = HashMap::new();
    for (index, accused) in accused.iter().enumerate() {
        for charge in &accused.charges {
            let chain = chain_of_step(sites, charge.surplus);
            guilty.entry(chain).or_insert(index);
            charged.insert(charge.excess, index);
        }
    }
    // Whoever could have done it as well is no victim.
    let suspects: BTreeSet<SiteId> = accused
        .iter()
        .flat_map(|accused| accused.alternatives.iter().copied())
        .collect();
    let mut observed = vec![0u64; accused.len()];
    let mut victim_chains: BTreeMap<ChainId, (u64, BTreeMap<usize, u64>)> = BTreeMap::new();
    for (index, step) in replay.steps.iter().enumerate() {
        if step.kind != EventKind::Deallocate || !step.verdict.is_excess() {
            continue;
        }
        let chain = chain_of_step(sites, index);
        if let Some(&culprit) = guilty.get(&chain) {
            observed[culprit] += 1;
        } else if let Some(&culprit) = charged.get(&index)
            && !sites
                .sites(chain)
                .iter()
                .any(|site| suspects.contains(site))
        {
            let entry = victim_chains.entry(chain).or_default();
            entry.0 += 1;
            *entry.1.entry(culprit).or_default() += 1;
        }
    }
    let explained = accused
        .iter()
        .map(|accused| accused.charges.len() as u64)
        .sum();
    let culprits: Vec<Culprit> = accused
        .iter()
        .zip(observed)
        .map(|(accused, observed)| culprit(traces, replay, accused, observed, sites))
        .collect();
    let guilty_counts = guilty.keys().map(|&chain| (chain, 1)).collect();
    let victims = victims(&victim_chains, &guilty_counts, sites);
    (culprits, victims, explained)
}

/// One entry for each site and confidence, the one that explains most first.
fn merge(accused: Vec<Accused>, sites: &Sites<'_>) -> Vec<Accused> {
    let mut merged: BTreeMap<(SiteId, Confidence), Accused> = BTreeMap::new();
    for mut next in accused {
        if next.charges.is_empty() {
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
        let most = b.charges.len().cmp(&a.charges.len());
        most.then_with(|| sites.frame(a.site).cmp(sites.frame(b.site)))
            .then_with(|| a.confidence.cmp(&b.confidence))
    });
    accused
}

fn culprit(
    traces: &[Trace],
    replay: &Replay,
    accused: &Accused,
    observed: u64,
    sites: &Sites<'_>,
) -> Culprit {
    let surplus = |charge: &Charge| replay.step(charge.surplus).event;
    let mut buffers: BTreeSet<(u32, u32, u64)> = BTreeSet::new();
    let mut devices: BTreeSet<u32> = BTreeSet::new();
    for charge in &accused.charges {
        let at = surplus(charge);
        let event = at.of(traces);
        buffers.insert((at.trace, event.device, event.address));
        devices.insert(event.device);
    }
    // The example that tells most, and of those the first in time.
    let best = accused.charges.iter().min_by_key(|charge| {
        let at = surplus(charge);
        let untold = u8::from(charge.allocated.is_none()) + u8::from(charge.freed.is_none());
        (untold, at.of(traces).time_ns, at)
    });
    let example = best.map_or_else(Example::default, |charge| {
        example(traces, surplus(charge), charge, sites)
    });
    let frame = sites.frame(accused.site).clone();
    Culprit {
        class: classify(&frame, &example.excess),
        site: Site { frame },
        explains: accused.charges.len() as u64,
        observed,
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

fn example(traces: &[Trace], at: EventRef, charge: &Charge, sites: &Sites<'_>) -> Example {
    let trace = &traces[at.trace as usize];
    let event = at.of(traces);
    let stack = |of: Option<EventRef>| -> Arc<[Frame]> {
        of.map_or_else(
            || Arc::from([]),
            |of| sites.stack(of.trace, of.of(traces).stack),
        )
    };
    let allocation = charge.allocated.map(|of| of.of(traces));
    let label = |names: &BTreeMap<u32, String>, number: u32| {
        names.get(&number).cloned().unwrap_or_default()
    };
    Example {
        pid: trace.process.pid,
        device: event.device,
        address: event.address,
        size: allocation.map_or(0, |allocation| allocation.size),
        kind: label(
            &trace.kind_names,
            allocation.map_or(event.kind_label, |allocation| allocation.kind_label),
        ),
        scope: label(&trace.scopes, event.scope),
        thread: event.thread,
        allocated: stack(charge.allocated),
        freed: stack(charge.freed),
        excess: stack(Some(at)),
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
    let naming = sites.naming(&looks_guilty, guilty, Noise::NONE);
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
