//! What the host's process is with us: rights of pages, privileges, what its children inherit.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::security::run_openly;

/// Of each stage, the rights of each piece of each file.
fn maps(stdout: &str) -> BTreeMap<(String, String), Vec<(String, u64)>> {
    let mut maps: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in stdout.lines() {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().expect("four words").to_owned();
        let (stage, rights, size, path) = (word(), word(), word(), word());
        assert!(!(rights.contains('w') && rights.contains('x')), "{line}");
        if path.starts_with('/') && !path.contains("whofreed") || path.ends_with("/host") {
            let size = u64::from_str_radix(&size, 16).expect("a number");
            maps.entry((stage, path)).or_default().push((rights, size));
        }
    }
    maps
}

#[test]
fn no_page_is_writable_and_executable_and_relro_stays() {
    let row = Row::new(
        "security",
        "/proc/self/maps at three stages, with hooks, guard and resolvers",
        "P1",
    );
    let scratch = Scratch::new("maps");
    let flags = ["-Wl,-z,relro,-z,now", "-ldl"];
    let host = Host::c("c_tests/maps.c")
        .unlinked()
        .flags(&flags)
        .compile(&scratch, "host");
    let program = host.to_str().expect("a path");
    let alone = maps(&common::run(&mut Command::new(&host)).expect_code(0).stdout);
    assert!(alone.len() >= 6, "{alone:?}");
    let mut runs = 0;
    for options in [
        &[][..],
        &["--adapters", "libc"],
        &["--adapters", "libc", "--guard"],
    ] {
        let run = run_openly(&scratch, options, &[program]).expect_code(0);
        let under_us = maps(&run.stdout);
        for (place, pieces) in &alone {
            // What is beyond a file's last page is zeros, and none of the file's rights.
            assert_eq!(
                under_us.get(place),
                Some(pieces),
                "{place:?} with {options:?}"
            );
        }
        runs += 3;
    }
    row.held(
        runs,
        "no page is both, and every file's pages have the rights that they have without us",
    );
}

#[test]
fn a_command_with_file_capabilities_is_refused() {
    let row = Row::new(
        "security",
        "a command with file capabilities, set-uid, static",
        "P6",
    );
    let scratch = Scratch::new("privileges");
    let host = Host::c("c_tests/maps.c")
        .unlinked()
        .flags(&["-ldl"])
        .compile(&scratch, "host");
    // Version 2, effective; CAP_NET_BIND_SERVICE is permitted.
    let mut capability = [0_u8; 20];
    capability[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    capability[4..8].copy_from_slice(&(1_u32 << 10).to_le_bytes());
    let path = CString::new(host.as_os_str().as_bytes()).expect("a path");
    // SAFETY: both names are NUL-terminated, and the value is as long as it is said to be.
    let set = unsafe {
        let name = c"security.capability".as_ptr();
        libc::setxattr(
            path.as_ptr(),
            name,
            capability.as_ptr().cast(),
            capability.len(),
            0,
        )
    };
    if set != 0 {
        return common::skip(
            "a command with file capabilities is refused",
            "they cannot be set here",
        );
    }
    let mut refused = 0;
    let mut check = |command: &Path, why: &str| {
        let run = run_openly(&scratch, &[], &[command.to_str().expect("a path")]).expect_code(126);
        assert!(run.stderr.contains(why), "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert_eq!(run.stdout, "");
        refused += 1;
    };
    check(&host, "has file capabilities");
    let other = scratch.file("setuid");
    fs::copy(&host, &other).expect("a copy");
    fs::set_permissions(&other, PermissionsExt::from_mode(0o4755)).expect("rights");
    check(&other, "is set-uid");
    let fixed = Host::c("c_tests/maps.c")
        .unlinked()
        .flags(&["-static", "-ldl", "-w"]);
    check(&fixed.compile(&scratch, "static"), "is statically linked");
    row.held(
        refused,
        "refused with a sentence, exit code 126, and nothing has run",
    );
}

#[test]
fn children_that_are_not_followed_keep_the_users_preload() {
    let row = Row::new(
        "security",
        "follow_children=0 with libraries of the user's in LD_PRELOAD",
        "P1",
    );
    let scratch = Scratch::new("preload");
    let empty = scratch.file("empty.c");
    fs::write(&empty, "int user_owns_this;\n").expect("a source");
    let library = |name: &str| {
        let source = empty.to_str().expect("a path");
        Host::c(source)
            .unlinked()
            .flags(&["-shared", "-fPIC"])
            .compile(&scratch, name)
    };
    let users = [library("libuser.so"), library("libwhofreed.so.mine.so")]
        .map(|path| path.display().to_string());
    let mut runs = 0;
    for between in [":", " "] {
        let mine = users.join(between);
        let mut command = Command::new(common::cli());
        command.args(["run", "--shim"]).arg(common::shim()).args([
            "--adapters",
            "libc",
            "--follow-children=0",
        ]);
        command.args([
            "--",
            "sh",
            "-c",
            "sh -c 'echo $LD_PRELOAD; echo $WHOFREED_OPTIONS'",
        ]);
        command.env("LD_PRELOAD", &mine).current_dir(scratch.path());
        let run = common::run(&mut command).expect_code(0);
        let mut lines = run.stdout.lines();
        assert_eq!(
            lines.next(),
            Some(users.join(":").as_str()),
            "{}",
            run.stderr
        );
        assert_eq!(lines.next(), Some(""));
        runs += 1;
    }
    row.held(runs, "only our own entries are gone");
}
