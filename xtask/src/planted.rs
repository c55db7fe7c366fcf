//! `cargo xtask planted`: faults made by hand, of the sort that only a test made for them notices, in a copy of the sources;
//! each must turn its test red. What `mutants` plants by the thousand is simpler.

mod faults;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use self::faults::FAULTS;
use self::faults::Fault;
use self::faults::Test;
use crate::artifacts;
use crate::figures::Document;
use crate::paths;
use crate::run;
use crate::run::Outcome;

const SECTION: &str = "Planted faults";

const ABOUT: &str = "Written by `cargo xtask planted`: each fault is planted in a copy of the sources, alone, and the test that is \
                     there for it must turn red. A model is run under loom, also in orders that this \
                     machine's memory does not show. No fault leaves a page without its RELRO: no such page is touched, as \
                     `pages::no_page_is_writable_and_executable_and_relro_stays` sees.";

const DOCUMENT: Document = Document {
    name: "RELIABILITY.md",
    head: "# Reliability\n",
};

/// What came of a fault.
enum Seen {
    /// The test failed, with these words.
    Red(String),
    /// It passed all the same.
    Green,
}

/// `cargo xtask planted [NAME]`: all of them, or those whose names contain a word.
pub fn command(arguments: &[&str]) -> Outcome<()> {
    let word = match arguments {
        [] => "",
        [word] => word,
        _ => return Err("planted: one word at the most".to_owned()),
    };
    let copy = copy_of_sources()?;
    let mut table =
        String::from("| fault | file | test that turned red | what it said |\n|---|---|---|---|\n");
    let mut green = Vec::new();
    let faults: Vec<&Fault> = FAULTS
        .iter()
        .filter(|fault| fault.name.contains(word))
        .collect();
    if faults.is_empty() {
        return Err(format!("planted: no fault has `{word}` in its name"));
    }
    let programs = Programs::build(&copy, &faults)?;
    for fault in faults {
        eprintln!("xtask: planted: {}", fault.name);
        let said = match see(fault, &copy, &programs)? {
            Seen::Red(said) => said.replace('|', "\\|"),
            Seen::Green => {
                green.push(fault.name);
                "**nothing: it stays green**".to_owned()
            }
        };
        let row = format!(
            "| {} | `{}` | `{}` | {said} |",
            fault.name, fault.file, fault.test
        );
        println!("{row}");
        let _ = writeln!(table, "{row}");
    }
    if word.is_empty() {
        DOCUMENT.write_section(SECTION, ABOUT, &table)?;
    }
    if green.is_empty() {
        Ok(())
    } else {
        Err(format!("no test notices: {}", green.join(", ")))
    }
}

/// A working tree of the commit that is checked out, always in one place, so that builds go on from each other.
fn copy_of_sources() -> Outcome<PathBuf> {
    let copy = paths::target().join("planted/tree");
    let git = |arguments: &[&str], place: &Path| {
        run::quiet(Command::new("git").args(arguments).current_dir(place))
    };
    let commit = git(&["rev-parse", "HEAD"], paths::root())?;
    if copy.join(".git").exists() {
        git(
            &["checkout", "--quiet", "--force", "--detach", commit.trim()],
            &copy,
        )?;
    } else {
        let place = copy.display().to_string();
        git(&["worktree", "prune"], paths::root())?;
        git(
            &[
                "worktree",
                "add",
                "--quiet",
                "--detach",
                &place,
                commit.trim(),
            ],
            paths::root(),
        )?;
    }
    Ok(copy)
}

