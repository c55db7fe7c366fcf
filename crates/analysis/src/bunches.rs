//! Frees that come in bunches: a loop that frees ten buffers may be right or wrong ten times at once, and then that is one
//! piece of evidence, not ten.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::HashSet;

use whofreed_trace::EventKind;

use crate::sites::ChainId;
use crate::sites::Sites;
use crate::sources::EventRef;
use crate::tally::Tally;

/// So many events of a trace are looked at.
const MOST_EVENTS: u64 = 1 << 22;
/// So many are read at a time.
const AT_ONCE: u64 = 1 << 12;

/// How much a single free of each chain counts for.
#[derive(Debug, Default)]
pub(crate) struct Bunches(BTreeMap<ChainId, f64>);

/// Every free comes alone.
pub(crate) static NONE: Bunches = Bunches(BTreeMap::new());

/// The frees of a chain.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    frees: f64,
    guilty: f64,
    /// How many rows they make. A row is of one chain, with no other event of its thread in between.
    rows: f64,
    /// How often a free in a row is guilty and the one before is not, or the other way about.
    changes: f64,
}

impl Seen {
    fn add(&mut self, is_guilty: bool, before: Option<bool>) {
        self.frees += 1.0;
        self.guilty += f64::from(u8::from(is_guilty));
        match before {
            None => self.rows += 1.0,
            Some(before) => self.changes += f64::from(u8::from(before != is_guilty)),
        }
    }

    /// How many changes there would be if each free of a row were right or wrong for itself.
    fn expected_changes(&self) -> f64 {
        let share = self.guilty / self.frees;
        (self.frees - self.rows) * 2.0 * share * (1.0 - share)
    }
}

impl Bunches {
    /// Looks how far the frees of a row are guilty together.
    ///
    /// *n* frees in rows of *m* of which each is like the others with correlation *r* are worth n / (1 + (m - 1) r) (the
    /// design effect of cluster samples: L. Kish, Survey Sampling, 1965, 5.4). What one chain shows is little, so the
    /// correlation is that of all; without anything to tell by, rows are taken for one each.
    ///
    /// Weights tell only where a chain is right and wrong by turns; where none is, no event is read.
    pub(crate) fn new(
        tally: &Tally<'_>,
        sites: &mut Sites<'_>,
        (guilty, innocent): (&BTreeMap<ChainId, u64>, &BTreeMap<ChainId, u64>),
        surplus: &HashSet<EventRef>,
    ) -> Self {
        if !guilty.keys().any(|chain| innocent.contains_key(chain)) {
            return Self::default();
        }
        let mut seen: BTreeMap<ChainId, Seen> = BTreeMap::new();
        each_free(tally, sites, |chain, at, before| {
            let is_guilty = |at: &EventRef| surplus.contains(at);
            let of = seen.entry(chain).or_default();
            of.add(is_guilty(&at), before.as_ref().map(is_guilty));
        });
        Self::of(seen)
    }

    fn of(seen: BTreeMap<ChainId, Seen>) -> Self {
        let expected: f64 = seen.values().map(Seen::expected_changes).sum();
        let changes: f64 = seen.values().map(|of| of.changes).sum();
        let alike = if expected > 0.0 {
            (1.0 - changes / expected).clamp(0.0, 1.0)
        } else {
            1.0
        };
        let weight = |of: Seen| 1.0 / (1.0 + (of.frees / of.rows - 1.0) * alike);
        Self(seen.into_iter().map(|(c, of)| (c, weight(of))).collect())
    }

    /// What a free of the chain counts for: 1 where each is right or wrong for itself.
    pub(crate) fn weight(&self, chain: ChainId) -> f64 {
        self.0.get(&chain).copied().unwrap_or(1.0)
    }
}

/// Tells every free: its chain, itself, and the one right before it in its row.
fn each_free(
    tally: &Tally<'_>,
    sites: &mut Sites<'_>,
    mut told: impl FnMut(ChainId, EventRef, Option<EventRef>),
) {
    // Names cost much more than events: only the stacks of frees are looked up.
    let mut chains: Vec<Option<ChainId>> = vec![None; tally.stacks.len()];
    let mut events = Vec::new();
    for (trace, source) in (0..).zip(tally.sources) {
        let mut left = MOST_EVENTS;
        for run in source.events.runs() {
            let mut last: Option<(ChainId, EventRef)> = None;
            let count = run.count.min(left);
            left -= count;
            for first in (0..count).step_by(AT_ONCE as usize) {
                let (first, count) = (run.first + first, AT_ONCE.min(count - first));
                events.clear();
                source.events.read(first, count as usize, &mut events);
                for (index, event) in (first..).zip(&events) {
                    let number = tally.stacks.find(trace, event.stack);
                    let Some(number) = number.filter(|_| event.kind == EventKind::Deallocate)
                    else {
                        last = None;
                        continue;
                    };
                    let chain = *chains[number.0 as usize]
                        .get_or_insert_with(|| tally.chain(number, sites));
                    let at = EventRef::new(trace, index);
                    told(chain, at, last.filter(|l| l.0 == chain).map(|l| l.1));
                    last = Some((chain, at));
                }
            }
        }
    }
}
