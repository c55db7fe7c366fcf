//! `cargo xtask test`: every test there is, and one line at the end that says how it went.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::artifacts;
use crate::dist;
use crate::fuzz;
use crate::instructions;
use crate::instructions::Comparison;
use crate::packages;
use crate::paths;
use crate::run;
use crate::run::Outcome;
use crate::ttnn;

/// Begins a filter that names a test program, not a test.
const IN_PROGRAM: &str = "in=";

/// How many tests went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Adds up what the closing lines of test runners say: nextest's summary, and those of `cargo test`.
    pub fn of_output(output: &str) -> Self {
        let summaries = |line: &'_ str| line.trim_start().starts_with("Summary [");
        // nextest shows what a failed test printed, and a test alone closes like `cargo test` does.
        let nextest = output.lines().any(summaries);
        let mut tally = Self::default();
        for line in output.lines() {
            let closing = if nextest {
                summaries(line).then(|| line.split_once("run:")).flatten()
            } else {
                line.split_once("test result:")
            };
            let Some((_, counts)) = closing else {
                continue;
            };
            let mut words = counts
                .split(|c: char| c.is_whitespace() || ",;.()".contains(c))
                .peekable();
            while let Some(word) = words.next() {
                let Ok(count) = word.parse::<u64>() else {
                    continue;
                };
                match words.peek() {
                    Some(&"passed") => tally.passed += count,
                    Some(&("failed" | "exec" | "timed")) => tally.failed += count,
                    _ => {}
                }
            }
        }
        tally
    }

    /// How many passed.
    pub fn passed(self) -> u64 {
        self.passed
    }

    /// How many failed.
    pub fn failed(self) -> u64 {
        self.failed
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// `cargo xtask test [--no-ttnn] [FILTER…]`
pub fn command(arguments: &[&str]) -> Outcome<()> {
    let (options, filters): (Vec<&str>, Vec<&str>) =
        arguments.iter().partition(|word| word.starts_with("--"));
    if let Some(unknown) = options.iter().find(|&&option| option != "--no-ttnn") {
        return Err(format!("test: unknown option {unknown}"));
    }
    artifacts::build()?;
    let mut tally = Tally::default();
    if filters.is_empty() {
        match artifacts::check_header() {
            Ok(()) => tally.passed += 1,
            Err(why) => {
                eprintln!("xtask: {why}");
                tally.failed += 1;
            }
        }
    }
    packages::install_system();
    if filters.is_empty() || filters.iter().any(|filter| "instructions".contains(filter)) {
        tally.add(instructions());
    }
    if filters.is_empty() {
        let (passed, failed) = fuzz::test();
        tally.passed += passed;
        tally.failed += failed;
    }
    tally.add(run_tests(&filters, !options.contains(&"--no-ttnn"), &[])?);
    println!("{tally}");
    if tally.failed > 0 {
        return Err("not every test passed".to_owned());
    }
    Ok(())
}

/// The instructions of an event, against those that are kept.
fn instructions() -> Tally {
    let mut tally = Tally::default();
    match instructions::compare() {
        Ok(Comparison::Kept(right)) => {
            tally.passed += 1;
            for line in right {
                println!("xtask: instructions: {line}");
            }
        }
        Ok(Comparison::Skipped(why)) => {
            tally.skipped += 1;
            println!("skipped: instructions: {why}");
        }
        Ok(Comparison::Worse(worse)) => {
            tally.failed += 1;
            for line in worse {
                eprintln!("xtask: instructions: {line}");
            }
        }
        Err(why) => {
            tally.failed += 1;
            eprintln!("xtask: instructions: {why}");
        }
    }
    tally
}

/// Runs the workspace's tests with the environment they need: those whose names contain a filter, or that are in the
/// test program that a filter names (`in=reliability`), when there is one.
pub fn run_tests(filters: &[&str], with_ttnn: bool, variables: &[(&str, &str)]) -> Outcome<Tally> {
    let skips = paths::target().join(format!("whofreed-skips.{}", std::process::id()));
    run::write(&skips, "")?;
    let mut environment = vec![
        ("WHOFREED_TEST_BIN", paths::binary().display().to_string()),
        ("WHOFREED_TEST_SHIM", paths::shim().display().to_string()),
        ("WHOFREED_TEST_CACHE", paths::cache()?.display().to_string()),
        ("WHOFREED_TEST_SKIPS", skips.display().to_string()),
    ];
    environment.extend(
        variables
            .iter()
            .map(|&(name, value)| (name, value.to_owned())),
    );
    environment.push(ttnn_for_tests(with_ttnn));
    environment.push(for_tests("WHOFREED_TEST_PYTHON", packages::python()));
    environment.push(("WHOFREED_TEST_DIST", dist::make()?.display().to_string()));
    environment.push(for_tests("WHOFREED_TEST_READERS", packages::readers()));
    environment.push(for_tests("WHOFREED_TEST_NODE", packages::node_readers()));
    environment.push(for_tests("WHOFREED_TEST_PYTEST", packages::pytest()));
    environment.push(for_tests("WHOFREED_TEST_BROWSER", packages::browser()));

    let mut tally = Tally::default();
    let is_soak = variables.contains(&("WHOFREED_TEST_SIZE", "soak"));
    for mut command in runners(filters, is_soak) {
        let (output, success) = run::tee(command.envs(environment.iter().cloned()))?;
        let part = Tally::of_output(&output);
        if !success && part.failed == 0 {
            return Err("the tests did not run to their end".to_owned());
        }
        tally.add(part);
    }

    let skipped = run::read(&skips)?;
    // What is left of a failed removal is one small file under target/.
    let _ = fs::remove_file(&skips);
    for line in skipped.lines() {
        println!("skipped: {line}");
        tally.skipped += 1;
        // A test that skips itself returns, so that its runner took it for passed.
        tally.passed = tally.passed.saturating_sub(1);
    }
    Ok(tally)
}

/// The environment variable that tells the tests of the TT-Metal runtime where it is, or why there is none.
fn ttnn_for_tests(wanted: bool) -> (&'static str, String) {
    let missing = if wanted {
        match ttnn::set_up().and_then(|runtime| ttnn::write_for_tests(&runtime)) {
            Ok(file) => return ("WHOFREED_TEST_TTNN", file.display().to_string()),
            Err(why) => why,
        }
    } else {
        "--no-ttnn was given".to_owned()
    };
    eprintln!("xtask: no TT-Metal runtime: {missing}");
    (
        "WHOFREED_TEST_TTNN_MISSING",
        missing.lines().collect::<Vec<_>>().join(" "),
    )
}

/// The environment variable that tells tests where something is; one with `_MISSING` behind it why it is not there.
fn for_tests(variable: &'static str, found: Outcome<PathBuf>) -> (&'static str, String) {
    match found {
        Ok(path) => (variable, path.display().to_string()),
        Err(why) => {
            eprintln!("xtask: {variable}: {why}");
            let why = why.lines().collect::<Vec<_>>().join(" ");
            // As many as there are variables.
            (format!("{variable}_MISSING").leak(), why)
        }
    }
}

/// nextest where it is installed (it runs no documentation tests), else Cargo alone.
fn runners(filters: &[&str], is_soak: bool) -> Vec<Command> {
    let cargo = |arguments: &[&str]| {
        let mut command = artifacts::cargo();
        command.args(arguments);
        command
    };
    let mut runners = Vec::new();
    if run::quiet(cargo(&["nextest", "--version"]).arg("--color=never")).is_ok() {
        runners.push(cargo(&[
            "nextest",
            "run",
            "--workspace",
            "--no-fail-fast",
            "--no-tests=pass",
            "--profile",
            if is_soak { "soak" } else { "default" },
        ]));
        if filters.is_empty() {
            runners.push(cargo(&["test", "--workspace", "--no-fail-fast", "--doc"]));
        }
    } else {
        runners.push(cargo(&["test", "--workspace", "--no-fail-fast"]));
    }
    // Cargo takes one filter only; nextest any number.
    let (programs, names): (Vec<&str>, Vec<&str>) = filters
        .iter()
        .partition(|filter| filter.starts_with(IN_PROGRAM));
    for runner in &mut runners {
        let is_nextest = runner.get_args().next() == Some(OsStr::new("nextest"));
        for program in &programs {
            let program = program.trim_start_matches(IN_PROGRAM);
            if is_nextest {
                runner.arg(format!("--filterset=binary({program})"));
            } else {
                runner.args(["--test", program]);
            }
        }
        runner.arg("--color=never").args(&names);
    }
    if filters.is_empty() {
        runners.extend(["loom", "shuttle"].map(models));
    }
    runners
}

/// The lock-free core with the atomics of a checker, `loom` or `shuttle`: another build of the package, in a folder of its
/// own.
fn models(checker: &str) -> Command {
    let mut command = artifacts::cargo();
    command
        .args([
            "test",
            "--release",
            "--package",
            "whofreed",
            "--test",
            "models",
        ])
        .arg("--color=never")
        .arg("--target-dir")
        .arg(paths::target().join(checker))
        .env("RUSTFLAGS", format!("--cfg {checker}"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_both_runners_are_understood() {
        let nextest = "\
    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.00s
        SIGSEGV [   0.1s] some::test run: 9 passed
     Summary [   1.204s] 40 tests run: 37 passed (1 slow, 2 leaky), 1 failed, 2 timed out, 3 skipped
";
        let expected = Tally {
            passed: 37,
            failed: 3,
            skipped: 0,
        };
        assert_eq!(Tally::of_output(nextest), expected);

        let cargo_test = "\
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s
test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out; finished in 0.00s
";
        let expected = Tally {
            passed: 5,
            failed: 1,
            skipped: 0,
        };
        assert_eq!(Tally::of_output(cargo_test), expected);
    }

    #[test]
    fn the_closing_line_is_plain() {
        let tally = Tally {
            passed: 3,
            failed: 0,
            skipped: 1,
        };
        assert_eq!(tally.to_string(), "3 passed, 0 failed, 1 skipped");
    }
}
