//! The single stops of an event's way, each for itself: `cargo bench --bench primitives`, or `cargo xtask bench 1
//! primitives` with a table of it in docs/PERFORMANCE.md.
//!
//! What the whole costs is told by `cargo xtask bench`; here is where it goes. One thread, caches warm, nothing in
//! between: on its way an event finds less of what it needs at hand.

use std::hint::black_box;
use std::time::Duration;

use criterion::BenchmarkGroup;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use criterion::measurement::WallTime;
use whofreed::hook::CallSite;
use whofreed::ledger::Ledger;
use whofreed::ledger::Scratch;
use whofreed::stack::StackBuffer;
use whofreed::stack::known::Key;
use whofreed::stack::known::Known;
use whofreed::stack::known::Recent;
use whofreed::stack::known::Shape;
use whofreed_lifecycle::Event;
use whofreed_lifecycle::Verdict;
use whofreed_trace::EventKind;
use whofreed_trace::layout::EventRecord;
use whofreed_trace::segment::Block;
use whofreed_trace::segment::Encoder;
use whofreed_trace::segment::Filled;

/// What is valid as zeros, as a thread begins with it.
macro_rules! zeroed {
    ($what:ty) => {
        // SAFETY: its documentation says that it is valid as zeros.
        unsafe { Box::<$what>::new_zeroed().assume_init() }
    };
}

fn group<'all>(
    all: &'all mut Criterion,
    name: &str,
    events: u64,
) -> BenchmarkGroup<'all, WallTime> {
    let mut group = all.benchmark_group(name);
    group.throughput(Throughput::Elements(events));
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1));
    group
}

/// One allocate and one free at each of so many addresses, `step` bytes apart.
fn ledger(all: &mut Criterion) {
    let mut judged = group(all, "ledger: verdict", 2);
    let ledger = Ledger::new().expect("memory");
    let mut scratch = zeroed!(Scratch);
    for (name, device, addresses) in [
        ("nobody's, 100 addresses", 1, 100_u64),
        ("nobody's, 1,000,000 addresses", 2, 1_000_000),
    ] {
        let mut turn = 0;
        judged.bench_function(name, |bencher| {
            bencher.iter(|| {
                turn += 1;
                let address = 0x1000 + turn * 7919 % addresses * 64;
                for event in [Event::Allocate { owner: 0 }, Event::Deallocate { owner: 0 }] {
                    let judged = ledger.apply(&mut scratch, device, address, None, event);
                    assert_eq!(judged.outcome.verdict, Verdict::Ok);
                }
            });
        });
    }
    for (name, device, owners) in [
        ("of one owner", 3, 1),
        ("each of an owner of its own", 4, u64::MAX),
    ] {
        let mut turn = 0;
        judged.bench_function(name, |bencher| {
            bencher.iter(|| {
                turn += 1;
                let (address, owner) = (0x1000 + turn * 7919 % 100 * 64, turn % owners + 1);
                for event in [Event::Allocate { owner }, Event::Deallocate { owner }] {
                    let judged = ledger.apply(&mut scratch, device, address, None, event);
                    assert_eq!(judged.outcome.verdict, Verdict::Ok);
                }
            });
        });
    }
}

/// Calls itself until it is so deep, and then `then`.
#[inline(never)]
fn deep(depth: u32, then: &mut dyn FnMut()) {
    if depth == 0 {
        then();
    } else {
        deep(depth - 1, then);
    }
    // No tail call: each has a frame.
    black_box(depth);
}

/// A capture from so many frames further in than the benchmark itself.
fn stack(all: &mut Criterion) {
    whofreed::start();
    let mut captures = group(all, "stack: capture", 1);
    let mut buffer = zeroed!(StackBuffer);
    for depth in [8, 32, 128] {
        let mut capture = |name: String, turns: &mut dyn FnMut(u32)| {
            captures.bench_function(name, |bencher| {
                bencher.iter_custom(|times| {
                    let start = std::time::Instant::now();
                    turns(u32::try_from(times).unwrap_or(u32::MAX));
                    start.elapsed()
                });
            });
        };
        capture(
            format!("{depth} frames further in, the same each time"),
            &mut |times| {
                deep(depth, &mut || {
                    for _ in 0..times {
                        buffer.capture(512, CallSite::default());
                    }
                });
            },
        );
        capture(
            format!("{depth} frames further in, two of them others, with their calls"),
            &mut |times| {
                deep(depth - 2, &mut || {
                    for turn in 0..times {
                        deep(turn % 2 + 1, &mut || {
                            buffer.capture(512, CallSite::default())
                        });
                    }
                });
            },
        );
    }
}

fn known(all: &mut Criterion) {
    let mut numbers = group(all, "stack: number of a known one", 1);
    let known = Known::new().expect("memory");
    let stacks: Vec<Vec<usize>> = (0..4096_usize)
        .map(|stack| {
            (0..20)
                .map(|frame| 0x5555_0000_0000 + stack * 640 + frame * 32)
                .collect()
        })
        .collect();
    let key = |native: &'_ [usize]| Key {
        hash: native.iter().fold(0_u128, |hash, word| {
            (hash ^ *word as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
        }),
        shape: Shape::new(512, false, native, &[]),
        native: &[],
        interpreted: &[],
    };
    let keys: Vec<Key<'_>> = stacks
        .iter()
        .map(|native| Key {
            native,
            ..key(native)
        })
        .collect();
    for (number, key) in (1..).zip(&keys) {
        known.insert(*key, 0, number);
    }
    for (name, many) in [("one of 48", 48), ("one of 4,096", keys.len())] {
        let (recent, mut turn) = (zeroed!(Recent), 0);
        numbers.bench_function(name, |bencher| {
            bencher.iter(|| {
                turn += 1;
                let place = turn * 7 % many;
                assert_eq!(
                    known.find(&recent, 1, keys[place], 0),
                    Some(place as u32 + 1)
                );
            });
        });
    }
}

/// Eight full chunks of a host that takes and gives back.
fn record(all: &mut Criterion) {
    let events: Vec<EventRecord> = (0..8 * 1023_u64)
        .map(|number| EventRecord {
            kind: [EventKind::Allocate, EventKind::Deallocate][(number % 2) as usize] as u8,
            verdict: Verdict::Ok as u8,
            device: 1000,
            address: 0x5555_0000_0000 + number / 2 * 7919 % 256 * 16,
            extra: (1 - number % 2) * (16 + number * 31 % 4096),
            time: 1_000_000 + number * 380 + number * number % 97,
            step: number / 512 + 1,
            stack: (number * 5 % 48) as u32 + 1,
            ..EventRecord::default()
        })
        .collect();
    let chunks: Vec<Filled<'_>> = (1..)
        .zip(events.chunks(1023))
        .map(|(fill, records)| Filled { fill, records })
        .collect();
    let mut blocks = group(all, "record: eight chunks", events.len() as u64);
    let mut encoder = Encoder::on_heap().expect("memory");
    blocks.bench_function("to a block", |bencher| {
        bencher.iter(|| black_box(encoder.encode(&chunks, 5)).map(<[u8]>::len));
    });
    let block = encoder.encode(&chunks, 5).expect("a block").to_vec();
    let mut read = Vec::new();
    blocks.bench_function("from a block", |bencher| {
        bencher.iter(|| {
            let block = Block::read(black_box(&block)).expect("a block");
            block.events(&mut read).expect("its events");
            assert_eq!(read.len(), events.len());
        });
    });
}

criterion_group!(primitives, ledger, stack, known, record);
criterion_main!(primitives);
