//! Unique owners: whoever frees without a right of its own is at fault itself, at that moment.

use std::collections::BTreeMap;

use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use super::Accused;
use super::Charge;
use super::Engine;
use super::Log;
use crate::Confidence;
use crate::replay::AddressLog;
use crate::replay::EventRef;
use crate::replay::Step;
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
            for index in address.steps.clone() {
                let step = &replay.steps[index];
                if step.kind == EventKind::Deallocate
                    && step.verdict.is_excess()
                    && is_certain(log, address, step)
                {
                    let event = step.event.of(log.traces);
                    let life = step.life.map(|life| &replay.lives[life as usize]);
                    // What a stranger freed while it was live may have come to its rightful end later.
                    let was_before = |end: &EventRef| {
                        let ended = end.of(log.traces);
                        end.trace != address.trace
                            || ended.step < event.step && ended.epoch <= event.epoch
                    };
                    let charge = Charge {
                        excess: index,
                        surplus: index,
                        allocated: life.map(|life| life.began),
                        freed: life
                            .and_then(|life| life.freed.or(life.released))
                            .filter(was_before),
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
        accused.into_values().collect()
    }
}

/// Whether nothing that was lost can be the right that this free seems to lack.
fn is_certain(log: &Log<'_>, address: &AddressLog, step: &Step) -> bool {
    let place = (address.trace, address.device, address.address);
    let trace = &log.traces[address.trace as usize];
    if log.untracked.contains(&place) {
        return false;
    }
    if trace.dropped_events == 0 {
        return true;
    }
    let owner = step.event.of(log.traces).root_owner;
    step.life.is_some_and(|life| {
        let life = &log.replay.lives[life as usize];
        life.owner == owner && life.freed.is_some()
    })
}