/// Built before any fault is planted: what is planted is the product, not its tests.
struct Programs(BTreeMap<&'static str, PathBuf>);

impl Programs {
    fn build(copy: &Path, faults: &[&Fault]) -> Outcome<Self> {
        let mut programs = BTreeMap::new();
        for fault in faults {
            let Test::Process(name, _) = fault.test else {
                continue;
            };
            if programs.contains_key(name) {
                continue;
            }
            eprintln!("xtask: planted: tests/{name}");
            let mut command = cargo(copy, "build");
            command.args([
                "test",
                "--no-run",
                "--message-format=json-render-diagnostics",
            ]);
            command.args(["--package", "whofreed", "--test", name]);
            let said = run::quiet(&mut command)?;
            let executable = said.lines().find_map(|line| executable_of(line, name));
            let executable = executable.ok_or_else(|| format!("Cargo built no {name}"))?;
            programs.insert(name, executable);
        }
        Ok(Self(programs))
    }
}

/// Where the program of that name is, if the message is about it.
fn executable_of(message: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let executable = message["executable"].as_str()?;
    (message["target"]["name"] == name).then(|| PathBuf::from(executable))
}

fn cargo(copy: &Path, target: &str) -> Command {
    let mut cargo = artifacts::cargo();
    cargo
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", folder().join(target));
    cargo
}

fn folder() -> PathBuf {
    paths::target().join("planted")
}

fn see(fault: &Fault, copy: &Path, programs: &Programs) -> Outcome<Seen> {
    let file = copy.join(fault.file);
    let sound = run::read(&file)?;
    run::write(&file, &fault.planted_in(&sound)?)?;
    let seen = try_test(fault.test, copy, programs);
    run::write(&file, &sound)?;
    seen
}

fn try_test(test: Test, copy: &Path, programs: &Programs) -> Outcome<Seen> {
    let mut command = match test {
        Test::Model(_) => {
            let mut command = cargo(copy, "loom");
            command
                .args(["test", "--release", "--package", "whofreed"])
                .args(["--test", "models", "--"])
                .env("RUSTFLAGS", "--cfg loom");
            command
        }
        Test::Unit(package, _) => {
            let mut command = cargo(copy, "build");
            command.args(["test", "--package", package, "--lib", "--"]);
            command
        }
        Test::Process(program, _) => {
            let packages = ["--package", "whofreed-shared", "--package", "whofreed-cli"];
            run::quiet(
                cargo(copy, "build")
                    .args(["build", "--release"])
                    .args(packages),
            )?;
            let built = folder().join("build/release");
            let mut command = Command::new(&programs.0[program]);
            command
                .current_dir(copy)
                .env("WHOFREED_TEST_BIN", built.join("whofreed"))
                .env("WHOFREED_TEST_SHIM", built.join("libwhofreed.so"))
                .env("WHOFREED_TEST_CACHE", paths::cache()?);
            command
        }
    };
    command
        .args(["--exact", test.name()])
        .env("RUST_BACKTRACE", "0");
    let (output, success) = run::tee(&mut command)?;
    // What does not build says nothing of a test.
    if !output.lines().any(|line| line == "running 1 test") {
        return Err(format!("{test} was not run"));
    }
    Ok(match success {
        true => Seen::Green,
        false => Seen::Red(first_words(&output)),
    })
}

/// What the first test that failed said first; of two things that are not equal, both.
fn first_words(output: &str) -> String {
    let mut lines = output
        .lines()
        .skip_while(|line| !line.contains("panicked at"))
        .skip(1)
        .map(str::trim);
    let Some(first) = lines.next() else {
        return "the test program died".to_owned();
    };
    let is_side = |line: &&str| line.starts_with("left:") || line.starts_with("right:");
    let sides = lines.take(2).filter(is_side);
    let words: Vec<&str> = std::iter::once(first).chain(sides).collect();
    words.join(", ").chars().take(120).collect()
}

impl Fault {
    /// The text of its file with the fault in it.
    fn planted_in(&self, sound: &str) -> Outcome<String> {
        match sound.matches(self.sound).count() {
            1 => Ok(sound.replacen(self.sound, self.broken, 1)),
            count => Err(format!(
                "{}: its text is in {} {count} times, not once",
                self.name, self.file
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_fault_has_one_place_and_a_test_that_is_there() {
        for fault in &FAULTS {
            let file = paths::root().join(fault.file);
            let sound = fs::read_to_string(file).expect("a source file");
            let broken = fault.planted_in(&sound).expect("one place");
            assert_ne!(sound, broken, "{}", fault.name);
            let name = fault.test.name().rsplit("::").next().expect("a name");
            let function = format!("fn {name}(");
            assert!(
                fault
                    .test
                    .sources()
                    .iter()
                    .any(|source| contains(source, &function)),
                "{}: there is no {function}",
                fault.name
            );
        }
    }

    fn contains(source: &Path, text: &str) -> bool {
        if source.is_dir() {
            let inside = fs::read_dir(source).expect("a folder").flatten();
            return inside
                .into_iter()
                .any(|entry| contains(&entry.path(), text));
        }
        fs::read_to_string(source).is_ok_and(|source| source.contains(text))
    }

    #[test]
    fn the_first_words_of_a_failure_are_found() {
        let output =
            "running 1 test\nthread 'a' panicked at b.rs:1:2:\nit is of two states\n  left: 1\n";
        assert_eq!(first_words(output), "it is of two states, left: 1");
        assert_eq!(first_words("signal: 11"), "the test program died");
    }
}
