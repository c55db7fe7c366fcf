//! The blame stop of an event's way: which call sites the excess frees are charged to.
//!
//! Every engine takes the judged log and hands back whom it accuses of what; [`culprits`](crate::culprits)
//! makes the report's culprits and victims of that. An engine may stay silent about any excess free, and has to
//! where it would have to guess.

mod counterfactual;
mod proven;

pub(crate) use counterfactual::Counterfactual;
pub(crate) use proven::Proven;

use std::collections::BTreeSet;

use whofreed_trace::Trace;

use crate::Confidence;
use crate::replay::EventRef;
use crate::replay::Replay;
use crate::sites::SiteId;
use crate::sites::Sites;

/// What an engine works on.
pub(crate) struct Log<'a> {
    pub(crate) traces: &'a [Trace],
    pub(crate) replay: &'a Replay,
    /// Addresses (trace, device, address) with events that the ledger had no room to judge.
    pub(crate) untracked: &'a BTreeSet<(u32, u32, u64)>,
}

/// One excess free, charged to a surplus free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Charge {
    /// Index into [`Replay::steps`] of the free that got an excess verdict.
    pub(crate) excess: usize,
    /// The surplus free that made it so: the same one, or one before that took somebody else's instance.
    pub(crate) surplus: usize,
    /// Where the buffer that the surplus free frees again was allocated and first freed.
    pub(crate) allocated: Option<EventRef>,
    pub(crate) freed: Option<EventRef>,
}

/// A call site and what it is charged with.
#[derive(Clone, Debug)]
pub(crate) struct Accused {
    pub(crate) site: SiteId,
    pub(crate) confidence: Confidence,
    /// Sites that fit as well.
    pub(crate) alternatives: Vec<SiteId>,
    pub(crate) charges: Vec<Charge>,
}

/// A way to find culprits.
pub(crate) trait Engine {
    /// Charges excess frees to call sites; no excess free is charged twice.
    fn accuse(&self, log: &Log<'_>, sites: &mut Sites<'_>) -> Vec<Accused>;
}
