//! States that lie in their cells, and entries that lie in their tables.

use std::sync::Arc;

use whofreed::ledger::cell;
use whofreed::ledger::cell::Next;
use whofreed::ledger::cell::Records as _;
use whofreed::ledger::lines;
use whofreed::ledger::lines::Claimed;
use whofreed::ledger::lines::Lines;
use whofreed::ledger::pool::Cache;
use whofreed::ledger::pool::Pool;
use whofreed::ledger::small::Small;

use super::Account;
use super::TwoWords;
use super::checker::AtomicU64;
use super::checker::AtomicUsize;
use super::checker::Ordering;
use super::checker::bounded;
use super::checker::fence;
use super::checker::model;
use super::checker::thread;

/// States in the cell as long as there is one instance at the most, and in records beyond. Each event is a step.
struct Balance {
    cell: AtomicU64,
    records: TwoWords,
    torn: AtomicUsize,
}

impl Balance {
    fn new(live: u32, records: usize) -> Self {
        let Account { records, torn, .. } = Account::new(0, records);
        let small = Small {
            live,
            step: 1,
            ..Small::default()
        };
        let balance = Self {
            cell: AtomicU64::new(0),
            records,
            torn,
        };
        let next = Next::small(small.encode().expect("it is small"));
        assert!(cell::swing(&balance.cell, cell::look(&balance.cell), next));
        balance
    }

    /// Adds an instance or uses one up where there is one, with `own` as the records to write to; says whether it did,
    /// and the step.
    fn happen(&self, is_free: bool, own: &mut Vec<u32>) -> (bool, u64) {
        loop {
            let seen = cell::look(&self.cell);
            let (live, step, is_torn) = match seen.small().map(Small::decode) {
                Some(small) => (u64::from(small.live), small.step, false),
                None => {
                    let words = self.records.words(seen.record());
                    let both = words[0].load(Ordering::Relaxed);
                    let check = words[1].load(Ordering::Relaxed);
                    (both & 0xff, both >> 8, both != !check)
                }
            };
            let did = !is_free || live > 0;
            let (live, step) = match (is_free, did) {
                (true, true) => (live - 1, step + 1),
                (true, false) => (live, step + 1),
                (false, _) => (live + 1, step + 1),
            };
            let mut record = None;
            let next = if live <= 1 {
                let small = Small {
                    live: live as u32,
                    step,
                    ..Small::default()
                };
                small.encode().map(Next::small)
            } else {
                record = own.pop();
                record.map(|record| {
                    let words = self.records.words(record);
                    words[0].store(live | step << 8, Ordering::Relaxed);
                    words[1].store(!(live | step << 8), Ordering::Relaxed);
                    Next::record(step, record)
                })
            };
            // A torn state may be too large for anything: then it is read again.
            let Some(next) = next else {
                continue;
            };
            if cell::swing(&self.cell, seen, next) {
                self.torn.fetch_add(usize::from(is_torn), Ordering::Relaxed);
                own.extend(seen.leaves());
                return (did, step);
            }
            own.extend(record);
        }
    }
}

/// One thread takes the state out of the cell into a record and back, the other uses instances up.
#[test]
fn a_state_is_whole_while_it_moves_between_its_cell_and_records() {
    bounded(
        || {
            let balance = Arc::new(Balance::new(1, 2));
            let other = Arc::clone(&balance);
            let thread = thread::spawn(move || {
                let mut own = vec![0];
                [other.happen(false, &mut own), other.happen(true, &mut own)]
            });
            let mut own = vec![1];
            let mine = [
                balance.happen(true, &mut own),
                balance.happen(true, &mut own),
            ];
            let theirs = thread.join().expect("no panic");
            let frees = [mine[0].0, mine[1].0, theirs[1].0];
            let right = frees.iter().filter(|right| **right).count();
            let left = cell::look(&balance.cell).small().map(Small::decode);
            let left = left.expect("one at the most").live as usize;
            assert_eq!(right + left, 2);
            let mut steps = [mine[0].1, mine[1].1, theirs[0].1, theirs[1].1];
            steps.sort_unstable();
            assert_eq!(steps, [2, 3, 4, 5]);
            assert_eq!(balance.torn.load(Ordering::Relaxed), 0);
        },
        3,
    );
}

