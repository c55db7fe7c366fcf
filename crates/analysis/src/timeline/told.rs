//! Words and numbers for what was followed: stacks get their names here.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use super::Allocated;
use super::Buffer;
use super::LatestExcess;
use super::Level;
use super::LifeEnd;
use super::LifeLine;
use super::LineLife;
use super::LiveStack;
use super::Strike;
use super::Timeline;
use super::follow::Followed;
use super::lines::Line;
use crate::evidence::Allocating;
use crate::evidence::Charged;
use crate::replay::Place;
use crate::sites::SiteId;
use crate::sites::Sites;
use crate::sources::EventRef;
use crate::stacks::StackNumber;
use crate::stacks::Stacks;

/// Stacks that allocated are named, those with most allocations.
const STACKS: usize = 2000;
/// Stacks that can be looked at over time.
const LIVE_STACKS: usize = 300;

pub(super) fn timeline(
    mut followed: Followed<'_>,
    start_ns: u64,
    charged: &Charged,
    sites: &mut Sites<'_>,
) -> Timeline {
    followed.end();
    let end_ns = followed.live.end_ns;
    let (stacks, more_stacks) = live_stacks(&mut followed, sites);
    let mut names = Names::new(&followed, sites);
    let allocated = allocated(&followed, &mut names);
    let named: u64 = allocated.iter().map(|of| of.allocations).sum();
    let all: u64 = followed
        .allocated
        .iter()
        .map(|(_, it)| it.allocations)
        .sum();
    let buffers = (followed.buffers.iter())
        .map(|&(place, account)| Buffer {
            pid: followed.sources[place.trace as usize].process.pid,
            device: place.device,
            address: place.address,
            size: account.size,
            allocated: account.allocated,
            freed: account.freed,
            excess: account.excess,
            is_live: account.is_live,
            site: account.first.and_then(|stack| names.known(stack)),
        })
        .collect::<Vec<_>>();
    let mut order: Vec<&(Place, u64, Line)> = followed.lines.iter().collect();
    order.sort_by_key(|(place, excess, _)| (Reverse(*excess), *place));
    let mut lines: Vec<LifeLine> = Vec::with_capacity(order.len());
    for (place, excess, of) in order {
        let lived = (*place, *excess, of);
        lines.push(line(&followed, start_ns, charged, &mut names, lived));
    }
    let latest = latest(&followed, start_ns, charged, &mut names);
    let sites = names.told;
    let levels = levels(&mut followed);
    let excess = std::mem::take(&mut followed.live.excess);
    Timeline {
        end_ns: end_ns.saturating_sub(start_ns),
        excess: excess.until(&mut followed.live.clock, end_ns),
        bin_ns: followed.live.clock.width_ns(),
        moment_ns: followed.live.moments.width_ns(),
        levels,
        stacks,
        more_stacks,
        more_lines: followed.line_count.saturating_sub(lines.len() as u64),
        lines,
        more_buffers: followed.buffer_count.saturating_sub(buffers.len() as u64),
        buffers,
        live_buffers: followed.live_buffers,
        latest,
        allocated,
        more_allocated: all.saturating_sub(named),
        sites,
    }
}

/// The curves, those of one device and kind of all processes as one.
fn levels(followed: &mut Followed<'_>) -> Vec<Level> {
    let end_ns = followed.live.end_ns;
    let mut levels: BTreeMap<(u32, String), Level> = BTreeMap::new();
    for ((trace, device, kind), series) in std::mem::take(&mut followed.live.levels) {
        let names = followed.sources[trace as usize].kind_names;
        let kind = names.get(&kind).cloned().unwrap_or_default();
        let bins = series.until(&mut followed.live.clock, end_ns);
        let level = levels
            .entry((device, kind.clone()))
            .or_insert_with(|| Level {
                device,
                kind,
                live: vec![0; bins.len()],
                most: vec![0; bins.len()],
            });
        let mut now = 0_i64;
        for (at, change) in bins.into_iter().enumerate() {
            let most = unsigned(now.saturating_add(change.high));
            now = now.saturating_add(change.net);
            level.live[at] = level.live[at].saturating_add(unsigned(now));
            level.most[at] = level.most[at].saturating_add(most);
        }
    }
    let mut levels: Vec<Level> = levels.into_values().collect();
    levels.retain(|level| level.most.iter().any(|&bytes| bytes > 0));
    levels
}

