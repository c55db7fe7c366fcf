//! Memory that the kernel does not grant, and limits of the host's process.

use crate::common;
use crate::common::Row;
use crate::unkind::Unkind;

const WORDS: [&str; 5] = ["2", "6000", "more", "fork", "flush"];
const TRACED: &str = "trace=host.wft:summary=0";

#[test]
fn the_kth_mapping_can_fail() {
    let row = Row::new(
        "memory",
        "our k-th mmap fails, k = 1..50: once, or from then on",
        "P1 P2 P3",
    );
    let unkind = Unkind::new("mmap");
    let alone = unkind.alone(&WORDS);
    let (mut runs, mut lost) = (0, 0);
    for k in (1..=50).step_by(if common::soak() { 1 } else { 12 }) {
        for last in [k, i64::MAX] {
            let failing = format!("libwhofreed.so mmap 0 {k} {last} 12");
            let outcome = unkind.preloaded(&WORDS, TRACED, Some(&failing));
            outcome.check(&alone, &failing);
            assert!(!outcome.failed.is_empty(), "{failing}: was not met");
            lost += u64::from(outcome.dropped > 0);
            let launched = unkind.launched(&WORDS, &[], Some(&failing));
            launched.check(&alone, &failing);
            runs += 2;
        }
    }
    row.held(
        runs,
        &format!(
            "the host goes on; without a launcher, events were lost in {lost}, every one counted"
        ),
    );
}

/// A limit that the host sets itself, before the first event and after it.
#[test]
fn limits_that_the_host_sets_disturb_nobody() {
    const FSIZE: u32 = 1;
    const STACK: u32 = 3;
    const NOFILE: u32 = 7;
    const AS: u32 = 9;
    let unkind = Unkind::new("limits");
    let limits: [(&str, u32, &[u32]); 4] = [
        (
            "RLIMIT_AS",
            AS,
            &[16 << 20, 64 << 20, 400 << 20, 2_000_000_000],
        ),
        ("RLIMIT_NOFILE", NOFILE, &[0, 3]),
        ("RLIMIT_FSIZE", FSIZE, &[0, 100_000, 3_000_000]),
        ("RLIMIT_STACK", STACK, &[64 << 10]),
    ];
    for (name, resource, values) in limits {
        let fault =
            format!("{name} of {values:?}, set by the host before the first event or after it");
        let row = Row::new("limits", fault, "P1 P2 P3");
        let mut runs = 0;
        for value in values {
            let limit = format!("limit={resource},{value}");
            for words in [
                ["2", "6000", "first", &limit, "more", "flush"],
                ["2", "6000", &limit, "more", "flush", "more"],
            ] {
                let alone = unkind.alone(&words);
                assert_eq!(alone.code(), 23, "{name}: {}", alone.stderr);
                let outcome = unkind.preloaded(&words, TRACED, None);
                outcome.check(&alone, &limit);
                unkind
                    .preloaded(&words, "summary=0", None)
                    .check_host(&alone, &limit);
                unkind.launched(&words, &[], None).check(&alone, &limit);
                runs += 3;
            }
        }
        row.held(
            runs,
            "the host goes on, without a signal; what was lost is counted",
        );
    }
}

/// Whoever ends without its exit handlers cannot say at its end what no trace tells.
#[test]
fn a_child_that_has_no_memory_for_a_thread_says_so_when_it_loses_the_first_event() {
    let row = Row::new(
        "memory",
        "a forked child without memory for a thread, which ends by _exit",
        "P3 P6",
    );
    let scratch = common::Scratch::new("poor-child");
    let host = common::Host::c("c_tests/life/poor_child.c").compile(&scratch, "host");
    let mut command = std::process::Command::new(host);
    command.env("WHOFREED_OPTIONS", "summary=0:trace=host.wft");
    let run = common::run(command.current_dir(scratch.path())).expect_code(0);
    assert_eq!(
        run.stderr,
        "whofreed: the host grants no memory for a thread: its events are lost\n"
    );
    row.held(1, "100 events lost, counted, and told in a sentence");
}

/// The host of room.c under limits of a shell: `ulimit LIMIT`, in KiB.
fn in_room(limit: &str, rounds: &str) -> common::Run {
    let scratch = common::Scratch::new("room");
    let host = common::Host::c("c_tests/life/room.c").compile(&scratch, "host");
    let mut command = std::process::Command::new("sh");
    let script = format!("ulimit {limit} && exec '{}' {rounds}", host.display());
    command.args(["-c", &script]).current_dir(scratch.path());
    common::run(command.env("WHOFREED_OPTIONS", "trace=host.wft"))
}

/// What is reserved counts against limits on data as well as on the address space, though nothing of it is used.
#[test]
fn a_limited_host_has_most_of_its_room_for_itself() {
    let row = Row::new(
        "memory",
        "malloc of 64 MiB and a new thread under `ulimit -d` and `ulimit -v`, after the first event",
        "P1",
    );
    let limits = [
        "-d 500000",
        "-d 2000000",
        "-d 8000000",
        "-v 500000",
        "-v 8000000",
    ];
    for limit in limits {
        let run = in_room(limit, "10").expect_code(0);
        assert!(
            run.stderr.contains("10 excess frees"),
            "{limit}: {}",
            run.stderr
        );
    }
    row.held(limits.len() as u64, "as alone, and the summary at exit");
}

#[test]
fn a_host_without_room_for_its_summary_ends_as_alone() {
    let row = Row::new(
        "memory",
        "300,000 excess frees and a summary at exit under `ulimit -v 250000`",
        "P1 P2",
    );
    let run = in_room("-v 250000", "300000").expect_code(0);
    let line = "whofreed: the host has no memory left for a report of its own; its trace, ";
    assert!(run.stderr.contains(line), "{}", run.stderr);
    row.held(
        1,
        "the host's end is its own; the summary is left out, with a sentence",
    );
}

/// Each trace is a file that stays open until the report is made.
#[test]
fn more_traces_than_files_may_be_open_are_read() {
    const TRACE_ID: usize = 32;
    let row = Row::new(
        "memory",
        "a report on 100 traces under `ulimit -Sn 64`",
        "P2 P6",
    );
    let scratch = common::Scratch::new("many-traces");
    let host = common::Host::c("c_tests/life/room.c").compile(&scratch, "host");
    let mut command = std::process::Command::new(host);
    command.arg("10").current_dir(scratch.path());
    command.env("WHOFREED_OPTIONS", "trace=host.wft:summary=0");
    common::run(&mut command).expect_code(0);
    let mut bytes = std::fs::read(scratch.file("host.wft")).expect("the trace");
    let traces: Vec<_> = (1..=100_u64)
        .map(|id| {
            bytes[TRACE_ID..TRACE_ID + 8].copy_from_slice(&id.to_ne_bytes());
            let path = scratch.file(&format!("{id}.wft"));
            std::fs::write(&path, &bytes).expect("a copy");
            path
        })
        .collect();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -Sn 64 && exec \"$@\"", "sh"]);
    command
        .arg(common::cli())
        .args(["report", "--format", "json"]);
    let run = common::run(command.args(&traces)).expect_code(0);
    assert_eq!(run.stderr, "");
    let report = serde_json::from_str(&run.stdout).expect("the report is JSON");
    assert_eq!(common::total(&report, "events"), 3000);
    row.held(100, "all are read");
}
