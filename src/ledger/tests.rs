//! The ledger with views and forgetful handles, against a naive model that remembers everything.

use std::collections::BTreeMap;

use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Standing;
use whofreed_lifecycle::Verdict;

use super::Instance;
use super::Ledger;
use super::Scratch;
use super::devices::MAX_DEVICES;
use crate::mix::mix;

/// As `hook` has it: each event of the contract in terms of the ledger.
struct Judge {
    ledger: Ledger,
    scratch: Box<Scratch>,
}

impl Judge {
    fn new() -> Self {
        Self {
            ledger: Ledger::new().expect("memory"),
            // SAFETY: a scratch is valid as zeros.
            scratch: unsafe { Box::new_zeroed().assume_init() },
        }
    }

    fn apply(&mut self, device: u32, address: u64, event: Event) -> Verdict {
        let Self { ledger, scratch } = self;
        ledger
            .apply(scratch, device, address, None, event)
            .outcome
            .verdict
    }

    fn allocate(&mut self, device: u32, address: u64, owner: u64) {
        self.apply(device, address, Event::Allocate { owner });
        if owner != 0 {
            assert!(self.ledger.hold(&mut self.scratch, device, address, owner));
        }
    }

    fn view(&mut self, device: u32, address: u64, owner: u64, parent: u64) -> Verdict {
        let root = self.ledger.root(&mut self.scratch, device, address, parent);
        let verdict = self.apply(device, address, Event::View { root });
        if verdict == Verdict::Ok && owner != 0 {
            let instance = Instance {
                address,
                owner: root,
            };
            let scratch = &mut self.scratch;
            assert!(self.ledger.share(scratch, device, instance, owner));
        }
        verdict
    }

    fn deallocate(&mut self, device: u32, address: u64, owner: u64) -> Verdict {
        let owner = self.ledger.root(&mut self.scratch, device, address, owner);
        self.apply(device, address, Event::Deallocate { owner })
    }

    fn deallocate_last(&mut self, device: u32, owner: u64) -> Verdict {
        match self.ledger.last_held(&mut self.scratch, device, owner) {
            Some(Instance { address, owner }) => {
                self.apply(device, address, Event::Deallocate { owner })
            }
            None => Verdict::Unknown,
        }
    }
}

/// One device of a host, told by lists and maps.
#[derive(Default)]
struct Model {
    addresses: BTreeMap<u64, Address<Vec<Holder>>>,
    views: BTreeMap<(u64, u64), u64>,
    /// Per owner every address where it held something, the newest last.
    held: BTreeMap<u64, Vec<u64>>,
    epoch: u32,
}

impl Model {
    fn apply(&mut self, address: u64, event: Event) -> Verdict {
        let state = self.addresses.entry(address).or_default();
        let outcome = state.apply(self.epoch, event);
        outcome.expect("a vector has room").verdict
    }

    fn has_right(&self, address: u64, owner: u64) -> bool {
        let mut state = self.addresses.get(&address).cloned().unwrap_or_default();
        // A look applies the resets.
        let look = Event::View { root: 0 };
        state.apply(self.epoch, look).expect("a vector has room");
        let is_own = |holder: &&Holder| holder.owner == owner && holder.count > 0;
        let mut own = state.holders.iter().filter(is_own);
        match state.live() {
            0 => own.next().is_some(),
            _ => owner == 0 || own.any(|holder| holder.standing == Standing::Live),
        }
    }

    fn root(&self, address: u64, owner: u64) -> u64 {
        match self.views.get(&(address, owner)) {
            Some(&root) if !self.has_right(address, owner) => root,
            _ => owner,
        }
    }

    fn note(&mut self, address: u64, owner: u64) {
        let held = self.held.entry(owner).or_default();
        held.retain(|known| *known != address);
        held.push(address);
    }

    fn allocate(&mut self, address: u64, owner: u64) {
        self.apply(address, Event::Allocate { owner });
        if owner != 0 {
            self.views.remove(&(address, owner));
            self.note(address, owner);
        }
    }

    fn view(&mut self, address: u64, owner: u64, parent: u64) -> Verdict {
        let root = self.root(address, parent);
        let verdict = self.apply(address, Event::View { root });
        if verdict == Verdict::Ok && owner != 0 {
            self.views.insert((address, owner), root);
            self.note(address, owner);
        }
        verdict
    }

    fn deallocate(&mut self, address: u64, owner: u64) -> Verdict {
        let owner = self.root(address, owner);
        self.apply(address, Event::Deallocate { owner })
    }

