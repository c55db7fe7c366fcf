//! Simulated hosts whose culprits are known: pools, sites with lifetimes, and planted bugs.
#![allow(
    dead_code,
    reason = "each test file uses its own part of the simulator"
)]

pub mod patterns;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;

use whofreed_lifecycle::Address;
use whofreed_lifecycle::Holder;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Process;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

/// A small generator of pseudo-random numbers (splitmix64), so that a seed is a host.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64 / (1u64 << 53) as f64) < probability
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }
}

/// Names of simulated stacks: the sites of each, innermost first.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub stacks: Vec<Vec<String>>,
}

impl Names {
    /// The stack `main <- outer <- ... <- innermost`, written "innermost < outer".
    pub fn stack(&mut self, sites: &str) -> StackId {
        let sites: Vec<String> = sites.split(" < ").map(str::to_owned).collect();
        let found = self.stacks.iter().position(|stack| *stack == sites);
        let index = found.unwrap_or_else(|| {
            self.stacks.push(sites);
            self.stacks.len() - 1
        });
        StackId(index as u32 + 1)
    }
}

fn frame(function: &str, line: u32) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        module: Arc::from("/opt/host/host"),
        offset: 0x1000,
        file: Some(Arc::from("host.cpp")),
        line,
        inlined: false,
        language: Language::Native,
    }
}

impl StackNames for Names {
    fn frames(&self, _trace: usize, stack: StackId) -> Arc<[Frame]> {
        let Some(sites) = (stack.0 as usize)
            .checked_sub(1)
            .and_then(|index| self.stacks.get(index))
        else {
            return Arc::from([]);
        };
        let mut frames = vec![
            frame("wf_deallocate", 1),
            frame("std::_Sp_counted_base::_M_release", 2),
        ];
        frames.extend(sites.iter().map(|site| frame(site, 10)));
        frames.push(frame("main", 99));
        frames.into()
    }
}

/// How owners are told to the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    Unknown,
    Unique,
    /// The addresses of objects, used again as soon as an object is gone.
    Pointers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    LastFirst,
    FirstFirst,
}

/// A device with a pool of slots.
#[derive(Clone, Debug)]
pub struct Pool {
    reuse: Reuse,
    free: VecDeque<u64>,
    next: u64,
    live: BTreeSet<u64>,
}

impl Pool {
    pub fn new(reuse: Reuse, slots: u64) -> Self {
        Self {
            reuse,
            free: (0..slots).map(|slot| 0x1_0000 + slot * 0x1000).collect(),
            next: 0x1_0000 + slots * 0x1000,
            live: BTreeSet::new(),
        }
    }

    fn allocate(&mut self) -> u64 {
        let slot = match self.reuse {
            Reuse::LastFirst => self.free.pop_back(),
            Reuse::FirstFirst => self.free.pop_front(),
        };
        let slot = slot.unwrap_or_else(|| {
            self.next += 0x1000;
            self.next
        });
        self.live.insert(slot);
        slot
    }

    fn free(&mut self, slot: u64) {
        if self.live.remove(&slot) {
            self.free.push_back(slot);
        }
    }
}

/// A buffer as the program that holds it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Buffer {
    pub device: u32,
    pub address: u64,
    pub owner: u64,
}

/// Steps so far, and the state.
type Kept = (u64, Address<Vec<Holder>>);

/// A recorder over pools: writes the trace that the shim would write, and the truth.
#[derive(Debug)]
pub struct Host {
    pub names: Names,
    pub random: Random,
    owners: Owners,
    pools: Vec<Pool>,
    events: Vec<Event>,
    ledger: BTreeMap<(u32, u64), Kept>,
    entitled: BTreeSet<Buffer>,
    last_owner: u64,
    /// Pointers of objects that are gone, and of those that are there.
    spare_pointers: Vec<u64>,
    pointers: BTreeMap<u64, u64>,
    /// Surplus frees by the innermost site of their stack.
    pub truth: BTreeMap<String, u64>,
    /// Excess verdicts by the innermost site.
    pub seen: BTreeMap<String, u64>,
    pub excess: u64,
    pub threads: u64,
    pub drop: f64,
    pub dropped: u64,
    /// The pool takes back a block only from its owner.
    pub pool_checks: bool,
}

impl Host {
    pub fn new(seed: u64, owners: Owners, devices: usize, reuse: Reuse, slots: u64) -> Self {
        Self {
            names: Names::default(),
            random: Random(seed),
            owners,
            pools: vec![Pool::new(reuse, slots); devices],
            events: Vec::new(),
            ledger: BTreeMap::new(),
            entitled: BTreeSet::new(),
            last_owner: 0,
            spare_pointers: Vec::new(),
            pointers: BTreeMap::new(),
            truth: BTreeMap::new(),
            seen: BTreeMap::new(),
            excess: 0,
            threads: 1,
            drop: 0.0,
            dropped: 0,
            pool_checks: false,
        }
    }

