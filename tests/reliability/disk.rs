//! Disks and folders: full, read-only, gone, not ours; traces that somebody removes or renames while they are written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use crate::common;
use crate::common::Row;
use crate::unkind::Unkind;

const WORDS: [&str; 4] = ["2", "20000", "more", "flush"];

/// Runs a shell's script as root of a user and mount namespace of its own; root that is there already serves as well.
fn in_own_mounts(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command
}

fn can_mount() -> bool {
    let mut probe = in_own_mounts("mount -t tmpfs -o size=1m none /mnt");
    probe.stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

/// The folder of the run becomes a file system of a mebibyte; what is in it in the end is copied to `kept`.
fn on_small_disk(unkind: &Unkind, size: &str, is_launched: bool) {
    let alone = unkind.alone(&WORDS);
    let folder = unkind.folder();
    let run = match is_launched {
        true => format!(
            "'{}' run --shim '{}' --trace disk/host.wft -- '{}'",
            common::cli().display(),
            common::shim().display(),
            unkind.host.display()
        ),
        false => format!(
            "LD_PRELOAD='{}' WHOFREED_OPTIONS=trace=disk/host.wft:summary=0 '{}'",
            common::shim().display(),
            unkind.host.display()
        ),
    };
    let script = format!(
        "mkdir disk && mount -t tmpfs -o size={size} none disk && {{ {run} {}; code=$?; cp disk/*.wft .; exit $code; }}",
        WORDS.join(" ")
    );
    let outcome = unkind.finish(in_own_mounts(&script), &folder, None);
    outcome.check(&alone, &format!("{size}, launched: {is_launched}"));
    assert!(
        outcome.dropped > 0 || size == "64m",
        "the disk was not full"
    );
    if size == "1m" {
        assert!(outcome.recorded > 0, "{}", outcome.run.stderr);
    }
}

#[test]
fn a_full_disk_is_survived() {
    let name = "a_full_disk_is_survived";
    if !can_mount() {
        return common::skip(
            name,
            "no file system can be mounted, not in a namespace either",
        );
    }
    let row = Row::new(
        "disk",
        "trace on a full disk (tmpfs of 1 MiB and of 64 KiB)",
        "P1 P2 P3",
    );
    let unkind = Unkind::new("disk");
    let rounds = if common::soak() { 20 } else { 1 };
    for _ in 0..rounds {
        for is_launched in [false, true] {
            for size in ["64k", "1m"] {
                on_small_disk(&unkind, size, is_launched);
            }
        }
    }
    row.held(
        rounds * 4,
        "no SIGBUS; the trace is readable, and what found no room is counted in it",
    );
}

/// A host without a launcher whose trace is dealt with while it is written.
fn dealt_with(unkind: &Unkind, deal: &str) -> crate::unkind::Outcome {
    let start = format!(
        "LD_PRELOAD='{}' WHOFREED_OPTIONS=trace=host.wft:summary=0 '{}' 2 20000 fence more flush",
        common::shim().display(),
        unkind.host.display(),
    );
    unkind.dealt_with(&start, "test -s host.wft", &format!("sleep 0.1; {deal}"))
}

#[test]
fn a_trace_that_is_renamed_or_removed_while_it_is_written_goes_on() {
    let row = Row::new(
        "disk",
        "trace renamed, removed, replaced by a link, made unreadable, while it is written",
        "P1 P2 P3",
    );
    let unkind = Unkind::new("moved");
    let alone = unkind.alone(&["2", "20000", "more"]);
    let deals = [
        ("mv host.wft other.wft", true),
        ("chmod 000 host.wft", true),
        (
            "rm host.wft; echo mine >host.txt; ln -s host.txt host.wft",
            false,
        ),
        ("rm host.wft", false),
    ];
    let rounds = if common::soak() { 25 } else { 1 };
    for _ in 0..rounds {
        for (deal, is_kept) in deals {
            let outcome = dealt_with(&unkind, deal);
            outcome.check_host(&alone, deal);
            // The kernel keeps a file that nobody can open any more, so the shim goes on as before.
            assert_eq!(outcome.dropped, 0, "{deal}");
            if is_kept {
                outcome.check_account(deal);
            }
            let mine = unkind.scratch.file("run").join("host.txt");
            if mine.exists() {
                assert_eq!(fs::read_to_string(mine).expect("a file"), "mine\n");
            }
        }
    }
    row.held(rounds * deals.len() as u64, "the host goes on; the trace is whole under its new name; a file of that name is not touched");
}

/// Folders that cannot be written to are told before the command runs; in a host without a launcher, by a line.
#[test]
fn a_folder_that_cannot_be_written_to_is_told() {
    let row = Row::new(
        "disk",
        "trace in a folder that is not there, or on a file system that takes none",
        "P1 P3 P6",
    );
    let unkind = Unkind::new("folder");
    let alone = unkind.alone(&WORDS);
    for place in ["/nowhere/host.wft", "/proc/host.wft", "/sys/host.wft"] {
        let outcome = unkind.preloaded(&WORDS, &format!("trace={place}:summary=0"), None);
        outcome.check(&alone, place);
        assert_eq!(outcome.dropped, outcome.produced);
        assert!(
            outcome.run.stderr.contains("cannot write the trace"),
            "{}",
            outcome.run.stderr
        );
        let said = format!(
            "{} events were lost, and there is no trace",
            outcome.dropped
        );
        assert!(outcome.run.stderr.contains(&said), "{}", outcome.run.stderr);
        let launched = unkind.launched(&WORDS, &["--trace", place], None);
        assert!(launched.run.code() != 0, "{place}");
    }
    row.held(
        6,
        "the host goes on, each event is counted and told; under `run` it is not begun",
    );
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_trace() {
    let row = Row::new(
        "disk",
        "report to /dev/full, to a folder, stderr closed or full",
        "P1 P2 P3",
    );
    let unkind = Unkind::new("report");
    let alone = unkind.alone(&WORDS);
    let full = unkind.launched(&WORDS, &["--report", "/dev/full"], None);
    assert_eq!(full.run.stdout, alone.stdout);
    assert_eq!(full.run.code(), 125, "{}", full.run.stderr);
    assert!(full.run.stderr.contains("/dev/full"), "{}", full.run.stderr);
    full.check_account("/dev/full");
    let folder = unkind.launched(&WORDS, &["--report", "."], None);
    assert_eq!(
        folder.run.code(),
        125,
        "a folder is told before the command is run"
    );
    assert_eq!(folder.run.stdout, "");
    for redirection in ["2>/dev/full", "2>&-"] {
        let folder = unkind.folder();
        let script = format!(
            "'{}' run --shim '{}' --trace host.wft -- '{}' {} {redirection}",
            common::cli().display(),
            common::shim().display(),
            unkind.host.display(),
            WORDS.join(" ")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]);
        let outcome = unkind.finish(command, &folder, None);
        assert_eq!(outcome.run.stdout, alone.stdout, "{redirection}");
        assert!(
            [23, 125].contains(&outcome.run.code()),
            "{redirection}: {}",
            outcome.run.code()
        );
        outcome.check_account(redirection);
        assert_eq!(outcome.dropped, 0, "{redirection}");
    }
    row.held(
        4,
        "the trace is there and whole; the launcher says what failed, with code 125",
    );
}

/// Names are kept in the user's cache folder, and hooks: where it is not to be trusted or written to, it is done without.
#[test]
fn a_cache_that_cannot_be_used_is_done_without() {
    let row = Row::new(
        "disk",
        "cache folder unwritable, a file, a link to nowhere, open to others, /dev/full",
        "P1",
    );
    let unkind = Unkind::new("cache");
    let alone = unkind.alone(&WORDS);
    let cache = unkind.scratch.file("cache");
    type Make = fn(&Path);
    let ways: [(&str, Make); 4] = [
        ("a file", |path| fs::write(path, "mine").expect("a file")),
        ("a link to nowhere", |path| {
            symlink("/nowhere", path).expect("a link")
        }),
        ("/dev/full", |path| {
            symlink("/dev/full", path).expect("a link")
        }),
        ("open to others", |path| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::create_dir_all(path.join("whofreed")).expect("a folder");
            let open = fs::Permissions::from_mode(0o777);
            fs::set_permissions(path.join("whofreed"), open).expect("to be its owner");
        }),
    ];
    for (what, make) in ways {
        make(&cache);
        let folder = unkind.folder();
        let mut command = Command::new(common::cli());
        command.arg("run").arg("--shim").arg(common::shim());
        command.args(["--adapters", "libc", "--trace", "host.wft", "--"]);
        command.arg(&unkind.host).args(WORDS);
        command.env("XDG_CACHE_HOME", &cache);
        let outcome = unkind.finish(command, &folder, None);
        outcome.check_host(&alone, what);
        assert!(outcome.recorded > 0, "{what}");
        if cache.join("whofreed").exists() {
            let left = fs::read_dir(cache.join("whofreed")).expect("a folder");
            assert_eq!(left.count(), 0, "{what}: nothing is trusted to it");
        }
        let _ = fs::remove_file(&cache);
        let _ = fs::remove_dir_all(&cache);
    }
    row.held(ways.len() as u64, "the run is as without a cache");
}
