//! Unique owners: whoever frees without a right of its own is at fault itself, at that moment.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use super::Accused;
use super::Charge;
use super::Engine;
use super::Log;
use crate::Confidence;
use crate::replay::AddressLog;
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
        let began_late = began_late(log);
        let known = || replay.addresses.iter().filter(|a| a.owners_known);
        let mut charges: Vec<(ChainId, Charge)> = Vec::new();
        for address in known() {
            for index in address.steps.clone() {
                let step = &replay.steps[index];
                if step.kind == EventKind::Deallocate
                    && step.verdict.is_excess()
                    && is_certain(log, address, step, &began_late)
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
        accused.into_values().collect()
    }
}

/// Whether nothing that is missing in the trace can be the right that this free seems to lack.
fn is_certain(
    log: &Log<'_>,
    address: &AddressLog,
    step: &Step,
    began_late: &BTreeSet<u32>,
) -> bool {
    let place = (address.trace, address.device, address.address);
    let trace = &log.traces[address.trace as usize];
    if log.untracked.contains(&place) {
        return false;
    }
    if trace.dropped_events == 0 && !began_late.contains(&address.trace) {
        return true;
    }
    let owner = step.event.of(log.traces).root_owner;
    step.life.is_some_and(|life| {
        let life = &log.replay.lives[life as usize];
        life.owner == owner && (life.freed.is_some() || life.released.is_some())
    })
}

/// The processes in which something was freed that was never allocated while tracking: others that are not known may
/// hold buffers from before it, too.
fn began_late(log: &Log<'_>) -> BTreeSet<u32> {
    let replay = log.replay;
    let is_unknown =
        |step: &&Step| step.kind == EventKind::Deallocate && step.verdict == Verdict::Unknown;
    let unknown = replay.steps.iter().filter(is_unknown);
    unknown.map(|step| step.event.trace).collect()
}
