//! Tries the mutants of a crate with one build: all are planted at once, and the environment says which one is alive.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use super::hosts;
use super::list::Kind;
use super::list::Mutant;
use super::plant;
use super::plant::Planted;
use super::programs::Programs;
use super::results::End;
use super::results::Log;
use crate::artifacts;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// What the root of the crate gets.
const QUESTION: &str = include_str!("question.rs");

/// So often the compiler is asked which mutants it does not take.
const MOST_ROUNDS: usize = 40;

/// Tries those mutants of a crate that have a place in the order of `wanted`.
pub fn try_mutants(
    package: &str,
    mutants: &[Mutant],
    wanted: &dyn Fn(&Mutant) -> Option<usize>,
    log: &mut Log,
) -> Outcome<()> {
    let (tree, mut tried, left) = planted(package, mutants, wanted)?;
    for mutant in left {
        log.note(&mutant.name, End::Left)?;
    }
    tried.sort_by_key(|one| wanted(one));
    Programs::build(package, &tree)?.try_all(&tried, log)
}

/// Simulated hosts of which the blame says something else with one of those mutants: how the line of each begins.
pub fn find_hosts(
    package: &str,
    mutants: &[Mutant],
    wanted: &dyn Fn(&Mutant) -> Option<usize>,
) -> Outcome<BTreeSet<String>> {
    let (tree, tried, _) = planted(package, mutants, wanted)?;
    hosts::find(&tree, &tried)
}

/// The sources with mutants in them, those of the wanted ones that are, and those that are not.
fn planted<'a>(
    package: &str,
    mutants: &'a [Mutant],
    wanted: &dyn Fn(&Mutant) -> Option<usize>,
) -> Outcome<(PathBuf, Vec<&'a Mutant>, Vec<&'a Mutant>)> {
    let tree = copy_of_sources(mutants)?;
    let mut refused = Refused::read(mutants);
    let planted = plant_all(package, &tree, mutants, &mut refused)?;
    refused.write(mutants)?;
    let compiling = mutants
        .iter()
        .filter(|one| !refused.rejected.contains(&one.number));
    let (tried, left) = compiling
        .filter(|one| wanted(one).is_some())
        .partition(|one| planted.contains(&one.number));
    Ok((tree, tried, left))
}

/// The names of those mutants that compile, as far as they were planted before.
pub fn compiling(mutants: &[Mutant]) -> Vec<String> {
    let rejected = Refused::read(mutants).rejected;
    let compiling = mutants.iter().filter(|one| !rejected.contains(&one.number));
    compiling.map(|one| one.name.clone()).collect()
}

/// The workspace as it is, without what was built.
fn copy_of_sources(mutants: &[Mutant]) -> Outcome<PathBuf> {
    let tree = paths::target().join("whofreed-mutants-at-once");
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(paths::root());
    let planted: BTreeSet<&str> = mutants.iter().map(|one| one.file.as_str()).collect();
    let files = run::quiet(&mut git)?;
    forget_others(&tree, &files.lines().map(|file| tree.join(file)).collect())?;
    for file in files.lines().filter(|file| !planted.contains(file)) {
        let (from, to) = (paths::root().join(file), tree.join(file));
        let Ok(bytes) = fs::read(&from) else { continue };
        // What did not change is not built again.
        if fs::read(&to).is_ok_and(|old| old == bytes) {
            continue;
        }
        if let Some(folder) = to.parent() {
            run::create_folder(folder)?;
        }
        fs::copy(&from, &to).map_err(|error| format!("{}: {error}", to.display()))?;
    }
    Ok(tree)
}

/// Removes what was a source when the copy was made, and is none any more.
fn forget_others(folder: &Path, sources: &BTreeSet<PathBuf>) -> Outcome<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            forget_others(&path, sources)?;
        } else if !sources.contains(&path) {
            fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// Mutants that are not planted, and those of them that do not compile at all; and those whose values are not compared.
#[derive(Debug, Default)]
struct Refused {
    left: BTreeSet<usize>,
    rejected: BTreeSet<usize>,
    unwatched: BTreeSet<usize>,
}

impl Refused {
    fn cache(mutants: &[Mutant]) -> PathBuf {
        let name = format!("refused-{:016x}", hash(mutants));
        paths::target().join("whofreed-mutants").join(name)
    }

    /// What the compiler said of the same mutants before.
    fn read(mutants: &[Mutant]) -> Self {
        // An early end has to be of the one opaque type that the end has.
        let opaque = mutants.iter().filter(|one| one.name.contains("-> impl "));
        let mut refused = Self {
            left: opaque.map(|one| one.number).collect(),
            ..Self::default()
        };
        let text = fs::read_to_string(Self::cache(mutants)).unwrap_or_default();
        for line in text.lines() {
            if let Some((number, word)) = line.split_once(' ')
                && let Ok(number) = number.parse()
            {
                if word == "unwatched" {
                    refused.unwatched.insert(number);
                    continue;
                }
                refused.left.insert(number);
                if word == "rejected" {
                    refused.rejected.insert(number);
                }
            }
        }
        refused
    }

    fn write(&self, mutants: &[Mutant]) -> Outcome<()> {
        let line = |number| match self.rejected.contains(number) {
            true => format!("{number} rejected\n"),
            false => format!("{number} left\n"),
        };
        let mut text: String = self.left.iter().map(line).collect();
        let unwatched = self.unwatched.iter();
        text.extend(unwatched.map(|number| format!("{number} unwatched\n")));
        run::write(&Self::cache(mutants), &text)
    }
}

fn hash(mutants: &[Mutant]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for mutant in mutants {
        mutant.name.hash(&mut hasher);
    }
    hasher.finish()
}

/// What did not change is not built again.
fn write_if_new(path: &Path, text: &str) -> Outcome<()> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    run::write(path, text)
}

