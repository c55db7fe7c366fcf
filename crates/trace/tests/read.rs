//! The reader against whole, cut and broken files.

mod common;

use std::fs;
use std::fs::File;

use proptest::prelude::*;
use tempfile::NamedTempFile;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Events;
use whofreed_trace::FileEvents;
use whofreed_trace::StackId;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;
use whofreed_trace::blob::BlobHeader;
use whofreed_trace::blob::PayloadWriter;
use whofreed_trace::blob::blob_kind;
use whofreed_trace::blob::blob_size;
use whofreed_trace::blob::checksum;
use whofreed_trace::blob::pack_frame;
use whofreed_trace::blob::pack_python_frame;
use whofreed_trace::layout;
use whofreed_trace::layout::CHUNK_HEADER_SIZE;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::EventRecord;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::chunk_kind;
use whofreed_trace::read::read;
use whofreed_trace::read::read_file;
use zerocopy::IntoBytes;

use self::common::chunk;
use self::common::header;

fn blob(kind: u16, id: u32, write: impl FnOnce(&mut PayloadWriter<'_>)) -> Vec<u8> {
    let mut memory = [0; 4096];
    let mut payload = PayloadWriter::new(&mut memory);
    write(&mut payload);
    let len = payload.finish().expect("it fits");
    let header = BlobHeader {
        len: len as u32,
        kind,
        flags: 0,
        id,
        checksum: checksum(&memory[..len]),
    };
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(&memory[..len]);
    bytes.resize(blob_size(len), 0);
    bytes
}

fn event(kind: EventKind, step: u64) -> EventRecord {
    EventRecord {
        kind: kind as u8,
        device: 4,
        address: 0x1000,
        owner: 9,
        extra: 64,
        step,
        stack: 1,
        ..EventRecord::default()
    }
}

/// A small trace with something of everything.
fn sample() -> Vec<u8> {
    let data = [
        blob(blob_kind::COMMAND_WORD, 0, |payload| {
            payload.bytes(b"./host")
        }),
        blob(blob_kind::DEVICE_NAME, 4, |payload| {
            payload.bytes(b"chip 4 DRAM")
        }),
        blob(blob_kind::MODULE, 1, |payload| {
            payload.u64(0x5000);
            payload.u64(0x5000);
            payload.u64(0x9000);
            payload.u32(1);
            payload.text(b"/lib/libhost.so");
            payload.text(&[0xab, 0xcd]);
        }),
        blob(blob_kind::CODE, 0, |payload| {
            payload.u32(10);
            payload.text(b"model.py");
            payload.text(b"Layer.forward");
        }),
        blob(blob_kind::STACK, 1, |payload| {
            payload.u32(2);
            payload.u32(1);
            payload.u64(pack_frame(1, 0x123));
            payload.u64(pack_frame(0, 0x7fff_0000_1234));
            payload.u64(pack_python_frame(0, 12, true));
        }),
        blob(blob_kind::UNOBSERVABLE, 0, |payload| {
            payload.text(b"buf_free");
            payload.text(b"bound inside");
        }),
    ];
    let announcement = EventRecord {
        kind: layout::KIND_THREAD,
        address: 815,
        ..EventRecord::default()
    };
    let mut freed = event(EventKind::Deallocate, 2);
    freed.verdict = Verdict::AlreadyFreed as u8;
    freed.flags = layout::EVENT_BLOCKED | layout::EVENT_HAS_ROOT;
    freed.extra = 8;
    let events = [announcement, event(EventKind::Allocate, 1), freed];
    let mut bytes = header().as_bytes().to_vec();
    bytes.resize(HEADER_SIZE, 0);
    bytes.extend(chunk(chunk_kind::DATA, &data.concat()));
    bytes.extend(chunk(chunk_kind::EVENTS, events.as_bytes()));
    bytes
}

fn check_sample(trace: &Trace) {
    assert_eq!(trace.process.pid, 4711);
    assert_eq!(trace.process.command, ["./host"]);
    assert_eq!(trace.process.exit.and_then(|exit| exit.signal), Some(9));
    assert_eq!(trace.process.fork.map(|fork| fork.parent_trace), Some(3));
    assert_eq!((trace.id, trace.session), (77, 5));
    assert_eq!((trace.dropped_events, trace.unjudged_events), (2, 1));
    assert_eq!(trace.device_names[&4], "chip 4 DRAM");
    assert_eq!(trace.modules[0].path, "/lib/libhost.so");
    assert_eq!(trace.modules[0].build_id, [0xab, 0xcd]);
    let stack = &trace.stacks[1];
    assert_eq!(stack.native[0].module, Some(0));
    assert_eq!(stack.native[0].offset, 0x123);
    assert_eq!(stack.native[1].module, None);
    assert_eq!(stack.native[1].offset, 0x7fff_0000_1234);
    assert!(stack.python[0].is_entry);
    assert_eq!(stack.python[0].line, 12);
    assert_eq!(trace.codes[0].function, "Layer.forward");
    assert_eq!(trace.coverage.len(), 1);
    assert_eq!(trace.events.len(), 2);
    assert_eq!(trace.events[0].size, 64);
    assert_eq!(trace.events[0].thread, 815);
    assert_eq!(trace.events[0].stack, StackId(1));
    assert_eq!(trace.events[1].verdict, Verdict::AlreadyFreed);
    assert!(trace.events[1].blocked);
    assert_eq!(trace.events[1].root_owner, 8);
}

#[test]
fn a_whole_trace_is_read_back() {
    let trace = read(&sample()).expect("a sound trace");
    assert_eq!(trace.damage, []);
    check_sample(&trace);
}

/// The bytes as a file.
fn file_of(bytes: &[u8]) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    fs::write(&file, bytes).expect("room for it");
    file
}

