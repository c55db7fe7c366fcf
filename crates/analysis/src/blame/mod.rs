//! The blame stop of an event's way: which call sites the excess frees are charged to.
//!
//! Every engine takes what is left of the judged log and hands back whom it accuses of what;
//! [`culprits`](crate::culprits) makes the report's culprits and victims of that. An engine may stay silent about any
//! excess free, and has to where it would have to guess.

mod counterfactual;
mod proven;

pub(crate) use counterfactual::Counterfactual;
pub(crate) use proven::Proven;
pub(crate) use proven::Seen;
pub(crate) use proven::Unproven;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::Confidence;
use crate::replay::Place;
use crate::sites::ChainId;
use crate::sites::SiteId;
use crate::sites::Sites;
use crate::sources::EventRef;
use crate::sources::Source;
use crate::tally::Tally;

/// Excess frees that are charged alike.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    /// The chain of the frees that got an excess verdict.
    pub(crate) excess: ChainId,
    /// The chain of the surplus frees that made them so: the same ones, or some before that took somebody else's
    /// instances.
    pub(crate) surplus: ChainId,
    /// How many there are.
    pub(crate) count: u64,
    /// Where the surplus frees were.
    pub(crate) buffers: BTreeSet<Place>,
    /// The surplus frees, and by whom what they hit was allocated.
    pub(crate) frees: Vec<EventRef>,
    /// For each of these the free that is the surplus one in the other story, where it is known; empty where the log decides.
    pub(crate) others: Vec<Option<EventRef>>,
    pub(crate) hits: Counts,
    /// The one that tells most, and of those the first in time.
    pub(crate) case: Option<Case>,
}

impl Charge {
    pub(crate) fn new(excess: ChainId, surplus: ChainId) -> Self {
        Self {
            excess,
            surplus,
            count: 0,
            buffers: BTreeSet::new(),
            frees: Vec::new(),
            others: Vec::new(),
            hits: Counts::new(),
            case: None,
        }
    }

    /// Charges one more: `free`, which hit what was allocated by the chain `hit`.
    pub(crate) fn add(
        &mut self,
        buffer: Place,
        free: EventRef,
        hit: Option<ChainId>,
        case: Option<Case>,
    ) {
        self.count += 1;
        self.buffers.insert(buffer);
        self.frees.push(free);
        if let Some(hit) = hit {
            *self.hits.entry(hit).or_default() += 1;
        }
        let better = |case: &Case| self.case.is_none_or(|best| case.order() < best.order());
        if let Some(case) = case.filter(better) {
            self.case = Some(case);
        }
    }
}

/// A surplus free, to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) surplus: EventRef,
    pub(crate) time_ns: u64,
    /// Where the buffer that it frees again was allocated and first freed.
    pub(crate) allocated: Option<EventRef>,
    pub(crate) freed: Option<EventRef>,
    pub(crate) lives: Lives,
}

/// Which lives of its address a surplus free has to do with, by their numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lives {
    /// The one that its pointer is from; or that its owner never held the address.
    pub(crate) own: Option<u32>,
    pub(crate) never_held: bool,
    /// The one that goes on, and that it hits, with its allocate; or that none does.
    pub(crate) hit: Option<(u32, EventRef)>,
    pub(crate) was_dead: bool,
    /// How many there had been.
    pub(crate) all: u32,
}

impl Case {
    pub(crate) fn new(
        sources: &[Source<'_>],
        surplus: EventRef,
        allocated: Option<EventRef>,
        freed: Option<EventRef>,
        lives: Lives,
    ) -> Self {
        Self {
            surplus,
            time_ns: surplus.of(sources).map_or(u64::MAX, |event| event.time_ns),
            allocated,
            freed,
            lives,
        }
    }

    /// The smallest is shown.
    pub(crate) fn order(&self) -> (u8, u64, EventRef) {
        let untold = u8::from(self.allocated.is_none()) + u8::from(self.freed.is_none());
        (untold, self.time_ns, self.surplus)
    }
}

/// A call site and what it is charged with.
#[derive(Clone, Debug)]
pub(crate) struct Accused {
    pub(crate) site: SiteId,
    pub(crate) confidence: Confidence,
    /// Sites that fit as well.
    pub(crate) alternatives: Vec<SiteId>,
    /// By how many nats the description of the log gets longer if it is declared innocent, where there is one.
    pub(crate) innocence_costs: Option<f64>,
    pub(crate) charges: Vec<Charge>,
}

impl Accused {
    /// How many excess frees it is charged with.
    pub(crate) fn explains(&self) -> u64 {
        self.charges.iter().map(|charge| charge.count).sum()
    }
}

/// A way to find culprits.
pub(crate) trait Engine {
    /// Charges excess frees to call sites; no excess free is charged twice.
    fn accuse(&self, tally: &Tally<'_>, sites: &mut Sites<'_>) -> Vec<Accused>;
}

/// Sums of frees by chain.
pub(crate) type Counts = BTreeMap<ChainId, u64>;
