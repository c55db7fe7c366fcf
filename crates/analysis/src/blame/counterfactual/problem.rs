//! The log as the labelling sees it: per address a row of allocates, frees and resets, each with the number of
//! its group of stacks.
//!
//! Groups are numbered by the names of their frames, and rows sorted by their content, so that nothing depends
//! on how threads, devices, stacks or sites came to be numbered.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use crate::blame::Log;
use crate::sites::ChainId;
use crate::sites::Sites;

/// What one step is to the labelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Token {
    /// An instance of this allocation group begins.
    Allocate(u32),
    /// A free by this group.
    Free(u32),
    /// Everything that was open ends without a free.
    Reset,
}

/// The steps of one address as chains, before they are grouped.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) tokens: Vec<(Token, ChainId)>,
    /// For each token the index of its step in the replay.
    pub(super) steps: Vec<usize>,
}

/// Collects the rows of all addresses that can be judged without owners. `None` where frees without a stack make
/// every guess about the others worthless.
pub(super) fn rows(log: &Log<'_>, sites: &mut Sites<'_>, unknown: &Unknown) -> Option<Vec<Row>> {
    let mut rows = Vec::new();
    for address in &log.replay.addresses {
        let place = (address.trace, address.device, address.address);
        if address.owners_known || log.untracked.contains(&place) {
            continue;
        }
        let mut row = Row {
            tokens: Vec::new(),
            steps: Vec::new(),
        };
        let nobody = ChainId(0);
        for index in log.replay.told_of(address) {
            let step = log.replay.step(index);
            if step.after_reset {
                row.tokens.push((Token::Reset, nobody));
                row.steps.push(index);
            }
            let event = step.event.of(log.traces);
            let token = match (step.kind, step.verdict) {
                (EventKind::Allocate, _) | (EventKind::Retain, Verdict::Ok) => Token::Allocate(0),
                (EventKind::Deallocate, Verdict::Ok) if !step.late => Token::Free(0),
                (EventKind::Deallocate, verdict) if verdict.is_excess() => Token::Free(0),
                // A late free is legitimate, and a free of a buffer from before the tracking tells nothing.
                _ => continue,
            };
            let chain = sites.chain_of(step.event.trace, event);
            if token == Token::Free(0) && sites.is_nameless(chain) {
                return None;
            }
            row.tokens.push((token, chain));
            row.steps.push(index);
        }
        // Where events are missing, an instance whose allocate was lost makes the innocent look guilty.
        let began_late = unknown.began_late.contains(&address.trace);
        let is_whole = address.whole || began_late && address.is_recorded;
        if is_whole || !row.tokens.iter().any(|t| matches!(t.0, Token::Free(_))) {
            rows.push(row);
        }
    }
    Some(rows)
}

/// The frees of addresses that were never allocated while tracking.
#[derive(Debug, Default)]
pub(super) struct Unknown {
    pub(super) of_chain: BTreeMap<ChainId, f64>,
    /// Traces in which some come from those who mostly free what was recorded: these began late, and there may be more
    /// buffers that are older than the record, where a stale free let the address be handed out again.
    began_late: BTreeSet<u32>,
}

impl Unknown {
    pub(super) fn new(log: &Log<'_>, sites: &mut Sites<'_>) -> Self {
        let mut unknown: BTreeMap<(u32, ChainId), f64> = BTreeMap::new();
        for step in &log.replay.steps {
            if step.kind == EventKind::Deallocate && step.verdict == Verdict::Unknown {
                let trace = step.event.trace;
                let chain = sites.chain_of(trace, step.event.of(log.traces));
                *unknown.entry((trace, chain)).or_default() += 1.0;
            }
        }
        if unknown.is_empty() {
            return Self::default();
        }
        let mut known: BTreeMap<ChainId, f64> = BTreeMap::new();
        for step in &log.replay.steps {
            if step.kind == EventKind::Deallocate && step.verdict == Verdict::Ok {
                let chain = sites.chain_of(step.event.trace, step.event.of(log.traces));
                *known.entry(chain).or_default() += 1.0;
            }
        }
        let mut this = Self::default();
        for ((trace, chain), count) in unknown {
            *this.of_chain.entry(chain).or_default() += count;
            if known.get(&chain).is_some_and(|&known| known >= count) {
                this.began_late.insert(trace);
            }
        }
        this
    }

    pub(super) fn is_late(&self) -> bool {
        !self.began_late.is_empty()
    }
}

/// How much of the log is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Losses {
    /// Lost events for each event that is there.
    pub(super) drop_rate: f64,
    /// Lost events that nobody has judged.
    pub(super) unjudged: f64,
}

/// Rows whose tokens are the same.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) tokens: Vec<Token>,
    /// Indices of the rows.
    pub(super) rows: Vec<usize>,
}

/// The rows under one grouping of stacks.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) patterns: Vec<Pattern>,
    /// How many groups of allocations and of frees there are.
    pub(super) allocs: usize,
    pub(super) frees: usize,
    /// Events in each group.
    pub(super) allocations: Vec<f64>,
    pub(super) traffic: Vec<f64>,
    /// For each free group, the chains in it.
    pub(super) chains: Vec<BTreeSet<ChainId>>,
    /// What it costs to tell the chains from their groups, so that groupings can be compared.
    pub(super) chain_code: f64,
    /// Lost events for each event that is there.
    pub(super) drop_rate: f64,
    /// Frees in each free group of what was never allocated while tracking.
    pub(super) unknown: Vec<f64>,
    /// There may be holders from before the tracking.
    pub(super) is_late: bool,
    /// Lost events that nobody has judged: so many frees may look surplus and not be.
    pub(super) unjudged: f64,
}

