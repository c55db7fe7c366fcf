//! A recorder over simulated devices: writes the trace that the shim would write, and the truth beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use whofreed_lifecycle::Address;
use whofreed_lifecycle::Holder;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::ForkPoint;
use whofreed_trace::Frame;
use whofreed_trace::Process;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

use crate::names::Names;
use crate::pool::Pool;
use crate::pool::Reuse;
use crate::random::Random;

/// How owners are told to the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owners {
    /// Not at all.
    Unknown,
    /// By ids that are never used again.
    Unique,
    /// By the addresses of objects, used again as soon as an object is gone.
    Pointers,
}

/// A buffer as the part of the program that holds it knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Buffer {
    /// The device.
    pub device: u32,
    /// The address there.
    pub address: u64,
    /// Who holds it.
    pub owner: u64,
    /// The owner of the buffer that a view looks into; else the owner itself.
    pub root: u64,
}

/// How many events an address has had, and its state.
type Kept = (u64, Address<Vec<Holder>>);
type Ledger = BTreeMap<(u32, u64), Kept>;

/// What the surplus frees of one site met, as far as the log shows it.
#[derive(Clone, Debug, Default)]
pub struct Hits {
    /// Nothing was open: by the site of the free right before.
    pub after: BTreeMap<String, u64>,
    /// A buffer was open: by the site that allocated it.
    pub struck: BTreeMap<String, u64>,
    /// It had just freed there itself.
    pub repeated: u64,
}

/// A process with its devices.
#[derive(Clone, Debug)]
pub struct Host {
    /// The stacks of its events.
    pub names: Names,
    /// Where all chance comes from.
    pub random: Random,
    /// Surplus frees by the site that is to be named.
    pub truth: BTreeMap<String, u64>,
    /// What the surplus frees of each of them met.
    pub hits: BTreeMap<String, Hits>,
    /// Excess verdicts of the recorder by the site of the free.
    pub seen: BTreeMap<String, u64>,
    /// The sum of `seen`.
    pub excess: u64,
    /// Events come from so many threads.
    pub threads: u64,
    /// All events come from this one.
    pub only_thread: Option<u32>,
    /// The share of events that are lost.
    pub drop: f64,
    /// How many were.
    pub dropped: u64,
    /// The pool takes back a block only from its owner.
    pub pool_checks: bool,
    /// Whether the recorder has started.
    pub tracking: bool,
    /// The test that runs.
    pub scope: u32,
    /// Forked children.
    pub children: Vec<Host>,
    owners: Owners,
    pools: Vec<Pool>,
    epochs: Vec<u32>,
    events: Vec<Event>,
    recorded: Ledger,
    true_ledger: Ledger,
    /// The last allocate and the last free at an address, the free only when nothing was allocated since.
    last: BTreeMap<(u32, u64), (String, Option<String>)>,
    /// How many buffers each site allocated.
    allocated: BTreeMap<String, u64>,
    last_owner: u64,
    /// Pointers of objects that are gone, and of those that are there.
    spare_pointers: Vec<u64>,
    pointers: BTreeMap<u64, u64>,
    fork_time: Option<u64>,
    clock: u64,
}

const SIZE: u64 = 4096;

impl Host {
    /// A process that has `devices` devices with `slots` blocks to begin with.
    #[must_use]
    pub fn new(seed: u64, owners: Owners, devices: usize, reuse: Reuse, slots: u64) -> Self {
        Self {
            names: Names::default(),
            random: Random(seed),
            truth: BTreeMap::new(),
            hits: BTreeMap::new(),
            seen: BTreeMap::new(),
            excess: 0,
            threads: 1,
            only_thread: None,
            drop: 0.0,
            dropped: 0,
            pool_checks: false,
            tracking: true,
            scope: 0,
            children: Vec::new(),
            owners,
            pools: vec![Pool::new(reuse, slots); devices],
            epochs: vec![0; devices],
            events: Vec::new(),
            recorded: BTreeMap::new(),
            true_ledger: BTreeMap::new(),
            last: BTreeMap::new(),
            allocated: BTreeMap::new(),
            last_owner: 0,
            spare_pointers: Vec::new(),
            pointers: BTreeMap::new(),
            fork_time: None,
            clock: 0,
        }
    }

    /// How many devices there are.
    #[must_use]
    pub fn devices(&self) -> u32 {
        self.pools.len() as u32
    }

    /// A buffer of the usual size, allocated at `site`.
    pub fn allocate(&mut self, site: &str, device: u32) -> Buffer {
        self.allocate_sized(site, device, SIZE)
    }

