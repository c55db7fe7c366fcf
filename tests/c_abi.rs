//! The shape of the shared library and its header: what is exported, how the header compiles, the weak mode, and that
//! sanitizers and valgrind find nothing in a linked host.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::Host;
use common::Scratch;

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(common::root().join("include/whofreed.h")).expect("the header");
    header
        .split("\nWF_API")
        .skip(1)
        .filter_map(|text| text.split('(').next()?.rsplit([' ', '*', '\n']).next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn exactly_the_header_is_exported() {
    let run = common::run(
        Command::new("nm")
            .args(["-D", "--defined-only", "--format=posix"])
            .arg(common::shim()),
    )
    .expect_code(0);
    let exported: BTreeSet<String> = run
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    let declared = declared();
    assert_eq!(declared.len(), 17, "{declared:?}");
    // The thunks are for the libraries that `whofreed run` generates, not for people.
    let for_people: BTreeSet<String> = exported
        .iter()
        .filter(|name| !name.starts_with("wf_thunk_"))
        .cloned()
        .collect();
    assert_eq!(for_people, declared);
}

#[test]
fn the_page_says_of_every_function_what_it_is_for() {
    let page = common::page::read("docs/native.md");
    for function in declared() {
        assert!(page.contains(&format!("`{function}`")), "{function}");
    }
}

#[test]
fn the_library_has_its_name_and_stays() {
    let run = common::run(Command::new("readelf").arg("-d").arg(common::shim())).expect_code(0);
    assert!(
        run.stdout.contains("soname: [libwhofreed.so]"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("NODELETE"), "{}", run.stdout);
    assert!(!run.stdout.contains("TEXTREL"), "{}", run.stdout);
}

#[test]
fn every_function_has_a_weak_form() {
    let header = fs::read_to_string(common::root().join("include/whofreed.h")).expect("the header");
    // Hosts do not call the place where debuggers stop.
    for name in declared()
        .into_iter()
        .filter(|name| name != "wf_excess_break")
    {
        let verb = name.trim_start_matches("wf_");
        let define = format!("#define {name} wf_weak_{verb}");
        assert!(header.lines().any(|line| line == define), "{define}");
    }
}

#[test]
fn the_version_is_the_packages() {
    let scratch = Scratch::new("version");
    let source = scratch.file("version.c");
    let text = "#include <stdio.h>\n#include \"whofreed.h\"\nint main(void) { return puts(wf_version()) < 0; }\n";
    fs::write(&source, text).expect("a source file");
    let host = Host::c(&source.to_string_lossy()).compile(&scratch, "version");
    let run = common::run(&mut Command::new(host)).expect_code(0);
    assert_eq!(run.stdout.trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_headers_compile_with_every_warning() {
    let scratch = Scratch::new("warnings");
    let strict = [
        "-c",
        "-Wconversion",
        "-Wshadow",
        "-Wundef",
        "-Wcast-qual",
        "-Wmissing-declarations",
    ];
    for (index, mode) in ["", "#define WHOFREED_WEAK\n"].into_iter().enumerate() {
        let c = scratch.file(&format!("header{index}.c"));
        fs::write(
            &c,
            format!("{mode}#include \"whofreed.h\"\nextern int nothing;\n"),
        )
        .expect("a source");
        Host::c(&c.to_string_lossy())
            .flags(&strict)
            .flags(&["-Wstrict-prototypes"])
            .unlinked()
            .compile(&scratch, "header.o");
        let cxx = scratch.file(&format!("header{index}.cpp"));
        fs::write(
            &cxx,
            format!("{mode}#include \"whofreed.hpp\"\n#include \"whofreed.hpp\"\n"),
        )
        .expect("a source");
        Host::cxx(&[&cxx.to_string_lossy()])
            .flags(&strict)
            .unlinked()
            .compile(&scratch, "header.o");
    }
}

/// A weak host alone, and with the library in its process.
fn check_weak(scratch: &Scratch, host: &Path, arguments: [&[&str]; 2]) {
    let [absent, present] = arguments;
    let alone = common::run(Command::new(host).args(absent)).expect_code(0);
    assert_eq!(alone.stderr, "");
    common::run(
        Command::new(host)
            .args(present)
            .env("LD_PRELOAD", common::shim())
            .env("WHOFREED_OPTIONS", "summary=0"),
    )
    .expect_code(0);
    let tracked = common::track(scratch, &[], host, present);
    tracked.run.expect_code(0);
    common::check_identities(&tracked.report);
    assert!(common::total(&tracked.report, "excess") > 0);
}

#[test]
fn the_weak_mode_in_every_kind_of_code() {
    let kinds: [&[&str]; 5] = [
        &["-fPIE", "-pie"],
        &["-fno-pie", "-no-pie"],
        &["-fno-pie", "-no-pie", "-O0"],
        &["-fPIC"],
        &["-DWHOFREED_WEAK_DLSYM"],
    ];
    for kind in kinds {
        let scratch = Scratch::new("weak");
        let host = Host::c("c_tests/weak.c")
            .flags(kind)
            .unlinked()
            .compile(&scratch, "weak");
        check_weak(&scratch, &host, [&["absent"], &["present"]]);
        let host = Host::cxx(&["c_tests/api.cpp"])
            .flags(kind)
            .flags(&["-DWHOFREED_WEAK"])
            .unlinked()
            .compile(&scratch, "weak_cxx");
        check_weak(&scratch, &host, [&[], &[]]);
    }
}

/// The hosts that a checking tool watches, with arguments that keep it short.
const WATCHED: [(&str, &[&str]); 7] = [
    ("c_tests/api.c", &[]),
    ("c_tests/api.cpp", &[]),
    ("c_tests/bad_input.c", &[]),
    ("c_tests/fork.c", &[]),
    ("c_tests/owners.c", &["guard", "4000"]),
    ("c_tests/static_init.cpp", &[]),
    ("c_tests/threads.c", &["4000"]),
];

#[test]
fn sanitizers_find_nothing() {
    let scratch = Scratch::new("sanitizers");
    let probe = scratch.file("probe.c");
    fs::write(&probe, "int main(void) { return 0; }\n").expect("a source");
    let sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let built = Command::new("cc")
        .args(sanitize)
        .arg(&probe)
        .arg("-o")
        .arg(scratch.file("probe"))
        .output()
        .expect("a C compiler");
    if !built.status.success() {
        common::skip("sanitizers_find_nothing", "the compiler has no sanitizers");
        return;
    }
    for (source, arguments) in WATCHED {
        let host = Host::of(source).flags(&sanitize).compile(&scratch, "host");
        for options in [
            "summary=0".to_owned(),
            format!("trace={}", scratch.file("s.%p.wft").display()),
        ] {
            let run = common::run(
                Command::new(&host)
                    .args(arguments)
                    .env("WHOFREED_OPTIONS", &options)
                    .env("ASAN_OPTIONS", "detect_leaks=1"),
            );
            assert!(
                !run.stderr.contains("Sanitizer"),
                "{source}: {}",
                run.stderr
            );
            run.expect_code(0);
        }
    }
}

/// Valgrind looks for pointers in all memory that may be written to, half a minute for what is reserved and never used. Under a
/// limit, less is reserved.
const LIMITED: &str = "ulimit -d 4000000 && exec \"$@\"";

#[test]
fn valgrind_finds_nothing() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        common::skip("valgrind_finds_nothing", "there is no valgrind here");
        return;
    }
    let scratch = Scratch::new("valgrind");
    // Valgrind reads debug information whether or not it has something to say: that of the library is large.
    let library = scratch.file("libwhofreed.so");
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(&library);
    common::run(strip.arg(common::shim())).expect_code(0);
    for (source, arguments) in WATCHED {
        let arguments = if source == "c_tests/api.c" {
            &["quick"]
        } else {
            arguments
        };
        let host = Host::of(source).compile(&scratch, "host");
        let run = common::run(
            Command::new("sh")
                .args(["-c", LIMITED, "sh", "valgrind"])
                .args([
                    "--quiet",
                    "--error-exitcode=99",
                    "--leak-check=full",
                    "--errors-for-leak-kinds=definite",
                    "--show-leak-kinds=definite",
                ])
                .arg(&host)
                .args(arguments)
                .env("LD_LIBRARY_PATH", scratch.path())
                .env("WHOFREED_OPTIONS", "summary=0"),
        );
        assert_eq!(run.code(), 0, "{source}:\n{}", run.stderr);
        assert!(!run.stderr.contains("=="), "{source}:\n{}", run.stderr);
    }
}
