//! Traces whose chunks were compressed and used again, whole and broken.

mod common;

use std::fs::File;
use std::io::Write;

use proptest::prelude::*;
use tempfile::NamedTempFile;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Events;
use whofreed_trace::compress_rest;
use whofreed_trace::layout;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::ChunkHeader;
use whofreed_trace::layout::EventRecord;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::SEGMENT_SPAN;
use whofreed_trace::layout::chunk_kind;
use whofreed_trace::read::read;
use whofreed_trace::read::read_file;
use whofreed_trace::segment::Encoder;
use whofreed_trace::segment::Filled;
use whofreed_trace::unused;
use zerocopy::FromZeros;
use zerocopy::IntoBytes;

use self::common::chunk;
use self::common::header;

/// The events of one thread at addresses of its own, from one number on.
fn records(thread: u32, first: u64, count: u64) -> Vec<EventRecord> {
    let announcement = EventRecord {
        kind: layout::KIND_THREAD,
        address: u64::from(thread),
        ..EventRecord::default()
    };
    let events = (first..first + count).map(|number| EventRecord {
        kind: EventKind::Allocate as u8,
        device: thread,
        address: 0x1000 + number % 10 * 64,
        owner: number,
        extra: 64,
        time: 1_600 + number * 160,
        step: 1 + number / 10,
        stack: 0,
        ..EventRecord::default()
    });
    std::iter::once(announcement).chain(events).collect()
}

/// A chunk of events that will be used again.
fn filled(fill: u64, records: &[EventRecord]) -> Vec<u8> {
    let header = ChunkHeader {
        magic: layout::CHUNK_MAGIC,
        kind: chunk_kind::EVENTS,
        committed: records.as_bytes().len() as u64,
        fill,
        ..ChunkHeader::new_zeroed()
    };
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(records.as_bytes());
    bytes.resize(CHUNK_SIZE, 0);
    bytes
}

/// A segment with these blocks, each of the fillings with their records.
fn segment(blocks: &[&[(u64, Vec<EventRecord>)]]) -> Vec<u8> {
    let mut content: Vec<u8> = Vec::new();
    for block in blocks {
        let filled: Vec<Filled<'_>> = block
            .iter()
            .map(|(fill, records)| Filled {
                fill: *fill,
                records,
            })
            .collect();
        let mut encoder = Encoder::on_heap().expect("there is memory");
        content.extend(encoder.encode(&filled, 4).expect("few events"));
    }
    let header = ChunkHeader {
        magic: layout::CHUNK_MAGIC,
        kind: chunk_kind::SEGMENT,
        span: SEGMENT_SPAN,
        committed: content.len() as u64,
        ..ChunkHeader::new_zeroed()
    };
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(usize::from(SEGMENT_SPAN) * CHUNK_SIZE, 0);
    bytes
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = header().as_bytes().to_vec();
    bytes.resize(HEADER_SIZE, 0);
    bytes.extend(chunks.concat());
    let count = ((bytes.len() - HEADER_SIZE) / CHUNK_SIZE) as u32;
    let place = std::mem::offset_of!(layout::FileHeader, chunks);
    bytes[place..place + 4].copy_from_slice(&count.to_ne_bytes());
    bytes
}

/// The owners of all events, sorted, read in both ways. Events out of a file are asked for one by one, and by runs.
fn owners(bytes: &[u8]) -> Vec<u64> {
    let in_memory = read(bytes).expect("a trace");
    let mut written = NamedTempFile::new().expect("a folder for files");
    written.write_all(bytes).expect("room for it");
    let of_file = read_file(File::open(written.path()).expect("it is there")).expect("a trace");
    assert_eq!(of_file.damage, in_memory.damage);
    let mut by_runs = Vec::new();
    for run in of_file.events.runs() {
        let before = by_runs.len();
        of_file
            .events
            .read(run.first, run.count as usize, &mut by_runs);
        assert_eq!(by_runs.len() - before, run.count as usize);
        assert_eq!(by_runs[before].time_ns, run.time_ns);
        assert!(
            by_runs[before..]
                .iter()
                .all(|event| event.thread == run.thread)
        );
    }
    let one_by_one: Vec<Event> = (0..of_file.events.len())
        .map(|index| of_file.events.event(index).expect("it can be read"))
        .collect();
    assert_eq!(one_by_one, by_runs);
    let sorted = |events: &[Event]| {
        let mut owners: Vec<(u32, u64)> = events
            .iter()
            .map(|event| (event.thread, event.owner))
            .collect();
        owners.sort_unstable();
        owners
    };
    assert_eq!(sorted(&by_runs), sorted(&in_memory.events));
    sorted(&by_runs)
        .into_iter()
        .map(|(_, owner)| owner)
        .collect()
}

