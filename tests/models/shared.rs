//! What else threads share: seats, what an index leads to, and what was found out about loaded libraries.

#[cfg(not(loom))]
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::Arc;

use whofreed::index::Index;
use whofreed::index::Inserted;
use whofreed::index::MappedSlots;
use whofreed::preload::by_site;
use whofreed::preload::expression::validity::Turn;
use whofreed::preload::expression::validity::Validity;
use whofreed::preload::expression::validity::WHATEVER;
use whofreed::preload::generation;
use whofreed::primitive;
use whofreed::primitive::AtomicBool;
use whofreed::primitive::AtomicPtr;
use whofreed::thread::list;
use whofreed::thread::list::Listed;

use super::checker::AtomicU64;
use super::checker::AtomicUsize;
use super::checker::Ordering;
use super::checker::bounded;
use super::checker::model;
use super::checker::thread;

/// A word that is no atomic: loom tells of two threads at it whose order is not sure.
#[derive(Debug, Default)]
struct Plain(
    #[cfg(loom)] loom::cell::UnsafeCell<u64>,
    #[cfg(not(loom))] UnsafeCell<u64>,
);

// SAFETY: a checker or the test sees to it that one thread at a time uses it.
unsafe impl Sync for Plain {}

impl Plain {
    fn set(&self, value: u64) {
        #[cfg(loom)]
        // SAFETY: loom has looked whether somebody else is here.
        self.0.with_mut(|place| unsafe { *place = value });
        #[cfg(not(loom))]
        // SAFETY: the test says that nobody else is here.
        unsafe {
            *self.0.get() = value;
        }
    }

    fn get(&self) -> u64 {
        #[cfg(loom)]
        // SAFETY: as above.
        return self.0.with(|place| unsafe { *place });
        #[cfg(not(loom))]
        // SAFETY: as above.
        unsafe {
            *self.0.get()
        }
    }
}

#[derive(Debug)]
struct Seat {
    next: AtomicPtr<Seat>,
    taken: AtomicBool,
    state: Plain,
}

// SAFETY: the state is used by whoever has taken it.
unsafe impl Listed for Seat {
    fn next(&self) -> &AtomicPtr<Self> {
        &self.next
    }

    fn taken(&self) -> &AtomicBool {
        &self.taken
    }
}

/// Three threads come and go: each has a seat of its own, whose state is as the one before left it.
#[test]
fn a_seat_is_one_thread_s_at_a_time() {
    bounded(
        || {
            let head = Arc::new(AtomicPtr::new(ptr::null_mut()));
            let sit = |head: &AtomicPtr<Seat>| {
                // SAFETY: what is in the list was added below, and stays.
                let seat = unsafe { list::take(head) }.unwrap_or_else(|| {
                    let seat = Box::leak(Box::new(Seat {
                        next: AtomicPtr::new(ptr::null_mut()),
                        taken: AtomicBool::new(false),
                        state: Plain::default(),
                    }));
                    list::add(head, seat);
                    seat
                });
                seat.state.set(seat.state.get() + 1);
                list::give_back(seat);
            };
            let others = [Arc::clone(&head), Arc::clone(&head)];
            let others = others.map(|head| thread::spawn(move || sit(&head)));
            sit(&head);
            for other in others {
                other.join().expect("no panic");
            }
            // SAFETY: as above.
            let all: Vec<&Seat> = unsafe { list::all(&head) }.collect();
            let sat: u64 = all.iter().map(|seat| seat.state.get()).sum();
            assert_eq!(sat, 3);
            let all: Vec<*const Seat> = all.into_iter().map(ptr::from_ref).collect();
            for seat in all {
                // SAFETY: it was leaked above, and nobody uses it any more.
                drop(unsafe { Box::from_raw(seat.cast_mut()) });
            }
        },
        3,
    );
}

/// Stacks that were met, stacks and names in the trace, modules, views: an item is filled by plain words before it is
/// offered to the index, and whoever finds it sees it whole.
#[test]
fn an_item_that_an_index_leads_to_is_whole() {
    model(|| {
        let table = Arc::new((
            Index::new(MappedSlots::new(2).expect("memory")),
            [Plain::default(), Plain::default()],
        ));
        let intern = |table: &(Index<MappedSlots>, [Plain; 2]), own: u32| {
            let is_it = |item: u32| table.1[item as usize].get() == 5;
            if let Some(item) = table.0.find(5 << 32, is_it) {
                return item;
            }
            table.1[own as usize].set(5);
            match table.0.insert(5 << 32, is_it, own) {
                Inserted::New => own,
                Inserted::Found(item) => item,
                Inserted::Full => panic!("there is room"),
            }
        };
        let other = Arc::clone(&table);
        let other = thread::spawn(move || intern(&other, 1));
        let mine = intern(&table, 0);
        assert_eq!(mine, other.join().expect("no panic"));
    });
}

