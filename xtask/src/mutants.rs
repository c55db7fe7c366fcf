//! `cargo xtask mutants`: small faults planted in the sources one after another, and whether a test notices.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::artifacts;
use crate::figures::Document;
use crate::paths;
use crate::run;
use crate::run::Outcome;

const DOCUMENT: Document = Document {
    name: "MUTANTS.md",
    head: "# Mutants\n\nWhether the tests notice faults, by `cargo xtask mutants`.\n",
};

/// Rooms whose tests need nothing that was built before: only there mutants are looked for after a change.
const PURE: [&str; 5] = [
    "crates/lifecycle",
    "crates/trace",
    "crates/names",
    "crates/analysis",
    "crates/report",
];

/// How cargo-mutants ends when it has done its work: all caught, some not, some that ran on and on.
const ENDS: [i32; 3] = [0, 2, 3];

/// `cargo xtask mutants [[--again] PATH | --in-diff REVISION]`
pub fn command(arguments: &[&str]) -> Outcome<()> {
    match arguments {
        [] => of_path(PURE[0], false),
        ["--in-diff", revision] => of_change(revision),
        ["--again", path] if !path.starts_with('-') => of_path(path, true),
        [path] if !path.starts_with('-') => of_path(path, false),
        _ => Err("mutants: a PATH with or without --again, or --in-diff REVISION".to_owned()),
    }
}

/// Tries all mutants of a file or folder, and writes down which survived. Where only tests were added since the last
/// run on the same path, those that were caught need not be tried `again`.
fn of_path(path: &str, again: bool) -> Outcome<()> {
    let path = path.trim_end_matches('/');
    if !paths::root().join(path).exists() {
        return Err(format!("mutants: there is no {path}"));
    }
    let all = if paths::root().join(path).is_dir() {
        format!("{path}/**")
    } else {
        path.to_owned()
    };
    let output = paths::target().join("whofreed-mutants");
    let caught_file = output.join("mutants.out/caught.txt");
    if again {
        let before = run::read(&caught_file)?;
        try_mutants(&output, &["--file", &all, "--iterate"])?;
        run::write(&caught_file, &(before + &run::read(&caught_file)?))?;
    } else {
        try_mutants(&output, &["--file", &all])?;
    }
    let table = table(&Results::read(&output)?);
    println!("{table}");
    DOCUMENT.write_section(path, &format!("`cargo xtask mutants {path}`"), &table)
}

