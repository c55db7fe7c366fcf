//! Stacks in real processes: of every kind that an unwinder stumbles over, each compared with what the C++ runtime's
//! unwinder says.

mod common;

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use common::Host;
use common::Run;
use common::Scratch;
use common::Tracked;
use common::total;
use serde_json::Value;
use whofreed_trace::Events;
use whofreed_trace::read::read_file;

/// What the hosts are compiled with.
const FLAGS: [&[&str]; 4] = [
    &["-O0"],
    &["-O2"],
    &["-O3", "-march=native"],
    &["-O2", "-fno-omit-frame-pointer"],
];

fn library(scratch: &Scratch, source: &str, flags: &[&str], name: &str) -> PathBuf {
    let library = Host::c(source).unlinked().flags(&["-shared", "-fPIC"]);
    library.flags(flags).compile(scratch, name)
}

/// A host that calls the functions that the adapter is for.
fn host(scratch: &Scratch, source: &str, flags: &[&str]) -> PathBuf {
    let pool = library(scratch, "tests/stacks/pool.c", &[], "libpool.so");
    let pool = pool.to_str().expect("a path");
    Host::of(source)
        .flags(flags)
        .flags(&["-Wl,--no-as-needed", pool, "-Wl,-rpath,$ORIGIN"])
        .compile(scratch, "host")
}

/// Runs a host with the adapter, every stack checked. Also says how many were and how many of them differ.
fn checked(scratch: &Scratch, host: &Path, arguments: &[&str]) -> (Tracked, u64, u64) {
    let adapter = common::root().join("tests/stacks/pool.toml");
    let tracked = common::track_with(
        scratch,
        &["--adapters", adapter.to_str().expect("a path")],
        &[("WHOFREED_OPTIONS", "check_stacks=1")],
        host,
        arguments,
    );
    let (checked, differ) = said(&tracked.run);
    assert_eq!(total(&tracked.report, "excess"), 0);
    (tracked, checked, differ)
}

/// Runs a host that is linked with the library and not under anything, every stack checked. Its own account, how many
/// were and how many of them differ.
fn checked_linked(scratch: &Scratch, host: &Path, arguments: &[&str]) -> (Value, u64, u64) {
    let trace = scratch.file("linked.wft");
    let options = format!("stacks=all:check_stacks=1:trace={}", trace.display());
    let mut command = Command::new(host);
    command.args(arguments).env("WHOFREED_OPTIONS", options);
    let run = common::run(&mut command).expect_code(0);
    let (checked, differ) = said(&run);
    (run.truth(), checked, differ)
}

/// What the library says of the checks at the end: how many there were, and how many of the stacks differ.
fn said(run: &Run) -> (u64, u64) {
    let line = run.stderr.lines().find_map(|line| {
        let line = line.strip_prefix("whofreed: ")?;
        line.strip_suffix(" of them differ")?
            .split_once(" stacks checked, ")
    });
    let (checked, differ) = line.expect("a line about the checks");
    let number = |text: &str| text.parse().expect("a number");
    (number(checked), number(differ))
}

#[test]
fn every_stack_is_what_the_runtimes_unwinder_says() {
    let scratch = Scratch::new("stacks");
    let rounds = if common::soak() { "30000" } else { "1000" };
    let (mut all, mut different) = (0, 0);
    for flags in FLAGS {
        let host = host(&scratch, "tests/stacks/torture.cpp", flags);
        let (tracked, checked, differ) = checked(&scratch, &host, &["1", rounds, "2"]);
        // All of them by our own unwinder.
        let events = tracked.run.expect_code(0).truth()["events"].as_u64();
        assert!(checked >= events.expect("the host counts"), "{checked}");
        all += checked;
        different += differ;
    }
    common::note(
        "stacks held against the runtime's unwinder, and how many differ",
        &format!("{all}, {different}"),
    );
    assert_eq!(different, 0);
}

/// Signals that come at any time, also into the middle of an unwind: the host lives, and what is lost is told.
#[test]
fn signals_at_any_time_do_the_unwinder_no_harm() {
    let scratch = Scratch::new("stacks-async");
    let rounds = if common::soak() { "5000" } else { "300" };
    for flags in &FLAGS[1..3] {
        let host = host(&scratch, "tests/stacks/torture.cpp", flags);
        let adapter = common::root().join("tests/stacks/pool.toml");
        let adapter = adapter.to_str().expect("a path");
        let tracked = common::track(
            &scratch,
            &["--adapters", adapter],
            &host,
            &["1", rounds, "2", "async"],
        );
        tracked.run.expect_code(0);
        common::check_identities(&tracked.report);
    }
}

