//! `whofreed diff` on runs given in every form, and on files that are no good.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use common::header;
use common::printed;
use common::said;
use serde_json::Value;
use tempfile::TempDir;
use whofreed_trace::layout::VERSION;

fn diff(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_whofreed"))
        .arg("diff")
        .args(arguments)
        .env_remove("WHOFREED_OPTIONS")
        .env_remove("COLUMNS")
        .output()
        .unwrap()
}

/// A report with these culprits.
fn report(culprits: &[(&str, u64)]) -> String {
    let rows: Vec<Value> = culprits
        .iter()
        .map(|(function, explains)| {
            serde_json::json!({
                "function": function, "file": "/src/cache.cpp", "line": 41, "module": "/opt/host",
                "offset": 16, "explains": explains, "observed": explains, "confidence": "proven",
            })
        })
        .collect();
    let excess: u64 = culprits.iter().map(|(_, explains)| explains).sum();
    serde_json::json!({
        "schema": "whofreed-report/1",
        "totals": {"allocations": 1000, "deallocations": 1000 + excess, "excess": excess, "events": 2000 + excess},
        "culprits": rows,
    })
    .to_string()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn the_exit_code_tells_what_is_new_or_clearly_more_when_asked_to() {
    let folder = Folder::new();
    let one = folder.file("one.json", report(&[("evict", 100)]));
    let alike = folder.file("alike.json", report(&[("evict", 108)]));
    let more = folder.file("more.json", report(&[("evict", 200)]));
    let two = folder.file("two.json", report(&[("evict", 100), ("finish", 5)]));
    let clean = folder.file("clean.json", report(&[]));
    for (before, after, worse, start) in [
        (&one, &one, false, "not fixed: 1 of 1 culprit unchanged; "),
        (&one, &alike, false, "not fixed: 1 of 1 culprit unchanged; "),
        (&one, &more, true, "worse: 1 of 1 culprit with clearly more"),
        (&one, &two, true, "worse: 1 new culprit, 1 of 1 culprit unc"),
        (&two, &one, false, "partly fixed: 1 of 2 culprits gone, 1 u"),
        (
            &one,
            &clean,
            false,
            "fixed: 1 of 1 culprit gone; excess free",
        ),
        (
            &clean,
            &clean,
            false,
            "no excess frees before, and none after",
        ),
    ] {
        let plain = diff(&[before, after]);
        assert_eq!(plain.status.code(), Some(0), "{plain:?}");
        let text = printed(&plain);
        assert!(text.starts_with(&format!("whofreed: {start}")), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(said(&plain), "");
        let asked = diff(&[before, after, "--error-exitcode", "9"]);
        let code = if worse { 9 } else { 0 };
        assert_eq!(asked.status.code(), Some(code), "{start}");
        assert_eq!(printed(&asked), text);
    }
}

#[test]
fn a_run_is_a_trace_a_folder_or_several_or_a_report() {
    let folder = Folder::new();
    let one = folder.file("one.wft", header(1, 5));
    let two = folder.file("two, and more.wft", header(2, 5));
    let kept = folder.file("kept.json", report(&[]));
    fs::create_dir(folder.path("run")).unwrap();
    folder.file("run/main.wft", header(3, 5));
    folder.file("run/named by the host", header(4, 5));
    folder.file("run/readme.txt", "no trace");
    let inside = folder.path("run").to_str().unwrap().to_owned();
    let list = format!("{one},{inside}");
    for before in [&one, &two, &inside, &list, &kept] {
        let output = diff(&[before, &one, "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(said(&output), "");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["schema"], "whofreed-diff/1");
        assert_eq!(json["after"]["doubts"][0]["why"], "nothing_recorded");
    }

    folder.file("run/of another day.wft", header(6, 7));
    let output = diff(&[&inside, &one]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        said(&output),
        format!("whofreed: {inside}: has traces of 2 runs, which are counted together\n")
    );
}

#[test]
fn what_cannot_be_compared_is_refused_with_its_reason() {
    let folder = Folder::new();
    let good = folder.file("good.wft", header(1, 5));
    let mut other = header(1, 5);
    other[8..12].copy_from_slice(&(VERSION + 1).to_ne_bytes());
    let kept = folder.file("kept.json", report(&[]));
    fs::create_dir(folder.path("empty")).unwrap();
    fs::create_dir(folder.path("broken")).unwrap();
    folder.file("broken/cut.wft", &header(1, 5)[..20]);
    let inside = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    let broken = inside("broken/cut.wft");
    for (given, about, reason) in [
        (folder.file("empty.wft", b""), None, "at offset 0: "),
        (
            folder.file("text.wft", "no trace at all, but long enough"),
            None,
            "at offset 0: ",
        ),
        (
            folder.file("short.wft", &header(1, 5)[..20]),
            None,
            "at offset 20: ",
        ),
        (folder.file("version.wft", &other), None, "at offset 8: "),
        (inside("missing.wft"), None, "cannot be read: "),
        ("/dev/null".to_owned(), None, "is no regular file"),
        (inside("empty"), None, "is a folder without a trace"),
        (inside("broken"), Some(broken), "at offset 20: "),
        (
            folder.file("cut.json", "{\"schema\": "),
            None,
            "is neither a trace nor a JSON report: ",
        ),
        (
            folder.file("diff.json", "{\"schema\": \"whofreed-diff/1\"}"),
            None,
            "is no report of the schema whofreed-report/1: ",
        ),
        (
            format!("{good},{kept}"),
            Some(kept.clone()),
            "is a report, which is a run of its own",
        ),
        (String::new(), None, "cannot be read: "),
    ] {
        for arguments in [[&*given, &*good], [&*good, &*given]] {
            let output = diff(&arguments);
            assert_eq!(output.status.code(), Some(125), "{arguments:?}");
            assert_eq!(printed(&output), "");
            let about = about.as_ref().unwrap_or(&given);
            let start = format!("whofreed: {about}: {reason}");
            assert!(
                said(&output).starts_with(&start),
                "{:?} {start:?}",
                said(&output)
            );
            assert_eq!(said(&output).lines().count(), 1, "{:?}", said(&output));
        }
    }
    // Whoever has two bad ones hears of both.
    let output = diff(&[&inside("one"), &inside("two")]);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(said(&output).lines().count(), 2, "{}", said(&output));
    for arguments in [&[][..], &[&*good], &[&*good, &good, &good]] {
        assert_eq!(diff(arguments).status.code(), Some(125));
    }
}

#[test]
fn a_name_cannot_forge_a_line() {
    let folder = Folder::new();
    let bad = folder.path("x\nwhofreed: fixed\u{1b}[2J");
    let output = diff(&[bad.to_str().unwrap(), "y"]);
    assert_eq!(said(&output).lines().count(), 2, "{output:?}");
    assert!(!said(&output).contains('\u{1b}'), "{output:?}");
}

#[test]
fn a_comparison_can_go_to_a_file() {
    let folder = Folder::new();
    let one = folder.file("one.json", report(&[("evict", 100)]));
    let target = folder.path("diff.txt");
    let output = diff(&[&one, &one, "--output", target.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(printed(&output), "");
    let text = fs::read_to_string(target).unwrap();
    assert!(text.starts_with("whofreed: not fixed: "), "{text}");
    let output = diff(&[&one, &one, "--output", "/nowhere/diff.txt"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(said(&output).starts_with("whofreed: /nowhere/diff.txt: cannot be written: "));
}