    pub fn allocate(&mut self, site: &str, device: u32) -> Buffer {
        let address = self.pools[device as usize].allocate();
        self.last_owner += 1;
        let buffer = Buffer {
            device,
            address,
            owner: self.last_owner,
        };
        self.entitled.insert(buffer);
        let fresh = 0x7000_0000 + 64 * self.last_owner;
        self.pointers
            .insert(buffer.owner, self.spare_pointers.pop().unwrap_or(fresh));
        self.record(EventKind::Allocate, buffer, site);
        buffer
    }

    pub fn free(&mut self, site: &str, buffer: Buffer) {
        let is_surplus = !self.entitled.remove(&buffer);
        if !is_surplus {
            self.spare_pointers.push(self.pointers[&buffer.owner]);
        }
        if !(is_surplus && self.pool_checks) {
            self.pools[buffer.device as usize].free(buffer.address);
        }
        let verdict = self.record(EventKind::Deallocate, buffer, site);
        // The site that is to be named: marked with a star where it is not the innermost.
        let sites: Vec<&str> = site.split(" < ").collect();
        let name = sites
            .iter()
            .find(|site| site.ends_with('*'))
            .unwrap_or(&sites[0]);
        if is_surplus && verdict.is_some() {
            *self.truth.entry((*name).to_owned()).or_default() += 1;
        }
        if verdict.is_some_and(Verdict::is_excess) {
            self.excess += 1;
            *self.seen.entry((*name).to_owned()).or_default() += 1;
        }
    }

    /// Gives the block back without a word.
    pub fn release(&mut self, buffer: Buffer) {
        self.pools[buffer.device as usize].free(buffer.address);
    }

    pub fn is_live(&self, device: u32, address: u64) -> bool {
        self.pools[device as usize].live.contains(&address)
    }

    fn record(&mut self, kind: EventKind, buffer: Buffer, site: &str) -> Option<Verdict> {
        let owner = match self.owners {
            Owners::Unknown => 0,
            Owners::Unique => buffer.owner,
            Owners::Pointers => self.pointers[&buffer.owner],
        };
        if self.drop > 0.0 && self.random.chance(self.drop) {
            self.dropped += 1;
            return None;
        }
        let (steps, address) = self
            .ledger
            .entry((buffer.device, buffer.address))
            .or_default();
        *steps += 1;
        let change = match kind {
            EventKind::Allocate => whofreed_lifecycle::Event::Allocate { owner },
            _ => whofreed_lifecycle::Event::Deallocate { owner },
        };
        let outcome = address.apply(0, change).expect("a vector has room");
        let step = *steps;
        self.events.push(Event {
            kind,
            verdict: outcome.verdict,
            blocked: false,
            late: outcome.late,
            address_was_unknown: false,
            untracked: false,
            device: buffer.device,
            address: buffer.address,
            owner,
            root_owner: owner,
            size: if kind == EventKind::Allocate { 4096 } else { 0 },
            step,
            epoch: 0,
            kind_label: 0,
            scope: 0,
            stack: self.names.stack(site),
            thread: 100 + self.random.below(self.threads) as u32,
            time_ns: self.events.len() as u64 * 1000,
        });
        Some(outcome.verdict)
    }

    /// The trace, thread by thread as the shim writes it.
    pub fn trace(&self) -> Trace {
        let mut events = self.events.clone();
        events.sort_by_key(|event| event.thread);
        Trace {
            id: 1,
            process: Process {
                pid: 7,
                owners_are_pointers: self.owners == Owners::Pointers,
                ..Process::default()
            },
            events,
            dropped_events: self.dropped,
            unjudged_events: self.dropped,
            ..Trace::default()
        }
    }

    /// The share of excess frees that a plain dump of their stacks would have blamed on a true culprit.
    pub fn seen_at_culprits(&self) -> u64 {
        self.seen
            .iter()
            .filter(|(site, _)| self.truth.contains_key(*site))
            .map(|(_, n)| n)
            .sum()
    }
}

/// The seeds that `WHOFREED_BLAME_SEEDS=from..to` asks for.
pub fn seeds() -> Option<std::ops::Range<u64>> {
    let range = std::env::var("WHOFREED_BLAME_SEEDS").ok()?;
    let (from, to) = range.split_once("..").expect("from..to");
    Some(from.parse().expect("a number")..to.parse().expect("a number"))
}

/// The size of a run that `WHOFREED_BLAME_STEPS=n` asks for.
pub fn steps() -> Option<u64> {
    let steps = std::env::var("WHOFREED_BLAME_STEPS").ok()?;
    Some(steps.parse().expect("a number"))
}
