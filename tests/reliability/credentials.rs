//! Hosts that change their user, groups or namespaces, which threads of others are in the way of: c_tests/credentials.c.

use std::process::Command;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::common::total;

/// Buffers that every mode gives back, at the least: before and behind the change.
const FREED: u64 = 10_000;

fn check(mode: &str) {
    check_ends(mode, 7);
}

fn check_ends(mode: &str, code: i32) {
    let scratch = Scratch::new("credentials");
    let host = Host::c("c_tests/credentials.c").unlinked();
    let host = host.compile(&scratch, "host");
    let alone = common::run(Command::new(&host).arg(mode)).expect_code(code);
    let tracked = common::track(&scratch, &["--adapters", "libc"], &host, &[mode]);
    let run = tracked.run.expect_code(code);
    assert_eq!(run.stdout, alone.stdout, "{}", run.stderr);
    common::check_identities(&tracked.report);
    assert_eq!(total(&tracked.report, "dropped_events"), 0);
    assert_eq!(total(&tracked.report, "excess"), 0);
    let least = if code == 7 { FREED } else { FREED / 2 };
    assert!(total(&tracked.report, "ok") >= least, "{}", tracked.report);
}

/// The C library ends a process of which one thread may change its groups and another may not.
#[test]
fn a_host_that_keeps_its_capabilities_beyond_its_user_lives() {
    if !common::is_root() {
        return common::skip("capabilities kept beyond a user", "needs root");
    }
    let row = Row::new(
        "credentials",
        "PR_SET_KEEPCAPS, setreuid, setgroups",
        "P1 P3",
    );
    check("capabilities");
    row.held(1, "as alone; the writer thread steps aside");
}

#[test]
fn a_host_that_enters_a_user_namespace_gets_it() {
    let row = Row::new("credentials", "unshare(CLONE_NEWUSER)", "P1 P3");
    check("namespace");
    row.held(1, "as alone, errno too; the writer thread steps aside");
}

#[test]
fn a_host_that_changes_its_user_while_threads_record_loses_nothing() {
    let row = Row::new(
        "credentials",
        "seteuid under four threads that record",
        "P1 P3",
    );
    check("threads");
    row.held(100, "every change as alone, errno too; nothing lost");
}

#[test]
fn a_child_that_shares_our_memory_changes_its_group_alone() {
    let row = Row::new("credentials", "setgid in a child of vfork", "P1 P3");
    check("vfork");
    row.held(50, "as alone");
}

/// The kernel kills a thread that breaks its own rules, and with it a process that has no other: one more is ours.
#[test]
fn a_host_whose_last_thread_the_kernel_kills_ends() {
    let row = Row::new(
        "credentials",
        "SECCOMP_MODE_STRICT, and a call that it forbids",
        "P1 P2",
    );
    check_ends("strict", 137);
    row.held(1, "killed as alone, some seconds later; nothing lost");
}
