//! `whofreed report` and `whofreed history` on files that are no good, and on the smallest that are.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use common::header;
use tempfile::TempDir;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::VERSION;

fn whofreed(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_whofreed"))
        .args(arguments)
        .env_remove("WHOFREED_OPTIONS")
        .output()
        .unwrap()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Reporting on the file fails with code 125 and the one line `whofreed: FILE: REASON`.
fn refused(path: &Path, reason: &str) {
    for arguments in [
        vec!["report", path.to_str().unwrap()],
        vec![
            "history",
            path.to_str().unwrap(),
            "--device",
            "1",
            "--address",
            "0x10",
        ],
    ] {
        let output = whofreed(&arguments);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        assert_eq!(output.stdout, b"");
        let said = String::from_utf8(output.stderr).unwrap();
        let start = format!("whofreed: {}: {reason}", path.display());
        assert!(
            said.starts_with(&start),
            "{said:?} does not begin with {start:?}"
        );
        assert_eq!(said.lines().count(), 1, "{said:?}");
    }
}

#[test]
fn files_that_are_no_traces_are_refused_with_place_and_reason() {
    let folder = Folder::new();
    refused(&folder.file("empty.wft", b""), "at offset 0: ");
    refused(
        &folder.file("text.wft", b"not a trace at all, but long enough"),
        "at offset 0: ",
    );
    refused(
        &folder.file("short.wft", &header(5, 0)[..20]),
        "at offset 20: ",
    );
    let mut other = header(5, 0);
    other[8..12].copy_from_slice(&(VERSION + 1).to_ne_bytes());
    refused(&folder.file("version.wft", &other), "at offset 8: ");
    let mut sizes = header(5, 0);
    sizes[16..20].fill(0xff);
    refused(&folder.file("sizes.wft", &sizes), "at offset 16: ");
    refused(folder.0.path(), "is a directory");
    refused(Path::new("/dev/null"), "is no regular file");
    refused(&folder.0.path().join("missing.wft"), "cannot be read: ");
}

#[test]
fn a_file_cut_off_anywhere_is_refused_or_reported_but_never_worse() {
    let folder = Folder::new();
    let mut whole = header(5, 0);
    whole.resize(HEADER_SIZE + CHUNK_SIZE, 0x5a);
    for length in [
        1,
        7,
        8,
        63,
        64,
        255,
        HEADER_SIZE - 1,
        HEADER_SIZE,
        HEADER_SIZE + 1,
        whole.len(),
    ] {
        let path = folder.file("cut.wft", &whole[..length]);
        let output = whofreed(&["report", path.to_str().unwrap()]);
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 125)), "{length}: {output:?}");
    }
}

#[test]
fn every_bad_file_has_its_line() {
    let folder = Folder::new();
    let one = folder.file("one.wft", b"");
    let good = folder.file("good.wft", &header(5, 0));
    let two = folder.file("two.wft", b"x");
    let output = whofreed(&[
        "report",
        one.to_str().unwrap(),
        good.to_str().unwrap(),
        two.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 2);
}

#[test]
fn a_name_cannot_forge_a_line() {
    let folder = Folder::new();
    let path = folder.file("x\nwhofreed: no excess frees\u{1b}[2J", b"");
    let output = whofreed(&["report", path.to_str().unwrap()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said:?}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn a_trace_of_which_nothing_can_be_read_passes_no_build() {
    let folder = Folder::new();
    // It ends within its first chunk.
    let path = folder.file("cut.wft", &[&header(5, 1)[..], &[7; 5000]].concat());
    let path = path.to_str().unwrap();
    for (arguments, code) in [(&[][..], 0), (&["--error-exitcode", "9"][..], 125)] {
        let output = whofreed(&[&["report", path], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let begin = "whofreed: no event could be read";
        assert!(text.starts_with(begin), "{text}");
    }
}

#[test]
fn a_trace_without_events_is_a_report() {
    let folder = Folder::new();
    let path = folder.file("quiet.wft", &header(5, 0));
    let path = path.to_str().unwrap();
    let output = whofreed(&["report", path]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("whofreed: no event was recorded (no adapter"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'), "{text:?}");

    let output = whofreed(&["report", path, "--format", "json", "--error-exitcode", "9"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], "whofreed-report/1");
    assert_eq!(report["process"]["pid"], 77);

    let output = whofreed(&[
        "history",
        path,
        "--device",
        "0",
        "--address",
        "694960736",
        "--format",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"[]\n");
}

#[test]
fn a_trace_given_twice_is_counted_once() {
    let folder = Folder::new();
    let path = folder.file("same.wft", &header(5, 0));
    let path = path.to_str().unwrap();
    let output = whofreed(&["report", path, path, "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["processes"].as_array().unwrap().len(), 1);
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("counted once")
    );
}

#[test]
fn a_report_can_go_to_a_file() {
    let folder = Folder::new();
    let path = folder.file("quiet.wft", &header(5, 0));
    let target = folder.0.path().join("report.json");
    let arguments = [
        "report",
        path.to_str().unwrap(),
        "--format",
        "json",
        "--output",
        target.to_str().unwrap(),
    ];
    let output = whofreed(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout, b"");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(&target).unwrap()).unwrap();
    assert_eq!(report["process"]["pid"], 77);

    let output = whofreed(&[
        "report",
        path.to_str().unwrap(),
        "--output",
        "/nowhere/report.txt",
    ]);
    assert_eq!(output.status.code(), Some(125));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("whofreed: /nowhere/report.txt: cannot be written: "),
        "{said}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = Folder::new();
    let path = folder.file("quiet.wft", &header(5, 0));
    let mut child = Command::new(env!("CARGO_BIN_EXE_whofreed"))
        .args(["report", path.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stderr, b"");
}

#[test]
fn arguments_that_do_not_parse_are_a_failure_of_ours() {
    for arguments in [
        &["report"][..],
        &["nonsense"],
        &["report", "--format", "xml", "x.wft"],
        &["history", "x.wft", "--device", "-1", "--address", "0"],
        &["history", "x.wft", "--device", "1", "--address", "zz"],
        &["run", "--depth", "many", "--", "true"],
        &["run"],
        &["adapters", "show", "nonsense"],
    ] {
        let output = whofreed(arguments);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        assert_ne!(output.stderr, b"", "{arguments:?}");
    }
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["adapters"],
    ] {
        let output = whofreed(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_ne!(output.stdout, b"", "{arguments:?}");
    }
}

#[test]
fn adapters_are_listed_and_shown() {
    let list = String::from_utf8(whofreed(&["adapters", "list"]).stdout).unwrap();
    assert!(
        list.lines()
            .any(|line| line.split_whitespace().eq(["tt-metal", "shipped"])),
        "{list}"
    );
    let shown = whofreed(&["adapters", "show", "tt-metal"]);
    assert_eq!(shown.status.code(), Some(0));
    assert!(
        String::from_utf8(shown.stdout)
            .unwrap()
            .contains("[[hook]]")
    );
}
