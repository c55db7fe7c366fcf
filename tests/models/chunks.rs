//! The chunk protocol: what a reader sees of chunks at any instant, so also what is left of them when the process dies
//! then; who gets which chunk; what the writer thread is asked for.

use std::ptr::NonNull;
use std::sync::Arc;

use whofreed::primitive::AtomicU64;
use whofreed::record::errand::Counts;
use whofreed::record::errand::Progress;
use whofreed::record::ready::Ready;
use whofreed::record::sealed::Sealed;
use whofreed::record::words::Words;

use super::checker::AtomicUsize;
use super::checker::Ordering;
use super::checker::bounded;
use super::checker::fence;
use super::checker::model;
use super::checker::thread;

const ROOM: usize = 2;
const EVENTS: u64 = 7;

/// A chunk with room for two events of two words each: the event's number, and its complement.
struct Chunk {
    words: Words,
    content: [[AtomicU64; 2]; ROOM],
}

impl Chunk {
    fn new() -> Self {
        Self {
            words: Words::default(),
            content: std::array::from_fn(|_| [AtomicU64::new(0), AtomicU64::new(0)]),
        }
    }

    /// As a pen does.
    fn append(&self, at: usize, event: u64) {
        self.content[at][0].store(event, Ordering::Relaxed);
        self.content[at][1].store(!event, Ordering::Relaxed);
        self.words.commit(at as u64 + 1);
    }

    /// As `crates/trace` reads a chunk: the number of the filling, the chunk, and the number again. `None` where the
    /// chunk has not begun, or is used again meanwhile.
    fn read(&self) -> Option<(u64, Vec<u64>)> {
        if self.words.title.load(Ordering::Acquire) != EVENTS {
            return None;
        }
        let fill = self.words.fill.load(Ordering::Acquire);
        let committed = self.words.committed.load(Ordering::Acquire) as usize;
        let words = |event: &[AtomicU64; 2]| {
            let [number, check] = event;
            (
                number.load(Ordering::Relaxed),
                check.load(Ordering::Relaxed),
            )
        };
        let events: Vec<(u64, u64)> = self.content[..committed].iter().map(words).collect();
        fence(Ordering::Acquire);
        // Acquire: a system call lies between this and what the reader looks at next.
        if self.words.fill.load(Ordering::Acquire) != fill {
            return None;
        }
        let whole = |(number, check): (u64, u64)| {
            assert_eq!(number, !check, "a torn event was accepted");
            number
        };
        Some((fill, events.into_iter().map(whole).collect()))
    }
}

/// A chunk, and the number of the filling that a block stands for, once it is committed.
struct Trace {
    chunk: Chunk,
    block: AtomicU64,
}

impl Trace {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            chunk: Chunk::new(),
            block: AtomicU64::new(0),
        })
    }
}

fn begins(expected: &[u64], seen: &[u64]) -> bool {
    expected.starts_with(seen)
}

/// A thread writes, dies or not; a reader at any instant sees events that are whole, from the first one on.
#[test]
fn what_is_committed_is_whole_at_any_instant() {
    model(|| {
        let trace = Trace::new();
        let writing = Arc::clone(&trace);
        let writer = thread::spawn(move || {
            writing.chunk.words.begin(EVENTS, 1);
            writing.chunk.append(0, 11);
            writing.chunk.append(1, 12);
        });
        // Not yet, or begun just now.
        if let Some((fill, events)) = trace.chunk.read() {
            assert_eq!(fill, 1);
            assert!(begins(&[11, 12], &events), "{events:?}");
        }
        writer.join().expect("no panic");
        assert_eq!(trace.chunk.read(), Some((1, vec![11, 12])));
    });
}

