//! The Python walk against real interpreters: every CPython 3.10 to 3.13 that this machine has.
//!
//! The walk is built alone into a small library (tests/python/probe), which scripts in tests/python
//! load into each interpreter. They compare; a script that fails says what differs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::OnceLock;

use common::Host;
use common::Scratch;

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

/// The interpreter as a library, if it is there as one, and the folder of its modules.
fn library_of(python: &Python) -> Option<(PathBuf, String)> {
    let ask = "import sys, sysconfig; print(sysconfig.get_config_var('LIBDIR'), \
               sysconfig.get_config_var('INSTSONAME'), sys.base_prefix, sep='\\n')";
    let output = Command::new(&python.path)
        .args(["-I", "-c", ask])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines = text.lines();
    let library = Path::new(lines.next()?).join(lines.next()?);
    let is_shared = library.to_string_lossy().contains(".so") && library.is_file();
    is_shared.then_some((library, lines.next()?.to_owned()))
}

/// Each life of the interpreter is like the one before, but for a name, a file or a line.
#[test]
fn what_was_read_in_one_life_of_an_interpreter_does_not_hold_in_the_next() {
    let lives = [
        ("first", "/made/one.py", "y = 1\n\nreturn"),
        ("other", "/made/one.py", "y = 1\n\nreturn"),
        ("other", "/made/two.py", "y = 1\n\nreturn"),
        ("other", "/made/two.py", "y = 1\nreturn"),
        ("first", "/made/two.py", "y = 1\n\nreturn"),
    ];
    let scratch = Scratch::new("lives");
    let host = Host::c("tests/python/lives.c")
        .unlinked()
        .compile(&scratch, "lives");
    for python in readable() {
        let Some((library, home)) = library_of(python) else {
            println!("skipped: {} is no library", python.path.display());
            continue;
        };
        let script = |(name, file, body): (&str, &str, &str)| {
            format!(
                "kept = []\n\
                 for turn in range(2000):\n \
                 name = f'{name}{{turn % 7}}'\n \
                 scope = {{'take': take}}\n \
                 exec(compile(f'def {{name}}():\\n {body} take()\\n', '{file}', 'exec'), scope)\n \
                 made = scope.pop(name)\n \
                 told = [made().split('\\n')[0].split('\\t') for _ in range(3)]\n \
                 assert all(each[1:] == ['{line}', '1', name, '{file}'] for each in told), (name, told)\n \
                 kept.append(made)\n\
                 print(*(id(each.__code__) for each in kept))\n",
                body = body.replace('\n', "\\n "),
                line = 2 + body.matches('\n').count(),
            )
        };
        let output = Command::new(&host)
            .arg(&library)
            .args(lives.map(script))
            .env("WHOFREED_PROBE", probe())
            .env("PYTHONHOME", home)
            .env("PYTHONMALLOC", "malloc")
            .env_remove("PYTHONPATH")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{}: {}\n{text}{}",
            library.display(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(text.lines().count(), lives.len());
        println!("{}:\n{text}", python.path.display());
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
