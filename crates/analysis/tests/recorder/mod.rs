//! Logs of everything that can happen, made up at random, with a naive account of them kept beside.
#![allow(dead_code, reason = "each test file uses its own part of the recorder")]

pub mod sums;

use std::collections::BTreeMap;

use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event as Change;
use whofreed_lifecycle::Holder;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Process;
use whofreed_trace::StackId;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

use whofreed_corpus::Names;
use whofreed_corpus::Random;

/// A right to deallocate. Events are told by their time, which is never the same twice.
#[derive(Clone, Copy, Debug)]
pub struct Instance {
    pub owner: u64,
    pub allocated: Event,
    pub freed: Option<Event>,
    /// The reset that ended it.
    pub released: Option<Event>,
    /// Its right was used up, by a free that came too late or because nobody could tell any more.
    pub over: bool,
}

impl Instance {
    fn is_live(&self) -> bool {
        self.freed.is_none() && self.released.is_none()
    }

    fn is_late(&self) -> bool {
        self.freed.is_none() && self.released.is_some() && !self.over
    }
}

/// An excess free, and the buffer that it frees again.
#[derive(Clone, Copy, Debug)]
pub struct Excess {
    pub event: Event,
    pub again: Option<Instance>,
}

impl Excess {
    /// What had ended the buffer before.
    pub fn freed_before(&self) -> Option<Event> {
        let again = self.again?;
        again.freed.or(again.released)
    }
}

/// One address as the recorder knows it.
#[derive(Clone, Debug, Default)]
pub struct Place {
    steps: u64,
    machine: Address<Vec<Holder>>,
    pub instances: Vec<Instance>,
    /// In the order in which they were freed: indices into `instances`.
    freed: Vec<usize>,
    pub events: Vec<Event>,
    pub excess: Vec<Excess>,
}

impl Place {
    fn newest(&self, is_wanted: impl Fn(&Instance) -> bool) -> Option<usize> {
        self.instances.iter().rposition(is_wanted)
    }

    /// Ends what a legitimate deallocate ends, by the contract's rules.
    fn end(&mut self, event: Event) {
        let owner = event.owner;
        let held_by =
            |wanted: u64| self.newest(|instance| instance.is_live() && instance.owner == wanted);
        let index = if event.late {
            self.newest(|instance| instance.is_late() && instance.owner == owner)
        } else if owner != 0 {
            held_by(owner).or_else(|| held_by(0))
        } else {
            held_by(0).or_else(|| self.newest(Instance::is_live))
        };
        let index = index.expect("a legitimate free has an instance");
        self.instances[index].freed = Some(event);
        self.freed.push(index);
    }

    /// What an excess free frees again, as far as owner and address tell.
    fn freed_again(&mut self, owner: u64) -> Option<Instance> {
        let last = |is_wanted: &dyn Fn(&Instance) -> bool| {
            let mut freed = self.freed.iter().rev();
            freed
                .find(|&&index| is_wanted(&self.instances[index]))
                .copied()
        };
        let late = self.newest(|instance| instance.is_late() && instance.owner == owner);
        if owner != 0
            && let Some(late) = late
        {
            self.instances[late].over = true;
            return Some(self.instances[late]);
        }
        let own = last(&|instance| owner != 0 && instance.owner == owner);
        let live = self.newest(|instance| owner != 0 && instance.is_live());
        let index = own.or(live).or_else(|| last(&|_| true));
        index.map(|index| self.instances[index])
    }
}

/// What a log is made of.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub pid: u32,
    pub length: u64,
    pub devices: u32,
    pub addresses: u64,
    /// Owners 1 to this; and 0 where `unknown_owners`.
    pub owners: u64,
    pub unknown_owners: bool,
    /// Events that the ledger had no room for, at addresses of their own.
    pub untracked: bool,
    pub resets: bool,
}

/// A recorder of one process.
#[derive(Debug)]
pub struct Recorder {
    pub wanted: Wanted,
    pub names: Names,
    random: Random,
    pub places: BTreeMap<(u32, u64), Place>,
    /// Events without an order at an address.
    pub loose: Vec<Event>,
    epochs: Vec<u32>,
    /// The resets and closes of each device, in order.
    resets: Vec<Vec<Event>>,
    time_ns: u64,
}

/// Addresses from here on have events that the ledger had no room for.
pub const UNTRACKED: u64 = 0x100;

impl Recorder {
    /// Makes up a log.
    pub fn run(seed: u64, wanted: Wanted) -> Self {
        let devices = wanted.devices as usize;
        let mut recorder = Self {
            wanted,
            names: Names::default(),
            random: Random(seed),
            places: BTreeMap::new(),
            loose: Vec::new(),
            epochs: vec![0; devices],
            resets: vec![Vec::new(); devices],
            time_ns: 0,
        };
        for _ in 0..wanted.length {
            recorder.happen();
        }
        recorder
    }

