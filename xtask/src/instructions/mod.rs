//! `cargo xtask instructions`: how many instructions an event costs the host's own thread, and whether they have become
//! more.
//!
//! Where time says something only after many turns on a machine that does nothing else, instructions are the same to a
//! few in ten thousand each time. callgrind counts them for each thread; a host runs once with so many pairs and once
//! with twice as many, so that its start falls out. What they do not know: caches, other threads at the same line, the
//! kernel.

mod callgrind;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use self::callgrind::Callgrind;
use crate::artifacts;
use crate::bench;
use crate::bench::host;
use crate::packages;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// Pairs of the shorter run; the longer one has twice as many.
const PAIRS: u64 = 10_000;

/// By how much a figure may differ from the one that is kept.
const TOLERANCE: f64 = 0.05;

/// What is less than this part of its figure was hardly recorded at all.
const LEAST: f64 = 0.5;

/// How to say that a figure is as it shall be.
const RENEW: &str = "cargo xtask instructions --renew";

/// A host whose events are counted.
struct Case {
    /// In the file of figures.
    name: &'static str,
    about: &'static str,
    /// The function that only the thread with the events has.
    thread: &'static str,
    /// The host under callgrind, but for its arguments.
    command: fn(&Hosts, &Callgrind) -> Command,
    /// What comes behind the number of pairs.
    behind: &'static [&'static str],
}

const CASES: [Case; 6] = [
    Case {
        name: "native",
        about: "benches/churn.c alone; the next two are what is more than this",
        thread: "own_blocks",
        command: |hosts, callgrind| callgrind.of(&hosts.churn),
        behind: &[],
    },
    Case {
        name: "stacks-all",
        about: "malloc and free, stack of every event",
        thread: "own_blocks",
        command: |hosts, callgrind| callgrind.under_whofreed(&hosts.churn, "all"),
        behind: &[],
    },
    Case {
        name: "stacks-excess",
        about: "malloc and free, no stacks of what is right",
        thread: "own_blocks",
        command: |hosts, callgrind| callgrind.under_whofreed(&hosts.churn, "excess"),
        behind: &[],
    },
    Case {
        name: "frame-pointers",
        about: "benches/churn.c with frame pointers: malloc and free, stack of every event, the host's loop included",
        thread: "own_blocks",
        command: |hosts, callgrind| callgrind.under_whofreed(&hosts.framed, "all"),
        behind: &[],
    },
    Case {
        name: "coroutines",
        about: "benches/switch.c: malloc and free on the stacks of three coroutines and the thread's own by turns, stack of \
                every event, the host's loop included",
        thread: "switches",
        command: |hosts, callgrind| callgrind.under_whofreed(&hosts.switch, "all"),
        behind: &["3"],
    },
    Case {
        name: "api",
        about: "benches/api.c: wf_deallocate and wf_allocate with new owners, no stacks, the host's loop included",
        thread: "churn",
        command: |hosts, callgrind| callgrind.of_api(&hosts.api),
        behind: &["256"],
    },
];

struct Hosts {
    churn: PathBuf,
    framed: PathBuf,
    switch: PathBuf,
    api: PathBuf,
}

/// Instructions of an event, by the names of the cases.
type Counts = BTreeMap<String, f64>;

/// `cargo xtask instructions [--write | --renew]`
pub fn command(arguments: &[&str]) -> Outcome<()> {
    let what = match arguments {
        [] => None,
        [what @ ("--write" | "--renew")] => Some(*what),
        _ => return Err("instructions: --write, --renew, or nothing".to_owned()),
    };
    artifacts::build()?;
    packages::install_system();
    if let Some(why) = missing() {
        return Err(why);
    }
    let counts = count()?;
    let table = table(&counts);
    println!("{table}");
    match what {
        Some("--write") => bench::DOCUMENT.write_section("Instructions", &about(), &table),
        Some(_) => renew(&counts),
        None => Ok(()),
    }
}

