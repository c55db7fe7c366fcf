//! Unique owners: whoever frees without a right of its own is at fault itself, at that moment.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use whofreed_trace::EventKind;
use whofreed_trace::StackId;

use super::Accused;
use super::Case;
use super::Charge;
use super::Counts;
use super::Engine;
use super::Lives;
use crate::Confidence;
use crate::bunches::Bunches;
use crate::naming::Known;
use crate::naming::Noise;
use crate::naming::naming;
use crate::replay::Place;
use crate::replay::Reset;
use crate::replay::Step;
use crate::sites::ChainId;
use crate::sites::SiteId;
use crate::sites::Sites;
use crate::sources::EventRef;
use crate::stacks::ByStack;
use crate::stacks::StackNumber;
use crate::tally::Tally;

/// The engine for addresses whose owners are all known and unique.
#[derive(Debug)]
pub(crate) struct Proven;

/// An excess free by a known owner, as long as it may turn out that others at its address are not known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unproven {
    at: EventRef,
    time_ns: u64,
    stack: StackNumber,
    allocated: Option<EventRef>,
    freed: Option<EventRef>,
    released: Option<Reset>,
    owner: u64,
    /// The owner has had a life here.
    is_own: bool,
    lives: Lives,
    /// The stack that allocated what it hits, by its trace.
    hit: Option<(u32, StackId)>,
}

impl Unproven {
    pub(crate) fn new(step: &Step<'_>, stack: StackNumber) -> Self {
        let life = step.life;
        let is_own = life.is_some_and(|life| life.owner == step.event.root_owner);
        Self {
            at: step.at,
            time_ns: step.event.time_ns,
            stack,
            allocated: life.map(|life| life.began),
            freed: step.freed,
            released: life.and_then(|life| life.released),
            owner: step.event.root_owner,
            is_own,
            lives: Lives {
                own: life.filter(|_| is_own).map(|life| life.number),
                never_held: life.is_some() && !is_own,
                hit: step.hit.map(|hit| (hit.number, hit.began)),
                was_dead: step.hit.is_none(),
                all: step.lives,
            },
            hit: step.hit.or(life).map(|hit| (hit.began.trace(), hit.stack)),
        }
    }
}

/// What happened where owners are known.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    excess: Vec<(Place, Unproven)>,
    rightful: ByStack<u64>,
    /// Traces in which something was freed that was never allocated, and the buffers that were, by their owners.
    late: BTreeSet<u32>,
    freed_before: BTreeSet<(Place, u64)>,
}

impl Seen {
    /// A legitimate free.
    pub(crate) fn rightful(&mut self, stack: StackNumber) {
        *self.rightful.of(stack) += 1;
    }

    /// A free of what was never allocated while tracking.
    pub(crate) fn unknown(&mut self, place: Place, owner: u64) {
        self.late.insert(place.trace);
        if owner != 0 {
            self.freed_before.insert((place, owner));
        }
    }

    /// The excess frees of an address at which all owners are known.
    pub(crate) fn take(&mut self, place: Place, excess: Vec<Unproven>) {
        self.excess.extend(excess.into_iter().map(|e| (place, e)));
    }
}

