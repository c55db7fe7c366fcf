//! The log as the labelling sees it: per address a row of allocates, frees and resets, each with the number of
//! its group of stacks.
//!
//! Groups are numbered by the names of their frames, and rows sorted by their content, so that nothing depends
//! on how threads, devices, stacks or sites came to be numbered.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::sample::Sampled;
use crate::rows::Code;
use crate::rows::Meaning;
use crate::sites::ChainId;
use crate::sites::Sites;
use crate::stacks::StackNumber;
use crate::tally::Tally;

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

/// The log before its stacks are grouped.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) tally: &'a Tally<'a>,
    /// By the number of the stack.
    pub(super) chains: Vec<ChainId>,
    /// How often each chain allocates and frees.
    allocations: BTreeMap<ChainId, f64>,
    frees: BTreeMap<ChainId, f64>,
    /// Frees by the chain of the last allocate at their address, and by their own.
    after: BTreeMap<(Option<ChainId>, ChainId), f64>,
    /// Frees of what was never allocated while tracking.
    unknown: BTreeMap<ChainId, u64>,
}

impl<'a> Text<'a> {
    /// The rows of all addresses that can be judged without owners. `None` where frees without a stack make every
    /// guess about the others worthless, or where there is nothing to guess.
    pub(super) fn new(tally: &'a Tally<'a>, sites: &mut Sites<'_>) -> Option<Self> {
        let mut of_stack = vec![ChainId(0); tally.stacks.len()];
        tally.prepare(tally.rows.freed_by(), sites);
        for stack in tally.rows.freed_by() {
            let chain = tally.chain(stack, sites);
            if sites.is_nameless(chain) {
                return None;
            }
            of_stack[stack.0 as usize] = chain;
        }
        let mut rows = tally.rows.iter();
        if !rows.any(|row| row.codes.iter().any(|code| code.is_excess())) {
            return None;
        }
        let mut allocated = vec![0u64; tally.stacks.len()];
        let mut freed = vec![0u64; tally.stacks.len()];
        let mut count = |codes: &[Code], times: u64| {
            for code in codes {
                match code.meaning() {
                    Meaning::Allocate(stack) => allocated[stack.0 as usize] += times,
                    Meaning::Free(stack) | Meaning::Excess(stack) => {
                        freed[stack.0 as usize] += times
                    }
                    Meaning::Reset => {}
                }
            }
        };
        tally.rows.iter().for_each(|row| count(row.codes, 1));
        let quiet = tally.rows.quiet();
        quiet.for_each(|(codes, times)| count(codes, times));
        let mut by_chain = |counts: &[u64]| {
            let mut sums: BTreeMap<ChainId, f64> = BTreeMap::new();
            let counted = (0..).map(StackNumber).zip(counts);
            let met = counted.clone().filter(|(_, count)| **count > 0);
            tally.prepare(met.map(|(stack, _)| stack), sites);
            for (stack, &count) in counted {
                if count > 0 {
                    let chain = tally.chain(stack, sites);
                    of_stack[stack.0 as usize] = chain;
                    *sums.entry(chain).or_default() += count as f64;
                }
            }
            sums
        };
        let (allocations, frees) = (by_chain(&allocated), by_chain(&freed));
        Some(Self {
            tally,
            after: after(tally, &of_stack),
            unknown: tally.by_chain(&tally.unknown, sites),
            chains: of_stack,
            allocations,
            frees,
        })
    }

