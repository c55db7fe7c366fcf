//! The verdict machine against a deliberately naive reading of the contract: a list of all instances there ever
//! were, searched anew at every event.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use proptest::prelude::*;
use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::FixedHolders;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Holders as _;
use whofreed_lifecycle::Outcome;
use whofreed_lifecycle::REMEMBERED_LATE_OWNERS;
use whofreed_lifecycle::REMEMBERED_OWNERS;
use whofreed_lifecycle::Standing;
use whofreed_lifecycle::Verdict;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Live,
    /// A reset or close ended it; its holder may still free it, once.
    EndedByReset,
    Over,
}

#[derive(Clone, Copy, Debug)]
struct Instance {
    owner: u64,
    state: State,
}

/// Every instance of one address, in the order of their allocation.
#[derive(Clone, Debug, Default)]
struct Oracle {
    instances: Vec<Instance>,
    allocated_once: bool,
}

/// Verdict, lateness, and the owner of the instance that ended.
type Answer = (Verdict, bool, Option<u64>);

impl Oracle {
    fn newest(&self, state: State, owner: Option<u64>) -> Option<usize> {
        (0..self.instances.len()).rev().find(|&index| {
            let instance = self.instances[index];
            instance.state == state && owner.is_none_or(|owner| owner == instance.owner)
        })
    }

    fn is_live(&self) -> bool {
        self.newest(State::Live, None).is_some()
    }

    fn live(&self) -> u64 {
        self.instances
            .iter()
            .filter(|instance| instance.state == State::Live)
            .count() as u64
    }

    fn reset(&mut self) {
        for instance in &mut self.instances {
            if instance.state == State::Live {
                instance.state = State::EndedByReset;
            }
        }
    }

    fn allocate(&mut self, owner: u64) -> Answer {
        for instance in &mut self.instances {
            if instance.owner == 0 && instance.state == State::EndedByReset {
                instance.state = State::Over;
            }
        }
        self.allocated_once = true;
        self.instances.push(Instance {
            owner,
            state: State::Live,
        });
        (Verdict::Ok, false, None)
    }

    /// A reference is judged as a deallocate would be, but what a reset ended can no longer be referred to.
    fn refer(&self, owner: u64) -> Verdict {
        let mut copy = self.clone();
        match copy.deallocate(owner) {
            (Verdict::Ok, true, _) => Verdict::AlreadyFreed,
            (verdict, ..) => verdict,
        }
    }

    fn retain(&mut self, owner: u64) -> Answer {
        let verdict = self.refer(owner);
        if verdict == Verdict::Ok {
            self.instances.push(Instance {
                owner,
                state: State::Live,
            });
        }
        (verdict, false, None)
    }

    /// The seven rules, in the contract's order.
    fn deallocate(&mut self, owner: u64) -> Answer {
        // 1.
        if owner != 0
            && let Some(index) = self.newest(State::Live, Some(owner))
        {
            return self.end(index);
        }
        // 2.
        if let Some(index) = self.newest(State::EndedByReset, Some(owner)) {
            self.instances[index].state = State::Over;
            return if self.is_live() {
                (Verdict::StaleOwner, false, None)
            } else {
                (Verdict::Ok, true, None)
            };
        }
        // 3.
        if let Some(index) = self.newest(State::Live, Some(0)) {
            return self.end(index);
        }
        // 4.
        if owner == 0
            && let Some(index) = self.newest(State::Live, None)
        {
            return self.end(index);
        }
        // 5.
        if self.is_live() {
            let held_before = self
                .instances
                .iter()
                .any(|instance| instance.owner == owner);
            let verdict = if held_before {
                Verdict::StaleOwner
            } else {
                Verdict::ForeignOwner
            };
            return (verdict, false, None);
        }
        // 6. and 7.
        let verdict = if self.allocated_once {
            Verdict::AlreadyFreed
        } else {
            Verdict::Unknown
        };
        (verdict, false, None)
    }