/// The writer thread makes a block of a full chunk, empties it and has it used again. A reader at any instant has the
/// first filling whole, from the chunk or from the block, and of the second one whole events alone.
#[test]
fn a_chunk_that_is_used_again_is_never_taken_for_what_it_held() {
    bounded(
        || {
            let trace = Trace::new();
            trace.chunk.words.begin(EVENTS, 1);
            trace.chunk.append(0, 11);
            trace.chunk.append(1, 12);
            let ready = Arc::new(Ready::<1>::default());
            let (emptying, giving) = (Arc::clone(&trace), Arc::clone(&ready));
            let compressor = thread::spawn(move || {
                emptying.block.store(1, Ordering::Release);
                emptying.chunk.words.empty();
                let chunk = NonNull::from(&emptying.chunk).cast();
                assert!(giving.give(chunk));
            });
            let (filling, taking) = (Arc::clone(&trace), Arc::clone(&ready));
            let hook = thread::spawn(move || {
                if taking.take().is_none() {
                    return;
                }
                filling.chunk.words.begin(EVENTS, 2);
                filling.chunk.append(0, 21);
                filling.chunk.append(1, 22);
            });
            let read = trace.chunk.read();
            // Of a process that is alive the blocks are read after the chunks.
            let block = trace.block.load(Ordering::Acquire);
            match &read {
                Some((1, events)) => assert!(
                    events == &[11, 12] || events.is_empty() && block == 1,
                    "{read:?}"
                ),
                Some((2, events)) => {
                    assert!(begins(&[21, 22], events), "{read:?}");
                    assert_eq!(block, 1, "the first filling is lost");
                }
                // It was used again meanwhile.
                None => assert_eq!(block, 1, "the first filling is lost"),
                Some(_) => panic!("{read:?}"),
            }
            compressor.join().expect("no panic");
            hook.join().expect("no panic");
        },
        3,
    );
}

/// A chunk that does not get shorter is kept: a reader at any instant has its events under its number, or as those of a
/// chunk that nobody uses again.
#[test]
fn a_chunk_that_is_kept_stays_what_it_is() {
    model(|| {
        let trace = Trace::new();
        trace.chunk.words.begin(EVENTS, 1);
        trace.chunk.append(0, 11);
        trace.chunk.append(1, 12);
        let keeping = Arc::clone(&trace);
        let compressor = thread::spawn(move || keeping.chunk.words.keep());
        match trace.chunk.read() {
            Some((1, events)) => assert_eq!(events, [11, 12]),
            Some((0, events)) => {
                assert_eq!(events, [11, 12]);
                assert_eq!(trace.chunk.words.kept.load(Ordering::Relaxed), 1);
            }
            None => {}
            read => panic!("{read:?}"),
        }
        compressor.join().expect("no panic");
    });
}

/// A signal handler interrupts an append at any place, and appends to a chunk of its own. It returns; or it jumps, and
/// the thread begins anew with what is committed.
#[test]
fn a_handler_in_the_middle_of_an_append_tears_nothing() {
    for cut in 0..3 {
        for returns in [true, false] {
            model(move || {
                let chunks = Arc::new([Chunk::new(), Chunk::new()]);
                let writing = Arc::clone(&chunks);
                let thread = thread::spawn(move || {
                    let [own, handlers] = &*writing;
                    own.words.begin(EVENTS, 1);
                    let handler = || {
                        handlers.words.begin(EVENTS, 2);
                        handlers.append(0, 21);
                    };
                    let steps: [&dyn Fn(); 3] = [
                        &|| own.content[0][0].store(11, Ordering::Relaxed),
                        &|| own.content[0][1].store(!11, Ordering::Relaxed),
                        &|| own.words.commit(1),
                    ];
                    for (number, step) in steps.iter().enumerate() {
                        if number == cut {
                            handler();
                            if !returns {
                                break;
                            }
                        }
                        step();
                    }
                    // `Page::begin_anew`, and the next event.
                    own.append(own.words.committed() as usize, 12);
                });
                let [own, handlers] = &*chunks;
                let expected: &[u64] = if returns { &[11, 12] } else { &[12] };
                if let Some((_, events)) = own.read() {
                    assert!(begins(expected, &events), "{events:?}");
                }
                if let Some((_, events)) = handlers.read() {
                    assert!(begins(&[21], &events), "{events:?}");
                }
                thread.join().expect("no panic");
                assert_eq!(own.read().expect("it began").1, expected);
                assert_eq!(handlers.read().expect("it began").1, [21]);
            });
        }
    }
}

/// Two threads take chunks that a third one gives: none gets one twice, and each sees it as it was given.
#[test]
fn a_chunk_that_is_ready_is_taken_once() {
    bounded(
        || {
            let chunks: Arc<[Chunk; 2]> = Arc::new([Chunk::new(), Chunk::new()]);
            let ready = Arc::new(Ready::<2>::default());
            let (given, giving) = (Arc::clone(&chunks), Arc::clone(&ready));
            let giver = thread::spawn(move || {
                for chunk in &*given {
                    chunk.content[0][0].store(5, Ordering::Relaxed);
                    assert!(giving.give(NonNull::from(chunk).cast()));
                }
            });
            let taker = |ready: &Ready<2>| {
                let chunk = ready.take()?.cast::<Chunk>();
                // SAFETY: the chunks live until the end of the model, and are changed by atomics only.
                let chunk = unsafe { chunk.as_ref() };
                // Whoever has it alone changes it without an exchange.
                let before = chunk.content[0][0].load(Ordering::Relaxed);
                assert_eq!(before, 5, "it was given before");
                chunk.content[0][0].store(6, Ordering::Relaxed);
                Some(())
            };
            let taking = Arc::clone(&ready);
            let other = thread::spawn(move || taker(&taking).is_some());
            let mine = taker(&ready).is_some();
            let theirs = other.join().expect("no panic");
            giver.join().expect("no panic");
            let left = 2 - ready.missing();
            assert_eq!(usize::from(mine) + usize::from(theirs) + left, 2);
        },
        3,
    );
}

