//! The whole ledger, as hooks use it: tables, cells, records, views and owners, with few places in each.

use std::sync::Arc;

use whofreed::ledger::Instance;
use whofreed::ledger::Ledger;
use whofreed::ledger::Scratch;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::Verdict;

use super::checker::bounded;
use super::checker::spawn;

const ADDRESS: u64 = 4096;

struct Judge {
    ledger: Arc<Ledger>,
    scratch: Box<Scratch>,
    steps: Vec<u64>,
}

impl Judge {
    fn new(ledger: &Arc<Ledger>) -> Self {
        Self {
            ledger: Arc::clone(ledger),
            // SAFETY: a scratch is valid as zeros.
            scratch: unsafe { Box::new_zeroed().assume_init() },
            steps: Vec::new(),
        }
    }

    fn apply(&mut self, event: Event) -> Verdict {
        let judged = self
            .ledger
            .apply(&mut self.scratch, 0, ADDRESS, None, event);
        assert!(!judged.untracked);
        self.steps.push(judged.step);
        judged.outcome.verdict
    }

    fn allocate(&mut self, owner: u64) {
        assert_eq!(self.apply(Event::Allocate { owner }), Verdict::Ok);
    }

    fn free(&mut self, owner: u64) -> Verdict {
        self.apply(Event::Deallocate { owner })
    }

    fn asks(&mut self, owner: u64) -> Verdict {
        let event = Event::Deallocate { owner };
        self.ledger.judge(&mut self.scratch, 0, ADDRESS, event)
    }
}

fn few() -> Arc<Ledger> {
    Arc::new(Ledger::with_room(8, 8, 2).expect("memory"))
}

/// The steps of all who were there are 1, 2, 3 and so on.
fn check_steps(judges: &[&Judge]) {
    let mut steps: Vec<u64> = judges
        .iter()
        .flat_map(|judge| judge.steps.clone())
        .collect();
    steps.sort_unstable();
    assert!(
        steps.iter().copied().eq(1..=steps.len() as u64),
        "{steps:?}"
    );
}

/// Two threads free one buffer, which nobody, one owner, or one of two owners has: in the cell, and in records.
#[test]
fn of_two_frees_of_one_buffer_one_is_right() {
    for owners in [&[0][..], &[7], &[7, 8], &[7, 8, 9, 10, 11, 12]] {
        bounded(
            move || {
                let ledger = few();
                let mut first = Judge::new(&ledger);
                for &owner in owners {
                    first.allocate(owner);
                }
                let mut second = Judge::new(&ledger);
                let other = spawn(move || (second.free(owners[0]), second));
                let mine = first.free(owners[0]);
                let (theirs, second) = other.join().expect("no panic");
                let right = [mine, theirs].map(|verdict| verdict == Verdict::Ok);
                assert_eq!(right.iter().filter(|right| **right).count(), 1);
                check_steps(&[&first, &second]);
            },
            3,
        );
    }
}

/// Two threads allocate and free at an address that is new to both: they agree on its place, and each is right.
#[test]
fn two_owners_of_one_address_are_both_right() {
    bounded(
        || {
            let ledger = few();
            let mut first = Judge::new(&ledger);
            let mut second = Judge::new(&ledger);
            let turn = |judge: &mut Judge, owner| {
                judge.allocate(owner);
                assert_eq!(judge.free(owner), Verdict::Ok);
            };
            let other = spawn(move || {
                turn(&mut second, 8);
                second
            });
            turn(&mut first, 7);
            let second = other.join().expect("no panic");
            check_steps(&[&first, &second]);
            assert_eq!(ledger.addresses(), 1);
        },
        3,
    );
}

/// Whoever asks while records change hands is not told what never was: of two owners that always have a buffer, one
/// of them allocates and frees a second one.
#[test]
fn whoever_asks_is_told_a_state_that_was() {
    bounded(
        || {
            let ledger = few();
            let mut first = Judge::new(&ledger);
            first.allocate(7);
            first.allocate(8);
            let mut second = Judge::new(&ledger);
            let other = spawn(move || {
                // Each takes a record, and gives back the one before, which is written to at the next.
                second.allocate(9);
                assert_eq!(second.free(9), Verdict::Ok);
            });
            assert_eq!(first.asks(7), Verdict::Ok);
            other.join().expect("no panic");
        },
        3,
    );
}

/// A handle that has forgotten its address is asked for, while it comes to hold others.
#[test]
fn an_owner_is_found_where_it_held_something() {
    bounded(
        || {
            let ledger = few();
            let mut first = Judge::new(&ledger);
            first.allocate(7);
            assert!(ledger.hold(&mut first.scratch, 0, ADDRESS, 7));
            let mut second = Judge::new(&ledger);
            let other = spawn(move || {
                for address in [8192, 12288] {
                    let event = Event::Allocate { owner: 7 };
                    let Judge {
                        ledger, scratch, ..
                    } = &mut second;
                    ledger.apply(scratch, 0, address, None, event);
                    assert!(ledger.hold(scratch, 0, address, 7));
                }
            });
            let last = ledger
                .last_held(&mut first.scratch, 0, 7)
                .expect("it is known");
            assert!([4096, 8192, 12288].contains(&last.address), "{last:?}");
            assert_eq!(last.owner, 7);
            other.join().expect("no panic");
            let last = ledger
                .last_held(&mut first.scratch, 0, 7)
                .expect("it is known");
            assert_eq!(last.address, 12288);
        },
        3,
    );
}

/// A view is noted while another thread notes the same one, and a third asks.
#[test]
fn a_view_shares_what_its_root_has() {
    bounded(
        || {
            let ledger = few();
            let mut first = Judge::new(&ledger);
            first.allocate(7);
            let mut second = Judge::new(&ledger);
            let instance = Instance {
                address: ADDRESS,
                owner: 7,
            };
            let other = spawn(move || {
                let Judge {
                    ledger, scratch, ..
                } = &mut second;
                assert!(ledger.share(scratch, 0, instance, 9));
                assert_eq!(ledger.root(scratch, 0, ADDRESS, 9), 7);
            });
            assert!(ledger.share(&mut first.scratch, 0, instance, 9));
            assert_eq!(ledger.root(&mut first.scratch, 0, ADDRESS, 9), 7);
            other.join().expect("no panic");
        },
        3,
    );
}

/// A device is reset while a buffer on it is freed: the free came before, or it was late.
#[test]
fn a_free_is_before_a_reset_or_after_it() {
    bounded(
        || {
            for device in [0, 5] {
                let ledger = few();
                let mut first = Judge::new(&ledger);
                let resetting = Arc::clone(&ledger);
                let event = Event::Allocate { owner: 0 };
                ledger.apply(&mut first.scratch, device, ADDRESS, None, event);
                let other = spawn(move || resetting.reset(device));
                let event = Event::Deallocate { owner: 0 };
                let judged = ledger.apply(&mut first.scratch, device, ADDRESS, None, event);
                assert_eq!(judged.outcome.verdict, Verdict::Ok);
                assert_eq!(judged.outcome.late, judged.epoch == 1);
                assert_eq!(other.join().expect("no panic"), Some(1));
            }
        },
        3,
    );
}
