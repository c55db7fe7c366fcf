//! Traces long enough to be compressed while they are recorded: nothing is missing, whenever the host dies, and the
//! disk is spared.

mod common;

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::Host;
use common::Scratch;
use common::number;
use common::total;
use whofreed_trace::Events;
use whofreed_trace::FileEvents;
use whofreed_trace::Trace;
use whofreed_trace::read::read_file;

const PAIRS: u64 = 150_000;

fn churn(scratch: &Scratch) -> PathBuf {
    let flags = ["-O2", "-pthread"];
    let host = Host::c("benches/churn.c").flags(&flags).unlinked();
    host.compile(scratch, "churn")
}

fn read(trace: &Path) -> Trace<FileEvents> {
    // It may get its name at this moment.
    let mut files = (0..10).filter_map(|_| File::open(common::place_of(trace)).ok());
    let file = files.next().expect("the trace is there");
    read_file(file).expect("it is one")
}

/// Starts a host under whofreed, and returns when so much is on record that some of it is compressed.
fn record_in_background(trace: &Path, host: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(common::cli());
    command.args(["run", "--adapters", "libc", "--report", "/dev/null"]);
    command.arg("--trace").arg(trace).arg("--").arg(host);
    command.args(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let run = command.spawn().expect("the launcher starts");
    while std::fs::metadata(common::place_of(trace)).map_or(0, |trace| trace.len()) < 4 << 20 {
        thread::sleep(Duration::from_millis(1));
    }
    run
}

/// The numbers of events at each address have no gap, and none comes twice. Returns how many events there are.
fn check_steps(trace: &Trace<FileEvents>) -> u64 {
    assert_eq!(trace.damage, []);
    let mut steps: HashMap<(u32, u64), Vec<u64>> = HashMap::new();
    let mut events = Vec::new();
    for run in trace.events.runs() {
        events.clear();
        trace
            .events
            .read(run.first, run.count as usize, &mut events);
        assert_eq!(events.len() as u64, run.count, "{run:?}");
        for event in &events {
            if event.step != 0 {
                let place = (event.device, event.address);
                steps.entry(place).or_default().push(event.step);
            }
        }
    }
    let mut count = 0;
    for (place, mut steps) in steps {
        count += steps.len() as u64;
        steps.sort_unstable();
        let expected: Vec<u64> = (1..=steps.len() as u64).collect();
        assert_eq!(steps, expected, "at {place:x?}");
    }
    count
}

#[test]
fn a_long_trace_is_whole_and_takes_a_few_bytes_for_each_event() {
    let scratch = Scratch::new("compressed");
    let host = churn(&scratch);
    for threads in [1, 3] {
        let arguments = [threads.to_string(), PAIRS.to_string()];
        let tracked = common::track(&scratch, &["--adapters", "libc"], &host, &arguments);
        tracked.run.expect_code(0);
        let pairs = threads * PAIRS;
        assert!(total(&tracked.report, "allocations") >= pairs);
        assert!(total(&tracked.report, "deallocations") >= pairs);
        assert_eq!(total(&tracked.report, "excess"), 0);
        assert_eq!(number(&tracked.report, &["totals", "dropped_events"]), 0);
        let events = check_steps(&read(&tracked.trace));
        let on_disk = std::fs::metadata(&tracked.trace)
            .expect("it is there")
            .blocks()
            * 512;
        // Without compression it would be 64 for each. A writer that is kept waiting leaves some of them.
        assert!(on_disk < 16 * events, "{on_disk} bytes for {events} events");
    }
}

#[test]
fn a_host_that_is_killed_while_its_events_are_compressed_has_each_of_them_once() {
    let scratch = Scratch::new("compressed-killed");
    let host = churn(&scratch);
    let rounds = if common::soak() { 300 } else { 12 };
    let mut compressed = 0;
    for round in 0..rounds {
        let trace = scratch.file(&format!("killed-{round}.wft"));
        let mut run = record_in_background(&trace, &host, &["3", "100000000"]);
        thread::sleep(Duration::from_micros(37_003 * round % 150_000));
        let pid = read(&trace).process.pid;
        // SAFETY: the process is the host that the launcher waits for, so its number is nobody else's.
        assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGKILL) }, 0);
        run.wait().expect("the launcher ends");
        let trace_of_killed = read(&trace);
        let events = check_steps(&trace_of_killed);
        assert!(events > 1_000, "{events} events");
        let size = std::fs::metadata(&trace).expect("it is there").blocks() * 512;
        compressed += u64::from(size < 32 * events);
        std::fs::remove_file(&trace).expect("it was there");
    }
    common::note(
        "compressed-killed",
        &format!("{rounds} hosts killed, {compressed} of them with most events compressed"),
    );
    assert!(compressed > 0, "nothing was compressed");
}