/// How the comparison with the figures that are kept went.
#[derive(Debug, PartialEq, Eq)]
pub enum Comparison {
    /// None is worse; with what was counted, and what there is to say of those that are better.
    Kept(Vec<String>),
    /// These are worse, or not to be believed.
    Worse(Vec<String>),
    /// There is nothing to count with, or to compare with.
    Skipped(String),
}

/// Counts, and compares with the figures that are kept. Expects that everything is built.
pub fn compare() -> Outcome<Comparison> {
    if let Some(why) = missing() {
        // Where everything has to be there, a gate that is left open is a failure.
        let is_ci = env::var_os("CI").is_some();
        return if is_ci {
            Err(why)
        } else {
            Ok(Comparison::Skipped(why))
        };
    }
    let mut all = kept()?;
    let Some(kept) = all.remove(env::consts::ARCH) else {
        let why = format!("no figures are kept for {}", env::consts::ARCH);
        return Ok(Comparison::Skipped(why));
    };
    Ok(judge(&kept, &count()?))
}

fn judge(kept: &Counts, counts: &Counts) -> Comparison {
    let (mut worse, mut right) = (Vec::new(), Vec::new());
    for case in CASES.iter().filter(|case| is_kept(case)) {
        let Some(count) = counts.get(case.name) else {
            continue;
        };
        let Some(kept) = kept.get(case.name) else {
            worse.push(format!("{}: no figure is kept: `{RENEW}`", case.name));
            continue;
        };
        let change = count / kept - 1.0;
        let said = format!(
            "{}: {count:.0} instructions an event, {kept:.0} are kept ({:+.1} %)",
            case.name,
            100.0 * change
        );
        if change > TOLERANCE {
            worse.push(format!("{said}; if that is what it takes: `{RENEW}`"));
        } else if *count < kept * LEAST {
            worse.push(format!("{said}; if all was recorded: `{RENEW}`"));
        } else if change < -TOLERANCE {
            right.push(format!("{said}; renew them: `{RENEW}`"));
        } else {
            right.push(said);
        }
    }
    if worse.is_empty() {
        Comparison::Kept(right)
    } else {
        Comparison::Worse(worse)
    }
}

/// The host's own instructions are the compiler's and the C library's business.
fn is_kept(case: &Case) -> bool {
    case.name != "native"
}

fn missing() -> Option<String> {
    let is_there = run::quiet(Command::new("valgrind").arg("--version")).is_ok();
    (!is_there).then(|| "valgrind is not installed".to_owned())
}

fn count() -> Outcome<Counts> {
    let folder = paths::target().join("instructions");
    run::create_folder(&folder)?;
    let hosts = Hosts {
        churn: host::compile(&folder, "churn", "churn.c", &host::PLAIN)?,
        framed: host::compile(&folder, "framed", "churn.c", &["-fno-omit-frame-pointer"])?,
        switch: host::compile(&folder, "switch", "switch.c", &host::PLAIN)?,
        api: host::compile_api(&folder)?,
    };
    let mut counts = Counts::new();
    for case in &CASES {
        let once = of_run(case, &hosts, &folder, PAIRS)?;
        let twice = of_run(case, &hosts, &folder, 2 * PAIRS)?;
        // An event is an allocate or a free.
        let mut count = (twice as f64 - once as f64) / (2 * PAIRS) as f64;
        if case.name.starts_with("stacks") {
            count -= counts.get("native").copied().unwrap_or_default();
        }
        counts.insert(case.name.to_owned(), count);
    }
    Ok(counts)
}

/// The instructions of the thread with the events.
fn of_run(case: &Case, hosts: &Hosts, folder: &Path, pairs: u64) -> Outcome<u64> {
    let callgrind = Callgrind::new(folder)?;
    let mut command = (case.command)(hosts, &callgrind);
    // One thread.
    command.arg("1").arg(pairs.to_string()).args(case.behind);
    run::quiet(&mut command)?;
    callgrind.total_of_thread(case.thread)
}