impl Problem {
    /// Groups the stacks by their `depth` innermost call sites.
    pub(super) fn new(
        rows: &[Row],
        sites: &Sites<'_>,
        ranks: &[u32],
        depth: usize,
        losses: Losses,
        unknown: &Unknown,
    ) -> Self {
        let key = |chain: ChainId| -> Vec<u32> {
            let sites = sites.sites(chain);
            let innermost = &sites[..depth.min(sites.len())];
            innermost
                .iter()
                .map(|site| ranks[site.0 as usize])
                .collect()
        };
        let mut alloc_chains: BTreeMap<ChainId, f64> = BTreeMap::new();
        let mut free_chains: BTreeMap<ChainId, f64> = BTreeMap::new();
        for (token, chain) in rows.iter().flat_map(|row| &row.tokens) {
            match token {
                Token::Allocate(_) => *alloc_chains.entry(*chain).or_default() += 1.0,
                Token::Free(_) => *free_chains.entry(*chain).or_default() += 1.0,
                Token::Reset => {}
            }
        }
        let (alloc_of, allocations) = groups(&alloc_chains, key);
        let (free_of, traffic) = groups(&free_chains, key);
        let mut chains = vec![BTreeSet::new(); traffic.len()];
        for (&chain, &group) in &free_of {
            chains[group as usize].insert(chain);
        }
        let of_chain = |chain: &ChainId| unknown.of_chain.get(chain).copied().unwrap_or(0.0);
        let of_group = |chains: &BTreeSet<ChainId>| chains.iter().map(of_chain).sum();
        let unknown_frees = chains.iter().map(of_group).collect();
        let mut sorted: BTreeMap<Vec<Token>, Vec<usize>> = BTreeMap::new();
        for (index, row) in rows.iter().enumerate() {
            let tokens = row.tokens.iter().map(|&(token, chain)| match token {
                Token::Allocate(_) => Token::Allocate(alloc_of[&chain]),
                Token::Free(_) => Token::Free(free_of[&chain]),
                Token::Reset => Token::Reset,
            });
            sorted.entry(tokens.collect()).or_default().push(index);
        }
        let patterns = sorted
            .into_iter()
            .map(|(tokens, rows)| Pattern { tokens, rows })
            .collect();
        Self {
            patterns,
            allocs: allocations.len(),
            frees: traffic.len(),
            chain_code: chain_code(rows, &free_of),
            allocations,
            traffic,
            chains,
            drop_rate: losses.drop_rate,
            unknown: unknown_frees,
            is_late: unknown.is_late(),
            unjudged: losses.unjudged,
        }
    }
}

/// Numbers the groups that `key` makes of the chains by the order of their keys, and counts the events in each.
fn groups(
    chains: &BTreeMap<ChainId, f64>,
    key: impl Fn(ChainId) -> Vec<u32>,
) -> (BTreeMap<ChainId, u32>, Vec<f64>) {
    let keys: BTreeSet<Vec<u32>> = chains.keys().map(|&chain| key(chain)).collect();
    let numbers: BTreeMap<Vec<u32>, u32> = keys.into_iter().zip(0..).collect();
    let mut events = vec![0.0; numbers.len()];
    let mut of = BTreeMap::new();
    for (&chain, count) in chains {
        let group = numbers[&key(chain)];
        events[group as usize] += count;
        of.insert(chain, group);
    }
    (of, events)
}

/// What it costs, in nats, to tell which chain of its group each free came by, when it is known where the buffer at the
/// address was allocated last: what a finer grouping knows from that must not count for it.
fn chain_code(rows: &[Row], group_of: &BTreeMap<ChainId, u32>) -> f64 {
    let mut by_chain: BTreeMap<(Option<ChainId>, ChainId), f64> = BTreeMap::new();
    let mut by_group: BTreeMap<(Option<ChainId>, u32), f64> = BTreeMap::new();
    for row in rows {
        let mut allocated = None;
        for &(token, chain) in &row.tokens {
            match token {
                Token::Allocate(_) => allocated = Some(chain),
                Token::Free(_) => {
                    *by_chain.entry((allocated, chain)).or_default() += 1.0;
                    *by_group.entry((allocated, group_of[&chain])).or_default() += 1.0;
                }
                Token::Reset => {}
            }
        }
    }
    let mut chains: BTreeMap<u32, f64> = BTreeMap::new();
    for group in group_of.values() {
        *chains.entry(*group).or_default() += 1.0;
    }
    let mut terms: Vec<f64> = Vec::new();
    for (&(allocated, chain), &count) in &by_chain {
        let group = group_of[&chain];
        let total = by_group[&(allocated, group)];
        if chains[&group] > 1.0 {
            let name = chains[&group].ln();
            terms.push(-count * (count / total).ln() + 0.5 * total.ln() + name);
        }
    }
    // Chains are numbered as they come; the sum must not depend on it.
    terms.sort_by(f64::total_cmp);
    terms.iter().sum()
}