/// Every event of every run, by its number.
fn all_events(events: &FileEvents) -> Vec<Event> {
    let mut all = Vec::new();
    for run in events.runs() {
        assert_eq!(run.first, all.len() as u64);
        events.read(run.first, usize::MAX, &mut all);
        assert_eq!(run.first + run.count, all.len() as u64);
        let first = all[run.first as usize];
        assert_eq!((run.thread, run.time_ns), (first.thread, first.time_ns));
    }
    assert_eq!(events.len(), all.len() as u64);
    for (index, event) in all.iter().enumerate() {
        assert_eq!(events.event(index as u64).as_ref(), Some(event));
    }
    assert_eq!(events.event(events.len()), None);
    all
}

/// Reads the bytes as a file and in memory: both say the same.
fn check_both(bytes: &[u8]) -> Option<Trace> {
    let file = file_of(bytes);
    let of_file = read_file(File::open(&file).expect("it was just written"));
    match (read(bytes), of_file) {
        (Ok(trace), Ok(of_file)) => {
            assert_eq!(trace.damage, of_file.damage);
            assert_eq!(trace.stacks, of_file.stacks);
            assert_eq!(trace.process, of_file.process);
            assert_eq!(trace.events, all_events(&of_file.events));
            Some(trace)
        }
        (Err(one), Err(other)) => {
            assert_eq!(one.to_string(), other.to_string());
            None
        }
        (one, other) => panic!("{:?} in memory, {:?} as a file", one.is_ok(), other.is_ok()),
    }
}

/// More chunks than one, of several threads.
#[test]
fn events_stay_in_the_file_until_they_are_asked_for() {
    let mut bytes = sample();
    let mut events = Vec::new();
    for number in 0..900 {
        if number % 300 == 0 {
            events.push(EventRecord {
                kind: layout::KIND_THREAD,
                address: 20 + number / 600,
                ..EventRecord::default()
            });
        }
        let mut event = event(EventKind::Allocate, number);
        event.time = 1000 + number;
        // One that nobody can read leaves a hole.
        if number == 120 {
            event.verdict = 99;
        }
        events.push(event);
    }
    bytes.extend(chunk(chunk_kind::EVENTS, events.as_bytes()));
    bytes.extend(chunk(chunk_kind::EVENTS, events[..70].as_bytes()));
    let trace = check_both(&bytes).expect("a sound trace");
    assert_eq!(trace.events.len(), 2 + 899 + 69);
    assert_eq!(trace.damage.len(), 1);
    assert_eq!(trace.events[2 + 750].thread, 21);
}

