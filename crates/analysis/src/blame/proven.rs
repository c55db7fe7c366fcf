//! Unique owners: whoever frees without a right of its own is at fault itself, at that moment.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashSet;

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
        let strangers = Strangers::new(log);
        let is_stranger = |address: &AddressLog, step: &Step| {
            let owner = step.event.of(log.traces).root_owner;
            let strangers = strangers.as_ref();
            strangers.is_some_and(|strangers| strangers.may_have_held(address, owner))
        };
        let known = || replay.addresses.iter().filter(|a| a.owners_known);
        let mut charges: Vec<(ChainId, Charge)> = Vec::new();
        for address in known() {
            let place = (address.trace, address.device, address.address);
            for index in address.steps.clone() {
                let step = &replay.steps[index];
                if step.kind == EventKind::Deallocate
                    && step.verdict.is_excess()
                    && !log.untracked.contains(&place)
                    && !is_stranger(address, step)
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
        let accused = accused.into_values();
        accused.filter_map(|it| beyond_doubt(log, it)).collect()
    }
}

/// Who never got anything while tracking, where the tracking began late: something was freed that was never allocated, so
/// they may hold buffers from before it, too.
struct Strangers {
    late: BTreeSet<u32>,
    known: HashSet<(u32, u64)>,
    /// Those from before the tracking that were freed, by place and owner.
    freed: HashSet<(u32, u32, u64, u64)>,
}

impl Strangers {
    fn new(log: &Log<'_>) -> Option<Self> {
        let steps = || log.replay.steps.iter();
        let is_unknown =
            |step: &&Step| step.kind == EventKind::Deallocate && step.verdict == Verdict::Unknown;
        let unknown = || steps().filter(is_unknown);
        let late: BTreeSet<u32> = unknown().map(|step| step.event.trace).collect();
        if late.is_empty() {
            return None;
        }
        let gets = |step: &&Step| matches!(step.kind, EventKind::Allocate | EventKind::Retain);
        let owner = |step: &Step| (step.event.trace, step.event.of(log.traces).root_owner);
        let freed = unknown().map(|step| {
            let event = step.event.of(log.traces);
            let place = (step.event.trace, event.device, event.address);
            (place.0, place.1, place.2, event.root_owner)
        });
        Some(Self {
            late,
            known: steps().filter(gets).map(owner).collect(),
            freed: freed.collect(),
        })
    }

    /// Whether this free may be the first one of a buffer from before the tracking.
    fn may_have_held(&self, address: &AddressLog, owner: u64) -> bool {
        let trace = address.trace;
        let free = (trace, address.device, address.address, owner);
        self.late.contains(&trace)
            && !self.known.contains(&(trace, owner))
            && !self.freed.contains(&free)
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