#[test]
fn blocks_and_the_chunks_that_are_not_in_one_yet_are_the_whole_trace() {
    let first = (1, records(7, 0, 500));
    let second = (2, records(8, 0, 300));
    let bytes = file(&[
        filled(4, &records(8, 300, 50)),
        segment(&[&[first], &[second, (3, records(7, 500, 700))]]),
        chunk(chunk_kind::EVENTS, records(9, 0, 20).as_bytes()),
    ]);
    let mut expected: Vec<u64> = (0..1200).chain(0..350).chain(0..20).collect();
    let mut found = owners(&bytes);
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(read(&bytes).expect("a trace").damage, []);
}

#[test]
fn who_dies_between_a_block_and_the_emptying_of_its_chunks_has_every_event_once() {
    let bytes = file(&[
        filled(1, &records(7, 0, 500)),
        segment(&[&[(1, records(7, 0, 500)), (2, records(7, 500, 500))]]),
        filled(2, &records(7, 500, 500)),
        filled(3, &records(7, 1000, 10)),
    ]);
    assert_eq!(owners(&bytes), (0..1010).collect::<Vec<u64>>());
}

#[test]
fn a_broken_block_is_told_and_its_chunks_are_believed_instead() {
    let mut bytes = file(&[
        filled(1, &records(7, 0, 500)),
        segment(&[&[(1, records(7, 0, 500))]]),
        filled(3, &records(7, 500, 10)),
    ]);
    let place = HEADER_SIZE + CHUNK_SIZE + layout::CHUNK_HEADER_SIZE + 100;
    bytes[place] ^= 1;
    assert_eq!(owners(&bytes), (0..510).collect::<Vec<u64>>());
    let damage = read(&bytes).expect("a trace").damage;
    assert_eq!(damage.len(), 1);
    assert!(damage[0].what.contains("checksum"), "{damage:?}");
    assert_eq!(damage[0].offset, (place - 100 + 8) as u64);
}

#[test]
fn a_segment_that_is_cut_anywhere_tells_so_and_keeps_what_is_before() {
    let whole = file(&[segment(&[
        &[(1, records(7, 0, 40))],
        &[(2, records(7, 40, 40))],
    ])]);
    let start = HEADER_SIZE + layout::CHUNK_HEADER_SIZE;
    let first_end = {
        let len = u32::from_ne_bytes(whole[start + 4..start + 8].try_into().expect("four bytes"));
        start + 32 + len as usize
    };
    for len in HEADER_SIZE..start + 600 {
        let trace = read(&whole[..len]).expect("a trace");
        let kept = trace.events.len();
        assert!(
            kept == 0 || kept == 40 || kept == 80,
            "{kept} events of {len} bytes"
        );
        assert_eq!(kept >= 40, len >= first_end, "{len} bytes");
        assert!(!trace.damage.is_empty(), "{len} bytes");
    }
}