impl Engine for Proven {
    fn accuse(&self, tally: &Tally<'_>, sites: &mut Sites<'_>) -> Vec<Accused> {
        let strangers = Strangers::new(tally);
        let mut charges: BTreeMap<(ChainId, u32), Charge> = BTreeMap::new();
        let excess = tally.seen.excess.iter();
        tally.prepare(excess.map(|(_, free)| free.stack), sites);
        for (place, free) in &tally.seen.excess {
            if tally.untracked.contains(place) || strangers.may_have_held(*place, free) {
                continue;
            }
            let chain = tally.chain(free.stack, sites);
            let released = || tally.findings.reset(place.device, free.released?);
            let case = Case {
                surplus: free.at,
                time_ns: free.time_ns,
                allocated: free.allocated,
                freed: free.freed.or_else(released),
                lives: free.lives,
            };
            let hit = free.hit.map(|(trace, stack)| sites.chain(trace, stack));
            let charge = charges.entry((chain, place.trace));
            let charge = charge.or_insert_with(|| Charge::new(chain, chain));
            charge.add(*place, free.at, hit, Some(case));
        }
        if charges.is_empty() {
            return Vec::new();
        }
        let mut guilty = Counts::new();
        for ((chain, _), charge) in &charges {
            *guilty.entry(*chain).or_default() += charge.count;
        }
        let innocent = tally.by_chain(&tally.seen.rightful, sites);
        let surplus = tally.seen.excess.iter().map(|(_, free)| free.at).collect();
        let bunches = Bunches::new(tally, sites, (&guilty, &innocent), &surplus);
        let known = Known {
            guilty: &guilty,
            innocent: &innocent,
            bunches: &bunches,
            noise: Noise::NONE,
            spares_helpers: true,
        };
        let naming = naming(sites, &known);
        let mut accused: BTreeMap<SiteId, Accused> = BTreeMap::new();
        for (chain, charge) in beyond_doubt(tally, charges, &naming) {
            if sites.is_nameless(chain) {
                continue;
            }
            let site = naming[&chain];
            let entry = accused.entry(site).or_insert_with(|| Accused {
                site,
                confidence: Confidence::Proven,
                alternatives: Vec::new(),
                innocence_costs: None,
                charges: Vec::new(),
            });
            entry.charges.push(charge);
        }
        accused.into_values().collect()
    }
}

/// Who never got anything while tracking, where the tracking began late: something was freed that was never
/// allocated, so they may hold buffers from before it, too.
struct Strangers<'a> {
    seen: &'a Seen,
    /// Who frees somebody else's buffer there and did get something.
    known: BTreeSet<(u32, u64)>,
}

impl<'a> Strangers<'a> {
    fn new(tally: &'a Tally<'_>) -> Self {
        let seen = &tally.seen;
        let mut unknown: BTreeSet<(u32, u64)> = seen
            .excess
            .iter()
            .filter(|(place, free)| !free.is_own && seen.late.contains(&place.trace))
            .map(|(place, free)| (place.trace, free.owner))
            .collect();
        let mut known = BTreeSet::new();
        for &trace in &seen.late {
            let events = tally.sources[trace as usize].events;
            for index in 0..events.len() {
                if unknown.is_empty() {
                    break;
                }
                let Some(event) = events.event(index) else {
                    continue;
                };
                let owner = (trace, event.root_owner);
                let gets = matches!(event.kind, EventKind::Allocate | EventKind::Retain);
                if gets && unknown.remove(&owner) {
                    known.insert(owner);
                }
            }
        }
        Self { seen, known }
    }

    /// Whether this free may be the first one of a buffer from before the tracking.
    fn may_have_held(&self, place: Place, free: &Unproven) -> bool {
        self.seen.late.contains(&place.trace)
            && !free.is_own
            && !self.known.contains(&(place.trace, free.owner))
            && !self.seen.freed_before.contains(&(place, free.owner))
    }
}

/// What of the charges against each site stands. Each event that was lost before it was judged may have given the right
/// that one free seems to lack; where those of a process would do for all that a site did in it, nothing does.
fn beyond_doubt(
    tally: &Tally<'_>,
    charges: BTreeMap<(ChainId, u32), Charge>,
    naming: &HashMap<ChainId, SiteId>,
) -> Vec<(ChainId, Charge)> {
    let mut counts: BTreeMap<(SiteId, u32), u64> = BTreeMap::new();
    for ((chain, trace), charge) in &charges {
        *counts.entry((naming[chain], *trace)).or_default() += charge.count;
    }
    let stands = |chain: &ChainId, trace: u32| {
        counts[&(naming[chain], trace)] > tally.sources[trace as usize].unjudged_events
    };
    charges
        .into_iter()
        .filter(|((chain, trace), _)| stands(chain, *trace))
        .map(|((chain, _), charge)| (chain, charge))
        .collect()
}
