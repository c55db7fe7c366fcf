//! `cargo xtask mutants`: small faults planted in the sources one after another, and whether a test notices.

mod at_once;
mod hosts;
mod list;
mod plant;
mod programs;
mod results;

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::process::Command;

use self::list::Mutant;
use self::results::End;
use self::results::Log;
use self::results::Results;
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

/// A change with more mutants than that is for a soak.
const MOST_OF_CHANGE: usize = 400;

/// How cargo-mutants ends when it has done its work: all caught, some not, some that ran on and on.
const ENDS: [i32; 3] = [0, 2, 3];

/// `cargo xtask mutants [[--again | --find | --one-by-one | --table] PATH... | --in-diff REVISION]`
pub fn command(arguments: &[&str]) -> Outcome<()> {
    let are_paths = |paths: &[&str]| paths.iter().all(|path| !path.starts_with('-'));
    match arguments {
        [] => of_paths(&PURE[..1], false),
        ["--in-diff", revision] => of_change(revision),
        ["--table", path] => write_table(&room(path)?, &format!("`cargo xtask mutants --table {path}`")),
        ["--one-by-one", path] if are_paths(&[path]) => one_by_one_of_path(path),
        ["--find", paths @ ..] if !paths.is_empty() && are_paths(paths) => find_hosts(paths),
        ["--again", paths @ ..] if !paths.is_empty() && are_paths(paths) => of_paths(paths, true),
        paths if are_paths(paths) => of_paths(paths, false),
        _ => Err(
            "mutants: PATHs with or without --again or --find, --one-by-one or --table PATH, or --in-diff REVISION"
                .to_owned(),
        ),
    }
}

/// Tries the mutants of files or folders of one crate, and writes down which survived. Where only tests were added since
/// the last run, those that were caught or are equivalent need not be tried `again`.
fn of_paths(paths: &[&str], again: bool) -> Outcome<()> {
    let room = room(paths[0])?;
    let mut wanted = Vec::new();
    for path in paths {
        let path = path.trim_end_matches('/');
        if !paths::root().join(path).exists() || self::room(path)? != room {
            return Err(format!("mutants: there is no {path} in {room}"));
        }
        wanted.push(path.to_owned());
    }
    let mut log = Log::read(&room);
    let equivalent = equivalent()?;
    let order = |mutant: &Mutant| {
        let place = wanted.iter().position(|path| is_of(&mutant.file, path));
        let is_settled = log.was_noticed(&mutant.name) || log.is_one_of(&mutant.name, &equivalent);
        // Those that survived before take longest.
        let after_others = usize::from(log.survived(&mutant.name)) * wanted.len();
        let place = place.map(|place| place + after_others);
        place.filter(|_| !again || !is_settled)
    };
    let package = package(&room)?;
    let mutants = list::mutants(&listed(&["--package", &package])?)?;
    let order: Vec<Option<usize>> = mutants.iter().map(order).collect();
    at_once::try_mutants(&package, &mutants, &|one| order[one.number], &mut log)?;
    let words = if again { "--again " } else { "" };
    let about = format!("`cargo xtask mutants {words}{}`", paths.join(" "));
    write_table(&room, &about)
}

/// Looks for simulated hosts that tell the survivors of files or folders, and adds them to those that the tests hold.
fn find_hosts(paths: &[&str]) -> Outcome<()> {
    let room = room(paths[0])?;
    let package = package(&room)?;
    let mutants = list::mutants(&listed(&["--package", &package])?)?;
    let (log, equivalent) = (Log::read(&room), equivalent()?);
    let wanted = |mutant: &Mutant| {
        let is_wanted = paths
            .iter()
            .any(|path| is_of(&mutant.file, path.trim_end_matches('/')));
        let is_open = log.survived(&mutant.name) && !log.is_one_of(&mutant.name, &equivalent);
        (is_wanted && is_open).then_some(mutant.number)
    };
    let hosts = at_once::find_hosts(&package, &mutants, &wanted)?;
    hosts::choose(&hosts)?;
    println!(
        "{} hosts: now WHOFREED_CORPUS_GOLDEN=write cargo test -p whofreed-corpus --test golden_long, and mutants --again",
        hosts.len()
    );
    Ok(())
}

/// Writes down what was noted of a crate so far, by a run that may have been stopped.
fn write_table(room: &str, about: &str) -> Outcome<()> {
    let mutants = list::mutants(&listed(&["--package", &package(room)?])?)?;
    let compiling = at_once::compiling(&mutants);
    let table = Results::of(&Log::read(room), &compiling, &equivalent()?).table();
    println!("{table}");
    DOCUMENT.write_section(room, about, &table)
}

