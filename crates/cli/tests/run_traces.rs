//! The traces of `whofreed run`: where they may go, which belong to the run, and what is said of them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::mem::offset_of;
use std::process::Command;
use std::process::Output;

use common::Place;
use common::header;
use common::printed;
use common::said;
use whofreed_trace::layout::FileHeader;

#[test]
fn traces_go_only_where_they_can_and_over_nothing_else() {
    let place = Place::new();
    fs::write(place.path().join("precious.txt"), "precious").unwrap();
    fs::write(place.path().join("empty.wft"), "").unwrap();
    for (trace, reason) in [
        ("/nowhere/x.wft", "its folder cannot be used"),
        ("/proc/x.wft", "the trace cannot be written"),
        ("precious.txt", "is no trace; it is left as it is"),
        ("%p/x.wft", "%p can only stand in the file's name"),
        (".", "is not the name of a file"),
        ("..", "is not the name of a file"),
    ] {
        let output = place.run(&["--trace", trace, "--", "true"]);
        assert_eq!(
            output.status.code(),
            Some(125),
            "{trace}: {}",
            said(&output)
        );
        assert!(said(&output).contains(reason), "{trace}: {}", said(&output));
    }
    assert_eq!(
        fs::read(place.path().join("precious.txt")).unwrap(),
        b"precious"
    );
    let output = place.run(&["--trace", "empty.wft", "--", "true"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));

    let output = place.run(&[
        "--trace",
        "a:b%.%p.wft",
        "--",
        "sh",
        "-c",
        "echo $WHOFREED_OPTIONS",
    ]);
    let text = printed(&output);
    assert!(text.trim_end().ends_with("/a%3Ab%25.%p.wft"), "{text}");
    assert!(!place.path().join("a:b%.%p.wft").exists());
}

/// In the place of the shim: every process leaves a trace without events, named as the shim names it.
const RECORDER: &str = r#"
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *wf_version(void) { return "0"; }

__attribute__((constructor)) static void record(void) {
  const char *options = getenv("WHOFREED_OPTIONS");
  if (!options) return;
  unsigned char header[4096];
  int template = open(TEMPLATE, O_RDONLY);
  if (read(template, header, sizeof header) != sizeof header) abort();
  close(template);
  uint64_t session = strtoull(strstr(options, "session=") + 8, NULL, 16);
  uint32_t pid = (uint32_t)getpid();
  uint64_t id = pid;
  memcpy(header + SESSION, &session, sizeof session);
  memcpy(header + PID, &pid, sizeof pid);
  memcpy(header + TRACE_ID, &id, sizeof id);
  char path[4096], other[4096];
  strcpy(path, strstr(options, "trace=") + 6);
  path[strlen(path) - strlen(".wft")] = 0;
  snprintf(other, sizeof other, "%s.%u.wft", path, pid);
  strcat(path, ".wft");
  int file = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (file < 0) file = open(other, O_CREAT | O_EXCL | O_WRONLY, 0600);
  if (write(file, header, sizeof header) != sizeof header) abort();
  close(file);
}
"#;

fn compile_recorder(place: &Place) {
    let template = place.path().join("template");
    fs::write(&template, header(0, 0)).unwrap();
    let source = place.path().join("recorder.c");
    fs::write(&source, RECORDER).unwrap();
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-w"])
        .arg(format!("-DTEMPLATE=\"{}\"", template.display()))
        .arg(format!("-DSESSION={}", offset_of!(FileHeader, session)))
        .arg(format!("-DPID={}", offset_of!(FileHeader, pid)))
        .arg(format!("-DTRACE_ID={}", offset_of!(FileHeader, trace_id)))
        .arg("-o")
        .args([&place.shim, &source])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn the_traces_of_one_run_are_merged_and_no_others() {
    let place = Place::new();
    compile_recorder(&place);
    // The second run finds the files of the first.
    for _ in 0..2 {
        let arguments = [
            "--trace",
            "t.wft",
            "--report",
            "r.json",
            "--format",
            "json",
            "--",
            "sh",
            "-c",
            "/bin/true; exit 3",
        ];
        let output = place.run(&arguments);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(place.path().join("r.json")).unwrap()).unwrap();
        let processes = report["processes"].as_array().unwrap();
        assert_eq!(processes.len(), 2, "{report}");
        assert_eq!(
            processes[0]["exit"]["code"], 3,
            "the command comes first, with its end"
        );
        assert_eq!(processes[1]["exit"]["code"], serde_json::Value::Null);
    }
    // The end of the command stands in its trace, for any report to come.
    let output = Command::new(env!("CARGO_BIN_EXE_whofreed"))
        .args(["report", "t.wft", "--format", "json"])
        .current_dir(place.path())
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["process"]["exit"]["code"], 3);
}

#[test]
fn a_run_says_last_where_its_traces_are() {
    let place = Place::new();
    compile_recorder(&place);
    let last = |output: &Output| said(output).lines().last().unwrap().to_owned();
    let named = place.run(&["--trace", "t.wft", "--", "true"]);
    assert_eq!(last(&named), "trace: t.wft");
    let own = place.run(&["--", "true"]);
    let name = last(&own).replace("trace: ", "");
    assert!(name.starts_with("whofreed.true."), "{name}");
    assert!(place.path().join(&name).is_file(), "{name}");
    let child = place.run(&["--trace", "c.wft", "--", "sh", "-c", "/bin/true; exit 3"]);
    let line = last(&child);
    assert!(line.starts_with("traces: c.wft, c."), "{line}");

    // Whoever stands elsewhere is told the whole path.
    fs::create_dir(place.path().join("below")).unwrap();
    let elsewhere = place
        .command(&["--trace", "../t.wft", "--", "true"])
        .current_dir(place.path().join("below"))
        .output()
        .unwrap();
    let folder = fs::canonicalize(place.path()).unwrap();
    let expected = format!("trace: {}", folder.join("t.wft").display());
    assert_eq!(last(&elsewhere), expected);
}

#[test]
fn a_trace_that_the_host_removed_is_not_called_silence() {
    let place = Place::new();
    compile_recorder(&place);
    let script = "unset WHOFREED_OPTIONS; rm t.wft";
    let output = place
        .command(&["--trace", "t.wft", "--", "sh", "-c", script])
        .env("COLUMNS", "200")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = said(&output);
    assert!(
        said.starts_with(
            "whofreed: no trace was found: either no hooked function was called, or the trace was removed or could \
             not be written"
        ),
        "{said}"
    );
    assert!(
        said.ends_with("SUMMARY: whofreed: no trace was found\n"),
        "{said}"
    );
    assert!(!said.contains("ever called"), "{said}");
}

#[test]
fn a_trace_that_the_host_renamed_is_found_and_a_copy_counted_once() {
    let place = Place::new();
    compile_recorder(&place);
    fs::write(place.path().join("other.wft"), "no trace").unwrap();
    for script in ["mv t.wft a.dat", "cp t.wft a.dat"] {
        let script = format!("unset WHOFREED_OPTIONS; {script}; exit 3");
        let output = place.run(&[
            "--trace", "t.wft", "--report", "r.json", "--format", "json", "--", "sh", "-c", &script,
        ]);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(
            said(&output).starts_with("whofreed: no event could be read"),
            "{}",
            said(&output)
        );
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(place.path().join("r.json")).unwrap()).unwrap();
        let processes = report["processes"].as_array().unwrap();
        assert_eq!(processes.len(), 1, "{script}: {report}");
        assert_eq!(processes[0]["parent_pid"], 0, "as the trace has it");
        assert_eq!(processes[0]["exit"]["code"], 3);
    }
}