/// Two threads use sealed chunks again, the oldest first, and none gets one that another has.
#[test]
fn a_sealed_chunk_is_used_again_by_one() {
    bounded(
        || {
            let chunks: Arc<[Chunk; 2]> = Arc::new([Chunk::new(), Chunk::new()]);
            let sealed = Arc::new(Sealed::new(2));
            for chunk in &*chunks {
                sealed.announce(NonNull::from(chunk).cast());
            }
            let users = Arc::new(AtomicUsize::new(0));
            let fill = |sealed: &Sealed, chunks: &[Chunk; 2], own: usize, users: &AtomicUsize| {
                chunks[own].append(0, own as u64);
                sealed.add(NonNull::from(&chunks[own]).cast().as_ptr());
                let Some(taken) = sealed.take_oldest() else {
                    return false;
                };
                // SAFETY: as above.
                let taken = unsafe { taken.cast::<Chunk>().as_ref() };
                assert_eq!(taken.words.committed(), 1, "it is seen as it was sealed");
                let number = usize::from(std::ptr::eq(taken, &chunks[1]));
                let before = users.fetch_add(1 << number, Ordering::Relaxed);
                assert_eq!(before >> number & 1, 0, "two use one chunk");
                true
            };
            let (theirs, their_users) = (Arc::clone(&chunks), Arc::clone(&users));
            let sealing = Arc::clone(&sealed);
            let other = thread::spawn(move || fill(&sealing, &theirs, 1, &their_users));
            fill(&sealed, &chunks, 0, &users);
            other.join().expect("no panic");
        },
        3,
    );
}

/// One of two does an errand, and who wanted it sees what it came to.
#[test]
fn an_errand_is_done_by_one() {
    model(|| {
        let progress = Arc::new(Progress::default());
        let done = Arc::new(AtomicUsize::new(0));
        let (theirs, doing) = (Arc::clone(&progress), Arc::clone(&done));
        let writer = thread::spawn(move || {
            if theirs.begin() {
                doing.store(1, Ordering::Relaxed);
                theirs.finish(-5);
                return true;
            }
            false
        });
        let helped_itself = match progress.result() {
            Some(result) => {
                assert_eq!(result, -5);
                assert_eq!(done.load(Ordering::Relaxed), 1);
                false
            }
            None => progress.give_up(),
        };
        let by_writer = writer.join().expect("no panic");
        assert!(helped_itself != by_writer);
        assert_eq!(progress.result().is_some(), by_writer);
    });
}

/// Who sent a message and then sees that all are handled: its own is.
#[test]
fn whoever_sees_that_everything_is_handled_sees_its_own_message_handled() {
    bounded(
        || {
            // Two messages, each 0, 1 when it is sent, or 2 when it is handled.
            let messages: Arc<[AtomicUsize; 2]> =
                Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let counts = Arc::new(Counts::default());
            let send = |counts: &Counts, messages: &[AtomicUsize; 2], own: usize| {
                counts.sending(|| {
                    messages[own].store(1, Ordering::Release);
                    true
                });
            };
            let (theirs, their_counts) = (Arc::clone(&messages), Arc::clone(&counts));
            let sender = thread::spawn(move || send(&their_counts, &theirs, 1));
            let (handled, handling) = (Arc::clone(&messages), Arc::clone(&counts));
            let writer = thread::spawn(move || {
                for message in handled.iter().rev() {
                    if message.load(Ordering::Acquire) == 1 {
                        message.store(2, Ordering::Relaxed);
                        handling.handled();
                    }
                }
            });
            send(&counts, &messages, 0);
            if counts.are_even() {
                assert_eq!(messages[0].load(Ordering::Relaxed), 2);
            }
            sender.join().expect("no panic");
            writer.join().expect("no panic");
        },
        3,
    );
}