    /// The chain of a code.
    pub(super) fn chain(&self, code: Code) -> ChainId {
        match code.meaning() {
            Meaning::Allocate(stack) | Meaning::Free(stack) | Meaning::Excess(stack) => {
                self.chains[stack.0 as usize]
            }
            Meaning::Reset => ChainId(0),
        }
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
    /// The groups of the lives before the row, the oldest first; none at the start of an address.
    pub(super) context: Vec<u32>,
    pub(super) tokens: Vec<Token>,
    /// How many rows there are,
    pub(super) weight: f64,
    /// and how many of them were looked at.
    pub(super) seen: f64,
    /// The groups of which lives begin in it, each once, as they come.
    pub(super) begun: Vec<u32>,
    /// Those of all lives, the `lived_before` first of them before the row.
    pub(super) lived: Vec<u32>,
    pub(super) lived_before: usize,
}

impl Pattern {
    pub(super) fn new(context: Vec<u32>, tokens: Vec<Token>, weight: f64, seen: f64) -> Self {
        let begins = tokens.iter().filter_map(|token| match token {
            Token::Allocate(a) => Some(*a),
            _ => None,
        });
        let begun = first_times(begins);
        let lived_before = first_times(context.iter().copied()).len();
        let lived = first_times(context.iter().chain(&begun).copied());
        Self {
            context,
            tokens,
            weight,
            seen,
            begun,
            lived,
            lived_before,
        }
    }
}

/// Each number once, as it comes first.
fn first_times(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut seen = BTreeSet::new();
    numbers.filter(|&number| seen.insert(number)).collect()
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
    /// By the number of a stack: its group as one of allocations and as one of frees.
    alloc_of: Vec<u32>,
    free_of: Vec<u32>,
}

impl Problem {
    /// Groups the stacks by their `depth` innermost call sites.
    pub(super) fn new(
        text: &Text<'_>,
        sample: &[Sampled<'_>],
        sites: &Sites<'_>,
        ranks: &[u32],
        depth: usize,
        losses: Losses,
    ) -> Self {
        let key = |chain: ChainId| -> Vec<u32> {
            let sites = sites.sites(chain);
            let innermost = &sites[..depth.min(sites.len())];
            innermost
                .iter()
                .map(|site| ranks[site.0 as usize])
                .collect()
        };
        let (alloc_of, allocations) = groups(&text.allocations, key);
        let (free_of, traffic) = groups(&text.frees, key);
        let mut chains = vec![BTreeSet::new(); traffic.len()];
        for (&chain, &group) in &free_of {
            chains[group as usize].insert(chain);
        }
        let of_chain = |chain: &ChainId| text.unknown.get(chain).map_or(0.0, |&n| n as f64);
        let of_group = |chains: &BTreeSet<ChainId>| chains.iter().map(of_chain).sum();
        let unknown_frees = chains.iter().map(of_group).collect();
        let of_stack = |groups: &BTreeMap<ChainId, u32>| -> Vec<u32> {
            let group = |chain| groups.get(chain).copied().unwrap_or(0);
            text.chains.iter().map(group).collect()
        };
        let mut problem = Self {
            patterns: Vec::new(),
            allocs: allocations.len(),
            frees: traffic.len(),
            chain_code: chain_code(&text.after, &free_of),
            allocations,
            traffic,
            chains,
            drop_rate: losses.drop_rate,
            unknown: unknown_frees,
            is_late: !text.tally.late.is_empty(),
            unjudged: losses.unjudged,
            alloc_of: of_stack(&alloc_of),
            free_of: of_stack(&free_of),
        };
        let mut sorted: BTreeMap<(Vec<Token>, Vec<u32>), (f64, f64)> = BTreeMap::new();
        let mut add = |context: &[Code], codes: &[Code], weight: f64, seen: f64| {
            let mut key = (Vec::new(), Vec::new());
            problem.tokens(codes, &mut key.0);
            problem.context(context, &mut key.1);
            let entry = sorted.entry(key).or_default();
            entry.0 += weight;
            entry.1 += seen;
        };
        for Sampled { row, weight } in sample {
            add(row.context, row.codes, *weight, 1.0);
        }
        for (codes, times) in text.tally.rows.quiet() {
            add(&[], codes, times as f64, times as f64);
        }
        let patterns = sorted.into_iter();
        problem.patterns = patterns
            .map(|((tokens, context), (weight, seen))| Pattern::new(context, tokens, weight, seen))
            .collect();
        problem
    }

    /// A log of these rows. For tests.
    #[cfg(test)]
    pub(super) fn of_patterns((allocs, frees): (usize, usize), patterns: Vec<Pattern>) -> Self {
        let mut allocations = vec![0.0; allocs];
        let mut traffic = vec![0.0; frees];
        for pattern in &patterns {
            for token in &pattern.tokens {
                match *token {
                    Token::Allocate(a) => allocations[a as usize] += pattern.weight,
                    Token::Free(f) => traffic[f as usize] += pattern.weight,
                    Token::Reset => {}
                }
            }
        }
        Self {
            patterns,
            allocs,
            frees,
            allocations,
            traffic,
            chains: vec![BTreeSet::new(); frees],
            chain_code: 0.0,
            drop_rate: 0.0,
            unknown: vec![0.0; frees],
            is_late: false,
            unjudged: 0.0,
            alloc_of: Vec::new(),
            free_of: Vec::new(),
        }
    }

    /// The codes as tokens of their groups.
    pub(super) fn tokens(&self, codes: &[Code], into: &mut Vec<Token>) {
        into.clear();
        into.extend(codes.iter().map(|code| match code.meaning() {
            Meaning::Allocate(stack) => Token::Allocate(self.alloc_of[stack.0 as usize]),
            Meaning::Free(stack) | Meaning::Excess(stack) => {
                Token::Free(self.free_of[stack.0 as usize])
            }
            Meaning::Reset => Token::Reset,
        }));
    }

    /// The lives before a row as their groups.
    pub(super) fn context(&self, codes: &[Code], into: &mut Vec<u32>) {
        into.clear();
        into.extend(codes.iter().filter_map(|code| match code.meaning() {
            Meaning::Allocate(stack) => Some(self.alloc_of[stack.0 as usize]),
            _ => None,
        }));
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
fn chain_code(
    after: &BTreeMap<(Option<ChainId>, ChainId), f64>,
    group_of: &BTreeMap<ChainId, u32>,
) -> f64 {
    let mut by_group: BTreeMap<(Option<ChainId>, u32), f64> = BTreeMap::new();
    for (&(allocated, chain), &count) in after {
        *by_group.entry((allocated, group_of[&chain])).or_default() += count;
    }
    let mut chains: BTreeMap<u32, f64> = BTreeMap::new();
    for group in group_of.values() {
        *chains.entry(*group).or_default() += 1.0;
    }
    let mut terms: Vec<f64> = Vec::new();
    for (&(allocated, chain), &count) in after {
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

/// How often each chain frees after each allocated last.
fn after(tally: &Tally<'_>, chains: &[ChainId]) -> BTreeMap<(Option<ChainId>, ChainId), f64> {
    let mut by_stack: BTreeMap<(Option<StackNumber>, StackNumber), u64> = BTreeMap::new();
    let mut count = |context: &[Code], codes: &[Code], times: u64| {
        let mut allocated = None;
        for code in context.iter().chain(codes) {
            match code.meaning() {
                Meaning::Allocate(stack) => allocated = Some(stack),
                Meaning::Free(stack) | Meaning::Excess(stack) => {
                    *by_stack.entry((allocated, stack)).or_default() += times;
                }
                Meaning::Reset => {}
            }
        }
    };
    let rows = tally.rows.iter();
    rows.for_each(|row| count(row.context, row.codes, 1));
    let quiet = tally.rows.quiet();
    quiet.for_each(|(codes, times)| count(&[], codes, times));
    let chain = |stack: StackNumber| chains[stack.0 as usize];
    let mut after = BTreeMap::new();
    for ((allocated, freed), times) in by_stack {
        *after
            .entry((allocated.map(chain), chain(freed)))
            .or_default() += times as f64;
    }
    after
}