    fn deallocate_last(&mut self, owner: u64) -> Verdict {
        let held = self.held.get(&owner).cloned().unwrap_or_default();
        let holds = |&&address: &&u64| self.has_right(address, self.root(address, owner));
        match held.iter().rev().find(holds).or(held.last()) {
            Some(&address) => self.deallocate(address, owner),
            None => Verdict::Unknown,
        }
    }
}

/// Random hosts with few addresses and owners, so that everything meets; each on a device of its own.
#[test]
fn views_and_forgetful_handles_are_judged_as_the_model_does() {
    let mut judge = Judge::new();
    let (mut excess, mut through_views) = (0, 0);
    for device in 0..4_000 {
        let mut model = Model::default();
        let mut random = u64::from(device);
        let mut story = Vec::new();
        for _ in 0..40 {
            random = mix(random.wrapping_add(0x9e37_79b9_7f4a_7c15));
            let pick = |shift: u32, below: u64| (random >> shift) % below;
            let (address, owner, parent) = (pick(8, 4), pick(16, 5), pick(24, 5));
            let is_view = model.root(address, owner) != owner;
            let what = pick(32, 16);
            story.push((what, address, owner, parent));
            let (ours, wanted) = match what {
                0..=3 => {
                    judge.allocate(device, address, owner);
                    model.allocate(address, owner);
                    continue;
                }
                4..=7 => (
                    judge.view(device, address, owner, parent),
                    model.view(address, owner, parent),
                ),
                8 => {
                    judge.ledger.reset(device);
                    model.epoch += 1;
                    continue;
                }
                9 | 10 if owner != 0 => (
                    judge.deallocate_last(device, owner),
                    model.deallocate_last(owner),
                ),
                _ => (
                    judge.deallocate(device, address, owner),
                    model.deallocate(address, owner),
                ),
            };
            assert_eq!(ours, wanted, "device {device}: {story:?}");
            excess += u32::from(ours.is_excess() && what > 7);
            through_views += u32::from(ours == Verdict::Ok && is_view && what > 8);
        }
    }
    assert!(excess > 1_000 && through_views > 500);
}

#[test]
fn where_an_event_was_lost_nobody_is_accused() {
    let mut judge = Judge::new();
    judge.allocate(0, 1, 7);
    judge.ledger.lose(0, 1);
    assert_eq!(judge.deallocate(0, 1, 7), Verdict::Ok);
    assert_eq!(judge.deallocate(0, 1, 7), Verdict::Unknown);
    judge.allocate(0, 1, 8);
    assert_eq!(judge.deallocate(0, 1, 7), Verdict::Unknown);
    assert_eq!(judge.deallocate(0, 1, 8), Verdict::Ok);
    // The lost event's own step is missing.
    let event = Event::Deallocate { owner: 8 };
    let judged = judge.ledger.apply(&mut judge.scratch, 0, 1, None, event);
    assert_eq!((judged.outcome.verdict, judged.step), (Verdict::Unknown, 8));
    assert_eq!(judge.deallocate(0, 2, 8), Verdict::Unknown);
}

/// As many as are promised, and no address or view is refused before.
#[test]
fn every_device_up_to_the_bound_counts_its_resets() {
    let ledger = Ledger::new().expect("memory");
    // So many with small numbers, and so many with large ones.
    for device in 0..2 * MAX_DEVICES {
        assert_eq!(ledger.reset(device), Some(1), "device {device}");
    }
    for device in 0..2 * MAX_DEVICES {
        assert_eq!(ledger.epoch(device), 1, "device {device}");
    }
    assert_eq!(ledger.reset(2 * MAX_DEVICES), None);
    assert_eq!(ledger.epoch(2 * MAX_DEVICES), 0);
}

/// A table of so many addresses is no good if there are records for half of them.
#[test]
fn as_many_buffers_as_there_are_addresses_can_each_have_an_owner() {
    const MANY: u64 = 4096;
    let mut judge = Judge {
        ledger: Ledger::with_room(MANY as u32, MANY as u32, 64).expect("memory"),
        ..Judge::new()
    };
    for buffer in 1..=MANY {
        judge.allocate(1, buffer, buffer);
    }
    for buffer in 1..=MANY {
        let verdict = judge.apply(1, buffer, Event::Deallocate { owner: buffer });
        assert_eq!(verdict, Verdict::Ok, "{buffer}");
    }
}
