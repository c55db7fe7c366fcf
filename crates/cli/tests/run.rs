//! `whofreed run` around commands that never call a hooked function, with a library in the place of the shim
//! that does nothing: how the command runs and ends, and what is said then.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::process::Stdio;

use common::Place;
use common::printed;
use common::said;

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
fn what_a_broken_pipe_does_to_the_command_is_what_it_would_do_without_us() {
    let place = Place::new();
    let script = "kill -s PIPE $$; exit 3";
    for trap in ["trap '' PIPE", "trap - PIPE"] {
        let alone = Command::new("sh")
            .args(["-c", &format!("{trap}; sh -c '{script}'; exit $?")])
            .status();
        let tracked = place.command(&["--", "sh", "-c", script]);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{trap}; exec \"$0\" \"$@\"")])
            .arg(tracked.get_program())
            .args(tracked.get_args())
            .current_dir(place.path());
        for (key, value) in tracked.get_envs() {
            shell.env(key, value.unwrap_or_default());
        }
        let code = shell.output().unwrap().status.code();
        assert_eq!(code, alone.unwrap().code(), "{trap}");
        if trap == "trap '' PIPE" {
            assert_eq!(code, Some(3));
        }
    }
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
fn a_guard_that_holds_nothing_back_is_told() {
    let place = Place::new();
    let hook = "[[hook]]\nevent = \"deallocate\"\nsymbols = [\"pool_give\"]\naddress = \"arg0\"\n";
    let adapter = format!("name = \"pool\"\nlibrary = \"libpool.so*\"\n{hook}");
    fs::write(place.path().join("pool.toml"), &adapter).unwrap();
    fs::write(place.path().join("kept.toml"), adapter + "guard = 0\n").unwrap();
    for (arguments, is_told) in [
        (["--guard", "--adapters", "./pool.toml", "--", "true"], true),
        (
            ["--guard", "--adapters", "./kept.toml", "--", "true"],
            false,
        ),
        (
            ["--guard=0", "--adapters", "./pool.toml", "--", "true"],
            false,
        ),
    ] {
        let told = said(&place.run(&arguments));
        let note = "--guard holds nothing back of adapter ./pool.toml: no hook of it";
        assert_eq!(told.contains(note), is_told, "{told}");
    }
}