/// Two libraries whose one function calls at the same place, with frames of different size.
fn twins(scratch: &Scratch) -> [String; 2] {
    // Both sizes make instructions of the same length, so that the call returns to the same address.
    [("24", "small.so"), ("88", "large.so")].map(|(size, name)| {
        let size = format!("-DSIZE={size}");
        let library = library(scratch, "tests/stacks/frame.c", &[&size], name);
        library.to_str().expect("a path").to_owned()
    })
}

/// What is known of return addresses is of the library that was there, and of no other.
#[test]
fn the_unwinder_knows_a_library_from_another_at_its_place() {
    let scratch = Scratch::new("stacks-reload");
    let host = host(&scratch, "tests/stacks/reload.c", &["-ldl"]);
    let [small, large] = twins(&scratch);
    let times = if common::soak() { "20000" } else { "500" };
    let (tracked, checked, differ) = checked(&scratch, &host, &[times, &small, &large]);
    let truth = tracked.run.expect_code(0).truth();
    assert!(truth["same"].as_u64() > Some(100), "{truth}");
    assert!(Some(checked) >= truth["events"].as_u64(), "{checked}");
    assert_eq!(differ, 0);
}

/// The same where nobody tells us that a library was closed.
#[test]
fn in_a_linked_host_too_the_unwinder_knows_a_library_from_another_at_its_place() {
    let scratch = Scratch::new("stacks-reload-linked");
    let host = Host::c("tests/stacks/reload.c").flags(&["-DLINKED", "-ldl"]);
    let host = host.compile(&scratch, "host");
    let [small, large] = twins(&scratch);
    let times = if common::soak() { "20000" } else { "500" };
    let (truth, checked, differ) = checked_linked(&scratch, &host, &[times, &small, &large]);
    assert!(truth["same"].as_u64() > Some(100), "{truth}");
    assert!(Some(checked) >= truth["events"].as_u64(), "{checked}");
    assert_eq!(differ, 0);
}

/// Every kind of stack in a host that tells by the C interface alone.
#[test]
fn every_stack_of_a_linked_host_is_what_the_runtimes_unwinder_says() {
    let scratch = Scratch::new("stacks-linked");
    let rounds = if common::soak() { "30000" } else { "500" };
    // The pool's functions do nothing here.
    let host = host(&scratch, "tests/stacks/torture.cpp", &["-O2"]);
    let (_, checked, differ) = checked_linked(&scratch, &host, &["1", rounds, "2"]);
    common::note(
        "stacks of a linked host held against the runtime's unwinder, and how many differ",
        &format!("{checked}, {differ}"),
    );
    assert!(checked > 10_000, "{checked}");
    assert_eq!(differ, 0);
}

/// Code that was made at run time and registered is known to the runtime's unwinder alone, which is asked then.
#[test]
fn the_unwinder_leaves_registered_code_to_the_runtimes() {
    let scratch = Scratch::new("stacks-jit");
    let host = host(&scratch, "tests/stacks/jit.c", &[]);
    let adapter = common::root().join("tests/stacks/pool.toml");
    let options = ["--adapters", adapter.to_str().expect("a path")];
    let tracked = common::track(&scratch, &options, &host, &[""; 0]);
    tracked.run.expect_code(0);
    assert_eq!(total(&tracked.report, "excess"), 1);
    let freed = tracked.report["culprits"][0]["stacks"]["freed"].to_string();
    assert!(freed.contains("\"main\""), "{freed}");
}

/// A function without a rule of ours is left to the runtime's unwinder, unless a signal may have interrupted it
/// anywhere: that unwinder can die of it, so the stack is cut there.
#[test]
fn behind_an_interrupted_function_that_is_not_known_a_stack_is_cut() {
    let scratch = Scratch::new("stacks-odd");
    let host = host(&scratch, "tests/stacks/odd_frame.c", &[]);
    let adapter = common::root().join("tests/stacks/pool.toml");
    let options = ["--adapters", adapter.to_str().expect("a path")];
    let freed = |arguments: &[&str]| {
        let tracked = common::track(&scratch, &options, &host, arguments);
        tracked.run.expect_code(0);
        assert_eq!(total(&tracked.report, "excess"), 1);
        let file = File::open(&tracked.trace).expect("the trace is there");
        let trace = read_file(file).expect("it is one");
        let mut events = (0..trace.events.len()).filter_map(|index| trace.events.event(index));
        let excess = events.find(|event| event.verdict.is_excess());
        let stack = excess.expect("there is one").stack;
        let stack = &trace.stacks[stack.0 as usize];
        (stack.truncated, stack.native.len())
    };
    let (is_truncated, frames) = freed(&["whole"]);
    assert!(!is_truncated && frames > 3, "{frames} frames");
    // The handler's own, the kernel's, and down to the function.
    let (is_truncated, frames) = freed(&[]);
    assert!(is_truncated && frames > 3, "{frames} frames");
}