/// Two callers whose functions come to one place.
#[test]
fn halves_of_two_functions_are_no_function() {
    model(|| {
        let places: Arc<[by_site::Place; 1]> =
            Arc::new([[primitive::AtomicU64::new(0), primitive::AtomicU64::new(0)]]);
        let others = [(1, 0x1000), (2, 0x2000)].map(|(site, function)| {
            let places = Arc::clone(&places);
            thread::spawn(move || by_site::remember_in(&*places, 3, site, 0, function))
        });
        for (site, function) in [(1, 0x1000), (2, 0x2000)] {
            let found = by_site::find_in(&*places, 3, site, 0);
            assert!(found.is_none_or(|found| found == function), "{found:?}");
        }
        for other in others {
            other.join().expect("no panic");
        }
    });
}

/// A library is unloaded while somebody looks a function up in it: afterwards it is not remembered.
#[test]
fn what_was_found_before_an_unloading_is_forgotten_after_it() {
    model(|| {
        let shared = Arc::new((primitive::AtomicU64::new(0), primitive::AtomicUsize::new(0)));
        let looking = Arc::clone(&shared);
        let other = thread::spawn(move || {
            let (counter, place) = &*looking;
            let found_in = generation::now(counter);
            generation::remember(counter, found_in, place, 0x1000);
            found_in
        });
        let (counter, place) = &*shared;
        generation::begin(counter);
        generation::empty(place);
        let found_in = other.join().expect("no panic");
        let left = place.load(Ordering::Relaxed);
        assert!(left == 0 || found_in == 1, "{left:#x}");
    });
}

/// Programs are made by one thread at a time, in memory that they share; whoever finds one sees it whole.
#[test]
fn a_program_is_whole_when_it_is_found() {
    bounded(
        || {
            struct Cache {
                turn: Turn,
                used: AtomicUsize,
                memory: [Plain; 2],
                program: AtomicUsize,
            }
            let cache = Arc::new(Cache {
                turn: Turn(AtomicBool::new(false)),
                used: AtomicUsize::new(0),
                memory: [Plain::default(), Plain::default()],
                program: AtomicUsize::new(0),
            });
            let value = |cache: &Cache, own: u64| {
                if let Some(place) = cache.program.load(Ordering::Acquire).checked_sub(1) {
                    return Some(cache.memory[place].get());
                }
                cache.turn.take(|| {
                    let place = cache.used.load(Ordering::Relaxed);
                    cache.memory[place].set(own);
                    cache.used.store(place + 1, Ordering::Relaxed);
                    cache.program.store(place + 1, Ordering::Release);
                    Some(own)
                })
            };
            let others = [7, 8].map(|own| {
                let cache = Arc::clone(&cache);
                thread::spawn(move || value(&cache, own))
            });
            if cache.program.load(Ordering::Acquire) != 0 {
                assert!([Some(7), Some(8)].contains(&value(&cache, 9)));
            }
            for other in others {
                let found = other.join().expect("no panic");
                assert!([None, Some(7), Some(8)].contains(&found), "{found:?}");
            }
        },
        3,
    );
}

/// A program that was right whatever is loaded is made again for one number of objects: who sees the new generation
/// does not take the old word for it.
#[test]
fn a_program_is_right_for_its_generation_alone() {
    model(|| {
        let shared = Arc::new((Validity::new(1, WHATEVER), AtomicU64::new(1)));
        let making = Arc::clone(&shared);
        let other = thread::spawn(move || {
            let (validity, now) = &*making;
            // A library goes, and a symbol is missing as long as four objects are loaded. Five are, by the time that
            // anybody sees the new generation.
            now.store(2, Ordering::Release);
            validity.renew(2, 4);
        });
        let (validity, now) = &*shared;
        let mut seen = 0;
        let is_right = validity.is_for(
            || {
                seen = now.load(Ordering::Acquire);
                seen
            },
            || 5,
        );
        assert!(
            !is_right || seen == 1,
            "right whatever is loaded, in generation 2"
        );
        other.join().expect("no panic");
    });
}