fn about() -> String {
    format!(
        "`cargo xtask instructions --write`: instructions of an event on the host's own thread, counted by callgrind: \
         the difference of runs with {} and {PAIRS} pairs, divided by the events. One thread, 256 buffers at once. \
         `cargo xtask test` fails where one is {:.0} % more than benches/instructions.toml keeps.",
        2 * PAIRS,
        100.0 * TOLERANCE
    )
}

fn table(counts: &Counts) -> String {
    let mut table = String::from("| case | instructions, an event | what |\n|---|---|---|\n");
    for case in &CASES {
        let count = counts.get(case.name).copied().unwrap_or(f64::NAN);
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {} | {count:.1} | {} |", case.name, case.about);
    }
    table
}

fn file() -> PathBuf {
    paths::root().join("benches/instructions.toml")
}

/// The figures that are kept, by the processor's architecture.
fn kept() -> Outcome<BTreeMap<String, Counts>> {
    let file = file();
    toml::from_str(&run::read(&file)?).map_err(|error| format!("{}: {error}", file.display()))
}

/// Keeps these figures in place of those that there are.
fn renew(counts: &Counts) -> Outcome<()> {
    // A file that is not there yet, or broken, has nothing to keep.
    let mut all = kept().unwrap_or_default();
    let kept = CASES.iter().filter(|case| is_kept(case));
    let kept = kept.filter_map(|case| Some((case.name.to_owned(), *counts.get(case.name)?)));
    all.insert(env::consts::ARCH.to_owned(), kept.collect());
    let rustc = run::quiet(
        Command::new("rustc")
            .arg("--version")
            .current_dir(paths::root()),
    )?;
    let mut text = format!(
        "# Instructions of an event on the host's own thread, that `cargo xtask test` holds the code against.\n\
         # Written by `{RENEW}`, last with {}.\n",
        rustc.split(" (").next().unwrap_or_default().trim()
    );
    for (architecture, counts) in &all {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n[{architecture}]");
        for (name, count) in counts {
            let _ = writeln!(text, "{name} = {count:.1}");
        }
    }
    run::write(&file(), &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: f64, excess: f64, api: f64) -> Counts {
        let counts = [("stacks-all", all), ("stacks-excess", excess), ("api", api)];
        counts.map(|(name, count)| (name.to_owned(), count)).into()
    }

    #[test]
    fn more_than_the_tolerance_is_worse_and_less_is_told_unless_it_is_next_to_nothing() {
        let kept = counts(1000.0, 500.0, 300.0);
        let worse = |counts: Counts| match judge(&kept, &counts) {
            Comparison::Worse(worse) => worse,
            other => panic!("{other:?}"),
        };
        let right = |counts: Counts| match judge(&kept, &counts) {
            Comparison::Kept(right) => right,
            other => panic!("{other:?}"),
        };
        let close = right(counts(1049.0, 476.0, 300.0));
        assert!(close.iter().all(|line| !line.contains(RENEW)), "{close:?}");
        let more = worse(counts(1051.0, 400.0, 300.0));
        assert!(
            more.len() == 1 && more[0].starts_with("stacks-all: 1051"),
            "{more:?}"
        );
        let nothing = worse(counts(1000.0, 500.0, 149.0));
        assert!(
            nothing.len() == 1 && nothing[0].contains("recorded"),
            "{nothing:?}"
        );
        let less = right(counts(1000.0, 400.0, 300.0));
        assert!(less.len() == 3 && less[1].contains(RENEW), "{less:?}");
    }

    #[test]
    fn a_case_without_a_figure_is_no_pass() {
        let comparison = judge(&Counts::new(), &counts(1.0, 1.0, 1.0));
        assert!(matches!(comparison, Comparison::Worse(worse) if worse.len() == 3));
    }
}
