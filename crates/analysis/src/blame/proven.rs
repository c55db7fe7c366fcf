//! Unique owners: whoever frees without a right of its own is at fault itself, at that moment.

use std::collections::BTreeMap;

use super::Accused;
use super::Case;
use super::Charge;
use super::Counts;
use super::Engine;
use crate::Confidence;
use crate::replay::Place;
use crate::replay::Reset;
use crate::replay::Step;
use crate::sites::ChainId;
use crate::sites::Noise;
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
    /// The owner's own life is known from its allocation to its end.
    is_whole: bool,
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
            is_whole: is_own && step.freed.is_some(),
        }
    }
}

/// What happened where owners are known.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    excess: Vec<(Place, Unproven)>,
    rightful: ByStack<u64>,
}

impl Seen {
    /// A legitimate free.
    pub(crate) fn rightful(&mut self, stack: StackNumber) {
        *self.rightful.of(stack) += 1;
    }

    /// The excess frees of an address at which all owners are known.
    pub(crate) fn take(&mut self, place: Place, excess: Vec<Unproven>) {
        self.excess.extend(excess.into_iter().map(|e| (place, e)));
    }
}

impl Engine for Proven {
    fn accuse(&self, tally: &Tally<'_>, sites: &mut Sites<'_>) -> Vec<Accused> {
        let mut charges: BTreeMap<ChainId, Charge> = BTreeMap::new();
        for (place, free) in &tally.seen.excess {
            if !is_certain(tally, *place, free) {
                continue;
            }
            let chain = tally.chain(free.stack, sites);
            let released = || tally.findings.reset(place.device, free.released?);
            let case = Case {
                surplus: free.at,
                time_ns: free.time_ns,
                allocated: free.allocated,
                freed: free.freed.or_else(released),
            };
            let charge = charges.entry(chain);
            let charge = charge.or_insert_with(|| Charge::new(chain, chain));
            charge.add(*place, Some(case));
        }
        if charges.is_empty() {
            return Vec::new();
        }
        let guilty: Counts = charges
            .iter()
            .map(|(&c, charge)| (c, charge.count))
            .collect();
        let innocent = tally.by_chain(&tally.seen.rightful, sites);
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
fn is_certain(tally: &Tally<'_>, place: Place, free: &Unproven) -> bool {
    if tally.untracked.contains(&place) {
        return false;
    }
    tally.sources[place.trace as usize].dropped_events == 0 || free.is_whole
}
