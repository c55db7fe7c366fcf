//! The verdict machine against a naive reading of the contract, by examples and by histories that proptest makes up.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod naive;

use naive::Happening;
use naive::Oracle;
use naive::answer;
use naive::lent::Lent;
use proptest::prelude::*;
use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::REMEMBERED_LATE_OWNERS;
use whofreed_lifecycle::REMEMBERED_OWNERS;
use whofreed_lifecycle::Verdict;

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
        prop_assert!(
            oracle.accepts(got, expected),
            "{:?} is {:?}, expected {:?} at {:?}",
            event,
            got,
            expected,
            address
        );
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
        let mut lent = Lent::new(room);
        let mut grown: Address<Vec<Holder>> = Address::default();
        let mut epoch = 0;
        for happening in happenings {
            let Happening::Event(event) = happening else {
                epoch += 1;
                continue;
            };
            let outcome = lent.apply(epoch, event);
            let kept = &lent.kept;
            let expected = grown.apply(epoch, event).unwrap();
            prop_assert!(lent.len <= room);
            match outcome {
                Err(_) => prop_assert!(kept.incomplete),
                Ok(outcome) if kept.incomplete => {
                    prop_assert!(!outcome.verdict.is_excess());
                }
                Ok(outcome) => {
                    prop_assert_eq!(lent.live, grown.live());
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
