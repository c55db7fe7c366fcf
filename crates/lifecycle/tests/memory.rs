//! What an address keeps in its holders, entry by entry, and what it forgets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::FixedHolders;
use whofreed_lifecycle::Full;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Holders as _;
use whofreed_lifecycle::Listed as _;
use whofreed_lifecycle::REMEMBERED_LATE_OWNERS;
use whofreed_lifecycle::REMEMBERED_OWNERS;
use whofreed_lifecycle::Standing;
use whofreed_lifecycle::Verdict;

type Grown = Address<Vec<Holder>>;

const fn live(owner: u64, count: u32) -> Holder {
    Holder {
        owner,
        count,
        standing: Standing::Live,
    }
}

const fn past(owner: u64, count: u32) -> Holder {
    Holder {
        owner,
        count,
        standing: Standing::Past,
    }
}

fn allocate(address: &mut Grown, epoch: u32, owner: u64) {
    let outcome = address.apply(epoch, Event::Allocate { owner }).unwrap();
    assert_eq!(outcome.verdict, Verdict::Ok);
}

fn deallocate(address: &mut Grown, epoch: u32, owner: u64) -> Verdict {
    let outcome = address.apply(epoch, Event::Deallocate { owner }).unwrap();
    outcome.verdict
}

#[test]
fn instances_of_one_owner_in_a_row_are_one_entry() {
    let mut address = Grown::default();
    for owner in [1, 1, 1, 2, 1] {
        allocate(&mut address, 0, owner);
    }
    assert_eq!(address.holders, [live(1, 3), live(2, 1), live(1, 1)]);
}

#[test]
fn an_entry_that_can_count_no_further_is_followed_by_another() {
    let mut address = Grown {
        holders: vec![live(1, u32::MAX - 1)],
        ..Grown::default()
    };
    allocate(&mut address, 0, 1);
    allocate(&mut address, 0, 1);
    assert_eq!(address.holders, [live(1, u32::MAX), live(1, 1)]);
    assert_eq!(address.live(), 1 << 32);
}

#[test]
fn an_owner_that_is_not_known_is_remembered_only_for_its_late_rights() {
    let mut address = Grown::default();
    allocate(&mut address, 0, 0);
    assert_eq!(deallocate(&mut address, 0, 0), Verdict::Ok);
    assert_eq!(address.holders, []);
    allocate(&mut address, 0, 0);
    allocate(&mut address, 0, 0);
    assert_eq!(deallocate(&mut address, 1, 0), Verdict::Ok);
    assert_eq!(address.holders, [past(0, 1)]);
    assert_eq!(deallocate(&mut address, 1, 0), Verdict::Ok);
    assert_eq!(address.holders, []);
}

#[test]
fn the_last_owners_without_a_right_are_remembered_and_no_more() {
    let last = REMEMBERED_OWNERS as u64;
    let mut address = Grown::default();
    for owner in 1..=last {
        allocate(&mut address, 0, owner);
        assert_eq!(deallocate(&mut address, 0, owner), Verdict::Ok);
    }
    // Whoever comes again is the most recent one, and no one more.
    allocate(&mut address, 0, 1);
    assert_eq!(deallocate(&mut address, 0, 1), Verdict::Ok);
    let in_order: Vec<Holder> = (2..=last).chain([1]).map(|owner| past(owner, 0)).collect();
    assert_eq!(address.holders, in_order);
    assert!(!address.forgot);
    allocate(&mut address, 0, 100);
    assert_eq!(deallocate(&mut address, 0, 99), Verdict::ForeignOwner);

    assert_eq!(deallocate(&mut address, 0, 100), Verdict::Ok);
    assert!(address.forgot);
    let one_less: Vec<Holder> = in_order[1..]
        .iter()
        .copied()
        .chain([past(100, 0)])
        .collect();
    assert_eq!(address.holders, one_less);
    allocate(&mut address, 0, 101);
    assert_eq!(deallocate(&mut address, 0, 99), Verdict::StaleOwner);
}