    fn end(&mut self, index: usize) -> Answer {
        self.instances[index].state = State::Over;
        (Verdict::Ok, false, Some(self.instances[index].owner))
    }

    fn apply(&mut self, event: Event) -> Answer {
        match event {
            Event::Allocate { owner } => self.allocate(owner),
            Event::Retain { owner } => self.retain(owner),
            Event::View { root } => (self.refer(root), false, None),
            Event::Deallocate { owner } => self.deallocate(owner),
        }
    }

    /// Whether more owners of the past are known than an address has to remember.
    fn has_more_owners_than_the_bound(&self) -> bool {
        let owners: BTreeSet<u64> = self
            .instances
            .iter()
            .map(|instance| instance.owner)
            .collect();
        owners.len() > REMEMBERED_OWNERS
    }
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Event(Event),
    Reset,
}

fn happenings(owners: u64) -> impl Strategy<Value = Vec<Happening>> {
    let owner = 0..=owners;
    let one = prop_oneof![
        6 => owner.clone().prop_map(|owner| Happening::Event(Event::Allocate { owner })),
        8 => owner.clone().prop_map(|owner| Happening::Event(Event::Deallocate { owner })),
        2 => owner.clone().prop_map(|owner| Happening::Event(Event::Retain { owner })),
        1 => owner.prop_map(|root| Happening::Event(Event::View { root })),
        1 => Just(Happening::Reset),
    ];
    prop::collection::vec(one, 0..120)
}

fn answer(outcome: Outcome) -> Answer {
    (outcome.verdict, outcome.late, outcome.ended)
}