/// The stacks with most live bytes at any moment, and how many others there are.
fn live_stacks(followed: &mut Followed<'_>, sites: &Sites<'_>) -> (Vec<LiveStack>, u64) {
    let end_ns = followed.live.end_ns;
    let moments = &mut followed.live.moments;
    let mut all: Vec<(u64, StackNumber, Vec<u64>)> = std::mem::take(&mut followed.live.stacks)
        .into_iter()
        .map(|(stack, series)| {
            let mut now = 0_i64;
            let changes = series.until(moments, end_ns).into_iter();
            let live: Vec<u64> = changes
                .map(|change| {
                    now = now.saturating_add(change);
                    unsigned(now)
                })
                .collect();
            (live.iter().copied().max().unwrap_or(0), stack, live)
        })
        .filter(|(most, ..)| *most > 0)
        .collect();
    all.sort_by_key(|&(most, stack, _)| (Reverse(most), stack));
    let more = all.len().saturating_sub(LIVE_STACKS) as u64;
    all.truncate(LIVE_STACKS);
    let of = |stack: StackNumber| followed.stacks.of(stack);
    sites.prepare(all.iter().map(|&(_, stack, _)| of(stack)));
    let told = all.into_iter().map(|(_, stack, live)| {
        let (trace, stack) = of(stack);
        LiveStack {
            stack: sites.stack(trace, stack),
            live,
        }
    });
    (told.collect(), more)
}

/// What was allocated, by call site.
fn allocated(followed: &Followed<'_>, names: &mut Names<'_, '_>) -> Vec<Allocated> {
    let mut by_site: BTreeMap<u32, Allocated> = BTreeMap::new();
    for (stack, sums) in followed.allocated.iter() {
        let Some(site) = names.known(stack) else {
            continue;
        };
        let of = by_site.entry(site).or_insert(Allocated {
            site,
            buffers: 0,
            allocations: 0,
            bytes: 0,
            excess: 0,
            live: 0,
        });
        of.buffers += sums.buffers;
        of.allocations += sums.allocations;
        of.bytes = of.bytes.saturating_add(sums.bytes);
        of.excess += sums.excess;
        of.live += sums.live;
    }
    let mut all: Vec<Allocated> = by_site.into_values().collect();
    all.sort_by_key(|of| Reverse(of.allocations));
    all
}

fn line(
    followed: &Followed<'_>,
    start_ns: u64,
    charged: &Charged,
    names: &mut Names<'_, '_>,
    (place, excess, line): (Place, u64, &Line),
) -> LifeLine {
    let source = &followed.sources[place.trace as usize];
    let since = |time_ns: u64| time_ns.saturating_sub(start_ns);
    let culprit = |at: EventRef| culprit_of(charged, at);
    let mut lives = Vec::with_capacity(line.lives.len());
    for life in &line.lives {
        lives.push(LineLife {
            number: life.number,
            owner: life.owner,
            size: life.size,
            kind: source
                .kind_names
                .get(&life.kind)
                .cloned()
                .unwrap_or_default(),
            began_ns: since(life.began_ns),
            thread: life.thread,
            site: names.allocation(life.stack),
            end: life.end.map(|end| LifeEnd {
                time_ns: since(end.time_ns),
                by: end.by.map(|(thread, stack)| (thread, names.free(stack))),
                culprit: end.at.and_then(culprit),
            }),
        });
    }
    let mut strikes = Vec::with_capacity(line.strikes.len());
    for strike in &line.strikes {
        strikes.push(Strike {
            time_ns: since(strike.time_ns),
            thread: strike.thread,
            site: names.free(strike.stack),
            verdict: strike.verdict,
            again: strike.again,
            hit: strike.hit,
            culprit: culprit(strike.at),
        });
    }
    LifeLine {
        pid: source.process.pid,
        device: place.device,
        address: place.address,
        excess,
        lives,
        more_lives: line.more_lives,
        strikes,
        more_strikes: line.more_strikes,
    }
}