#[test]
fn the_last_owners_with_a_late_right_are_remembered_and_no_more() {
    let last = REMEMBERED_LATE_OWNERS as u64;
    let mut address = Grown::default();
    for owner in 1..=last {
        allocate(&mut address, 0, owner);
    }
    // The reset is applied by the next event, whatever it is.
    assert_eq!(deallocate(&mut address, 1, 9_999), Verdict::AlreadyFreed);
    assert_eq!(address.holders.len(), REMEMBERED_LATE_OWNERS);
    assert!(!address.forgot_late);

    allocate(&mut address, 1, last + 1);
    assert_eq!(deallocate(&mut address, 2, 9_999), Verdict::Unknown);
    assert!(address.forgot_late);
    assert_eq!(address.holders.len(), REMEMBERED_LATE_OWNERS);
    assert_eq!(deallocate(&mut address, 2, 1), Verdict::Ok);
}

/// Of more owners than have room for a late right, it is late rights alone that are forgotten.
#[test]
fn too_many_late_rights_push_out_nothing_else() {
    let last = REMEMBERED_LATE_OWNERS as u64;
    let mut address = Grown::default();
    allocate(&mut address, 0, 9_000);
    assert_eq!(deallocate(&mut address, 0, 9_000), Verdict::Ok);
    for owner in 1..=last + 2 {
        allocate(&mut address, 0, owner);
    }
    assert_eq!(deallocate(&mut address, 1, 9_000), Verdict::AlreadyFreed);
    assert_eq!(address.holders.len(), REMEMBERED_LATE_OWNERS + 1);
    assert_eq!(address.holders[0], past(9_000, 0));
    // The newest instance ends first, and so is forgotten first: the oldest were still live then.
    for owner in 1..=last {
        assert_eq!(deallocate(&mut address, 1, owner), Verdict::Ok);
    }
    for owner in last + 1..=last + 2 {
        assert_eq!(deallocate(&mut address, 1, owner), Verdict::Unknown);
    }
}

/// Applies one event to holders in a full buffer.
fn in_full(holders: &mut [Holder], event: Event) -> Result<Verdict, Full> {
    let room = holders.len();
    let mut address = Address {
        holders: FixedHolders::new(holders, room),
        epoch: 0,
        seen: true,
        forgot: false,
        forgot_late: false,
        incomplete: false,
    };
    let outcome = address.apply(0, event);
    assert_eq!(address.incomplete, outcome.is_err());
    outcome.map(|outcome| outcome.verdict)
}

#[test]
fn a_full_address_still_does_what_needs_no_room() {
    let single = [live(1, 1), live(2, 1)];
    let long = [live(1, 1), live(2, 2)];
    let late = [live(1, 1), past(2, 2)];
    for (holders, event, expected) in [
        (single, Event::Allocate { owner: 3 }, Err(Full)),
        (single, Event::Retain { owner: 1 }, Err(Full)),
        (single, Event::View { root: 1 }, Ok(Verdict::Ok)),
        (single, Event::View { root: 3 }, Ok(Verdict::ForeignOwner)),
        (single, Event::Deallocate { owner: 1 }, Ok(Verdict::Ok)),
        (long, Event::Deallocate { owner: 2 }, Err(Full)),
        (long, Event::View { root: 2 }, Ok(Verdict::Ok)),
        (late, Event::Deallocate { owner: 1 }, Ok(Verdict::Ok)),
        (
            late,
            Event::Deallocate { owner: 2 },
            Ok(Verdict::StaleOwner),
        ),
    ] {
        assert_eq!(in_full(&mut holders.clone(), event), expected, "{event:?}");
    }
    // An owner of the past without a right gives its place away.
    let mut forgettable = [past(3, 0), live(2, 2)];
    let freed = in_full(&mut forgettable, Event::Deallocate { owner: 2 });
    assert_eq!(freed, Ok(Verdict::Ok));
    assert_eq!(forgettable, [live(2, 1), past(2, 0)]);
}

#[test]
fn a_lent_buffer_knows_its_room() {
    let mut buffer = [past(0, 0); 3];
    let mut holders = FixedHolders::new(&mut buffer, 1);
    assert!(holders.has_room(2) && !holders.has_room(3));
    holders.push(live(1, 1));
    holders.push(live(2, 1));
    assert!(holders.has_room(0) && !holders.has_room(1));
    holders.remove(0);
    assert_eq!(holders.entries(), [live(1, 1), live(2, 1)]);
    holders.entries_mut()[1].count = 5;
    holders.remove(0);
    assert_eq!(holders.entries(), [live(2, 5)]);
}

#[test]
#[should_panic(expected = "more holders than the buffer has")]
fn a_lent_buffer_cannot_hold_more_than_it_has() {
    let mut buffer = [past(0, 0); 2];
    let _ = FixedHolders::new(&mut buffer, 3);
}
