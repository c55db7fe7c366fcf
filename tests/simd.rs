//! Vectors of more than 16 bytes reach a hooked function whole, and come back whole, through the thunk that ends in a jump
//! and through the one that calls.
#![cfg(target_arch = "x86_64")]
#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::Scratch;
use common::total;
use serde_json::Value;

fn source(name: &str) -> String {
    let path = common::root().join("tests/simd").join(name);
    path.display().to_string()
}

fn compile(name: &str, output: &Path, flags: &[&str]) {
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let mut command = Command::new(compiler);
    command.args(["-std=c++17", "-O2", "-mavx", "-Wall", "-Wextra", "-Werror"]);
    command.arg(source(name)).args(flags).arg("-o").arg(output);
    common::run(&mut command).expect_code(0);
}

/// Runs the host with an adapter: what it says, and the report.
fn run(scratch: &Scratch, adapter: &Path) -> (String, Value) {
    let report = scratch.file("report.json");
    let mut run = Command::new(common::cli());
    run.arg("run").arg("--shim").arg(common::shim());
    run.arg("--trace").arg(scratch.file("wide.wft"));
    run.arg("--adapters")
        .arg(adapter)
        .args(["--format", "json"]);
    run.arg("--report")
        .arg(&report)
        .arg("--")
        .arg(scratch.file("host"));
    let run = common::run(&mut run);
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let text = fs::read_to_string(report).expect("a report");
    (run.stdout, serde_json::from_str(&text).expect("JSON"))
}

/// The build id of the library.
const ID: &str = "0fa1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3";

fn built(name: &str) -> Option<Scratch> {
    if !std::arch::is_x86_feature_detected!("avx") {
        common::skip("vectors of 32 bytes", "this processor has none");
        return None;
    }
    let scratch = Scratch::new(name);
    let library = scratch.file("libwide.so");
    let id = format!("-Wl,--build-id=0x{ID}");
    compile("wide.cpp", &library, &["-shared", "-fPIC", &id]);
    let library = library.display().to_string();
    compile(
        "host.cpp",
        &scratch.file("host"),
        &[&library, "-Wl,-rpath,$ORIGIN"],
    );
    Some(scratch)
}

/// Also from the end of a stack, above which nothing can be read.
#[test]
fn wide_vectors_pass_both_thunks_whole() {
    let Some(scratch) = built("simd") else { return };
    let (said, report) = run(&scratch, Path::new(&source("wide.toml")));
    assert_eq!(said, "done\n");
    let counts = ["allocations", "deallocations", "ok"].map(|key| total(&report, key));
    assert_eq!(counts, [10, 10, 10]);
}

/// An adapter for one build of a library sees nothing of another, and the report says so.
#[test]
fn a_hook_for_other_builds_of_the_library_records_nothing() {
    let Some(scratch) = built("builds") else {
        return;
    };
    let text = fs::read_to_string(source("wide.toml")).expect("an adapter");
    let adapter = scratch.file("builds.toml");
    for (ids, seen) in [
        (format!("\"{ID}\""), 10),
        (format!("\"ffffffffffff\", \"{}\"", &ID[..5]), 10),
        (format!("\"{ID}0\", \"ffffffffffff\""), 0),
    ] {
        let only = format!("simd = true\nbuild_id = [{ids}]\naddress");
        let tied = text.replace("simd = true\naddress", "address");
        let tied = tied.replace("simd = true\n", "").replace("address", &only);
        fs::write(&adapter, tied).expect("a file");
        let report = scratch.file("report.json");
        let _ = fs::remove_file(&report);
        let (said, report) = run(&scratch, &adapter);
        assert_eq!(said, "done\n");
        let count = total(&report, "allocations");
        assert_eq!(count, seen, "{ids}");
        let told = report["coverage"]["unobservable"].to_string();
        assert_eq!(told.contains("other builds"), seen == 0, "{told}");
    }
}