fn is_of(file: &str, path: &str) -> bool {
    let rest = file.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The crate that a path lies in: `crates/NAME`.
fn room(path: &str) -> Outcome<String> {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["crates", name, ..] => Ok(format!("crates/{name}")),
        _ => Err(format!("mutants: {path} is not in one of the crates")),
    }
}

fn package(room: &str) -> Outcome<String> {
    let manifest = run::read(&paths::root().join(room).join("Cargo.toml"))?;
    let name = manifest
        .lines()
        .find_map(|line| line.strip_prefix("name = "));
    let name = name.ok_or_else(|| format!("{room}/Cargo.toml names no package"))?;
    Ok(name.trim_matches('"').to_owned())
}

/// The mutants as cargo-mutants lists them, in JSON.
fn listed(words: &[&str]) -> Outcome<String> {
    let mut command = artifacts::cargo();
    command
        .env("PATH", path_with_tools()?)
        .args(["mutants", "--list", "--json"])
        .args(words);
    run::quiet(&mut command)
}

/// Tries the mutants of a file or folder as cargo-mutants does it, with a build for each.
fn one_by_one_of_path(path: &str) -> Outcome<()> {
    let path = path.trim_end_matches('/');
    let all = if paths::root().join(path).is_dir() {
        format!("{path}/**")
    } else {
        path.to_owned()
    };
    let mut log = Log::read(&room(path)?);
    let names = one_by_one(&["--file", &all], &mut log)?;
    println!("{}", Results::of(&log, &names, &equivalent()?).table());
    Ok(())
}

/// Tries mutants with a build for each; returns the names of those that compile.
fn one_by_one(words: &[&str], log: &mut Log) -> Outcome<Vec<String>> {
    let output = paths::target().join("whofreed-mutants");
    run::create_folder(&output)?;
    let mut command = artifacts::cargo();
    let status = command
        .env("PATH", path_with_tools()?)
        .args(["mutants", "--workspace", "--jobs", "1", "--output"])
        .arg(&output)
        .args(words)
        .status()
        .map_err(|error| format!("cargo mutants: {error}"))?;
    if !status.code().is_some_and(|code| ENDS.contains(&code)) {
        return Err(format!("cargo mutants: {status}"));
    }
    let mut names = Vec::new();
    for (list, end) in [
        ("caught.txt", End::Caught),
        ("timeout.txt", End::RanOn),
        ("missed.txt", End::Survived),
    ] {
        for name in run::read(&output.join("mutants.out").join(list))?.lines() {
            log.note(name, end)?;
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Tries the mutants in the lines that changed since a revision; one that survives is a failure.
fn of_change(revision: &str) -> Outcome<()> {
    let mut git = Command::new("git");
    git.args(["diff", revision, "--"])
        .args(PURE)
        .current_dir(paths::root());
    let diff = paths::target().join("whofreed-mutants.diff");
    run::write(&diff, &run::quiet(&mut git)?)?;
    let diff = diff.display().to_string();
    let mut survived = Vec::new();
    for room in PURE {
        let package = package(room)?;
        let touched = listed(&["--package", &package, "--in-diff", &diff])?;
        let touched: BTreeSet<String> = list::mutants(&touched)?
            .into_iter()
            .map(|mutant| mutant.name)
            .collect();
        println!("{room}: {} mutants in what changed", touched.len());
        if touched.is_empty() {
            continue;
        }
        if touched.len() > MOST_OF_CHANGE {
            println!("{room}: too many for a check, try `cargo xtask mutants PATH`");
            continue;
        }
        let mutants = list::mutants(&listed(&["--package", &package])?)?;
        let mut log = Log::new(&format!("{room}-of-change"));
        let wanted = |one: &Mutant| touched.contains(&one.name).then_some(0);
        at_once::try_mutants(&package, &mutants, &wanted, &mut log)?;
        let mut names = at_once::compiling(&mutants);
        names.retain(|name| touched.contains(name));
        for name in Results::of(&log, &names, &equivalent()?).left {
            let regex = format!("^{}$", regex_of(&name));
            one_by_one(&["--file", &format!("{room}/**"), "--re", &regex], &mut log)?;
        }
        let results = Results::of(&log, &names, &equivalent()?);
        println!("{}", results.table());
        survived.extend(results.survived);
    }
    if survived.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "no test notices some mutants:\n{}",
            survived.join("\n")
        ))
    }
}

/// A regular expression for a name.
fn regex_of(name: &str) -> String {
    let mut regex = String::new();
    for c in name.chars() {
        if !c.is_alphanumeric() && c != '_' && c != ' ' {
            regex.push('\\');
        }
        regex.push(c);
    }
    regex
}

/// The mutants that the document argues to be equivalent.
fn equivalent() -> Outcome<BTreeSet<String>> {
    let document = paths::root().join("docs").join(DOCUMENT.name);
    Ok(results::equivalent(&run::read(&document)?))
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
