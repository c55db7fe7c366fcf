//! The archive that `cargo xtask dist` makes, as somebody has it who knows nothing of this workspace: unpacked somewhere,
//! it builds and runs what C and C++ teams build.

mod common;

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use common::Scratch;

const CONSUMERS: &str = "c_tests/consumers";

/// The archive's folder, unpacked into a place that its maker did not know.
fn unpack(scratch: &Scratch) -> PathBuf {
    let archive = env::var_os("WHOFREED_TEST_DIST").expect("`cargo xtask test` says where it is");
    let place = scratch.file("some-place");
    fs::create_dir(&place).expect("a folder");
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(archive).arg("-C").arg(&place);
    common::run(&mut tar).expect_code(0);
    let mut entries = fs::read_dir(&place).expect("the folder");
    let root = entries
        .next()
        .expect("what was unpacked")
        .expect("an entry");
    assert!(entries.next().is_none(), "one folder, not a mess");
    root.path()
}

/// A copy of the consumers' sources, outside of the workspace.
fn consumers(scratch: &Scratch) -> PathBuf {
    let to = scratch.file("consumers");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(CONSUMERS);
    common::run(Command::new("cp").arg("-r").arg(from).arg(&to)).expect_code(0);
    to
}

fn has(test: &str, tool: &str) -> bool {
    let is_there = Command::new(tool).arg("--version").output().is_ok();
    if !is_there {
        common::skip(test, &format!("there is no {tool} here"));
    }
    is_there
}

/// The program links with the library that was unpacked and says the verdict of its free too many.
fn check(program: &Path, library: Option<&Path>, says: &str) {
    let mut command = Command::new(program);
    command
        .env("WHOFREED_OPTIONS", "summary=0")
        .env_remove("LD_LIBRARY_PATH");
    if let Some(library) = library {
        command.env("LD_LIBRARY_PATH", library);
    }
    let run = common::run(&mut command).expect_code(0);
    assert_eq!(run.stdout, format!("{says}\n"));
}

#[test]
fn a_cmake_project_finds_the_package() {
    let name = "a_cmake_project_finds_the_package";
    if !has(name, "cmake") {
        return;
    }
    let scratch = Scratch::new("dist-cmake");
    let root = unpack(&scratch);
    let sources = consumers(&scratch);
    let build = scratch.file("build");
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(&sources).arg("-B").arg(&build);
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", root.display()));
    common::run(&mut configure).expect_code(0);
    common::run(Command::new("cmake").arg("--build").arg(&build)).expect_code(0);
    // CMake links with a run path, so nothing has to be set.
    check(&build.join("consumer"), None, "1");
    check(&build.join("consumer_cxx"), None, "1");
    check(&build.join("consumer_weak"), None, "0");

    let reports = common::run(
        Command::new(root.join("bin/whofreed"))
            .args(["run", "--error-exitcode", "7", "--"])
            .arg(build.join("consumer_weak"))
            .current_dir(scratch.path()),
    );
    let reports = reports.expect_code(7);
    assert!(
        reports.stderr.contains("1 excess free"),
        "{}",
        reports.stderr
    );

    let wanted = fs::read_to_string(sources.join("CMakeLists.txt")).expect("it");
    fs::write(
        sources.join("CMakeLists.txt"),
        wanted.replace("whofreed 0.1", "whofreed 7.1"),
    )
    .expect("it");
    let mut configure = Command::new("cmake");
    configure
        .arg("-S")
        .arg(&sources)
        .arg("-B")
        .arg(scratch.file("newer"));
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", root.display()));
    let refused = common::run(&mut configure);
    assert_ne!(refused.code(), 0, "a version that is not there");
    assert!(refused.stderr.contains("7.1"), "{}", refused.stderr);
}

#[test]
fn a_makefile_finds_the_package_by_pkg_config() {
    let name = "a_makefile_finds_the_package_by_pkg_config";
    if !has(name, "pkg-config") || !has(name, "make") {
        return;
    }
    let scratch = Scratch::new("dist-pkg-config");
    let root = unpack(&scratch);
    let sources = consumers(&scratch);
    let mut make = Command::new("make");
    make.arg("consumer").current_dir(&sources);
    make.env("PKG_CONFIG_PATH", root.join("lib/pkgconfig"));
    common::run(&mut make).expect_code(0);
    check(&sources.join("consumer"), Some(&root.join("lib")), "1");
}

#[test]
fn the_archive_has_what_people_look_for() {
    let scratch = Scratch::new("dist-contents");
    let root = unpack(&scratch);
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    for (path, has) in [
        ("share/man/man1/whofreed.1", "whofreed\\-run(1)"),
        ("share/man/man1/whofreed-run.1", "error\\-exitcode"),
        (
            "share/bash-completion/completions/whofreed",
            "--error-exitcode",
        ),
        ("share/zsh/site-functions/_whofreed", "#compdef whofreed"),
        (
            "share/fish/vendor_completions.d/whofreed.fish",
            "complete -c whofreed",
        ),
        ("share/doc/whofreed/THIRD-PARTY.txt", "libc "),
        (
            "share/doc/whofreed/LICENSE-MIT",
            "Permission is hereby granted",
        ),
        ("share/whofreed/adapters/libc.toml", "[[hook]]"),
        ("share/whofreed/gdb/whofreed.gdb", "wf_excess_break"),
    ] {
        assert!(read(path).contains(has), "{path} lacks {has}");
    }
    // Text that is the same for whoever makes it names no folder of its maker.
    let notices = read("share/doc/whofreed/THIRD-PARTY.txt");
    assert!(!notices.contains(env!("CARGO_MANIFEST_DIR")));
    for (shell, arguments) in [
        (
            "bash",
            vec!["-n", "share/bash-completion/completions/whofreed"],
        ),
        ("zsh", vec!["-n", "share/zsh/site-functions/_whofreed"]),
        (
            "fish",
            vec!["-n", "share/fish/vendor_completions.d/whofreed.fish"],
        ),
    ] {
        // Each shell that is here reads its own.
        if Command::new(shell).arg("--version").output().is_ok() {
            common::run(Command::new(shell).args(&arguments).current_dir(&root)).expect_code(0);
        }
    }
    let version = common::run(Command::new(root.join("bin/whofreed")).arg("--version"));
    assert!(version.expect_code(0).stdout.starts_with("whofreed "));
}
