//! Tables at their bounds, and keys of every form.

use super::table::AddressEntry;
use super::table::SmallEntry;
use super::table::Table;
use crate::primitive::Ordering;

/// Numbers as hosts have them: counted, spread as on a heap, far apart, and too wide for a key.
fn numbers(many: u64) -> impl Iterator<Item = (u32, u64)> {
    (0..many).map(|number| match number % 4 {
        0 => (1, number),
        1 => (7, 0x7f00_0000_0000 + 48 * number),
        2 => (0xfffe - 1, number << 20),
        // The first device without keys of its own, and numbers that are no addresses.
        _ if number % 8 == 3 => (0xffff - 1, number),
        _ => (1, number << 48 | number),
    })
}

#[test]
fn a_table_holds_what_it_was_made_for_and_every_key_keeps_its_entry() {
    const MANY: u64 = 1 << 16;
    let table = Table::<AddressEntry>::new(MANY as u32).expect("memory");
    let small = Table::<SmallEntry>::new(MANY as u32).expect("memory");
    for (mark, (device, number)) in (1..).zip(numbers(MANY)) {
        assert!(table.find(device, number).is_none(), "{device} {number:#x}");
        let (entry, is_new) = table.entry_for(device, number).expect("room");
        assert!(is_new, "{device} {number:#x}");
        entry.cell.store(mark, Ordering::Relaxed);
        let entry = small.entry_for_new(device, number).expect("room");
        assert_eq!(entry.cell.swap(mark, Ordering::Relaxed), 0);
    }
    for (mark, (device, number)) in (1..).zip(numbers(MANY)) {
        let found = table.find(device, number).expect("it is there");
        assert_eq!(found.cell.load(Ordering::Relaxed), mark);
        let (entry, is_new) = table.entry_for(device, number).expect("it is there");
        assert!(std::ptr::eq(entry, found) && !is_new);
        let found = small.find(device, number).expect("it is there");
        let entry = small.entry_for_new(device, number).expect("it is there");
        assert!(std::ptr::eq(entry, found));
        assert_eq!(found.cell.load(Ordering::Relaxed), mark);
    }
}

#[test]
fn a_full_table_refuses_new_keys_and_still_finds_the_others() {
    let table = Table::<AddressEntry>::new(1024).expect("memory");
    let fits = |number: &u64| table.entry_for(1, 256 * number).is_some();
    let many = (0..4096).filter(fits).count();
    assert!((1024..4096).contains(&many), "{many}");
    let is_there = |number: &u64| table.find(1, 256 * number).is_some();
    assert_eq!((0..4096).filter(is_there).count(), many);
}
