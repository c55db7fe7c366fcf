//! The lock-free parts in every interleaving, under loom, and in many of larger models, under shuttle; `docs/models.md`
//! says which atomic is in which model.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test models`, or `--cfg shuttle`.
#![cfg(modelled)]

#[path = "models/cells.rs"]
mod cells;
#[path = "models/checker.rs"]
mod checker;
#[path = "models/chunks.rs"]
mod chunks;
#[path = "models/ledger.rs"]
mod ledger;
#[path = "models/shared.rs"]
mod shared;

use std::sync::Arc;

use checker::AtomicU64;
use checker::AtomicUsize;
use checker::Ordering;
use checker::bounded;
use checker::model;
use checker::thread;
use whofreed::index::Index;
use whofreed::index::Inserted;
use whofreed::index::Slots;
use whofreed::ledger::cell;
use whofreed::ledger::cell::Next;
use whofreed::ledger::cell::Records;
use whofreed::linkmap::gate::Gate;
use whofreed::preload::spare;
use whofreed::stack::unwind::entries;
use whofreed::stack::unwind::entries::Entered;
use whofreed::stack::unwind::entries::Entry;
use whofreed::stack::unwind::entries::Found;
use whofreed::stack::unwind::rule::Kind;
use whofreed::stack::unwind::rule::Rule;

/// Two levels of one line each, with two slots and one slot.
struct FewSlots {
    first: [AtomicU64; 2],
    second: [AtomicU64; 1],
}

impl Slots for FewSlots {
    fn line(&self, level: usize, _hash: u64) -> Option<&[AtomicU64]> {
        match level {
            0 => Some(&self.first),
            1 => Some(&self.second),
            _ => None,
        }
    }
}

fn few_slots() -> FewSlots {
    FewSlots {
        first: [AtomicU64::new(0), AtomicU64::new(0)],
        second: [AtomicU64::new(0)],
    }
}

/// Items with a key that is written before the item is offered, as the tables do.
struct Keyed {
    index: Index<FewSlots>,
    keys: Vec<AtomicU64>,
}