/// Two threads use up the one instance that a cell tells of.
#[test]
fn of_two_frees_of_one_small_state_one_is_right() {
    model(|| {
        let balance = Arc::new(Balance::new(1, 1));
        let other = Arc::clone(&balance);
        let thread = thread::spawn(move || other.happen(true, &mut vec![]));
        let mine = balance.happen(true, &mut vec![]);
        let theirs = thread.join().expect("no panic");
        assert!(mine.0 != theirs.0);
        assert_eq!(mine.1 + theirs.1, 5);
    });
}

struct Place {
    key: AtomicU64,
    beside: AtomicU64,
}

impl lines::Keyed for Place {
    fn key(&self) -> &AtomicU64 {
        &self.key
    }
}

/// Two levels: one line of two places, and one of one.
struct FewLines([Vec<Place>; 2]);

impl Lines for FewLines {
    type Entry = Place;
    const GROUP: usize = 1;

    fn line(&self, place: usize, _hash: u64) -> Option<&[Place]> {
        self.0.get(place).map(Vec::as_slice)
    }
}

fn few_lines() -> FewLines {
    let place = || Place {
        key: AtomicU64::new(0),
        beside: AtomicU64::new(0),
    };
    FewLines([vec![place(), place()], vec![place()]])
}

fn claim(lines: &FewLines, key: u64) -> (bool, &Place) {
    match lines::claim(lines, key, 0) {
        Claimed::New(place, _) => (true, place),
        Claimed::Found(place) => (false, place),
        Claimed::Full => panic!("there is room"),
    }
}

#[test]
fn two_claims_of_one_key_agree_on_one_place() {
    model(|| {
        let lines = Arc::new(few_lines());
        let other = Arc::clone(&lines);
        let thread = thread::spawn(move || {
            let (is_new, place) = claim(&other, 5);
            place.beside.fetch_add(1, Ordering::Relaxed);
            is_new
        });
        let (mine, place) = claim(&lines, 5);
        place.beside.fetch_add(1, Ordering::Relaxed);
        let theirs = thread.join().expect("no panic");
        assert!(mine != theirs);
        assert_eq!(place.beside.load(Ordering::Relaxed), 2);
        assert!(std::ptr::eq(lines::find(&*lines, 5, 0).unwrap(), place));
    });
}

#[test]
fn claims_of_different_keys_all_get_a_place_of_their_own() {
    model(|| {
        let lines = Arc::new(few_lines());
        let other = Arc::clone(&lines);
        let thread = thread::spawn(move || {
            let (is_new, place) = claim(&other, 6);
            assert!(is_new);
            place.beside.store(6, Ordering::Relaxed);
            assert!(std::ptr::eq(lines::find(&*other, 6, 0).unwrap(), place));
        });
        for key in [5, 7] {
            let (is_new, place) = claim(&lines, key);
            assert!(is_new);
            place.beside.store(key, Ordering::Relaxed);
        }
        thread.join().expect("no panic");
        for key in [5, 6, 7] {
            let place = lines::find(&*lines, key, 0).unwrap();
            assert_eq!(place.beside.load(Ordering::Relaxed), key);
        }
        assert!(matches!(lines::claim(&*lines, 8, 0), Claimed::Full));
    });
}

/// Whoever only asks reads a record between two looks at its cell. Another thread swings the cell to another record, and
/// writes to the first one anew: what was read between two equal looks was one state.
#[test]
fn a_state_between_two_equal_looks_is_of_one_piece() {
    bounded(
        || {
            let pool = Arc::new(Pool::new(4).expect("memory"));
            let cell = Arc::new(AtomicU64::new(0));
            let write = |pool: &Pool, cell: &AtomicU64, cache: &mut Cache, value: u64| {
                let record = pool.take(0, cache).expect("a record");
                let words = pool.words(record);
                words[0].store(value, Ordering::Relaxed);
                words[1].store(!value, Ordering::Relaxed);
                let seen = cell::look(cell);
                assert!(cell::swing(cell, seen, Next::record(value, record)));
                if let Some(before) = seen.leaves() {
                    pool.give(before, cache);
                }
            };
            let mut cache = Cache::new();
            write(&pool, &cell, &mut cache, 1);
            let (theirs, their_cell) = (Arc::clone(&pool), Arc::clone(&cell));
            let other = thread::spawn(move || {
                write(&theirs, &their_cell, &mut cache, 2);
                write(&theirs, &their_cell, &mut cache, 3);
            });
            let seen = cell::look(&cell);
            let words = pool.words(seen.record());
            let value = words[0].load(Ordering::Relaxed);
            let check = words[1].load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            if cell::look(&cell) == seen {
                assert_eq!(value, !check, "it is of two states");
            }
            other.join().expect("no panic");
        },
        3,
    );
}
