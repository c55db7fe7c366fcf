//! Traces that were cut or changed: whatever becomes of the bytes, the reader tells where, and takes no more memory
//! than a small multiple of them.

mod heap;

use std::fs;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use whofreed_report::TextOptions;
use whofreed_trace::Frame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::layout::CHUNK_HEADER_SIZE;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::ChunkHeader;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::SEGMENT_SPAN;
use whofreed_trace::read;
use zerocopy::FromBytes as _;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;

/// A reader may hold so much whatever it reads: a copy of a segment, and the words of its faults.
const MEMORY: usize = 2 << 20;
/// Beyond that, so many times the bytes that it reads: what events take in memory, compressed to three bytes each.
const TIMES: usize = 8;

const PYTHON: &str = "
import ctypes, sys
wf = ctypes.CDLL(sys.argv[1])
take = lambda at: wf.wf_allocate(0, ctypes.c_uint64(at), ctypes.c_uint64(64), 0, ctypes.c_uint64(0))
def give(at):
    wf.wf_deallocate(0, ctypes.c_uint64(at), ctypes.c_uint64(0))
def evict(at):
    give(at)
for at in range(4096, 8192, 256):
    take(at); give(at); evict(at)
";

/// A trace of a real process.
struct Recorded {
    name: &'static str,
    bytes: Vec<u8>,
}

fn linked(scratch: &Scratch, program: &Path, arguments: &[&str], name: &str) -> Vec<u8> {
    let trace = scratch.file(name);
    let options = format!("summary=0:trace={}", trace.display());
    common::run(
        Command::new(program)
            .args(arguments)
            .env("WHOFREED_OPTIONS", options),
    );
    fs::read(&trace).expect("a trace")
}

/// Every event there is, compressed and as it was written; threads that were killed; frames of Python.
fn recorded() -> Vec<Recorded> {
    let scratch = Scratch::new("corrupt");
    let api = Host::c("c_tests/api.c").compile(&scratch, "api");
    let killed = Host::c("c_tests/sigkill.c").compile(&scratch, "killed");
    let tracked = common::track(&scratch, &[], &api, &["quick"]);
    let mut all = vec![
        ("compressed", fs::read(&tracked.trace).expect("a trace")),
        (
            "as it was written",
            linked(&scratch, &api, &["quick"], "api.wft"),
        ),
        (
            "killed",
            linked(&scratch, &killed, &["200", "4"], "killed.wft"),
        ),
    ];
    let shim = common::shim();
    let library = shim.to_str().expect("a path");
    let python = Path::new("python3");
    if Command::new(python).arg("--version").output().is_ok() {
        let bytes = linked(&scratch, python, &["-c", PYTHON, library], "python.wft");
        let trace = read::read(&bytes).expect("a trace");
        let frames = trace.stacks.iter().map(|stack| stack.python.len());
        assert!(frames.sum::<usize>() > 0, "there are frames of Python");
        all.push(("python", bytes));
    } else {
        common::skip("corrupt: python", "there is no python3");
    }
    let all = all.into_iter();
    all.map(|(name, bytes)| Recorded { name, bytes }).collect()
}

/// The bytes that a reader looks at: headers, and what chunks say that they hold. The rest of a file is of no use.
fn used(bytes: &[u8]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..size_of::<FileHeader>()).collect();
    let mut at = HEADER_SIZE;
    while at < bytes.len() {
        let (header, _) = ChunkHeader::read_from_prefix(&bytes[at..]).expect("a header");
        let end = at + CHUNK_HEADER_SIZE + header.committed as usize;
        places.extend(at..end.min(bytes.len()));
        at += CHUNK_SIZE * usize::from(header.span.clamp(1, SEGMENT_SPAN));
    }
    places.push(bytes.len());
    places
}

/// Names nothing.
struct Nameless;

impl StackNames for Nameless {
    fn frames(&self, _trace: usize, _stack: StackId) -> Arc<[Frame]> {
        Arc::default()
    }
}

/// What a reader may say about these bytes; how many events it found.
#[track_caller]
fn check(bytes: &[u8], with_analysis: bool) -> Option<usize> {
    let size = bytes.len() as u64;
    let (found, most) = heap::most_of(|| read::read(bytes));
    assert!(
        most <= MEMORY + TIMES * bytes.len(),
        "{most} bytes for {size}"
    );
    let trace = match found {
        Ok(trace) => trace,
        Err(error) => {
            assert!(error.offset <= size, "{error} in {size} bytes");
            return None;
        }
    };
    for damage in &trace.damage {
        assert!(damage.offset <= size, "{damage:?} in {size} bytes");
    }
    let events = trace.events.len();
    if with_analysis {
        outputs(&[trace]);
    }
    Some(events)
}

/// Every output about a trace, whatever is wrong with it.
fn outputs(traces: &[Trace]) {
    let analysis = whofreed_analysis::analyse(traces, &Nameless);
    let text = whofreed_report::to_text(&analysis, &TextOptions::default());
    assert!(!text.is_empty());
    let json = whofreed_report::to_json(&analysis);
    let _: serde_json::Value = serde_json::from_str(&json).expect("JSON");
}