    /// A buffer of `size` bytes, allocated at `site`.
    pub fn allocate_sized(&mut self, site: &str, device: u32, size: u64) -> Buffer {
        let address = self.pools[device as usize].allocate(size);
        let owner = self.new_owner();
        let buffer = Buffer {
            device,
            address,
            owner,
            root: owner,
        };
        self.record(EventKind::Allocate, buffer, site, size);
        buffer
    }

    /// Another object that looks into the buffer and shares its right to be freed.
    pub fn view(&mut self, site: &str, of: Buffer) -> Buffer {
        let owner = self.new_owner();
        let view = Buffer { owner, ..of };
        self.record(EventKind::View, view, site, 0);
        view
    }

    /// An object that believes to hold the buffer too, of which the recorder was never told.
    pub fn alias(&mut self, of: Buffer) -> Buffer {
        let owner = self.new_owner();
        Buffer {
            owner,
            root: owner,
            ..of
        }
    }

    /// One more reference of the same holder.
    pub fn retain(&mut self, site: &str, buffer: Buffer) {
        self.record(EventKind::Retain, buffer, site, 0);
    }

    /// Frees the buffer at `site`.
    pub fn free(&mut self, site: &str, buffer: Buffer) {
        let is_surplus = self
            .record(EventKind::Deallocate, buffer, site, 0)
            .is_excess();
        if !is_surplus && let Some(&pointer) = self.pointers.get(&buffer.root) {
            self.spare_pointers.push(pointer);
        }
        // A pool that does not look takes the block from whoever holds it now.
        if !(is_surplus && self.pool_checks) {
            self.release(buffer);
        }
    }

    /// Drops one of several references.
    pub fn drop_reference(&mut self, site: &str, buffer: Buffer) {
        self.record(EventKind::Deallocate, buffer, site, 0);
    }

    /// Gives the block back without a word to the recorder.
    pub fn release(&mut self, buffer: Buffer) {
        self.pools[buffer.device as usize].free(buffer.address);
    }

    /// The device gives up everything at once.
    pub fn reset(&mut self, device: u32) {
        self.pools[device as usize].reset();
        self.epochs[device as usize] += 1;
        if self.tracking {
            let event = self.event(EventKind::DeviceReset, device, Verdict::Ok);
            self.events.push(event);
        }
    }

    /// Whether the device has handed the address out.
    #[must_use]
    pub fn is_live(&self, device: u32, address: u64) -> bool {
        self.pools[device as usize].is_live(address)
    }