/// Tries the mutants in the lines that changed since a revision; one that survives is a failure.
fn of_change(revision: &str) -> Outcome<()> {
    let mut git = Command::new("git");
    git.args(["diff", revision, "--"])
        .args(PURE)
        .current_dir(paths::root());
    let diff = paths::target().join("whofreed-mutants.diff");
    run::write(&diff, &run::quiet(&mut git)?)?;
    let mut arguments = vec!["--in-diff".to_owned(), diff.display().to_string()];
    for room in PURE {
        arguments.extend(["--file".to_owned(), format!("{room}/**")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = paths::target().join("whofreed-mutants-of-change");
    // Where the change has no code to mutate, no results are written.
    let _ = fs::remove_dir_all(output.join("mutants.out"));
    try_mutants(&output, &arguments)?;
    if !output.join("mutants.out/caught.txt").exists() {
        println!("the change has nothing to mutate");
        return Ok(());
    }
    let results = Results::read(&output)?;
    println!("{}", table(&results));
    if results.survived.is_empty() {
        Ok(())
    } else {
        Err("no test notices some of the mutants".to_owned())
    }
}

fn try_mutants(output: &Path, arguments: &[&str]) -> Outcome<()> {
    let mut command = artifacts::cargo();
    command
        .env("PATH", path_with_tools()?)
        .args(["mutants", "--workspace", "--jobs", "1", "--output"])
        .arg(output)
        .args(arguments);
    run::create_folder(output)?;
    let status = command
        .status()
        .map_err(|error| format!("cargo mutants: {error}"))?;
    match status.code() {
        Some(code) if ENDS.contains(&code) => Ok(()),
        _ => Err(format!("cargo mutants: {status}")),
    }
}

/// The search path, with cargo-mutants on it: it is installed under `target/` where it is missing.
fn path_with_tools() -> Outcome<OsString> {
    let root = paths::target().join("whofreed-tools");
    let old = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(root.join("bin")).chain(env::split_paths(&old));
    let path = env::join_paths(folders).map_err(|error| format!("PATH: {error}"))?;
    let mut version = artifacts::cargo();
    version.args(["mutants", "--version"]).env("PATH", &path);
    if run::quiet(&mut version).is_err() {
        let mut install = artifacts::cargo();
        install.args(["install", "cargo-mutants", "--locked", "--root"]);
        run::shown(install.arg(&root))?;
    }
    Ok(path)
}

/// How many mutants of a file went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    caught: u64,
    ran_on: u64,
    survived: u64,
}

/// What cargo-mutants found. Mutants that did not compile are not counted.
#[derive(Debug, Default)]
struct Results {
    by_file: BTreeMap<String, Tally>,
    /// In words, without their place in the file.
    survived: Vec<String>,
}

impl Results {
    fn read(output: &Path) -> Outcome<Self> {
        let list = |name: &str| run::read(&output.join("mutants.out").join(name));
        Ok(Self::of_lists(
            &list("caught.txt")?,
            &list("timeout.txt")?,
            &list("missed.txt")?,
        ))
    }

    fn of_lists(caught: &str, ran_on: &str, survived: &str) -> Self {
        let mut results = Self::default();
        let mut count = |lines: &str, count: fn(&mut Tally)| {
            for line in lines.lines() {
                if let Some((file, _)) = line.split_once(':') {
                    count(results.by_file.entry(file.to_owned()).or_default());
                }
            }
        };
        count(caught, |tally| tally.caught += 1);
        count(ran_on, |tally| tally.ran_on += 1);
        count(survived, |tally| tally.survived += 1);
        results.survived = survived.lines().map(without_place).collect();
        results.survived.sort();
        results
    }
}

/// `file:line:column: what` without line and column, which the next change moves.
fn without_place(mutant: &str) -> String {
    let mut parts = mutant.splitn(4, ':');
    match (parts.next(), parts.nth(2)) {
        (Some(file), Some(what)) => format!("{file}:{what}"),
        _ => mutant.to_owned(),
    }
}

fn table(results: &Results) -> String {
    let mut table = String::from(
        "| file | mutants | caught | ran on and on | survived | survived, % |\n|---|---|---|---|---|---|\n",
    );
    let mut sum = Tally::default();
    for (file, tally) in &results.by_file {
        row(&mut table, file, tally);
        sum.caught += tally.caught;
        sum.ran_on += tally.ran_on;
        sum.survived += tally.survived;
    }
    row(&mut table, "all", &sum);
    if !results.survived.is_empty() {
        table.push_str("\nThe survivors:\n\n");
        for mutant in &results.survived {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "- `{mutant}`");
        }
    }
    table
}

fn row(table: &mut String, name: &str, tally: &Tally) {
    let Tally {
        caught,
        ran_on,
        survived,
    } = *tally;
    let all = caught + ran_on + survived;
    let share = 100.0 * survived as f64 / all.max(1) as f64;
    let _ = writeln!(
        table,
        "| {name} | {all} | {caught} | {ran_on} | {survived} | {share:.1} |"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_counts_by_file_and_names_the_survivors_without_lines() {
        let results = Results::of_lists(
            "a.rs:1:2: replace x with y\na.rs:3:4: replace + with -\n",
            "b.rs:5:6: delete !\n",
            "b.rs:7:8: replace <impl A::B> -> u8 with 0\n",
        );
        assert_eq!(
            table(&results),
            "| file | mutants | caught | ran on and on | survived | survived, % |\n|---|---|---|---|---|---|\n\
             | a.rs | 2 | 2 | 0 | 0 | 0.0 |\n\
             | b.rs | 2 | 0 | 1 | 1 | 50.0 |\n\
             | all | 4 | 2 | 1 | 1 | 25.0 |\n\
             \nThe survivors:\n\n- `b.rs: replace <impl A::B> -> u8 with 0`\n"
        );
    }
}