#[test]
fn a_trace_that_ends_anywhere_is_read_up_to_there() {
    let row = Row::new("corrupt", "traces cut at every byte that is used", "P5");
    let step = if common::soak() { 1 } else { 61 };
    let (mut cuts, mut traces) = (0, 0);
    for Recorded { name, bytes } in recorded() {
        traces += 1;
        let whole = check(&bytes, true).expect("a whole trace");
        assert!(whole > 0, "{name}");
        let mut most = 0;
        for (turn, &end) in used(&bytes).iter().enumerate().step_by(step) {
            let events = check(&bytes[..end], turn % (97 * step) == 0);
            assert_eq!(
                events.is_none(),
                end < size_of::<FileHeader>(),
                "{name} cut at {end}"
            );
            // The longer, the more.
            assert!(events.unwrap_or(0) >= most, "{name} cut at {end}");
            most = events.unwrap_or(0).max(most);
            if end < bytes.len() && end >= size_of::<FileHeader>() {
                let trace = read::read(&bytes[..end]).expect("checked above");
                assert!(!trace.damage.is_empty(), "{name} cut at {end} in silence");
            }
            cuts += 1;
        }
        assert_eq!(check(&bytes, false), Some(whole), "{name}");
    }
    row.held(
        cuts,
        &format!("each of {traces} traces is read up to its end, which is told with its offset"),
    );
}

/// The same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % bound
    }
}

/// Changes up to four bits or bytes at once; how often nobody noticed.
fn flip(recorded: &Recorded, turns: u64, seed: u64) -> u64 {
    let mut random = Random(seed);
    let mut bytes = recorded.bytes.clone();
    let places = used(&bytes);
    let mut unnoticed = 0;
    for turn in 0..turns {
        let mut before = Vec::new();
        for _ in 0..=random.below(4) {
            let at = places[random.below(places.len() - 1)];
            before.push((at, bytes[at]));
            bytes[at] = match random.below(8) {
                0 => 0xff,
                1 => 0,
                2 => bytes[at].wrapping_add(1),
                bit => bytes[at] ^ 1 << bit,
            };
        }
        unnoticed += u64::from(check(&bytes, turn % 512 == 0).is_some());
        for (at, byte) in before.into_iter().rev() {
            bytes[at] = byte;
        }
    }
    assert_eq!(bytes, recorded.bytes);
    unnoticed
}

#[test]
fn bits_that_flip_are_an_error_with_an_offset_or_another_trace() {
    let row = Row::new(
        "corrupt",
        "bits and bytes flipped in traces, up to four at once",
        "P5",
    );
    let turns: u64 = if common::soak() { 1_000_000 } else { 10_000 };
    let traces = recorded();
    let threads = 2;
    let each = turns.div_ceil(threads * traces.len() as u64);
    let read: u64 = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let traces = &traces;
                scope.spawn(move || {
                    let of = |(index, trace)| flip(trace, each, number * 100 + index);
                    (0..).zip(traces).map(of).sum::<u64>()
                })
            })
            .collect();
        let read = workers
            .into_iter()
            .map(|worker| worker.join().expect("no panic"));
        read.sum()
    });
    let done = each * threads * traces.len() as u64;
    row.held(
        done,
        &format!(
            "{read} were read, with what is wrong told; the others are refused with the offset"
        ),
    );
}

#[test]
fn a_corrupt_file_is_refused_or_reported_on_by_each_command() {
    let row = Row::new(
        "corrupt",
        "report, history and diff of cut and changed files",
        "P5",
    );
    let scratch = Scratch::new("commands");
    let traces = recorded();
    let whole = scratch.file("whole.wft");
    fs::write(&whole, &traces[0].bytes).expect("a file");
    let path = scratch.file("broken.wft");
    let rounds = if common::soak() { 100 } else { 3 };
    let mut random = Random(7);
    let mut runs = 0;
    for round in 0..rounds {
        let bytes = &traces[round % traces.len()].bytes;
        let places = used(bytes);
        let mut broken = bytes.clone();
        for _ in 0..20 {
            broken[places[random.below(places.len() - 1)]] ^= 1 << random.below(8);
        }
        if round % 3 == 0 {
            broken.truncate(places[random.below(places.len())]);
        }
        File::create(&path)
            .and_then(|mut file| file.write_all(&broken))
            .expect("a file");
        let both = [path.as_os_str(), whole.as_os_str()];
        let commands: [(&str, &[&std::ffi::OsStr], &[&str]); 4] = [
            ("report", &both[..1], &[]),
            ("report", &both[..1], &["--format", "json"]),
            (
                "history",
                &both[..1],
                &["--device", "0", "--address", "4096"],
            ),
            ("diff", &both, &[]),
        ];
        for (command, files, options) in commands {
            let mut process = Command::new(common::cli());
            let run = common::run(process.arg(command).args(files).args(options));
            runs += 1;
            if run.code() == 0 {
                assert!(!run.stdout.is_empty());
            } else {
                assert_eq!(run.code(), 125, "{}", run.stderr);
                assert!(run.stderr.contains("offset"), "{}", run.stderr);
            }
            assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
        }
    }
    row.held(
        runs,
        "a report that tells the damage, or exit code 125 and the offset",
    );
}
