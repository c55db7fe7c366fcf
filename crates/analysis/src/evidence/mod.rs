//! What speaks against each culprit, from the frees that are charged to it: when they were, by which threads, and whose
//! buffers they hit.
//!
//! The blame keeps the numbers of these events. They are read again in their order, once, so that a time or a thread
//! costs no memory while the traces are replayed.

mod model;
mod scopes;
#[cfg(test)]
mod tests;

pub use model::ChargedTo;
pub use model::Evidence;
pub use model::Hits;
pub use model::Moment;
pub use model::Reuse;
pub use model::ScopeFrees;
pub use model::ThreadFrees;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_trace::Event;
use whofreed_trace::EventKind;

use self::scopes::Others;
use self::scopes::Scopes;
use crate::blame::Accused;
use crate::blame::Case;
use crate::replay::Map;
use crate::sites::ChainId;
use crate::sites::SiteId;
use crate::sites::Sites;
use crate::sources::EventRef;
use crate::sources::Source;
use crate::tally::Tally;

/// So many threads and call sites are told.
const MOST: usize = 3;

/// Every free that is charged to somebody, with the index of whom; in the order of the events.
pub(crate) type Charged = Vec<(EventRef, u32)>;

/// The frees that are charged to each.
pub(crate) fn charged(accused: &[Accused]) -> Charged {
    let mut charged: Charged = (0..)
        .zip(accused)
        .flat_map(|(index, accused)| {
            let frees = accused.charges.iter().flat_map(|charge| &charge.frees);
            frees.map(move |&free| (free, index))
        })
        .collect();
    charged.sort_unstable();
    charged
}

/// The evidence against each.
pub(crate) fn evidence(
    tally: &Tally<'_>,
    accused: &[Accused],
    charged: &Charged,
    allocating: Allocating,
    sites: &Sites<'_>,
) -> Vec<Evidence> {
    let mut seen: Vec<Seen> = accused.iter().map(|_| Seen::default()).collect();
    let others = Others::new(tally.sources, accused);
    each_event(tally.sources, charged, |free, event, index| {
        let seen = &mut seen[index as usize];
        seen.add(free.trace(), event);
        seen.scopes.add(free.trace(), event, others.scope(free));
    });
    let starts: Vec<u64> = tally.sources.iter().map(start).collect();
    let told = accused.iter().zip(seen);
    told.map(|(accused, seen)| {
        let (hits, hit_sites, known) = hits(accused, allocating, sites);
        Evidence {
            innocence_costs: accused.innocence_costs,
            hits,
            hit_sites,
            hits_unknown: accused.explains().saturating_sub(known),
            ..seen.evidence(tally.sources, &starts)
        }
    })
    .collect()
}

/// When the first event of a trace was.
pub(crate) fn start(source: &Source<'_>) -> u64 {
    let runs = source.events.runs();
    runs.iter().map(|run| run.time_ns).min().unwrap_or(0)
}

