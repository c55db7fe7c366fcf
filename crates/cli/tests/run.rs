//! `whofreed run` around commands that never call a hooked function, with a library in the place of the shim
//! that does nothing: what the launcher does by itself.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Read;
use std::mem::offset_of;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use tempfile::TempDir;
use whofreed_trace::layout::BYTE_ORDER_MARK;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::EVENT_SIZE;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::MAGIC;
use whofreed_trace::layout::VERSION;
use zerocopy::FromZeros;
use zerocopy::IntoBytes;

struct Place {
    folder: TempDir,
    shim: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shim = folder.path().join("libwhofreed.so");
        let source = folder.path().join("empty.c");
        fs::write(&source, "const char *wf_version(void) { return \"0\"; }\n").unwrap();
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&shim, &source])
            .status()
            .unwrap();
        assert!(status.success());
        Self { folder, shim }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whofreed"));
        command
            .arg("run")
            .arg("--shim")
            .arg(&self.shim)
            .args(arguments)
            .current_dir(self.path())
            .env("XDG_CACHE_HOME", self.cache())
            .env_remove("WHOFREED_OPTIONS")
            .env_remove("LD_PRELOAD")
            .env_remove("COLUMNS");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn script(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_exit_code_is_the_command_s_own() {
    let place = Place::new();
    for (script, code) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -6 $$", 134),
    ] {
        let output = place.run(&["--error-exitcode", "99", "--", "sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert!(
            said(&output).starts_with("whofreed: no trace was found: either"),
            "{}",
            said(&output)
        );
    }
}

#[test]
fn what_cannot_be_run_or_preloaded_is_refused_with_its_reason() {
    let place = Place::new();
    place.script("file", "x");
    fs::set_permissions(place.path().join("file"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::copy("/bin/true", place.path().join("privileged")).unwrap();
    fs::set_permissions(
        place.path().join("privileged"),
        fs::Permissions::from_mode(0o4755),
    )
    .unwrap();
    place.script("orphan", "#!/nowhere/interpreter\n");
    place.script("lost", "#!/usr/bin/env whofreed-no-such-interpreter\n");
    place.script(
        "loop",
        &format!("#!{}\n", place.path().join("loop").display()),
    );
    fs::write(
        place.path().join("main.c"),
        "int main(void) { return 0; }\n",
    )
    .unwrap();
    let compiled = Command::new("cc")
        .args(["-static", "-o", "static", "main.c"])
        .current_dir(place.path())
        .status();
    let mut cases = vec![
        ("whofreed-no-such-command", 127, "command not found"),
        ("./missing", 127, "no such file"),
        ("", 127, "command not found"),
        ("./", 126, "is a directory"),
        ("./file", 126, "is not executable"),
        ("./privileged", 126, "is set-uid"),
        ("./orphan", 127, "/nowhere/interpreter: no such file"),
        (
            "./lost",
            127,
            "whofreed-no-such-interpreter: command not found",
        ),
        ("./loop", 126, "too many interpreters"),
    ];
    // Not every machine has the C library for it.
    if compiled.is_ok_and(|status| status.success()) {
        cases.push((
            "./static",
            126,
            "is statically linked, so it cannot be preloaded",
        ));
    }
    for (command, code, reason) in cases {
        let output = place.run(&["--", command]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{command}: {}",
            said(&output)
        );
        assert!(
            said(&output).contains(reason),
            "{command}: {}",
            said(&output)
        );
        assert_eq!(
            said(&output).lines().count(),
            1,
            "{command}: {}",
            said(&output)
        );
    }
}

#[test]
fn scripts_run_with_or_without_an_interpreter_s_line() {
    let place = Place::new();
    for text in [
        "#!/bin/sh\necho \"$0 $1\"\n",
        "echo \"$0 $1\"\n",
        "#! /usr/bin/env -S sh\necho \"$0 $1\"\n",
    ] {
        let script = place.script("script", text);
        let output = place.run(&["--", &script, "one"]);
        assert_eq!(
            printed(&output),
            format!("{script} one\n"),
            "{text:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn the_command_gets_the_shim_the_hooks_and_what_the_user_had() {
    let place = Place::new();
    let show = [
        "--guard",
        "--depth=9",
        "--on-excess",
        "print",
        "--",
        "sh",
        "-c",
        "echo $LD_PRELOAD; echo $WHOFREED_OPTIONS",
    ];
    let output = place
        .command(&show)
        .env("WHOFREED_OPTIONS", "depth=7:stacks=excess")
        .output()
        .unwrap();
    let text = printed(&output);
    let lines: Vec<&str> = text.lines().collect();
    let preload: Vec<&str> = lines[0].split(':').collect();
    assert_eq!(
        Path::new(preload[0]),
        fs::canonicalize(&place.shim).unwrap()
    );
    let hooks = Path::new(preload[1]);
    assert_eq!(
        hooks.parent(),
        Some(place.cache().join("whofreed").as_path())
    );
    let options: Vec<&str> = lines[1].split(':').collect();
    assert_eq!(
        options[..2],
        ["depth=7", "stacks=excess"],
        "the user's come first"
    );
    assert_eq!(
        options[2..6],
        ["guard=1", "depth=9", "on_excess=print", "run=1"]
    );
    let session = options[6].strip_prefix("session=").unwrap();
    assert_ne!(u64::from_str_radix(session, 16).unwrap(), 0);
    assert!(options[7].starts_with("tally="), "{}", options[7]);
    let folder = fs::canonicalize(place.path()).unwrap();
    assert_eq!(
        options[8],
        format!("trace={}/whofreed.sh.%p.wft", folder.display())
    );

    let output = place
        .command(&["--adapters", "none", "--", "sh", "-c", "echo $LD_PRELOAD"])
        .env("LD_PRELOAD", &place.shim)
        .output()
        .unwrap();
    let shim = fs::canonicalize(&place.shim).unwrap();
    assert_eq!(
        printed(&output),
        format!("{}:{}\n", shim.display(), place.shim.display())
    );
}

#[test]
fn the_shim_is_looked_for_and_its_places_are_told() {
    let place = Place::new();
    let run = |shim: &str| {
        Command::new(env!("CARGO_BIN_EXE_whofreed"))
            .args(["run", "--shim", shim, "--", "true"])
            .current_dir(place.path())
            .output()
            .unwrap()
    };
    let output = run("/nowhere/libwhofreed.so");
    assert_eq!(output.status.code(), Some(125));
    assert!(
        said(&output).contains("looked for /nowhere/libwhofreed.so"),
        "{}",
        said(&output)
    );
    for name in ["with space", "with:colon"] {
        let folder = place.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(&place.shim, folder.join("libwhofreed.so")).unwrap();
        let output = run(folder.to_str().unwrap());
        assert_eq!(output.status.code(), Some(125));
        assert!(
            said(&output).contains("cannot stand in LD_PRELOAD"),
            "{}",
            said(&output)
        );
    }
}

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

#[test]
fn adapters_that_are_named_must_exist_and_come_first_when_they_bind_nothing() {
    let place = Place::new();
    let output = place.run(&["--adapters", "nonsense", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(said(&output).contains("nonsense"), "{}", said(&output));

    let output = place.run(&["--adapters", "tt-metal", "--", "true"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said(&output).starts_with("whofreed: adapter tt-metal bound nothing"),
        "{}",
        said(&output)
    );
    let output = place.run(&["--", "true"]);
    assert!(
        said(&output).starts_with("whofreed: no trace was found: either"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_report_goes_to_a_file_and_the_answer_to_stderr() {
    let place = Place::new();
    let output = place.run(&[
        "--report", "out.json", "--format", "json", "--", "sh", "-c", "exit 4",
    ]);
    assert_eq!(output.status.code(), Some(4));
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path().join("out.json")).unwrap()).unwrap();
    assert_eq!(report["process"]["exit"]["code"], 4);
    assert_eq!(report["process"]["command"][0], "sh");
    assert_eq!(report["totals"]["events"], 0);
    let told = said(&output);
    assert!(told.starts_with("whofreed: no trace was found"), "{told}");
    assert!(!told.contains("SUMMARY"), "{told}");

    let output = place.run(&[
        "--report",
        "/nowhere/out.txt",
        "--",
        "sh",
        "-c",
        "echo it ran",
    ]);
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(printed(&output), "", "told too late");

    let output = place
        .command(&["--", "true"])
        .env("WHOFREED_OPTIONS", "format=nonsense")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        said(&output).starts_with("whofreed: format=nonsense: no such format"),
        "{}",
        said(&output)
    );
}

#[test]
fn signals_reach_the_command_and_the_report_still_comes() {
    let place = Place::new();
    // TERM is passed on; INT, which the keyboard sends to all, only must not end whofreed.
    for (signal, script, code) in [
        (
            "TERM",
            "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done",
            7,
        ),
        ("HUP", "echo ready; while :; do sleep 0.05; done", 129),
        ("INT", "echo ready; read line; exit 5", 5),
    ] {
        let mut child = place
            .command(&["--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        let sent = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{signal}: {}",
            said(&output)
        );
        assert!(
            said(&output).starts_with("whofreed: "),
            "{signal}: {}",
            said(&output)
        );
    }
}

#[test]
fn what_the_command_leaves_behind_can_still_start_programs() {
    let place = Place::new();
    let gate = place.path().join("gate");
    assert!(
        Command::new("mkfifo")
            .arg(&gate)
            .status()
            .unwrap()
            .success()
    );
    // The process that stays waits until whofreed has ended, then starts a program.
    let script = "(read line < gate; exec ls -d / 2>&1) &";
    let mut child = place
        .command(&["--report", "report", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    fs::write(&gate, "go\n").unwrap();
    let mut late = String::new();
    child.stdout.unwrap().read_to_string(&mut late).unwrap();
    assert_eq!(late, "/\n");
}

#[test]
fn the_hooks_are_kept_once_in_a_private_folder_and_never_trusted_unseen() {
    let place = Place::new();
    let show = ["--", "sh", "-c", "echo ${LD_PRELOAD##*:}"];
    let hooks = printed(&place.run(&show));
    let path = Path::new(hooks.trim());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path), mode(path.parent().unwrap())), (0o600, 0o700));
    let library = fs::read(path).unwrap();

    let other = fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(printed(&place.run(&show)), hooks);
    assert!(fs::metadata(path).unwrap().modified().unwrap() >= other);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

    // Something else of that name is replaced, not preloaded.
    fs::write(path, "not a library").unwrap();
    assert_eq!(printed(&place.run(&show)), hooks);
    assert_eq!(fs::read(path).unwrap(), library);

    // A folder that others can write to is not used at all.
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    let elsewhere = printed(&place.run(&show));
    assert!(
        elsewhere.trim().ends_with("/whofreed-hooks.so"),
        "{elsewhere}"
    );
    assert!(
        !Path::new(elsewhere.trim()).exists(),
        "a folder for one run stays"
    );
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
    let mut header = FileHeader::new_zeroed();
    header.magic = MAGIC;
    header.version = VERSION;
    header.byte_order = BYTE_ORDER_MARK;
    header.header_size = HEADER_SIZE as u32;
    header.chunk_size = CHUNK_SIZE as u32;
    header.event_size = EVENT_SIZE as u32;
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(HEADER_SIZE, 0);
    let template = place.path().join("template");
    fs::write(&template, bytes).unwrap();
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
            said(&output).starts_with("whofreed: no event was recorded"),
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

#[test]
fn a_limit_on_the_size_of_files_is_told_and_not_inherited_as_ignored() {
    let place = Place::new();
    let limited = |limit: u32, arguments: &[&str]| {
        Command::new("sh")
            .arg("-c")
            .arg(format!("ulimit -f {limit}; exec \"$0\" \"$@\""))
            .arg(env!("CARGO_BIN_EXE_whofreed"))
            .args(["run", "--shim"])
            .arg(&place.shim)
            .args(arguments)
            .current_dir(place.path())
            .env("XDG_CACHE_HOME", place.cache())
            .env_remove("WHOFREED_OPTIONS")
            .env_remove("LD_PRELOAD")
            .output()
            .unwrap()
    };
    for limit in [0, 1] {
        let output = limited(limit, &["--", "true"]);
        assert_eq!(output.status.code(), Some(125), "{limit}: {output:?}");
        assert!(
            said(&output).contains("File too large"),
            "{limit}: {output:?}"
        );
    }
    let output = limited(
        0,
        &["--adapters", "none", "--report", "r.txt", "--", "true"],
    );
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(
        said(&output).contains("r.txt: cannot be written: File too large"),
        "{output:?}"
    );
    // A report on stderr that is lost is not passed over, though nobody can be told why.
    let status = place
        .command(&["--adapters", "none", "--", "true"])
        .stderr(
            fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap(),
        )
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(125));
    // The command dies of it as it would without us.
    let output = limited(
        0,
        &["--adapters", "none", "--", "dd", "if=/dev/zero", "of=f"],
    );
    assert_eq!(
        output.status.code(),
        Some(128 + libc::SIGXFSZ),
        "{output:?}"
    );
}

#[test]
fn what_is_no_shim_is_refused() {
    let place = Place::new();
    let source = place.path().join("foreign.c");
    fs::write(
        &source,
        "const char *wf_version(void);\nconst char *use(void) { return wf_version(); }\n",
    )
    .unwrap();
    let foreign = place.path().join("foreign.so");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&foreign, &source])
        .status()
        .unwrap();
    assert!(status.success());
    // The same library, for a machine of number 8 (MIPS).
    let mut other = fs::read(&place.shim).unwrap();
    other[18] = 8;
    other[19] = 0;
    let elsewhere = place.path().join("elsewhere.so");
    fs::write(&elsewhere, other).unwrap();
    let text = place.path().join("text.so");
    fs::write(&text, "text").unwrap();
    let empty = place.path().join("nothing.so");
    fs::write(&empty, "").unwrap();
    for (shim, reason) in [
        (Path::new("/bin/true"), "it does not export wf_version"),
        (&foreign, "it does not export wf_version"),
        (&elsewhere, "it is for another machine"),
        (&text, "it is no ELF file"),
        (&empty, "it is no ELF file"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_whofreed"))
            .args(["run", "--shim"])
            .arg(shim)
            .args(["--", "sh", "-c", "echo it ran"])
            .current_dir(place.path())
            .output()
            .unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert_eq!(printed(&output), "", "{}", shim.display());
        assert!(said.contains(reason), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
