//! The Python walk against real interpreters: every CPython 3.10 to 3.13 that this machine has.
//!
//! The walk is built alone into a small library (tests/python/probe), which scripts in tests/python
//! load into each interpreter. They compare; a script that fails says what differs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::OnceLock;

/// A usable interpreter.
struct Python {
    path: PathBuf,
    /// Major and minor version.
    version: (u32, u32),
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

/// Builds the probe once and returns its path.
fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-probe");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(folder().join("probe/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        target.join("release/libpython_probe.so")
    })
}

/// Every file that may be an interpreter: on PATH and among pyenv's versions.
fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .collect();
    if let Some(home) = std::env::var_os("HOME") {
        let versions = std::fs::read_dir(Path::new(&home).join(".pyenv/versions"));
        folders.extend(
            versions
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.path().join("bin")),
        );
    }
    let mut found = Vec::new();
    for folder in folders {
        for name in [
            "python3",
            "python3.9",
            "python3.10",
            "python3.11",
            "python3.12",
            "python3.13",
        ] {
            let path = folder.join(name);
            if path.is_file() {
                found.push(path);
            }
        }
    }
    found
}

/// The interpreters that run, by their real path. A candidate can be a shim that only fails.
fn pythons() -> &'static [Python] {
    static PYTHONS: OnceLock<Vec<Python>> = OnceLock::new();
    PYTHONS.get_or_init(|| {
        let mut found = BTreeMap::new();
        for candidate in candidates() {
            let ask = "import ctypes, os, sys; print(sys.implementation.name, *sys.version_info[:2], \
                       os.path.realpath(sys.executable))";
            let answer = Command::new(&candidate).args(["-I", "-c", ask]).output();
            let text = match &answer {
                Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout),
                _ => {
                    println!("skipped: {} does not run, or lacks ctypes", candidate.display());
                    continue;
                }
            };
            let mut words = text.trim_end().splitn(4, ' ');
            let mut next = || words.next().unwrap_or_default();
            let (implementation, major, minor, path) = (next(), next(), next(), next());
            if implementation != "cpython" {
                println!("skipped: {} is {implementation}", candidate.display());
                continue;
            }
            let version = (major.parse().unwrap_or(0), minor.parse().unwrap_or(0));
            found.insert(PathBuf::from(path), version);
        }
        found.into_iter().map(|(path, version)| Python { path, version }).collect()
    })
}

/// The interpreters whose frames are read. Says which versions were not found; under CI one is
/// needed.
fn readable() -> Vec<&'static Python> {
    let all: Vec<&Python> = pythons()
        .iter()
        .filter(|python| (10..=13).contains(&python.version.1))
        .collect();
    for minor in 10..=13 {
        if !all.iter().any(|python| python.version.1 == minor) {
            println!("skipped: no Python 3.{minor} found");
        }
    }
    let must = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(
        !must || !all.is_empty(),
        "no Python 3.10 to 3.13 on this machine"
    );
    all
}

fn run(python: &Python, script: &str, argument: &str) -> Output {
    Command::new(&python.path)
        .arg("-B")
        .arg(folder().join(script))
        .arg(argument)
        .env("WHOFREED_PROBE", probe())
        .env_remove("PYTHONPATH")
        .output()
        .unwrap()
}

fn succeed(python: &Python, script: &str, argument: &str) -> String {
    let output = run(python, script, argument);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{} {script}: {}\n{text}{}",
        python.path.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
    text
}

#[test]
fn frames_are_those_of_the_interpreter() {
    for python in readable() {
        let text = succeed(python, "frames.py", "");
        let cases = std::fs::read_to_string(folder().join("frames.py")).unwrap();
        let cases = cases.matches("\n@case\n").count();
        assert_eq!(
            text.lines().filter(|line| line.starts_with("ok ")).count(),
            2 * cases
        );
        let (major, minor) = python.version;
        let status = format!("status: reading {major}.{minor}, verified\n");
        assert!(text.contains(&status), "{}: {text}", python.path.display());
        println!(
            "{}: {}",
            python.path.display(),
            text.lines().last().unwrap()
        );
    }
}

/// How much is done: ten times as much under `cargo xtask soak`.
fn size(small: usize) -> usize {
    let soak = std::env::var_os("WHOFREED_TEST_SIZE").is_some_and(|size| size == "soak");
    if soak { small * 10 } else { small }
}

#[test]
fn captures_stand_beside_running_threads() {
    for python in readable() {
        let captures = size(200_000);
        let text = succeed(python, "stress.py", &captures.to_string());
        assert_eq!(text, format!("ok {captures}\n"));
    }
}

#[test]
fn the_end_of_an_interpreter_is_survived_and_seen() {
    let pythons = readable();
    // Fifty ends in all, whatever the number of interpreters.
    let turns = size(50).div_ceil(pythons.len().max(1));
    for python in pythons {
        for turn in 0..turns {
            let text = succeed(python, "finalize.py", &turn.to_string());
            let name = if python.version.1 >= 11 {
                "LastWords.__del__"
            } else {
                "__del__"
            };
            assert_eq!(
                text,
                format!("last words of {name}\n"),
                "{}",
                python.path.display()
            );
        }
    }
}

#[test]
fn an_interpreter_that_cannot_be_read_says_so() {
    let others = pythons()
        .iter()
        .filter(|python| !(10..=13).contains(&python.version.1));
    let mut count = 0;
    for python in others {
        let text = succeed(python, "unsupported.py", "");
        let newer = python.version.1 > 13;
        let why = if newer {
            "newer than 3.13"
        } else {
            "older than 3.10"
        };
        assert_eq!(text, format!("status: unsupported: {why}\n"));
        count += 1;
    }
    if count == 0 {
        println!("skipped: no Python before 3.10 or after 3.13 found");
    }
}