/// Whom a free is charged to.
fn culprit_of(charged: &Charged, at: EventRef) -> Option<u32> {
    let at = charged.binary_search_by_key(&at, |&(free, _)| free).ok()?;
    Some(charged[at].1)
}

/// The last excess frees.
fn latest(
    followed: &Followed<'_>,
    start_ns: u64,
    charged: &Charged,
    names: &mut Names<'_, '_>,
) -> Vec<LatestExcess> {
    let told = followed.latest.all().iter().map(|late| LatestExcess {
        time_ns: late.time_ns.saturating_sub(start_ns),
        pid: followed.sources[late.place.trace as usize].process.pid,
        thread: late.thread,
        device: late.place.device,
        address: late.place.address,
        verdict: late.verdict,
        site: names.free(late.stack),
        culprit: culprit_of(charged, late.at),
    });
    told.collect()
}

/// The call sites of stacks. What all that allocate have in common tells nothing, and nor does it of those that free.
struct Names<'a, 'b> {
    stacks: &'a Stacks,
    sites: &'a mut Sites<'b>,
    allocating: Allocating,
    freeing: Allocating,
    /// Stacks that allocated and have a name.
    is_known: BTreeSet<StackNumber>,
    told: Vec<crate::Site>,
    of_site: HashMap<SiteId, u32>,
}

impl<'a, 'b> Names<'a, 'b> {
    fn new(followed: &'a Followed<'_>, sites: &'a mut Sites<'b>) -> Self {
        let stacks = &followed.stacks;
        let mut most: Vec<(u64, StackNumber)> = (followed.allocated.iter())
            .filter(|(_, sums)| sums.allocations > 0)
            .map(|(stack, sums)| (sums.allocations, stack))
            .collect();
        most.sort_by_key(|&(count, stack)| (Reverse(count), stack));
        let lines = || followed.lines.iter().map(|(_, _, line)| line);
        let lives = || lines().flat_map(|line| &line.lives);
        let is_known: BTreeSet<StackNumber> = most.iter().take(STACKS).map(|it| it.1).collect();
        let mut allocate = is_known.clone();
        allocate.extend(lives().map(|life| life.stack));
        let ends = lives().filter_map(|life| life.end?.by);
        let mut free: BTreeSet<StackNumber> = ends.map(|(_, stack)| stack).collect();
        free.extend(lines().flat_map(|line| line.strikes.iter().map(|it| it.stack)));
        free.extend(followed.latest.all().iter().map(|late| late.stack));
        let all = allocate.iter().chain(&free);
        sites.prepare(all.map(|&stack| stacks.of(stack)));
        let mut common = |of: &BTreeSet<StackNumber>| {
            let chains = of.iter().map(|&stack| {
                let (trace, stack) = stacks.of(stack);
                sites.chain(trace, stack)
            });
            let chains = chains.collect();
            Allocating::of_chains(&chains, sites)
        };
        let (allocating, freeing) = (common(&allocate), common(&free));
        Self {
            stacks,
            sites,
            allocating,
            freeing,
            is_known,
            told: Vec::new(),
            of_site: HashMap::new(),
        }
    }

    /// The site of an allocation, unless it is one of the many rare ones that have no name here.
    fn known(&mut self, stack: StackNumber) -> Option<u32> {
        self.is_known
            .contains(&stack)
            .then(|| self.allocation(stack))
    }

    fn allocation(&mut self, stack: StackNumber) -> u32 {
        self.of(self.allocating, stack)
    }

    fn free(&mut self, stack: StackNumber) -> u32 {
        self.of(self.freeing, stack)
    }

    fn of(&mut self, telling: Allocating, stack: StackNumber) -> u32 {
        let (trace, stack) = self.stacks.of(stack);
        let chain = self.sites.chain(trace, stack);
        let site = telling.site(self.sites, chain);
        let (told, sites) = (&mut self.told, &*self.sites);
        *self.of_site.entry(site).or_insert_with(|| {
            told.push(sites.site(site));
            told.len() as u32 - 1
        })
    }
}

fn unsigned(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}