    /// A child that goes on from here. What it does is not the parent's; hand it back by [`Host::children`].
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut child = self.clone();
        child.events.clear();
        child.children.clear();
        child.truth.clear();
        child.hits.clear();
        child.seen.clear();
        child.excess = 0;
        child.dropped = 0;
        child.fork_time = Some(self.clock * 1000);
        child
    }

    /// The trace of this process alone, thread by thread as the shim writes it.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.numbered_trace(1, None)
    }

    /// The traces of this process and its children.
    #[must_use]
    pub fn traces(&self) -> Vec<Trace> {
        let mut traces = vec![self.trace()];
        for (index, child) in self.children.iter().enumerate() {
            traces.push(child.numbered_trace(index as u64 + 2, child.fork_time));
        }
        traces
    }

    /// The culprits of the process and its children.
    #[must_use]
    pub fn all_truth(&self) -> BTreeMap<String, u64> {
        let mut all = self.truth.clone();
        for (site, count) in self.children.iter().flat_map(|child| &child.truth) {
            *all.entry(site.clone()).or_default() += count;
        }
        all
    }

    /// Excess frees whose own stack, dumped, names a true culprit.
    #[must_use]
    pub fn seen_at_culprits(&self) -> u64 {
        let is_true = |(site, _): &(&String, &u64)| self.truth.contains_key(*site);
        self.seen.iter().filter(is_true).map(|(_, n)| n).sum()
    }

    /// What was recorded, in its order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    fn numbered_trace(&self, id: u64, fork_time: Option<u64>) -> Trace {
        let mut events = self.events.clone();
        events.sort_by_key(|event| event.thread);
        Trace {
            id,
            process: Process {
                pid: 6 + id as u32,
                owners_are_pointers: self.owners == Owners::Pointers,
                fork: fork_time.map(|time_ns| ForkPoint {
                    parent_trace: 1,
                    time_ns,
                }),
                ..Process::default()
            },
            events,
            dropped_events: self.dropped,
            // A lost event was not judged either.
            unjudged_events: self.dropped,
            ..Trace::default()
        }
    }

    fn new_owner(&mut self) -> u64 {
        self.last_owner += 1;
        let fresh = 0x7000_0000 + 64 * self.last_owner;
        let pointer = self.spare_pointers.pop().unwrap_or(fresh);
        self.pointers.insert(self.last_owner, pointer);
        self.last_owner
    }

    fn told(&self, owner: u64) -> u64 {
        match self.owners {
            Owners::Unknown => 0,
            Owners::Unique => owner,
            Owners::Pointers => self.pointers[&owner],
        }
    }

    /// Returns the true verdict.
    fn record(&mut self, kind: EventKind, buffer: Buffer, site: &str, size: u64) -> Verdict {
        let epoch = self.epochs[buffer.device as usize];
        let place = (buffer.device, buffer.address);
        let (true_verdict, ..) = apply(&mut self.true_ledger, place, epoch, kind, buffer.root);
        if !self.tracking {
            return true_verdict;
        }
        if self.drop > 0.0 && self.random.chance(self.drop) {
            self.dropped += 1;
            return true_verdict;
        }
        let root = self.told(buffer.root);
        let (verdict, late, step) = apply(&mut self.recorded, place, epoch, kind, root);
        let stack = self.names.stack(site);
        let event = Event {
            address: buffer.address,
            owner: self.told(buffer.owner),
            root_owner: root,
            size,
            step,
            late,
            stack,
            ..self.event(kind, buffer.device, verdict)
        };
        self.events.push(event);
        if kind == EventKind::Deallocate {
            let name = self.names.naming(stack).to_owned();
            if true_verdict.is_excess() && verdict != Verdict::Unknown {
                *self.truth.entry(name.clone()).or_default() += 1;
                self.note_hit(place, &name, verdict);
            }
            if verdict.is_excess() {
                self.excess += 1;
                *self.seen.entry(name).or_default() += 1;
            }
        }
        match kind {
            EventKind::Allocate => {
                let name = self.names.naming(stack).to_owned();
                *self.allocated.entry(name.clone()).or_default() += 1;
                self.last.insert(place, (name, None));
            }
            EventKind::Deallocate => {
                let name = self.names.naming(stack).to_owned();
                self.last.entry(place).or_default().1 = Some(name);
            }
            _ => {}
        }
        true_verdict
    }

    fn note_hit(&mut self, place: (u32, u64), name: &str, verdict: Verdict) {
        let hits = self.hits.entry(name.to_owned()).or_default();
        let (allocated, freed) = self.last.entry(place).or_default();
        if freed.as_deref() == Some(name) {
            hits.repeated += 1;
        }
        if verdict.is_excess() {
            let before = freed.clone().unwrap_or_default();
            *hits.after.entry(before).or_default() += 1;
        } else {
            *hits.struck.entry(allocated.clone()).or_default() += 1;
        }
    }

    /// The share of all buffers that come from these sites.
    #[must_use]
    pub fn share_of<'a>(&self, sites: impl Iterator<Item = &'a String>) -> f64 {
        let all: u64 = self.allocated.values().sum();
        let of: u64 = sites.filter_map(|site| self.allocated.get(site)).sum();
        of as f64 / all.max(1) as f64
    }

    fn event(&mut self, kind: EventKind, device: u32, verdict: Verdict) -> Event {
        self.clock += 1;
        let thread = match self.only_thread {
            Some(thread) => thread,
            None => 100 + self.random.below(self.threads) as u32,
        };
        Event {
            kind,
            verdict,
            blocked: false,
            late: false,
            address_was_unknown: false,
            untracked: false,
            device,
            address: 0,
            owner: 0,
            root_owner: 0,
            size: 0,
            step: 0,
            epoch: self.epochs[device as usize],
            kind_label: 0,
            scope: self.scope,
            stack: StackId(0),
            thread,
            time_ns: self.clock * 1000,
        }
    }
}

/// The stacks of [`Host::traces`].
impl StackNames for Host {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        let of = match trace {
            0 => self,
            child => &self.children[child - 1],
        };
        of.names.frames(trace, stack)
    }
}

/// Judges one event; returns the verdict, whether it came late, and its number at the address.
fn apply(
    ledger: &mut Ledger,
    place: (u32, u64),
    epoch: u32,
    kind: EventKind,
    owner: u64,
) -> (Verdict, bool, u64) {
    use whofreed_lifecycle::Event as Change;
    let (steps, address) = ledger.entry(place).or_default();
    *steps += 1;
    let change = match kind {
        EventKind::Allocate => Change::Allocate { owner },
        EventKind::Retain => Change::Retain { owner },
        EventKind::View => Change::View { root: owner },
        _ => Change::Deallocate { owner },
    };
    let outcome = address.apply(epoch, change).expect("a vector has room");
    (outcome.verdict, outcome.late, *steps)
}