#[test]
fn a_trace_that_is_read_while_its_host_records_has_no_event_twice() {
    let scratch = Scratch::new("compressed-live");
    let host = churn(&scratch);
    let trace = scratch.file("live.wft");
    let mut run = record_in_background(&trace, &host, &["2", "300000"]);
    let (mut before, mut most_gaps) = (0, 0);
    while run.try_wait().expect("it can be asked").is_none() {
        let live = read(&trace);
        let events = live.events.len();
        assert!(events >= before, "{events} after {before}");
        before = events;
        let mut seen = HashSet::new();
        let mut of_run = Vec::new();
        for run in live.events.runs() {
            of_run.clear();
            let count = run.count as usize;
            live.events.read(run.first, count, &mut of_run);
            assert_eq!(of_run.len(), count);
            for event in of_run.iter().filter(|event| event.step != 0) {
                let is_new = seen.insert((event.device, event.address, event.step));
                assert!(is_new, "{event:?}");
            }
        }
        // What the threads were at while it was read may be there in part.
        let has_before = |(device, address, step): &&(u32, u64, u64)| {
            *step == 1 || seen.contains(&(*device, *address, step - 1))
        };
        let gaps = seen.iter().filter(|place| !has_before(place)).count();
        most_gaps = most_gaps.max(gaps);
    }
    common::note("compressed-live", &format!("{most_gaps} gaps at the most"));
    let whole = read(&trace);
    assert!(whole.events.len() >= before);
    let events = check_steps(&whole);
    assert!(events >= 1_200_000, "{events} events");
}

fn monotonic_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the place is valid.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[test]
fn times_are_those_of_the_monotonic_clock_whatever_clock_was_read() {
    const LITTLE: u64 = 100_000;
    let scratch = Scratch::new("clock");
    let host = churn(&scratch);
    let before = monotonic_ns();
    let arguments = ["1", "100000"];
    let tracked = common::track(&scratch, &["--adapters", "libc"], &host, &arguments);
    let after = monotonic_ns();
    let trace = read(&tracked.trace);
    let mut events = Vec::new();
    for run in trace.events.runs() {
        trace
            .events
            .read(run.first, run.count as usize, &mut events);
    }
    let first = events
        .iter()
        .map(|event| event.time_ns)
        .min()
        .expect("some");
    let last = events
        .iter()
        .map(|event| event.time_ns)
        .max()
        .expect("some");
    assert!(
        before < first && last < after,
        "{before} {first} {last} {after}"
    );
    // The host has measured its loop, in which most of the events are.
    let said = tracked.run.expect_code(0).stdout;
    let wall = said
        .split("wall_ns=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let wall: u64 = wall.and_then(|wall| wall.parse().ok()).expect("it says so");
    assert!(wall < last - first + LITTLE, "{wall} {first} {last}");
}

#[test]
fn children_that_are_forked_in_the_middle_of_an_event_leave_the_parents_trace_alone() {
    let scratch = Scratch::new("fork-inside");
    let host = Host::c("c_tests/fork_inside.c").compile(&scratch, "host");
    let tracked = common::track(&scratch, &["--stacks", "excess"], &host, &["200000"]);
    let truth = tracked.run.expect_code(0).truth();
    assert!(number(&truth, &["forks"]) > 10, "{truth}");
    assert_eq!(check_steps(&read(&tracked.trace)), 400_000);
}