    fn happen(&mut self) {
        let device = self.random.below(self.wanted.devices.into()) as u32;
        let address = self.random.below(self.wanted.addresses);
        let lowest = u64::from(!self.wanted.unknown_owners);
        let owner = self.random.within(lowest, self.wanted.owners);
        match self.random.below(100) {
            0..=32 => self.at(EventKind::Allocate, device, address, owner),
            33..=40 => self.at(EventKind::Retain, device, address, owner),
            41..=44 => self.at(EventKind::View, device, address, owner),
            45..=84 => self.at(EventKind::Deallocate, device, address, owner),
            85..=87 => self.at(EventKind::Declined, device, address, owner),
            88..=90 if self.wanted.resets => self.reset(EventKind::DeviceReset, device),
            91 if self.wanted.resets => self.reset(EventKind::DeviceClose, device),
            92 => self.loosely(EventKind::DeviceOpen, Verdict::Ok, device, 0, owner),
            93..=96 => {
                let kind = self.random.pick(&KINDS);
                self.loosely(kind, Verdict::Invalid, device, u64::MAX, owner);
            }
            _ if self.wanted.untracked => {
                let kind = self.random.pick(&KINDS);
                let verdict = self
                    .random
                    .pick(&[Verdict::Ok, Verdict::Unknown, Verdict::Invalid]);
                let address = UNTRACKED + address;
                self.loosely(kind, verdict, device, address, owner);
                if let Some(last) = self.loose.last_mut() {
                    last.untracked = true;
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, kind: EventKind, device: u32, address: u64, owner: u64) -> Event {
        self.time_ns += 1 + self.random.below(5);
        Event {
            device,
            address,
            owner,
            root_owner: owner,
            epoch: self.epochs[device as usize],
            kind_label: self.random.below(3) as u32,
            scope: self.random.below(3) as u32,
            thread: 40 + self.random.below(3) as u32,
            time_ns: self.time_ns,
            ..Event::of(kind)
        }
    }

    fn stack(&mut self, what: &str, sites: u64) -> StackId {
        let site = self.random.below(sites);
        let caller = self.random.below(2);
        self.names.stack(&format!("{what}{site} < caller{caller}"))
    }

    fn at(&mut self, kind: EventKind, device: u32, address: u64, owner: u64) {
        let mut event = self.event(kind, device, address, owner);
        let place = self.places.entry((device, address)).or_default();
        if event.epoch > place.machine.epoch {
            let first = self.resets[device as usize][place.machine.epoch as usize];
            for instance in &mut place.instances {
                if instance.is_live() {
                    instance.released = Some(first);
                }
            }
        }
        let change = match kind {
            EventKind::Allocate => Some(Change::Allocate { owner }),
            EventKind::Retain => Some(Change::Retain { owner }),
            EventKind::View => Some(Change::View { root: owner }),
            EventKind::Deallocate => Some(Change::Deallocate { owner }),
            _ => None,
        };
        if let Some(change) = change {
            let outcome = place.machine.apply(event.epoch, change);
            let outcome = outcome.expect("a vector has room");
            (event.verdict, event.late) = (outcome.verdict, outcome.late);
        } else if event.epoch > place.machine.epoch {
            // A reset is applied by whatever comes next.
            let view = Change::View { root: 0 };
            let applied = place.machine.apply(event.epoch, view);
            applied.expect("a vector has room");
        }
        place.steps += 1;
        event.step = place.steps;
        let is_excess = kind == EventKind::Deallocate && event.verdict.is_excess();
        let begins = kind == EventKind::Allocate
            || kind == EventKind::Retain && event.verdict == Verdict::Ok;
        event.stack = match kind {
            EventKind::Allocate => self.stack("make", 4),
            EventKind::Deallocate if is_excess => self.stack("again", 3),
            EventKind::Deallocate => self.stack("free", 3),
            _ => self.stack("other", 2),
        };
        if begins {
            event.size = 64 * self.random.within(1, 4);
        }
        event.blocked = is_excess && self.random.chance(0.5);
        let place = self.places.entry((device, address)).or_default();
        if begins {
            if kind == EventKind::Allocate {
                // With no owner to tell two lives apart, a late right cannot outlive the next one.
                for instance in &mut place.instances {
                    instance.over |= instance.owner == 0 && instance.released.is_some();
                }
            }
            place.instances.push(Instance {
                owner,
                allocated: event,
                freed: None,
                released: None,
                over: false,
            });
        } else if is_excess {
            let again = place.freed_again(owner);
            place.excess.push(Excess { event, again });
        } else if kind == EventKind::Deallocate && event.verdict == Verdict::Ok {
            place.end(event);
        }
        place.events.push(event);
    }

    fn reset(&mut self, kind: EventKind, device: u32) {
        self.epochs[device as usize] += 1;
        let mut event = self.event(kind, device, 0, 0);
        event.stack = self.stack("reset", 1);
        self.resets[device as usize].push(event);
        self.loose.push(event);
    }

    fn loosely(
        &mut self,
        kind: EventKind,
        verdict: Verdict,
        device: u32,
        address: u64,
        owner: u64,
    ) {
        let mut event = self.event(kind, device, address, owner);
        event.verdict = verdict;
        event.stack = self.stack("loose", 1);
        event.blocked = kind == EventKind::Deallocate && self.random.chance(0.3);
        self.loose.push(event);
    }

    /// All events, in the order of time.
    pub fn events(&self) -> Vec<Event> {
        let of_places = self.places.values().flat_map(|place| &place.events);
        let mut events: Vec<Event> = of_places.chain(&self.loose).copied().collect();
        events.sort_by_key(|event| event.time_ns);
        events
    }

    /// The trace, thread by thread as the shim writes it.
    pub fn trace(&self) -> Trace {
        let mut events = self.events();
        events.sort_by_key(|event| event.thread);
        let names = |word: &str| {
            (1..3)
                .map(|number| (number, format!("{word} {number}")))
                .collect()
        };
        Trace {
            id: self.wanted.pid.into(),
            process: Process {
                pid: self.wanted.pid,
                ..Process::default()
            },
            events,
            kind_names: names("kind"),
            scopes: names("scope"),
            ..Trace::default()
        }
    }
}

/// Kinds of events that concern one address, but for attempts that were declined.
const KINDS: [EventKind; 4] = [
    EventKind::Allocate,
    EventKind::Retain,
    EventKind::View,
    EventKind::Deallocate,
];