#[test]
fn many_blocks_are_read_in_any_order() {
    let blocks: Vec<[(u64, Vec<EventRecord>); 2]> = (0..60)
        .map(|number| {
            let first = (2 * number + 1, records(7, number * 30, 30));
            [first, (2 * number + 2, records(8, number * 20, 20))]
        })
        .collect();
    let blocks: Vec<&[(u64, Vec<EventRecord>)]> = blocks.iter().map(|block| &block[..]).collect();
    let bytes = file(&[segment(&blocks)]);
    // One after the other, which is read ahead.
    assert_eq!(owners(&bytes).len(), 60 * 50);
    let mut written = NamedTempFile::new().expect("a folder for files");
    written.write_all(&bytes).expect("room for it");
    let trace = read_file(File::open(written.path()).expect("it is there")).expect("a trace");
    let runs = trace.events.runs();
    let mut of_run = Vec::new();
    for turn in 0..3_000 {
        let run = runs[turn * 7_919 % runs.len()];
        of_run.clear();
        trace
            .events
            .read(run.first, run.count as usize, &mut of_run);
        assert_eq!(of_run.len() as u64, run.count);
        assert!(of_run.iter().all(|event| event.thread == run.thread));
        assert_eq!(of_run[0].time_ns, run.time_ns);
    }
}

#[test]
fn a_block_that_comes_twice_is_told_and_believed_once() {
    let block = || [(1, records(7, 0, 500))];
    let bytes = file(&[segment(&[&block(), &block()])]);
    assert_eq!(owners(&bytes), (0..500).collect::<Vec<u64>>());
    let damage = read(&bytes).expect("a trace").damage;
    assert_eq!(damage.len(), 1);
    assert!(damage[0].what.contains("another"), "{damage:?}");
}

#[test]
fn an_emptied_chunk_holds_nothing() {
    let mut empty = filled(5, &records(7, 0, 100));
    let place = std::mem::offset_of!(ChunkHeader, committed);
    empty[place..place + 8].fill(0);
    let bytes = file(&[empty, filled(6, &records(7, 100, 5))]);
    assert_eq!(owners(&bytes), (100..105).collect::<Vec<u64>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn broken_segments_never_panic(flips in prop::collection::vec((0..2_000_usize, any::<u8>()), 1..12)) {
        let mut bytes = file(&[
            filled(1, &records(7, 0, 20)),
            segment(&[&[(2, records(7, 20, 60))], &[(3, records(8, 0, 60))]]),
        ]);
        for (place, with) in flips {
            bytes[HEADER_SIZE + CHUNK_SIZE + place] ^= with;
        }
        if let Ok(trace) = read(&bytes) {
            prop_assert!(trace.events.len() <= 140);
        }
    }
}

/// A file of these bytes, and what it is after its process has ended.
fn finished(bytes: &[u8]) -> Vec<u8> {
    let mut written = NamedTempFile::new().expect("a folder for files");
    written.write_all(bytes).expect("room for it");
    compress_rest(written.as_file()).expect("it can be written");
    let mut finished = std::fs::read(written.path()).expect("it is there");
    for part in unused(written.as_file()).expect("it can be read") {
        finished[part.start as usize..part.end as usize].fill(0);
    }
    finished
}

#[test]
fn what_was_left_when_a_process_ended_is_compressed_and_what_is_unused_is_given_back() {
    let bytes = file(&[
        filled(1, &records(7, 0, 500)),
        segment(&[&[(1, records(7, 0, 500))]]),
        filled(2, &records(7, 500, 900)),
        chunk(chunk_kind::EVENTS, records(9, 0, 20).as_bytes()),
        filled(3, &records(8, 0, 600)),
    ]);
    let before = owners(&bytes);
    let finished = finished(&bytes);
    assert_eq!(owners(&finished), before);
    assert_eq!(read(&finished).expect("a trace").damage, []);
    let in_use = |bytes: &[u8]| {
        bytes
            .chunks(4096)
            .filter(|page| page.iter().any(|byte| *byte != 0))
            .count()
    };
    let (was, is) = (in_use(&bytes), in_use(&finished));
    assert!(is < was / 3, "{is} pages instead of {was}");
}

#[test]
fn a_trace_without_anything_left_stays_as_it_is() {
    let whole = file(&[segment(&[&[(1, records(7, 0, 500))]])]);
    assert_eq!(finished(&whole), whole);
    // Of one that was cut, nothing is known.
    let cut = &file(&[
        filled(2, &records(7, 500, 900)),
        filled(3, &records(8, 0, 600)),
    ])[..HEADER_SIZE + CHUNK_SIZE + 50_000];
    assert_eq!(finished(cut), cut);
}