/// Reads the events of `charged`, of many at once where they lie close together.
fn each_event(
    sources: &[Source<'_>],
    charged: &Charged,
    mut tell: impl FnMut(EventRef, &Event, u32),
) {
    const CLOSE: u32 = 64;
    let mut events = Vec::with_capacity(CLOSE as usize);
    let mut rest = charged.as_slice();
    while let Some(&(first, _)) = rest.first() {
        let offset = |of: EventRef| of.distance(first).filter(|&offset| offset < CLOSE);
        let together = rest.partition_point(|&(free, _)| offset(free).is_some());
        let last = offset(rest[together - 1].0).unwrap_or(0);
        events.clear();
        first.read(sources, last as usize + 1, &mut events);
        let mut told = 0;
        for &(free, index) in &rest[..together] {
            let event = offset(free).and_then(|offset| events.get(offset as usize));
            let Some(event) = event else {
                break;
            };
            tell(free, event, index);
            told += 1;
        }
        // What could not be read lies in another run, or is gone.
        rest = &rest[told.max(1)..];
    }
}

/// What was seen of the frees that are charged to one.
#[derive(Debug, Default)]
struct Seen {
    first: Option<(u32, Event)>,
    last: Option<(u32, Event)>,
    threads: Map<(u32, u32), u64>,
    scopes: Scopes,
}

impl Seen {
    fn add(&mut self, trace: u32, event: &Event) {
        *self.threads.entry((trace, event.thread)).or_default() += 1;
        let time = event.time_ns;
        if self.first.is_none_or(|(_, first)| time < first.time_ns) {
            self.first = Some((trace, *event));
        }
        if self.last.is_none_or(|(_, last)| time >= last.time_ns) {
            self.last = Some((trace, *event));
        }
    }

    fn evidence(self, sources: &[Source<'_>], starts: &[u64]) -> Evidence {
        let pid = |trace: u32| sources[trace as usize].process.pid;
        let moment = |(trace, event): (u32, Event)| Moment {
            pid: pid(trace),
            thread: event.thread,
            time_ns: event.time_ns,
            since_start_ns: event.time_ns.saturating_sub(starts[trace as usize]),
        };
        let thread_count = self.threads.len() as u64;
        let mut threads: Vec<ThreadFrees> = self
            .threads
            .into_iter()
            .map(|((trace, thread), frees)| ThreadFrees {
                pid: pid(trace),
                thread,
                frees,
            })
            .collect();
        threads.sort_unstable_by_key(|of| (Reverse(of.frees), of.pid, of.thread));
        threads.truncate(MOST);
        Evidence {
            first: self.first.map(moment),
            last: self.last.map(moment),
            threads,
            thread_count,
            scopes: self.scopes.told(sources),
            ..Evidence::default()
        }
    }
}

/// Which site of a chain that allocates is shown: what all of them have in common tells nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allocating {
    common: usize,
}

impl Allocating {
    /// Of what the frees of all the accused hit.
    pub(crate) fn new(accused: &[Accused], sites: &Sites<'_>) -> Self {
        let charges = accused.iter().flat_map(|accused| &accused.charges);
        let chains: BTreeSet<ChainId> = charges
            .flat_map(|charge| charge.hits.keys().copied())
            .collect();
        Self::of_chains(&chains, sites)
    }

    /// Of these chains.
    pub(crate) fn of_chains(chains: &BTreeSet<ChainId>, sites: &Sites<'_>) -> Self {
        let chains = chains.iter().filter(|&&chain| !sites.is_nameless(chain));
        let mut all = chains.map(|&chain| Self::telling(sites, chain));
        let (first, rest) = (all.next().unwrap_or_default(), all);
        let shared = |other: &[SiteId]| first.iter().zip(other).take_while(|(a, b)| a == b).count();
        // One alone has nothing in common with anybody.
        let common = rest.map(shared).min().unwrap_or(0);
        Self { common }
    }

    /// The site of one of them.
    pub(crate) fn site(self, sites: &Sites<'_>, chain: ChainId) -> SiteId {
        let telling = Self::telling(sites, chain);
        telling[self.common.min(telling.len() - 1)]
    }

    /// The chain from the innermost call site outside of the runtime's own libraries on, where there is one.
    fn telling<'a>(sites: &'a Sites<'_>, chain: ChainId) -> &'a [SiteId] {
        let all = sites.sites(chain);
        let caller = all.iter().position(|&site| !sites.is_runtime(site));
        &all[caller.unwrap_or(0)..]
    }
}

/// Who allocated what the frees hit, how many such call sites there are, and of how many frees that is known.
fn hits(accused: &Accused, allocating: Allocating, sites: &Sites<'_>) -> (Vec<Hits>, u64, u64) {
    let mut by_site: BTreeMap<SiteId, u64> = BTreeMap::new();
    let of_charges = accused.charges.iter().flat_map(|charge| &charge.hits);
    for (&chain, count) in of_charges.filter(|(chain, _)| !sites.is_nameless(**chain)) {
        *by_site.entry(allocating.site(sites, chain)).or_default() += count;
    }
    let count = by_site.len() as u64;
    let known = by_site.values().sum();
    let mut hits: Vec<Hits> = by_site
        .into_iter()
        .map(|(site, frees)| Hits {
            site: sites.site(site),
            frees,
        })
        .collect();
    hits.sort_by(|a, b| b.frees.cmp(&a.frees).then_with(|| a.site.cmp(&b.site)));
    hits.truncate(MOST);
    (hits, count, known)
}

/// How the pointer of a case outlived its buffer.
pub(crate) fn reuse(
    tally: &Tally<'_>,
    case: &Case,
    allocating: Allocating,
    sites: &mut Sites<'_>,
) -> Reuse {
    let freed = case.freed.and_then(|free| free.of(tally.sources));
    let freed = freed.filter(|event| event.kind == EventKind::Deallocate);
    let lives = &case.lives;
    let hit = lives.hit.and_then(|(_, began)| began.of(tally.sources));
    let hit = hit.zip(lives.hit).map(|(event, (_, began))| {
        let chain = sites.chain(began.trace(), event.stack);
        (chain, allocating.site(sites, chain))
    });
    let hit_site = hit.filter(|&(chain, _)| !sites.is_nameless(chain));
    Reuse {
        life: lives.own.map(u64::from),
        never_held: lives.never_held,
        freed_by: freed.map(|event| event.thread),
        lives: u64::from(lives.all),
        was_dead: lives.was_dead,
        hit_life: lives.hit.map(|(number, _)| u64::from(number)),
        hit_site: hit_site.map(|(_, site)| sites.site(site)),
    }
}