/// A file that gets shorter while it is being read is no crash.
#[test]
fn what_was_cut_off_since_cannot_be_read() {
    let file = file_of(&sample());
    let trace = read_file(File::open(&file).expect("it is there")).expect("a sound trace");
    assert_eq!(trace.events.len(), 2);
    file.as_file().set_len(HEADER_SIZE as u64).expect("a cut");
    assert_eq!(trace.events.event(0), None);
    let mut events = Vec::new();
    trace.events.read(0, 2, &mut events);
    assert_eq!(events, []);
}

#[test]
fn what_is_no_trace_is_refused_with_its_place() {
    let refused = |bytes: &[u8]| read(bytes).expect_err("no trace").to_string();
    assert_eq!(refused(b""), "at offset 0: the file is empty");
    assert_eq!(
        refused(b"\x7fELF and more"),
        "at offset 0: this is no whofreed trace"
    );
    let mut other = sample();
    other[8] = 9;
    assert_eq!(
        refused(&other),
        "at offset 8: the trace has format version 9, this whofreed reads version 2"
    );
    let mut swapped = sample();
    swapped[12..16].reverse();
    assert!(refused(&swapped).contains("byte order"));
    assert_eq!(
        refused(&sample()[..20]),
        "at offset 20: the file ends inside its header"
    );
}

/// Whatever is left of a trace is read: never a panic, and every event below the cut is there.
#[test]
fn a_trace_that_ends_anywhere_is_read_up_to_there() {
    let whole = sample();
    let events_start = HEADER_SIZE + CHUNK_SIZE + CHUNK_HEADER_SIZE;
    let interesting = (0..400)
        .chain(HEADER_SIZE - 2..HEADER_SIZE + 700)
        .chain(HEADER_SIZE + CHUNK_SIZE - 2..events_start + 400)
        .chain((0..whole.len()).step_by(97));
    for len in interesting {
        let Some(trace) = check_both(&whole[..len]) else {
            assert!(
                len < size_of::<FileHeader>(),
                "{len} bytes hold the whole header"
            );
            continue;
        };
        let whole_records = len.saturating_sub(events_start) / layout::EVENT_SIZE;
        let expected = whole_records.saturating_sub(1).min(2);
        assert_eq!(trace.events.len(), expected, "of a trace cut at {len}");
        let is_cut = len < whole.len();
        assert_eq!(trace.damage.is_empty(), !is_cut, "at {len}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn broken_bytes_never_panic(flips in prop::collection::vec((0..HEADER_SIZE + CHUNK_SIZE + 1024, any::<u8>()), 1..20)) {
        let mut bytes = sample();
        for (place, value) in flips {
            // Most of a chunk is empty: aim at where something is.
            let place = if place > HEADER_SIZE + 1024 { HEADER_SIZE + CHUNK_SIZE + place % 300 } else { place };
            bytes[place] ^= value;
        }
        if let Some(trace) = check_both(&bytes) {
            prop_assert!(trace.events.len() <= 3);
            prop_assert!(trace.stacks.len() <= bytes.len() / 16 + 1);
        }
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..4096)) {
        let mut bytes = header().as_bytes().to_vec();
        bytes.resize(HEADER_SIZE, 0);
        bytes.extend(noise);
        drop(check_both(&bytes));
    }
}

/// Traces of an older library do not tell: any of their lost events may be one that nobody judged.
#[test]
fn without_a_count_every_lost_event_may_be_unjudged() {
    let older = FileHeader {
        flags: layout::FLAG_FORKED,
        unjudged_events: 0,
        ..header()
    };
    let mut bytes = older.as_bytes().to_vec();
    bytes.resize(HEADER_SIZE, 0);
    let trace = read(&bytes).expect("a trace");
    assert_eq!(trace.unjudged_events, 2);
}
