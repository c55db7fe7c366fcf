//! Every short life of an address, step by step: the verdict machine against a naive reading of the contract.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod naive;

use std::thread;

use naive::Happening;
use naive::Oracle;
use naive::answer;
use naive::lent::Lent;
use naive::notes::note;
use naive::notes::soak;
use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Standing;
use whofreed_lifecycle::Verdict;

/// Everything that changes an address with two owners and one that is not known.
const ALPHABET: [Happening; 10] = [
    allocate(1),
    allocate(2),
    allocate(0),
    deallocate(1),
    deallocate(2),
    deallocate(0),
    retain(1),
    retain(2),
    retain(0),
    Happening::Reset,
];

/// Owners that are asked for at every step: views change nothing, so they need no place in the alphabet.
const ASKED: [u64; 4] = [0, 1, 2, STRANGER];

/// An owner that never holds the address.
const STRANGER: u64 = 3;

const fn allocate(owner: u64) -> Happening {
    Happening::Event(Event::Allocate { owner })
}

const fn deallocate(owner: u64) -> Happening {
    Happening::Event(Event::Deallocate { owner })
}

const fn retain(owner: u64) -> Happening {
    Happening::Event(Event::Retain { owner })
}

/// What is followed through the tree of all lives; a branch goes on with a copy.
trait Life: Clone {
    /// One more happening, and everything that must hold after it.
    fn step(&mut self, happening: Happening);
}

/// When a step panics, says which way led there, the last happening first.
struct Way(Happening);

impl Drop for Way {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("behind {:?}", self.0);
        }
    }
}

/// Walks all lives of at most `length` happenings, depth first, so that what they begin with alike is done once.
/// Returns the number of steps.
fn walk(life: &impl Life, length: usize) -> u64 {
    if length == 0 {
        return 0;
    }
    let mut steps = 0;
    for happening in ALPHABET {
        let _way = Way(happening);
        let mut branch = life.clone();
        branch.step(happening);
        steps += 1 + walk(&branch, length - 1);
    }
    steps
}

/// An address with all the room it wants, and the oracle beside it.
#[derive(Clone, Default)]
struct Grown {
    machine: Address<Vec<Holder>>,
    oracle: Oracle,
    epoch: u32,
}

impl Grown {
    fn expect_same(&mut self, event: Event) {
        let expected = self.oracle.apply(event);
        let got = answer(self.machine.apply(self.epoch, event).unwrap());
        assert_eq!(got, expected, "{event:?}: {:?}", self.machine);
        assert_eq!(self.machine.live(), self.oracle.live());
    }
}

impl Life for Grown {
    fn step(&mut self, happening: Happening) {
        match happening {
            // The machine learns of it from the next event alone.
            Happening::Reset => {
                self.epoch += 1;
                self.oracle.reset();
            }
            Happening::Event(event) => self.expect_same(event),
        }
        let mut asked = self.clone();
        for root in ASKED {
            asked.expect_same(Event::View { root });
            assert!(
                self.epoch > self.machine.epoch || asked.machine.holders == self.machine.holders
            );
        }
        asked.expect_same(Event::Deallocate { owner: STRANGER });
    }
}

#[test]
fn every_short_lifecycle_is_judged_as_by_the_oracle() {
    let length = if soak() { 8 } else { 6 };
    let steps = walk(&Grown::default(), length);
    note(
        &format!(
            "steps of every life of up to {length} out of {} happenings, as by the oracle",
            ALPHABET.len()
        ),
        &steps.to_string(),
    );
    let all = (1..=length as u32).map(|length| (ALPHABET.len() as u64).pow(length));
    assert_eq!(steps, all.sum::<u64>());
}

/// An address with little room, and the oracle beside it, which knows everything.
#[derive(Clone)]
struct Cramped {
    machine: Lent,
    oracle: Oracle,
    epoch: u32,
    room: usize,
}

impl Cramped {
    /// The oracle's answer, as long as everything fitted; when not, nobody is accused any more.
    fn expect_no_innocent_accused(&mut self, event: Event) {
        let expected = self.oracle.apply(event);
        let before = self.machine.clone();
        let outcome = self.machine.apply(self.epoch, event);
        let machine = &self.machine;
        assert!(machine.len <= self.room);
        match outcome {
            Err(_) => {
                assert!(machine.kept.incomplete);
                // It has really no room: everybody in there has a right that would be lost.
                assert_eq!(machine.len, self.room);
                assert!(machine.holders().iter().all(|holder| holder.count > 0));
                let had_reset = self.epoch > before.kept.epoch;
                assert!(had_reset || machine.holders() == before.holders());
            }
            Ok(outcome) if machine.kept.incomplete => {
                assert!(!outcome.verdict.is_excess(), "{event:?}: {machine:?}");
            }
            Ok(outcome) => {
                assert_eq!(machine.live, self.oracle.live());
                let is_forgotten = machine.kept.forgot
                    && (outcome.verdict, expected.0)
                        == (Verdict::StaleOwner, Verdict::ForeignOwner);
                assert!(
                    is_forgotten || answer(outcome) == expected,
                    "{event:?}: {outcome:?}, expected {expected:?}: {machine:?}"
                );
            }
        }
        let live = machine.holders().iter();
        let live = live.filter(|holder| holder.standing == Standing::Live);
        assert_eq!(
            machine.live,
            live.map(|holder| u64::from(holder.count)).sum()
        );
    }
}

impl Life for Cramped {
    fn step(&mut self, happening: Happening) {
        match happening {
            Happening::Reset => {
                self.epoch += 1;
                self.oracle.reset();
            }
            Happening::Event(event) => self.expect_no_innocent_accused(event),
        }
        let mut asked = self.clone();
        for root in ASKED {
            asked.expect_no_innocent_accused(Event::View { root });
        }
        asked.expect_no_innocent_accused(Event::Deallocate { owner: STRANGER });
    }
}

#[test]
fn no_short_lifecycle_accuses_an_innocent_for_want_of_memory() {
    let length = if soak() { 7 } else { 6 };
    let mut steps = 0;
    for room in 0..=4 {
        let life = Cramped {
            machine: Lent::new(room),
            oracle: Oracle::default(),
            epoch: 0,
            room,
        };
        steps += walk(&life, length);
    }
    note(
        &format!(
            "steps of every life of up to {length} with room for 0 to 4 holders, nobody accused wrongly"
        ),
        &steps.to_string(),
    );
}