/// Plants what the compiler takes; returns which mutants these are.
fn plant_all(
    package: &str,
    tree: &Path,
    mutants: &[Mutant],
    refused: &mut Refused,
) -> Outcome<BTreeSet<usize>> {
    let mut by_file: BTreeMap<&str, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        by_file.entry(&mutant.file).or_default().push(mutant);
    }
    for _ in 0..MOST_ROUNDS {
        let mut all: BTreeMap<&str, Planted> = BTreeMap::new();
        for (&file, mutants) in &by_file {
            // A constant function cannot ask.
            let source = run::read(&paths::root().join(file))?;
            let mut planted = plant::plant(&source, mutants, &refused.left, &refused.unwatched)?;
            planted.without_constant_functions();
            if file.ends_with("src/lib.rs") {
                planted.text.push_str(QUESTION);
            }
            write_if_new(&tree.join(file), &planted.text)?;
            refused.left.extend(&planted.rejected);
            refused.rejected.extend(&planted.rejected);
            all.insert(file, planted);
        }
        let faults = faults(package, tree)?;
        if faults.is_empty() {
            return Ok(all.values().flat_map(|one| &one.numbers).copied().collect());
        }
        let mut some = false;
        for fault in &faults {
            let Some(planted) = all.get(fault.file.as_str()) else {
                continue;
            };
            let is_arm = |number: usize| mutants[number].kind == Kind::MatchArm;
            let at = &fault.at;
            // What cannot be reckoned twice may well be reckoned once.
            let watched = planted.watched_at(at);
            if !watched.is_empty() {
                refused.unwatched.extend(watched);
                some = true;
                continue;
            }
            if let Some(numbers) = planted.at(at.clone()) {
                let old = refused.left.len();
                refused.left.extend(numbers);
                some |= refused.left.len() > old;
                // What does not compile in a mutant of its own does not compile anywhere.
                if let [number] = numbers {
                    refused.rejected.insert(*number);
                }
            } else if fault.is_of_match {
                let arm = planted.behind(at.end, is_arm);
                some |= arm.is_some_and(|arm| refused.left.insert(arm));
                refused.rejected.extend(arm);
            } else if let Some(number) = planted.before(at.start) {
                some |= refused.left.insert(number);
            }
        }
        let (left, unwatched) = (refused.left.len(), refused.unwatched.len());
        println!("{left} mutants are not taken, of {unwatched} the value is not compared");
        if !some {
            return Err(format!("the planted sources do not compile: {faults:?}"));
        }
    }
    Err("the planted sources do not compile after many rounds".to_owned())
}

/// Cargo in the copy of the sources.
pub(super) fn cargo(tree: &Path, words: &[&str]) -> Command {
    let mut command = artifacts::cargo();
    command
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", paths::target())
        .env("CARGO_INCREMENTAL", "0")
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Where the compiler finds fault.
#[derive(Debug)]
struct Fault {
    file: String,
    /// In its text.
    at: Range<usize>,
    /// Whether an arm is missing.
    is_of_match: bool,
}

fn faults(package: &str, tree: &Path) -> Outcome<Vec<Fault>> {
    let words = ["check", "--lib", "--profile", "mutants"];
    let mut command = cargo(tree, &words);
    command.args(["--message-format", "json", "--package", package]);
    let output = command.output().map_err(|error| error.to_string())?;
    let mut faults = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let message = &line["message"];
        if message["level"] != "error" {
            continue;
        }
        for span in message["spans"].as_array().into_iter().flatten() {
            if span["is_primary"] == true {
                let file = span["file_name"].as_str().unwrap_or_default().to_owned();
                let at = |name: &str| span[name].as_u64().unwrap_or_default() as usize;
                faults.push(Fault {
                    file,
                    at: at("byte_start")..at("byte_end"),
                    is_of_match: message["code"]["code"] == "E0004",
                });
            }
        }
    }
    if faults.is_empty() && !output.status.success() {
        return Err("the planted sources do not compile".to_owned());
    }
    Ok(faults)
}
