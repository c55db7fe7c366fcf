//! The ledger against the lifecycle's own word, where a state moves between its cell and a record of one form or the
//! other.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Standing;
use whofreed_lifecycle::Verdict;

use super::Ledger;
use super::Scratch;
use super::cell;
use super::cell::Next;
use super::small::Small;

/// What may happen; `many` times, so that counts get beyond what a cell or a record of the close form holds.
#[derive(Clone, Copy, Debug)]
enum Step {
    Happens { event: Event, many: u16 },
    Resets(u16),
}

fn scratch() -> Box<Scratch> {
    // SAFETY: a scratch is valid as zeros.
    unsafe { Box::new_zeroed().assume_init() }
}

fn events(owners: u64) -> impl Strategy<Value = Event> {
    let owner = 0..owners;
    prop_oneof![
        3 => owner.clone().prop_map(|owner| Event::Allocate { owner }),
        1 => owner.clone().prop_map(|owner| Event::Retain { owner }),
        1 => owner.clone().prop_map(|root| Event::View { root }),
        3 => owner.prop_map(|owner| Event::Deallocate { owner }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let many = prop_oneof![8 => Just(1), 1 => 60_u16..70, 1 => 120_u16..135, 1 => 250_u16..260];
    let resets = prop_oneof![4 => Just(1), 1 => 1020_u16..1030];
    // From hosts that name nobody to those with more owners at once than a close record holds.
    prop_oneof![Just(1_u64), Just(2), Just(4), Just(20)].prop_flat_map(move |owners| {
        let happens =
            (events(owners), many.clone()).prop_map(|(event, many)| Step::Happens { event, many });
        let step = prop_oneof![12 => happens, 1 => resets.clone().prop_map(Step::Resets)];
        proptest::collection::vec(step, 1..60)
    })
}

/// One owner after the other allocates and frees, with something else in between now and then.
fn lives() -> impl Strategy<Value = Vec<Step>> {
    let once = |event| Step::Happens { event, many: 1 };
    let life = (0_u64..20, 0..12_u32, events(20)).prop_map(move |(owner, odd, event)| {
        let life = [Event::Allocate { owner }, Event::Deallocate { owner }].map(once);
        match odd {
            0 => vec![life[0], once(event), life[1]],
            1 => vec![life[0], life[1], once(event)],
            2 => vec![life[0], Step::Resets(1), life[1]],
            _ => life.to_vec(),
        }
    });
    proptest::collection::vec(life, 1..60).prop_map(|lives| lives.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn a_state_is_the_same_wherever_it_lies(steps in prop_oneof![steps(), lives()]) {
        // Each life at a device of its own.
        static LEDGER: LazyLock<Ledger> =
            LazyLock::new(|| Ledger::with_room(1 << 16, 64, 64).expect("memory"));
        static DEVICE: AtomicU32 = AtomicU32::new(0);
        let device = DEVICE.fetch_add(1, Ordering::Relaxed);
        let mut scratch = scratch();
        let mut model = Address::<Vec<Holder>>::default();
        let (mut epoch, mut number) = (0, 0);
        for step in steps {
            match step {
                Step::Resets(many) => {
                    for _ in 0..many {
                        epoch += 1;
                        prop_assert_eq!(LEDGER.reset(device), Some(epoch));
                    }
                }
                Step::Happens { event, many } => {
                    for _ in 0..many {
                        let foretold = LEDGER.judge(&mut scratch, device, 0x1000, event);
                        let wanted = model.apply(epoch, event).expect("room");
                        let judged = LEDGER.apply(&mut scratch, device, 0x1000, None, event);
                        prop_assert!(number == 0 || foretold == wanted.verdict);
                        number += 1;
                        prop_assert_eq!(judged.outcome, wanted);
                        prop_assert_eq!((judged.step, judged.epoch), (number, epoch));
                    }
                }
            }
            let mut wanted: Vec<_> = model.holders.clone();
            let mut known = LEDGER.holders(&mut scratch, device, 0x1000);
            for holders in [&mut wanted, &mut known] {
                holders.sort_by_key(|holder| (holder.owner, holder.count, holder.standing == Standing::Live));
            }
            prop_assert_eq!(known, wanted);
            for owner in 1..20 {
                let holds = LEDGER.holds(&mut scratch, device, 0x1000, owner);
                prop_assert_eq!(holds, model.holds(epoch, owner));
            }
        }
    }

    #[test]
    fn a_small_state_survives_its_word(
        is_owned: bool,
        live in 0_u32..200,
        is_past: bool,
        late in 0_u32..100,
        is_seen: bool,
        is_incomplete: bool,
        epoch in 0_u32..2000,
        step in prop_oneof![0_u64..100, (1_u64 << 36) - 5..(1 << 36) + 5],
    ) {
        let small = Small { is_owned, live, is_past, late, is_seen, is_incomplete, epoch, step };
        let fits = live < 1 << 7 && late < 1 << 6 && epoch < 1 << 10 && step < 1 << 36;
        let bits = small.encode();
        prop_assert_eq!(bits.is_some(), fits);
        if let Some(bits) = bits {
            prop_assert_eq!(bits >> 63, 0);
            prop_assert_eq!(Small::decode(bits), small);
        }
    }
}

/// Threads that allocate and free at the same few addresses: whatever the states' places, each right is used once.
#[test]
fn threads_that_race_at_one_address_use_each_right_once() {
    const EACH: u64 = 40_000;
    let ledger = Ledger::with_room(1024, 1024, 1024).expect("memory");
    let count = |by: u64| {
        let mut scratch = scratch();
        let mut balances = BTreeMap::new();
        for turn in 0..EACH {
            let address = 0x1000 + 0x10 * (turn % 3);
            // At the first address nobody is named, at the second by one and the same, at the third by each its own.
            let owner = [0, 9, by][(turn % 3) as usize];
            let is_free = crate::mix::mix(turn ^ by << 32) & 1 == 0;
            let event = if is_free {
                Event::Deallocate { owner }
            } else {
                Event::Allocate { owner }
            };
            let judged = ledger.apply(&mut scratch, 1, address, None, event);
            let balance: &mut (i64, u64) = balances.entry(address).or_default();
            balance.1 += 1;
            balance.0 += match (is_free, judged.outcome.verdict) {
                (false, _) => 1,
                (true, Verdict::Ok) => -1,
                (true, _) => 0,
            };
        }
        balances
    };
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=4).map(|by| scope.spawn(move || count(by))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    let mut scratch = scratch();
    for address in [0x1000, 0x1010, 0x1020] {
        let live: i64 = all.iter().map(|balances| balances[&address].0).sum();
        let steps: u64 = all.iter().map(|balances| balances[&address].1).sum();
        let mut left = 0;
        let free = Event::Deallocate { owner: 0 };
        let mut judged = ledger.apply(&mut scratch, 1, address, None, free);
        assert_eq!(judged.step, steps + 1, "each event has a step");
        while judged.outcome.verdict == Verdict::Ok {
            left += 1;
            judged = ledger.apply(&mut scratch, 1, address, None, free);
        }
        assert_eq!(left, live, "at {address:#x}");
    }
}

/// A step that a cell has no room for: the state moves to a record, and the steps go on.
#[test]
fn steps_go_on_beyond_what_a_cell_counts() {
    let ledger = Ledger::with_room(64, 64, 64).expect("memory");
    let mut scratch = scratch();
    let (entry, _) = ledger.addresses.entry_for(1, 0x1000).expect("room");
    let last = (1 << 36) - 1;
    let small = Small {
        is_seen: true,
        step: last - 2,
        ..Small::default()
    };
    let next = Next::small(small.encode().expect("it is small"));
    assert!(cell::swing(&entry.cell, cell::look(&entry.cell), next));
    for step in last - 1..last + 6 {
        let event = if step % 2 == 0 {
            Event::Allocate { owner: 0 }
        } else {
            Event::Deallocate { owner: 0 }
        };
        let judged = ledger.apply(&mut scratch, 1, 0x1000, None, event);
        assert_eq!(judged.outcome.verdict, Verdict::Ok, "{step}");
        assert_eq!(judged.step, step);
        assert_eq!(cell::look(&entry.cell).small().is_some(), step <= last);
    }
}

/// As where a thread noted its owner and then lost to another: the state is not one of the owner beside the cell.
#[test]
fn an_owner_that_is_not_the_noted_one_is_never_taken_for_it() {
    let ledger = Ledger::with_room(64, 64, 64).expect("memory");
    let mut scratch = scratch();
    let (entry, _) = ledger.addresses.entry_for(1, 0x1000).expect("room");
    assert!(entry.notes(9) && entry.notes(9) && !entry.notes(7));
    let mut model = Address::<Vec<Holder>>::default();
    for event in [
        Event::Allocate { owner: 7 },
        Event::Deallocate { owner: 9 },
        Event::Deallocate { owner: 7 },
        Event::Allocate { owner: 0 },
        Event::Deallocate { owner: 7 },
    ] {
        let judged = ledger.apply(&mut scratch, 1, 0x1000, None, event);
        assert_eq!(Ok(judged.outcome), model.apply(0, event), "{event:?}");
        assert_eq!(cell::look(&entry.cell).small(), None);
    }
}
