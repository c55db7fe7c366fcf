//! Who is accused of a stale free by a memory checker, by a sanitizer, and by whofreed: the smallest program
//! (corpus/hosts/reuse.c) in which the stack at the double free is an innocent's.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::Host;
use common::Scratch;
use serde_json::Value;

const SOURCE: &str = "corpus/hosts/reuse.c";

/// What a line of the program does, by the comment that it ends with; the line's number.
fn line_that(does: &str) -> u64 {
    let source = fs::read_to_string(common::root().join(SOURCE)).expect("the source");
    let comment = format!("/* {does} */");
    let index = source.lines().position(|line| line.ends_with(&comment));
    index.expect("a line with this comment") as u64 + 1
}

/// What the line does that a tool accuses, or that it accuses none.
fn deed(line: Option<u64>) -> &'static str {
    let deeds = ["frees A", "frees A again", "frees B"];
    let found = deeds.iter().find(|&&does| line == Some(line_that(does)));
    match (found, line) {
        (Some(&does), _) => does,
        (None, None) => "nobody",
        (None, Some(_)) => "another line",
    }
}

/// The first line of the program that a tool's output names.
fn first_line_in(output: &str) -> Option<u64> {
    let (_, rest) = output.split_once("reuse.c:")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn tell(tool: &str, accused: &str) {
    common::note(
        &format!("a stale free after reuse, {tool}, accused"),
        accused,
    );
}

/// The program on malloc and free.
fn plain(scratch: &Scratch, flags: &[&str]) -> PathBuf {
    // Not optimised: the compiler sees what is wrong, and may do anything.
    let quiet = ["-O0", "-Wno-use-after-free", "-fno-builtin"];
    let host = Host::c(SOURCE).flags(&quiet).flags(flags).unlinked();
    host.compile(scratch, "reuse")
}

#[test]
fn corpus_hosts_reuse_under_memcheck() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        common::skip(
            "corpus_hosts_reuse_under_memcheck",
            "there is no valgrind here",
        );
        return;
    }
    let scratch = Scratch::new("reuse");
    let host = plain(&scratch, &[]);
    let accused = |options: &[&str]| {
        let mut command = Command::new("valgrind");
        let run = common::run(command.arg("--quiet").args(options).arg(&host));
        deed(first_line_in(&run.stderr))
    };
    // What is freed is held back, so that no address is used again, and the first mistake is seen.
    let held_back = accused(&[]);
    tell("memcheck", held_back);
    assert_eq!(held_back, "frees A again");
    // Even so its own allocator hands out another address first: the program is not what it is without it.
    let reused = accused(&["--freelist-vol=0"]);
    tell("memcheck that holds nothing back", reused);
    assert_ne!(reused, "nobody");
    // Where the program has an allocator of its own, there is nothing to see.
    let own = with_whofreed(&scratch);
    let mut command = Command::new("valgrind");
    command
        .arg("--quiet")
        .arg(&own)
        .env("WHOFREED_OPTIONS", "summary=0");
    let run = common::run(&mut command).expect_code(0);
    let unseen = deed(first_line_in(&run.stderr));
    tell("memcheck, an allocator of the program's own", unseen);
    assert_eq!(unseen, "nobody");
}

#[test]
fn corpus_hosts_reuse_under_a_sanitizer() {
    let scratch = Scratch::new("reuse");
    let probe = scratch.file("probe.c");
    fs::write(&probe, "int main(void) { return 0; }\n").expect("a source");
    let mut compiler = Command::new("cc");
    compiler.arg("-fsanitize=address").arg(&probe);
    let built = compiler.arg("-o").arg(scratch.file("probe")).output();
    if !built.expect("a C compiler").status.success() {
        common::skip(
            "corpus_hosts_reuse_under_a_sanitizer",
            "the compiler has no sanitizers",
        );
        return;
    }
    let host = plain(&scratch, &["-fsanitize=address"]);
    let accused = |options: &str| {
        let run = common::run(Command::new(&host).env("ASAN_OPTIONS", options));
        deed(first_line_in(&run.stderr))
    };
    let held_back = accused("");
    tell("address sanitizer", held_back);
    assert_eq!(held_back, "frees A again");
    // As soon as the address is used again, an innocent is accused.
    let reused = accused("quarantine_size_mb=0:thread_local_quarantine_size_kb=0");
    tell("address sanitizer that holds nothing back", reused);
    assert_eq!(reused, "frees B");
}

/// The program, told to whofreed.
fn with_whofreed(scratch: &Scratch) -> PathBuf {
    let host = Host::c(SOURCE).flags(&["-DREUSE_WHOFREED"]);
    host.compile(scratch, "reuse-whofreed")
}

/// Of each entry of the report, what the lines do that it names.
fn accused(report: &Value) -> Vec<BTreeSet<&'static str>> {
    let entries = common::rows(report, "culprits").iter();
    let sites = |entry| {
        let alternatives = common::rows(entry, "alternatives");
        std::iter::once(entry).chain(alternatives)
    };
    entries
        .map(|entry| {
            sites(entry)
                .map(|site| deed(site["line"].as_u64()))
                .collect()
        })
        .collect()
}

#[test]
fn corpus_hosts_reuse_under_whofreed() {
    let scratch = Scratch::new("reuse");
    let host = with_whofreed(&scratch);
    for rounds in ["1", "300"] {
        let tracked = common::track(&scratch, &[], &host, &["unique", rounds]);
        tracked.run.expect_code(0);
        common::check_identities(&tracked.report);
        let accused = accused(&tracked.report);
        assert_eq!(accused, [BTreeSet::from(["frees A again"])]);
        assert_eq!(common::total(&tracked.report, "unexplained"), 0);
    }
    tell("whofreed with unique owners", "frees A again");

    // The log fits two stories, but for the end of A: B's free is what it seems, or ends what the other one should have.
    let tracked = common::track(&scratch, &[], &host, &["unknown", "300"]);
    tracked.run.expect_code(0);
    common::check_identities(&tracked.report);
    assert_eq!(common::total(&tracked.report, "excess"), 300);
    let accused = accused(&tracked.report);
    let told: Vec<String> = accused
        .iter()
        .map(|entry| entry.iter().copied().collect::<Vec<_>>().join(" or "))
        .collect();
    let told = if told.is_empty() {
        "nobody".to_owned()
    } else {
        told.join(", and ")
    };
    tell("whofreed without owners, 300 rounds", &told);
    for entry in accused {
        assert!(entry.contains("frees A again"), "{told}");
    }
}