/// Runs machine and oracle side by side.
fn compare(happenings: &[Happening]) -> Result<(), TestCaseError> {
    let mut oracle = Oracle::default();
    let mut address: Address<Vec<Holder>> = Address::default();
    let mut epoch = 0;
    for &happening in happenings {
        let Happening::Event(event) = happening else {
            // The machine learns of a reset from the next event alone.
            epoch += 1;
            oracle.reset();
            continue;
        };
        let expected = oracle.apply(event);
        let got = answer(address.apply(epoch, event).unwrap());
        let forgot_whose = expected.0 == Verdict::ForeignOwner
            && got.0 == Verdict::StaleOwner
            && oracle.has_more_owners_than_the_bound();
        if !forgot_whose {
            prop_assert_eq!(got, expected, "{:?} at {:?}", event, address);
        }
        prop_assert_eq!(address.live(), oracle.live());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn few_owners(happenings in happenings(3)) {
        compare(&happenings)?;
    }

    #[test]
    fn more_owners_than_are_remembered(happenings in happenings(14)) {
        compare(&happenings)?;
    }

    #[test]
    fn owners_not_known(happenings in happenings(0)) {
        compare(&happenings)?;
    }

    /// A lent buffer gives the same answers as a growing one as long as it has room; when it has not, nobody is accused
    /// of what a larger one would have found legitimate.
    #[test]
    fn too_little_memory_accuses_nobody(happenings in happenings(6), room in 1_usize..24) {
        let nobody = Holder { owner: 0, count: 0, standing: Standing::Past };
        let mut buffer = vec![nobody; room];
        let mut len = 0;
        let mut kept = Address::<()>::default();
        let mut grown: Address<Vec<Holder>> = Address::default();
        let mut epoch = 0;
        for happening in happenings {
            let Happening::Event(event) = happening else {
                epoch += 1;
                continue;
            };
            let mut lent = Address {
                holders: FixedHolders::new(&mut buffer, len),
                epoch: kept.epoch,
                seen: kept.seen,
                forgot: kept.forgot,
                forgot_late: kept.forgot_late,
                incomplete: kept.incomplete,
            };
            let outcome = lent.apply(epoch, event);
            let live = lent.live();
            len = lent.holders.entries().len();
            kept = Address {
                holders: (),
                epoch: lent.epoch,
                seen: lent.seen,
                forgot: lent.forgot,
                forgot_late: lent.forgot_late,
                incomplete: lent.incomplete,
            };
            let expected = grown.apply(epoch, event).unwrap();
            prop_assert!(len <= room);
            match outcome {
                Err(_) => prop_assert!(kept.incomplete),
                Ok(outcome) if kept.incomplete => {
                    prop_assert!(!outcome.verdict.is_excess());
                }
                Ok(outcome) => {
                    prop_assert_eq!(live, grown.live());
                    let is_forgotten = kept.forgot
                        && (outcome.verdict, expected.verdict) == (Verdict::StaleOwner, Verdict::ForeignOwner);
                    if !is_forgotten {
                        prop_assert_eq!(outcome, expected);
                    }
                }
            }
        }
    }

    /// Whatever the owners, the excess is what the counts say when nobody tells owners and nothing is reset.
    #[test]
    fn without_owners_only_counts_matter(frees in prop::collection::vec(any::<bool>(), 0..200)) {
        let mut address: Address<Vec<Holder>> = Address::default();
        let mut open = 0_u32;
        let mut seen = false;
        for is_free in frees {
            let event = if is_free { Event::Deallocate { owner: 0 } } else { Event::Allocate { owner: 0 } };
            let verdict = address.apply(0, event).unwrap().verdict;
            let expected = match (is_free, open, seen) {
                (false, ..) => Verdict::Ok,
                (true, 0, true) => Verdict::AlreadyFreed,
                (true, 0, false) => Verdict::Unknown,
                (true, ..) => Verdict::Ok,
            };
            prop_assert_eq!(verdict, expected);
            seen |= !is_free;
            open = if is_free { open.saturating_sub(1) } else { open + 1 };
        }
    }
}

#[test]
fn the_contract_s_example() {
    let mut address: Address<Vec<Holder>> = Address::default();
    let (a, b) = (1, 2);
    let verdicts = [
        Event::Allocate { owner: a },
        Event::Deallocate { owner: a },
        Event::Allocate { owner: b },
        Event::Deallocate { owner: a },
        Event::Deallocate { owner: b },
    ]
    .map(|event| address.apply(0, event).unwrap().verdict);
    let ok = Verdict::Ok;
    assert_eq!(verdicts, [ok, ok, ok, Verdict::StaleOwner, ok]);
}

#[test]
fn a_late_comer_of_an_older_epoch_resets_nothing() {
    let mut address: Address<Vec<Holder>> = Address::default();
    address.apply(3, Event::Allocate { owner: 1 }).unwrap();
    let outcome = address.apply(2, Event::Deallocate { owner: 1 }).unwrap();
    assert_eq!((outcome.verdict, outcome.late), (Verdict::Ok, false));
}

/// Owners that never free what a reset took from them fill no memory, and a new one is judged as ever.
#[test]
fn late_rights_that_nobody_uses_do_not_stop_the_judge() {
    for resets in [1_u32, 2000, 2100] {
        let mut address: Address<Vec<Holder>> = Address::default();
        for reset in 0..resets {
            address
                .apply(
                    reset,
                    Event::Allocate {
                        owner: u64::from(reset) + 1,
                    },
                )
                .unwrap();
        }
        let newest = Event::Deallocate { owner: 1_000_000 };
        address
            .apply(resets, Event::Allocate { owner: 1_000_000 })
            .unwrap();
        assert!(address.holders.len() <= REMEMBERED_LATE_OWNERS + REMEMBERED_OWNERS + 1);
        assert_eq!(address.apply(resets, newest).unwrap().verdict, Verdict::Ok);
        assert_eq!(
            address.apply(resets, newest).unwrap().verdict,
            Verdict::AlreadyFreed
        );
        let first = address
            .apply(resets, Event::Deallocate { owner: 1 })
            .unwrap();
        let is_forgotten = resets as usize > REMEMBERED_LATE_OWNERS;
        assert_eq!(
            first.verdict,
            if is_forgotten {
                Verdict::Unknown
            } else {
                Verdict::Ok
            }
        );
        assert_eq!(first.late, !is_forgotten);
    }
}
