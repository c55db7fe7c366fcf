//! What people at a debugger have: gdb/whofreed.gdb, under gdb.

mod common;

use std::path::Path;
use std::process::Command;

use common::Host;
use common::Run;
use common::Scratch;

/// A host that frees 0x60 once too often, in `give`.
fn host() -> Host {
    Host::c("c_tests/hazards.c").flags(&["-g", "-O0"])
}

fn has_gdb(test: &str) -> bool {
    let is_there = Command::new("gdb").arg("--version").output().is_ok();
    if !is_there {
        common::skip(test, "there is no gdb here");
    }
    is_there
}

/// The host under gdb with our commands and then these.
fn debug(host: &Path, options: &str, before: &[&str], commands: &[&str]) -> Run {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("gdb/whofreed.gdb");
    let mut command = Command::new("gdb");
    command.args(["-q", "-batch", "-nx"]);
    for early in before {
        command.args(["-ex", early]);
    }
    command.arg("-x").arg(file);
    for later in commands {
        command.args(["-ex", later]);
    }
    command.arg("--args").arg(host).arg("many");
    command.env("WHOFREED_OPTIONS", options);
    common::run(&mut command)
}

fn check_stop(run: &Run) {
    let said = &run.stdout;
    for told in [
        "whofreed: excess free of 0x60 on device 1 by owner 0x0: already freed\n",
        ", kind 0, event 3 at this address\n",
    ] {
        assert!(said.contains(told), "{said}\n{}", run.stderr);
    }
    // Who freed, without frames of ours.
    let frames: Vec<&str> = said.lines().filter(|line| line.starts_with('#')).collect();
    let begins = |frame: &str, name: &str| frame.split_whitespace().nth(1) == Some(name);
    let [give, main, ..] = frames.as_slice() else {
        panic!("{said}");
    };
    assert!(begins(give, "give") && begins(main, "main"), "{said}");
    assert!(give.contains("hazards.c:"), "{said}");
}

#[test]
fn gdb_stops_at_an_excess_free_and_tells_of_it() {
    let name = "gdb_stops_at_an_excess_free_and_tells_of_it";
    if !has_gdb(name) {
        return;
    }
    let scratch = Scratch::new("gdb");
    let host = host().compile(&scratch, "host");
    let commands = [
        "run",
        "whofreed-culprits",
        "whofreed-go",
        "break wf_stats",
        "continue",
        "whofreed-culprits",
        "continue",
    ];
    let run = debug(&host, "summary=0", &[], &commands);
    check_stop(&run);
    let is_refused = run.stdout.contains("in the middle of a free");
    assert!(is_refused, "{}", run.stdout);
    assert!(run.stdout.contains("exited normally"), "{}", run.stdout);
    let is_told = run.stderr.contains("excess free of 0x60 on device 1");
    assert!(is_told, "{}", run.stderr);
}

#[test]
fn gdb_stops_in_a_host_that_is_preloaded() {
    let name = "gdb_stops_in_a_host_that_is_preloaded";
    if !has_gdb(name) {
        return;
    }
    let scratch = Scratch::new("gdb-preloaded");
    let flags = ["-g", "-O0", "-DWHOFREED_WEAK"];
    let host = Host::c("c_tests/hazards.c").flags(&flags).unlinked();
    let host = host.compile(&scratch, "host");
    let preload = format!("set environment LD_PRELOAD={}", common::shim().display());
    check_stop(&debug(&host, "summary=0", &[&preload], &["run"]));
}

/// Commands that do not apply say so.
#[test]
fn our_command_says_where_there_is_no_excess_free() {
    let name = "our_command_says_where_there_is_no_excess_free";
    if !has_gdb(name) {
        return;
    }
    let scratch = Scratch::new("gdb-elsewhere");
    let host = host().compile(&scratch, "host");
    let commands = ["break main", "run", "whofreed-excess", "kill"];
    let run = debug(&host, "summary=0", &[], &commands);
    let is_said = run.stdout.contains("whofreed: not at an excess free");
    assert!(is_said, "{}\n{}", run.stdout, run.stderr);
}
