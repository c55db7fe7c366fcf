//! Chunks that contradict each other: found by fuzzing (`fuzz/fuzz_targets/finish.rs`).

mod common;

use std::io::Write as _;

use whofreed_trace::EventKind;
use whofreed_trace::layout::CHUNK_MAGIC;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::ChunkHeader;
use whofreed_trace::layout::EventRecord;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::SEGMENT_SPAN;
use whofreed_trace::layout::chunk_kind;
use whofreed_trace::read::read;
use whofreed_trace::unused;
use zerocopy::FromZeros as _;
use zerocopy::IntoBytes as _;

use self::common::chunk;
use self::common::header;

fn event(address: u64) -> EventRecord {
    EventRecord {
        kind: EventKind::Allocate as u8,
        address,
        step: 1,
        ..EventRecord::default()
    }
}

fn filled(fill: u64, events: &[EventRecord]) -> Vec<u8> {
    let head = ChunkHeader {
        magic: CHUNK_MAGIC,
        kind: chunk_kind::EVENTS,
        committed: events.as_bytes().len() as u64,
        fill,
        ..ChunkHeader::new_zeroed()
    };
    let mut bytes = [head.as_bytes(), events.as_bytes()].concat();
    bytes.resize(CHUNK_SIZE, 0);
    bytes
}

fn trace(chunks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = header().as_bytes().to_vec();
    bytes.resize(HEADER_SIZE, 0);
    bytes.extend(chunks.concat());
    bytes
}

#[test]
fn of_two_chunks_that_claim_to_be_the_same_filling_neither_is_lost_in_silence() {
    for second in [vec![event(2)], Vec::new()] {
        let bytes = trace(&[filled(1, &[event(1)]), filled(1, &second)]);
        let found = read(&bytes).expect("a trace");
        assert_eq!(found.events.len(), 1 + second.len());
        assert_eq!(found.damage.len(), 1, "{:?}", found.damage);
        assert!(found.damage[0].offset > (HEADER_SIZE + CHUNK_SIZE) as u64);
    }
}

#[test]
fn what_lies_behind_a_segment_of_an_impossible_length_is_in_use() {
    let mut odd = chunk(chunk_kind::SEGMENT, &[]);
    odd[6..8].copy_from_slice(&(SEGMENT_SPAN + 1).to_ne_bytes());
    let bytes = trace(&[odd, filled(0, &[event(1)])]);
    assert_eq!(read(&bytes).expect("a trace").events.len(), 1);
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("it can be written");
    let behind = (HEADER_SIZE + CHUNK_SIZE) as u64;
    for part in unused(&file).expect("it can be read") {
        assert!(!part.contains(&behind), "{part:?}");
    }
}
