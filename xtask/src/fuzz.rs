//! `cargo xtask fuzz`: what reads what others wrote, under libFuzzer, with the toolchain that is there.
//!
//! The targets are a package of their own in cargo-fuzz's layout (`fuzz/`). What that tool does is little: flags for
//! the compiler, all of them stable, and folders for what is found.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::artifacts;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// So long a target runs when nobody says how long.
const SECONDS: u64 = 60;
/// So long each runs among the tests.
const SECONDS_OF_TEST: u64 = 2;

/// Counters at every edge, and what is compared, for libFuzzer.
const FLAGS: [&str; 6] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// `cargo xtask fuzz [TARGET] [SECONDS]`
pub fn command(arguments: &[&str]) -> Outcome<()> {
    let (names, numbers): (Vec<&str>, Vec<&str>) = arguments
        .iter()
        .partition(|word| word.parse::<u64>().is_err());
    let seconds = match numbers.as_slice() {
        [] => SECONDS,
        [number] => number.parse().unwrap_or(SECONDS),
        _ => return Err("fuzz: one number of seconds".to_owned()),
    };
    let all = targets()?;
    if let Some(unknown) = names
        .iter()
        .find(|name| !all.iter().any(|one| one == *name))
    {
        return Err(format!(
            "fuzz: no target {unknown}; there are {}",
            all.join(", ")
        ));
    }
    let built = build()?;
    let wanted = all
        .iter()
        .filter(|one| names.is_empty() || names.contains(&one.as_str()));
    let mut failed = Vec::new();
    for target in wanted {
        match fuzz(&built, target, seconds, true) {
            Ok(said) => println!("xtask: {said}"),
            Err(why) => {
                eprintln!("xtask: {why}");
                failed.push(target.as_str());
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "fuzz: something was found in {}",
            failed.join(", ")
        ))
    }
}

/// Each target for a moment: how many passed, and how many did not.
pub fn test() -> (u64, u64) {
    let (mut passed, mut failed) = (0, 0);
    let built = targets().and_then(|targets| Ok((targets, build()?)));
    let (targets, built) = match built {
        Ok(built) => built,
        Err(why) => {
            eprintln!("xtask: the fuzz targets: {why}");
            return (0, 1);
        }
    };
    for target in targets {
        match fuzz(&built, &target, SECONDS_OF_TEST, false) {
            Ok(said) => {
                println!("xtask: {said}");
                passed += 1;
            }
            Err(why) => {
                eprintln!("xtask: {why}");
                failed += 1;
            }
        }
    }
    (passed, failed)
}

fn package() -> PathBuf {
    paths::root().join("fuzz")
}

/// Their names, sorted.
fn targets() -> Outcome<Vec<String>> {
    let folder = package().join("fuzz_targets");
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Builds all of them; the folder where they are.
fn build() -> Outcome<PathBuf> {
    // With a target that is named, build scripts and macros are built without the flags.
    let host = &artifacts::host()?;
    let folder = folder();
    run::shown(
        artifacts::cargo()
            .args(["build", "--release", "--locked", "--bins", "--target", host])
            .arg("--manifest-path")
            .arg(package().join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&folder)
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f")),
    )?;
    Ok(folder.join(host).join("release"))
}

fn folder() -> PathBuf {
    paths::target().join("fuzz")
}

/// Runs a target for so long, on its kept corpus and on what it comes to. What it has found in earlier runs is only
/// gone on with where that is wanted: tests take the same time each time.
fn fuzz(built: &std::path::Path, target: &str, seconds: u64, goes_on: bool) -> Outcome<String> {
    let found = folder()
        .join(if goes_on { "found" } else { "test" })
        .join(target);
    if !goes_on {
        // It may not be there.
        let _ = fs::remove_dir_all(&found);
    }
    let crashes = folder().join("artifacts").join(target);
    run::create_folder(&found)?;
    run::create_folder(&crashes)?;
    let mut command = Command::new(built.join(target));
    command
        .arg(&found)
        .arg(package().join("corpus").join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", crashes.display()))
        .args(["-timeout=20", "-rss_limit_mb=2048"])
        .env("RUST_BACKTRACE", "0");
    let output = command
        .output()
        .map_err(|error| format!("{target}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let done = said.lines().find(|line| line.contains("DONE"));
    match done.filter(|_| output.status.success()) {
        Some(done) => Ok(format!("fuzz {target}: {}", done.replace('\t', " "))),
        None => {
            let lines: Vec<&str> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n");
            Err(format!("fuzz {target}: {}\n{last}", output.status))
        }
    }
}
