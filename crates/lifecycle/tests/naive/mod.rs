//! A deliberately naive reading of the contract: a list of all instances there ever were, searched anew at every
//! event.
#![allow(dead_code, reason = "each test file uses its own part of the oracle")]

pub mod lent;
#[path = "../../../../tests/common/notes.rs"]
pub mod notes;

use std::collections::BTreeSet;

use whofreed_lifecycle::Event;
use whofreed_lifecycle::Outcome;
use whofreed_lifecycle::REMEMBERED_OWNERS;
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
pub struct Oracle {
    instances: Vec<Instance>,
    allocated_once: bool,
}

/// Verdict, lateness, and the owner of the instance that ended.
pub type Answer = (Verdict, bool, Option<u64>);

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

    /// The number of live instances.
    pub fn live(&self) -> u64 {
        self.instances
            .iter()
            .filter(|instance| instance.state == State::Live)
            .count() as u64
    }

    /// The device lost everything at once.
    pub fn reset(&mut self) {
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

    /// What the event comes to.
    pub fn apply(&mut self, event: Event) -> Answer {
        match event {
            Event::Allocate { owner } => self.allocate(owner),
            Event::Retain { owner } => self.retain(owner),
            Event::View { root } => (self.refer(root), false, None),
            Event::Deallocate { owner } => self.deallocate(owner),
        }
    }

    /// Whether an address may give this answer in place of the expected one. When there were more owners than it has to
    /// remember, one that is not known is taken for one of them.
    pub fn accepts(&self, got: Answer, expected: Answer) -> bool {
        got == expected
            || (got, expected.0) == ((Verdict::StaleOwner, false, None), Verdict::ForeignOwner)
                && self.owners() > REMEMBERED_OWNERS
    }

    fn owners(&self) -> usize {
        let owners = self.instances.iter().map(|instance| instance.owner);
        owners.collect::<BTreeSet<u64>>().len()
    }
}

/// An event of the address, or one of its device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happening {
    Event(Event),
    Reset,
}

/// An outcome as the oracle words it.
pub fn answer(outcome: Outcome) -> Answer {
    (outcome.verdict, outcome.late, outcome.ended)
}