impl Keyed {
    fn new(items: usize) -> Self {
        Self {
            index: Index::new(few_slots()),
            keys: (0..items).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn is(&self, item: u32, key: u64) -> bool {
        self.keys[item as usize].load(Ordering::Relaxed) == key
    }

    fn insert(&self, key: u64, item: u32) -> Inserted {
        self.keys[item as usize].store(key, Ordering::Relaxed);
        self.index
            .insert(hash(key), |other| self.is(other, key), item)
    }
}

/// All keys meet in one line and share their fingerprint: only the keys tell them apart.
fn hash(_key: u64) -> u64 {
    7 << 32
}

#[test]
fn two_inserts_of_one_key_agree_on_one_item() {
    model(|| {
        let table = Arc::new(Keyed::new(2));
        let other = Arc::clone(&table);
        let thread = thread::spawn(move || other.insert(5, 1));
        let mine = table.insert(5, 0);
        let theirs = thread.join().expect("no panic");
        match (mine, theirs) {
            (Inserted::New, Inserted::Found(0)) | (Inserted::Found(1), Inserted::New) => {}
            other => panic!("both believe in their own item: {other:?}"),
        }
    });
}

#[test]
fn different_keys_all_find_their_place_and_are_found() {
    model(|| {
        let table = Arc::new(Keyed::new(3));
        let other = Arc::clone(&table);
        let thread = thread::spawn(move || {
            assert_eq!(other.insert(6, 1), Inserted::New);
            let found = other.index.find(hash(6), |item| other.is(item, 6));
            assert_eq!(found, Some(1));
        });
        assert_eq!(table.insert(5, 0), Inserted::New);
        assert_eq!(table.insert(7, 2), Inserted::New);
        thread.join().expect("no panic");
        for (key, item) in [(5, 0), (6, 1), (7, 2)] {
            let found = table.index.find(hash(key), |other| table.is(other, key));
            assert_eq!(found, Some(item));
        }
    });
}

/// Records of two words: live instances, and their complement, which tells a torn state.
struct TwoWords {
    records: Vec<[AtomicU64; 2]>,
}

impl Records for TwoWords {
    fn words(&self, record: u32) -> &[AtomicU64] {
        &self.records[record as usize]
    }
}

struct Account {
    cell: AtomicU64,
    records: TwoWords,
    torn: AtomicUsize,
}

impl Account {
    fn new(live: u64, records: usize) -> Self {
        let account = Self {
            cell: AtomicU64::new(0),
            records: TwoWords {
                records: (0..records)
                    .map(|_| [AtomicU64::new(0), AtomicU64::new(0)])
                    .collect(),
            },
            torn: AtomicUsize::new(0),
        };
        account.write(0, live);
        let next = Next::record(1, 0);
        assert!(cell::swing(&account.cell, cell::look(&account.cell), next));
        account
    }

    fn write(&self, record: u32, live: u64) {
        let words = self.records.words(record);
        words[0].store(live, Ordering::Relaxed);
        words[1].store(!live, Ordering::Relaxed);
    }

    /// Uses up an instance if there is one, with `own` as the record to write to; the old one becomes own.
    fn free(&self, own: &mut u32) -> bool {
        loop {
            let seen = cell::look(&self.cell);
            let words = self.records.words(seen.record());
            let (live, check) = (
                words[0].load(Ordering::Relaxed),
                words[1].load(Ordering::Relaxed),
            );
            self.write(*own, live.saturating_sub(1));
            let next = Next::record(seen.next_version(), *own);
            if cell::swing(&self.cell, seen, next) {
                // What was read has counted, so it must have been of one piece.
                if live != !check {
                    self.torn.fetch_add(1, Ordering::Relaxed);
                }
                *own = seen.record();
                return live > 0;
            }
        }
    }
}

#[test]
fn of_racing_frees_as_many_are_right_as_there_are_instances() {
    model(|| {
        let account = Arc::new(Account::new(1, 3));
        let other = Arc::clone(&account);
        let thread = thread::spawn(move || {
            let mut own = 1;
            // The second time it writes to a record that the other thread may still be reading.
            [other.free(&mut own), other.free(&mut own)]
        });
        let mut own = 2;
        let mine = account.free(&mut own);
        let theirs = thread.join().expect("no panic");
        let right = theirs.iter().chain([&mine]).filter(|right| **right).count();
        assert_eq!(right, 1);
        assert_eq!(account.torn.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn one_pointer_gets_one_spare_and_two_get_two() {
    model(|| {
        let spares = Arc::new([0; 2].map(AtomicU64::new));
        let other = Arc::clone(&spares);
        let thread = thread::spawn(move || {
            let same = spare::claim(&*other, 1, 4096).expect("room");
            // Whoever was given a spare finds in it what it stands for.
            assert_eq!(spare::look(&*other, same), Some((1, 4096)));
            (same, spare::claim(&*other, 1, 8192))
        });
        let mine = spare::claim(&*spares, 1, 4096).expect("room");
        let third = spare::claim(&*spares, 2, 4096);
        let (theirs, second) = thread.join().expect("no panic");
        assert_eq!(mine, theirs);
        // There is room for two: of the other two pairs exactly one got in.
        assert!(second.is_some() != third.is_some());
        let got_in = second.or(third).expect("one of them");
        assert_ne!(got_in, mine);
        assert!(spare::look(&*spares, got_in).is_some());
    });
}

/// Nobody reads while somebody unmaps, unless the patience of one of them was over.
#[test]
fn walks_and_unloadings_keep_out_of_each_others_way() {
    model(|| {
        let gate = Arc::new(Gate {
            walking: AtomicU64::new(0),
            unloading: AtomicU64::new(0),
        });
        let inside = Arc::new(AtomicUsize::new(0));
        let patience = || {
            let mut left = 1;
            move || {
                thread::yield_now();
                left -= 1;
                left >= 0
            }
        };
        let (other, others) = (Arc::clone(&gate), Arc::clone(&inside));
        let thread = thread::spawn(move || {
            if other.begin_unload(patience()) {
                assert_eq!(others.fetch_add(1, Ordering::Relaxed), 0);
                others.fetch_sub(1, Ordering::Relaxed);
            }
            other.end_unload();
        });
        if gate.begin_walk(0, patience()) {
            assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0);
            inside.fetch_sub(1, Ordering::Relaxed);
        }
        gate.end_walk();
        thread.join().expect("no panic");
    });
}

/// Two addresses whose first place is the same: each has a rule of its own in the end, and who reads in between sees
/// none or that.
#[test]
fn two_addresses_with_one_place_never_get_each_other_s_rule() {
    const FIRST: usize = 0x1000;
    const OTHER: usize = 0x1000 + (1 << 8);
    let rule_of = |address: usize| Rule::new(Kind::StackPointer, address as i64, None);
    bounded(
        move || {
            let entries: Arc<Vec<Entry>> = Arc::new((0..2).map(|_| Entry::new()).collect());
            let enter = |address: usize| {
                let entries = Arc::clone(&entries);
                thread::spawn(move || {
                    entries::enter(&entries, address, rule_of(address), 3);
                    entries::look_up(&entries, address, 3)
                })
            };
            let others = [enter(FIRST), enter(OTHER)];
            for address in [FIRST, OTHER] {
                if let Found::Rule(rule) = entries::look_up(&entries, address, 3) {
                    assert_eq!(rule, rule_of(address));
                }
            }
            let found = others.map(|other| other.join().unwrap());
            assert_eq!(found[0], Found::Rule(rule_of(FIRST)));
            assert_eq!(found[1], Found::Rule(rule_of(OTHER)));
            // A later epoch has no rule yet, and the address keeps its place.
            assert!(matches!(
                entries::look_up(&entries, FIRST, 4),
                Found::Place(_, true)
            ));
            assert_eq!(
                entries::enter(&entries, FIRST, rule_of(FIRST), 4),
                Entered::Known
            );
            assert_eq!(
                entries::enter(&entries, 0x5000, rule_of(0x5000), 4),
                Entered::Full
            );
        },
        3,
    );
}
