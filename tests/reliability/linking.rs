//! Libraries opened in the ways that tools of our kind broke, by a program whose heap is recorded: c_tests/linking.c.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::common::total;

/// The program, `libouter.so` beside it, and `libinner.so` in a folder that only RUNPATH leads to.
fn build(scratch: &Scratch) -> PathBuf {
    fs::create_dir(scratch.file("sub")).expect("a folder");
    let plugin = |flags: &[&str], name: &str| {
        let library = Host::c("c_tests/linking_plugin.c").unlinked();
        let shared = ["-shared", "-fPIC", "-Wl,--enable-new-dtags"];
        library.flags(&shared).flags(flags).compile(scratch, name);
    };
    plugin(&["-Wl,-soname,libinner.so"], "sub/libinner.so");
    plugin(
        &["-DINNER=\"libinner.so\"", "-Wl,-rpath,$ORIGIN/sub"],
        "libouter.so",
    );
    fs::copy(scratch.file("sub/libinner.so"), scratch.file("libinner.so")).expect("a copy");
    let flags = ["-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/sub", "-ldl"];
    let host = Host::c("c_tests/linking.c").unlinked().flags(&flags);
    host.compile(scratch, "host")
}

fn check(mode: &str, runs: u64) {
    let scratch = Scratch::new("linking");
    let host = build(&scratch);
    let folder = scratch.path().to_str().expect("a path");
    for _ in 0..runs {
        let alone = common::run(Command::new(&host).args([mode, folder])).expect_code(7);
        let tracked = common::track(&scratch, &["--adapters", "libc"], &host, &[mode, folder]);
        let run = tracked.run.expect_code(7);
        assert_eq!(run.stdout, alone.stdout, "{}", run.stderr);
        common::check_identities(&tracked.report);
        assert_eq!(total(&tracked.report, "excess"), 0);
        assert_eq!(total(&tracked.report, "dropped_events"), 0);
    }
}

fn runs() -> u64 {
    if common::soak() { 50 } else { 1 }
}

#[test]
fn bare_names_are_found_by_the_runpath_of_who_asks() {
    let row = Row::new(
        "loader",
        "dlopen of bare names that RUNPATH leads to, from program and library",
        "P1",
    );
    check("names", 1);
    row.held(1, "found as alone");
}

#[test]
fn a_namespace_of_the_loader_is_as_it_is_alone() {
    let row = Row::new("loader", "dlmopen with a C library of its own", "P1");
    check("namespace", 1);
    row.held(1, "as alone");
}

#[test]
fn events_under_the_loaders_lock_wait_for_nobody() {
    let row = Row::new(
        "loader",
        "events in a callback of dl_iterate_phdr, two threads that open and close",
        "P1 P4",
    );
    check("callback", runs());
    row.held(runs() * 300, "no hang, nothing lost");
}

#[test]
fn a_destructor_that_joins_a_thread_does_not_hang() {
    let row = Row::new(
        "loader",
        "dlclose of a library whose destructor joins a thread that records",
        "P1 P4",
    );
    check("destructor", runs());
    row.held(runs() * 50, "no hang, nothing lost");
}

#[test]
fn the_first_touch_of_a_late_librarys_thread_storage_is_an_event_like_any() {
    let row = Row::new(
        "loader",
        "first touch of dynamic TLS in a new thread",
        "P1 P3",
    );
    check("storage", runs());
    row.held(runs() * 200, "nothing lost");
}
