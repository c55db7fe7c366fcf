//! `cargo xtask soak`: what is too long for every test run, with its figures written down in `docs/SOAK.md`.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::process::Stdio;

use crate::artifacts;
use crate::figures::Document;
use crate::paths;
use crate::run;
use crate::run::Outcome;
use crate::test;
use crate::ttnn;
use crate::ttnn::Board;
use crate::ttnn::Runtime;

/// A section of `docs/SOAK.md`.
struct Section {
    name: &'static str,
    about: &'static str,
    measure: fn() -> Outcome<String>,
}

const SECTIONS: [Section; 5] = [
    Section {
        name: "model-like-ratio",
        about: "The real runtime's decode loop (400 iterations, 4 layers, 2x4 mesh), alone and under whofreed with all stacks, by turns.",
        measure: model_like_ratio,
    },
    Section {
        name: "threads",
        about: "The tests of many threads, at full size.",
        measure: || tests_at_full_size("threads"),
    },
    Section {
        name: "sigkill",
        about: "The tests of hosts that are killed, at full size.",
        measure: || tests_at_full_size("sigkill"),
    },
    Section {
        name: "lifecycle",
        about: "The verdict machine against the oracle: every short life of an address, with room and without, and long ones at random.",
        measure: || tests_at_full_size("lifecycle"),
    },
    Section {
        name: "corpus-hosts",
        about: "Programs whose culprit is known by construction (corpus/hosts), at -O0 and -O2, with many seeds: how many reports name exactly the culprits, one or the other, not all, or an innocent (BAD), and what share of the excess is explained. And who is accused of a stale free by other tools.",
        measure: || tests_at_full_size("corpus_hosts"),
    },
];

const DOCUMENT: Document = Document {
    name: "SOAK.md",
    head: "# Soak\n\nWritten by `cargo xtask soak`, which runs what is too long for every test run.\n",
};

const RUNS: usize = 5;

/// `cargo xtask soak [NAME]`
pub fn command(arguments: &[&str]) -> Outcome<()> {
    let chosen: Vec<&Section> = match arguments {
        [] => SECTIONS.iter().collect(),
        [name] => SECTIONS
            .iter()
            .filter(|section| section.name == *name)
            .collect(),
        _ => Vec::new(),
    };
    if chosen.is_empty() {
        let names = SECTIONS.map(|section| section.name).join(", ");
        return Err(format!("soak: one of {names}, or nothing for all of them"));
    }
    artifacts::build()?;
    for section in chosen {
        eprintln!("xtask: soak {}", section.name);
        let table = (section.measure)()?;
        println!("{table}");
        DOCUMENT.write_section(section.name, section.about, &table)?;
    }
    Ok(())
}

fn model_like_ratio() -> Outcome<String> {
    let runtime = ttnn::set_up()?;
    let trace = paths::target().join("whofreed-soak.wft");
    let mut table =
        String::from("| run | alone, s | under whofreed, s | ratio |\n|---|---|---|---|\n");
    let mut ratios = Vec::new();
    for number in 1..=RUNS {
        let alone = steady(&runtime, Command::new(&runtime.python))?;
        let mut watched = Command::new(paths::binary());
        watched
            .arg("run")
            .arg("--trace")
            .arg(&trace)
            .arg("--report")
            .arg("/dev/null")
            .arg("--")
            .arg(&runtime.python);
        let watched = steady(&runtime, watched)?;
        let ratio = watched / alone;
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {number} | {alone:.3} | {watched:.3} | {ratio:.2} |"
        );
        ratios.push(ratio);
    }
    // It is large, and of no further use.
    let _ = fs::remove_file(&trace);
    ratios.sort_by(f64::total_cmp);
    let _ = writeln!(table, "| median | | | {:.2} |", ratios[RUNS / 2]);
    Ok(table)
}

/// Runs the loop by the given launcher and returns its own figure.
fn steady(runtime: &Runtime, mut launcher: Command) -> Outcome<f64> {
    launcher
        .arg(paths::root().join("tests/ttnn/cases/model_like.py"))
        .args(["400", "4", "none"])
        .envs(runtime.variables(Board::Mesh))
        .stdin(Stdio::null());
    let output = run::quiet(&mut launcher)?;
    let figure = output.split_whitespace().find_map(|word| {
        word.strip_prefix("steady=")?
            .strip_suffix('s')?
            .parse()
            .ok()
    });
    figure.ok_or_else(|| format!("model_like printed no steady= figure:\n{output}"))
}

/// Runs the tests that have a word in their names at their full size, and collects the figures they give.
fn tests_at_full_size(word: &str) -> Outcome<String> {
    let notes = paths::target().join("whofreed-notes");
    run::write(&notes, "")?;
    let notes_path = notes.display().to_string();
    let tally = test::run_tests(
        &[word],
        false,
        &[
            ("WHOFREED_TEST_SIZE", "soak"),
            ("WHOFREED_TEST_NOTES", &notes_path),
        ],
    )?;
    let mut table = format!("| what | figure |\n|---|---|\n| tests | {tally} |\n");
    for line in run::read(&notes)?.lines() {
        let (label, value) = line.split_once(": ").unwrap_or((line, ""));
        let _ = writeln!(table, "| {label} | {value} |");
    }
    Ok(table)
}
