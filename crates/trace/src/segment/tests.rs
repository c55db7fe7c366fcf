//! Blocks hold what was put into them, whatever that is, and break without harm.

use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::Block;
use super::Encoder;
use super::Filled;
use crate::layout::EventRecord;
use crate::layout::KIND_THREAD;

fn thread(number: u32) -> EventRecord {
    EventRecord {
        kind: KIND_THREAD,
        address: u64::from(number),
        ..EventRecord::default()
    }
}

/// What comes out of the block of these chunks: thread and event.
fn round_trip(chunks: &[Vec<EventRecord>], time_shift: u32) -> Vec<(u32, EventRecord)> {
    let filled: Vec<Filled<'_>> = (7..)
        .zip(chunks)
        .map(|(fill, records)| Filled { fill, records })
        .collect();
    let mut encoder = Encoder::on_heap().expect("there is memory");
    // Its memory is used again.
    let _ = encoder.encode(&filled[filled.len() / 2..], 0);
    let bytes = encoder
        .encode(&filled, time_shift)
        .expect("few events")
        .to_vec();
    let block = Block::read(&bytes).expect("it was just made");
    assert_eq!(block.size(), bytes.len());
    assert_eq!(
        block.fills().collect::<Vec<_>>(),
        (7..7 + chunks.len() as u64).collect::<Vec<_>>()
    );
    let mut events = Vec::new();
    block.events(&mut events).expect("it was just made");
    let threads = block
        .runs()
        .flat_map(|run| vec![run.thread; run.count as usize]);
    threads.zip(events).collect()
}

fn expected(chunks: &[Vec<EventRecord>], time_shift: u32) -> Vec<(u32, EventRecord)> {
    let mut all = Vec::new();
    for chunk in chunks {
        let mut thread = 0;
        for record in chunk {
            if record.kind == KIND_THREAD {
                thread = record.address as u32;
            } else {
                let time = record.time >> time_shift << time_shift;
                all.push((thread, EventRecord { time, ..*record }));
            }
        }
    }
    all
}

fn assert_comes_out(chunks: &[Vec<EventRecord>], time_shift: u32) {
    let out = round_trip(chunks, time_shift);
    let expected = expected(chunks, time_shift);
    assert_eq!(out.len(), expected.len());
    for (number, (out, expected)) in out.iter().zip(&expected).enumerate() {
        assert_eq!(out.0, expected.0, "the thread of event {number}");
        assert_eq!(out.1.as_bytes(), expected.1.as_bytes(), "event {number}");
    }
}

fn any_event() -> impl Strategy<Value = EventRecord> {
    let wide = || prop_oneof![4 => 0_u64..5, 1 => any::<u64>()];
    let narrow = || prop_oneof![8 => 0_u32..2, 1 => any::<u32>()];
    let head = (
        1_u8..4,
        0_u8..4,
        0_u16..3,
        narrow(),
        narrow(),
        narrow(),
        narrow(),
    );
    (head, wide(), wide(), wide(), wide(), wide(), narrow()).prop_map(
        |(
            (kind, verdict, flags, device, epoch, label, scope),
            address,
            owner,
            extra,
            time,
            step,
            stack,
        )| EventRecord {
            kind,
            verdict,
            flags,
            device,
            address,
            owner,
            extra,
            time,
            step,
            epoch,
            label,
            stack,
            scope,
        },
    )
}

proptest! {
    #[test]
    fn any_events_come_out(
        chunks in prop::collection::vec(
            prop::collection::vec(prop_oneof![1 => (0_u32..3).prop_map(thread), 12 => any_event()], 0..60),
            1..5,
        ),
        time_shift in 0_u32..10,
    ) {
        assert_comes_out(&chunks, time_shift);
    }

    #[test]
    fn a_block_with_flipped_bits_breaks_without_harm(
        events in prop::collection::vec(any_event(), 1..80),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8), 1..6),
    ) {
        let mut encoder = Encoder::on_heap().expect("there is memory");
        let filled = [Filled { fill: 1, records: &events }];
        let mut bytes = encoder.encode(&filled, 3).expect("few events").to_vec();
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1_u8 << bit;
        }
        let mut out = Vec::new();
        if let Ok(block) = Block::read(&bytes) {
            let _ = block.events(&mut out);
        }
        // With the checksum made good, as by somebody who wants to harm.
        let len = u32::from_ne_bytes(bytes[4..8].try_into().expect("four bytes")) as usize;
        if let Some(payload) = bytes.get(super::BLOCK_HEADER_SIZE..).and_then(|rest| rest.get(..len)) {
            let sum = crate::blob::checksum(payload);
            bytes[8..12].copy_from_slice(&sum.to_ne_bytes());
            if let Ok(block) = Block::read(&bytes)
                && block.events(&mut out).is_some()
            {
                prop_assert_eq!(out.len() as u64, block.runs().map(|run| u64::from(run.count)).sum::<u64>());
            }
        }
    }
}

/// A host that takes and gives back, from a few places in its code.
fn churn(events: usize) -> Vec<EventRecord> {
    const KEPT: usize = 256;
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut steps = std::collections::HashMap::new();
    let mut kept = std::collections::VecDeque::new();
    let mut time = 1_000_000_000;
    let mut records = vec![thread(7)];
    for number in 0..events {
        let is_free = number % 2 == 1 && kept.len() > KEPT;
        let address = if is_free {
            kept.pop_front().expect("there are some")
        } else {
            0x7f00_0000_0010 + next() % 20_000 * 48
        };
        if !is_free {
            kept.push_back(address);
        }
        time += 250 + next() % 100;
        let step = steps.entry(address).or_insert(0);
        *step += 1;
        records.push(EventRecord {
            kind: 1 + u8::from(is_free),
            device: 1574,
            address,
            extra: if is_free { 0 } else { 16 + next() % 4096 },
            time,
            step: *step,
            label: 1000,
            stack: 1 + (next() % 16) as u32 + 16 * u32::from(is_free),
            ..EventRecord::default()
        });
    }
    records
}

#[test]
fn a_flipped_bit_is_noticed() {
    let records = churn(100);
    let mut encoder = Encoder::on_heap().expect("there is memory");
    let filled = [Filled {
        fill: 1,
        records: &records,
    }];
    let mut bytes = encoder.encode(&filled, 3).expect("few events").to_vec();
    let len = u32::from_ne_bytes(bytes[4..8].try_into().expect("four bytes")) as usize;
    for place in super::BLOCK_HEADER_SIZE..super::BLOCK_HEADER_SIZE + len {
        bytes[place] ^= 16;
        assert!(Block::read(&bytes).is_err(), "byte {place}");
        bytes[place] ^= 16;
    }
    assert!(Block::read(&bytes).is_ok());
}

#[test]
fn events_of_a_host_that_takes_and_gives_back_take_four_bytes_each() {
    let records = churn(8 * 1022);
    let chunks: Vec<Vec<EventRecord>> = records
        .chunks(1022)
        .map(|chunk| [&[thread(7)], chunk].concat())
        .collect();
    assert_comes_out(&chunks, 4);
    let filled: Vec<Filled<'_>> = chunks
        .iter()
        .map(|records| Filled { fill: 1, records })
        .collect();
    let mut encoder = Encoder::on_heap().expect("there is memory");
    let bytes = encoder.encode(&filled, 4).expect("few events").len();
    assert!(
        bytes <= 4 * records.len(),
        "{bytes} bytes for {} events",
        records.len()
    );
}
