//! Unique owners: whoever frees without a right of its own is at fault itself, at that moment.

use std::collections::BTreeMap;

use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use super::Accused;
use super::Charge;
use super::Engine;
use super::Log;
use crate::Confidence;
use crate::sites::ChainId;
use crate::sites::Noise;
use crate::sites::SiteId;
use crate::sites::Sites;

/// The engine for addresses whose owners are all known and unique.
#[derive(Debug)]
pub(crate) struct Proven;

impl Engine for Proven {
    fn accuse(&self, log: &Log<'_>, sites: &mut Sites<'_>) -> Vec<Accused> {
        let replay = log.replay;
        let known = || replay.addresses.iter().filter(|a| a.owners_known);
        let mut charges: Vec<(ChainId, Charge)> = Vec::new();
        for address in known() {
            let place = (address.trace, address.device, address.address);
            for index in address.steps.clone() {
                let step = &replay.steps[index];
                if step.kind == EventKind::Deallocate
                    && step.verdict.is_excess()
                    && !log.untracked.contains(&place)
                {
                    let event = step.event.of(log.traces);
                    let life = step.life.map(|life| &replay.lives[life as usize]);
                    let charge = Charge {
                        excess: index,
                        surplus: index,
                        allocated: life.map(|life| life.began),
                        freed: life.and_then(|life| life.freed.or(life.released)),
                    };
                    charges.push((sites.chain_of(address.trace, event), charge));
                }
            }
        }
        if charges.is_empty() {
            return Vec::new();
        }
        let mut guilty: BTreeMap<ChainId, u64> = BTreeMap::new();
        for (chain, _) in &charges {
            *guilty.entry(*chain).or_default() += 1;
        }
        let mut innocent: BTreeMap<ChainId, u64> = BTreeMap::new();
        for address in known() {
            for step in replay.steps_of(address) {
                if step.kind == EventKind::Deallocate && step.verdict == Verdict::Ok {
                    let chain = sites.chain_of(address.trace, step.event.of(log.traces));
                    *innocent.entry(chain).or_default() += 1;
                }
            }
        }
        let naming = sites.naming(&guilty, &innocent, Noise::NONE);
        let mut accused: BTreeMap<SiteId, Accused> = BTreeMap::new();
        for (chain, charge) in charges {
            if sites.is_nameless(chain) {
                continue;
            }
            let site = naming[&chain];
            let entry = accused.entry(site).or_insert_with(|| Accused {
                site,
                confidence: Confidence::Proven,
                alternatives: Vec::new(),
                charges: Vec::new(),
            });
            entry.charges.push(charge);
        }
        let accused = accused.into_values();
        accused.filter_map(|it| beyond_doubt(log, it)).collect()
    }
}

/// What of an accusation stands. Each event that was lost before it was judged may have given the right that one free
/// seems to lack; where those of a process would do for all that the site did in it, nothing does.
fn beyond_doubt(log: &Log<'_>, mut accused: Accused) -> Option<Accused> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    let trace_of = |charge: &Charge| log.replay.step(charge.excess).event.trace;
    for charge in &accused.charges {
        *counts.entry(trace_of(charge)).or_default() += 1;
    }
    accused.charges.retain(|charge| {
        let trace = trace_of(charge);
        counts[&trace] > log.traces[trace as usize].unjudged_events
    });
    (!accused.charges.is_empty()).then_some(accused)
}
