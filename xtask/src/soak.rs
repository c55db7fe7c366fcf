//! `cargo xtask soak`: what is too long for every test run, with its figures written down in `docs/SOAK.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::artifacts;
use crate::figures::Document;
use crate::hook_cost;
use crate::packages;
use crate::paths;
use crate::reliability;
use crate::run;
use crate::run::Outcome;
use crate::test;
use crate::test::Tally;
use crate::ttnn;
use crate::ttnn::Board;
use crate::ttnn::Runtime;

/// A section of `docs/SOAK.md`.
struct Section {
    name: &'static str,
    about: &'static str,
    measure: fn() -> Outcome<Measured>,
}

/// What a section says.
struct Measured {
    table: String,
    /// How many tests failed on the way: their figures are written down all the same.
    failed: u64,
}

impl From<String> for Measured {
    fn from(table: String) -> Self {
        Self { table, failed: 0 }
    }
}

const SECTIONS: [Section; 12] = [
    Section {
        name: "model-like-ratio",
        about: "The real runtime's decode loop (400 iterations, 4 layers, 2x4 mesh), alone and under whofreed with all stacks, by turns.",
        measure: model_like_ratio,
    },
    Section {
        name: "hook-cost",
        about: "Calls whose hooks say that they are no events, and the start of a process: the least of many tries, the loop \
                included.",
        measure: || hook_cost::measure().map(Measured::from),
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
        name: "stacks",
        about: "Stacks of every kind that an unwinder stumbles over, each unwound a second time by the C++ runtime's unwinder.",
        measure: || tests_at_full_size("unwinder"),
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
    Section {
        name: "html-report",
        about: "The HTML report of a made-up run with very many buffers and culprits: how long an optimised build takes to make it from the events in memory, the size of the file, and how long a headless Chromium takes until it has painted the answer, and until all parts of the page are there.",
        measure: html_report,
    },
    Section {
        name: "pytest-cost",
        about: "A clean suite on the real runtime, plain and with `pytest --whofreed`, by turns: with the start of the interpreter and the runtime's import.",
        measure: || tests_at_full_size("what_a_session_costs"),
    },
    Section {
        name: "top-screens",
        about: "`whofreed top` in terminals of three widths, on the real runtime while it works; what they show is written to docs/screens.",
        measure: || tests_at_full_size("top_on_a_live"),
    },
    Section {
        name: "corpus",
        about: "Simulated hosts whose culprits are known (corpus/), 2,000 steps each, with seeds that nothing was tuned on. \
                *Either*: all culprits, some as one or the other. *Missed*: not all, and nobody innocent. The log can tell \
                where every culprit left ten surplus frees or more and there is no twin of it, the same log with somebody \
                else at fault. The last four columns are the runs in which other methods name exactly the culprits; \
                all but the last are told how many there are.",
        measure: corpus,
    },
    Section {
        name: "analysis-scale",
        about: "The analysis of made-up logs (`crates/analysis/examples/scale.rs`: 600 pools, four threads, two \
                culprits with 4.5 surplus frees for 100 allocations, no owners) on one core. Times are those on the core; \
                the peak is that of the process, 45 MiB of it the generator's.",
        measure: analysis_scale,
    },
];

const DOCUMENT: Document = Document {
    name: "SOAK.md",
    head: "# Soak\n\nWritten by `cargo xtask soak`, which runs what is too long for every test run.\n",
};

/// Events of the logs that are analysed.
const SIZES: [u64; 3] = [1_000_000, 10_000_000, 100_000_000];

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
    if let [reliability::NAME, words @ ..] = arguments {
        artifacts::build()?;
        return match reliability::write(words)? {
            true => Ok(()),
            false => Err("soak: tests failed".to_owned()),
        };
    }
    if chosen.is_empty() {
        let names = SECTIONS.map(|section| section.name).join(", ");
        return Err(format!(
            "soak: one of {names}, {}, or nothing for all of them",
            reliability::NAME
        ));
    }
    artifacts::build()?;
    let mut red = Vec::new();
    for section in chosen {
        eprintln!("xtask: soak {}", section.name);
        let measured = (section.measure)()?;
        println!("{}", measured.table);
        DOCUMENT.write_section(section.name, section.about, &measured.table)?;
        if measured.failed > 0 {
            red.push(section.name);
        }
    }
    if arguments.is_empty() && !reliability::write(&[])? {
        red.push(reliability::NAME);
    }
    if red.is_empty() {
        return Ok(());
    }
    Err(format!("soak: tests failed in {}", red.join(", ")))
}

fn model_like_ratio() -> Outcome<Measured> {
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
    Ok(table.into())
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

/// Analyses logs of several sizes, each in a process of its own.
fn analysis_scale() -> Outcome<Measured> {
    let mut table = String::from(
        "| events | excess frees | replay, s | events/s | with the blame, s | peak, MiB | culprits | explained |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for size in SIZES {
        let said = run::quiet(
            Command::new("cargo")
                .args(["run", "--release", "-p", "whofreed-analysis"])
                .args(["--example", "scale", "--", &size.to_string()])
                .current_dir(paths::root()),
        )?;
        let figure = |name: &str| -> Outcome<&str> {
            let mut lines = said.lines();
            let figure = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            figure.ok_or_else(|| format!("scale printed no {name}:\n{said}"))
        };
        let number = |name: &str| -> Outcome<f64> {
            let figure = figure(name)?;
            figure
                .parse()
                .map_err(|_| format!("scale printed {name}={figure}"))
        };
        let (excess, replay) = (number("excess")?, number("replay_s")?);
        let explained = 100.0 * (excess - number("unexplained")?) / excess.max(1.0);
        let culprits = if figure("exact")? == "true" {
            "exact"
        } else {
            "not those"
        };
        let _ = writeln!(
            table,
            "| {size} | {excess} | {replay:.1} | {:.1} M | {} | {} | {culprits} | {explained:.1} % |",
            size as f64 / replay.max(0.01) / 1e6,
            figure("whole_s")?,
            figure("peak_mib")?,
        );
    }
    Ok(table.into())
}

/// Seeds of the corpus that nothing was tuned on.
const SEEDS: &str = "5000..5034";

fn corpus() -> Outcome<Measured> {
    let mut tables = String::new();
    for (test, owners) in [
        ("unique_owners_are_exact", "Unique owners"),
        ("pointers_mislead_nobody", "Object pointers as owners"),
        ("without_owners_no_innocent_is_named", "No owners"),
    ] {
        let mut command = artifacts::cargo();
        command
            .args(["test", "--package", "whofreed-corpus", "--test", "table"])
            .args([test, "--", "--nocapture"])
            .env("WHOFREED_CORPUS_SEEDS", SEEDS)
            .env("WHOFREED_CORPUS_STEPS", "2000");
        let (output, success) = run::tee(&mut command)?;
        if !success {
            return Err(format!("{test} failed"));
        }
        let mut rows: Vec<&str> = output.lines().filter(|l| l.starts_with('|')).collect();
        let rule = "|---".repeat(rows.first().map_or(0, |row| row.matches('|').count() - 1)) + "|";
        rows.insert(rows.len().min(1), &rule);
        let _ = writeln!(tables, "{owners}, seeds {SEEDS}:\n\n{}\n", rows.join("\n"));
    }
    Ok(tables.into())
}

/// Runs the tests that have a word in their names at their full size, and collects the figures they give.
fn tests_at_full_size(word: &str) -> Outcome<Measured> {
    let notes = empty_notes()?;
    let notes_path = notes.display().to_string();
    let tally = test::run_tests(
        &[word],
        true,
        &[
            ("WHOFREED_TEST_SIZE", "soak"),
            ("WHOFREED_TEST_NOTES", &notes_path),
        ],
    )?;
    noted(&notes, tally)
}

/// The page of a very large run, in a browser. The build is optimised, as that of the people is who wait for the page.
fn html_report() -> Outcome<Measured> {
    let notes = empty_notes()?;
    let mut command = artifacts::cargo();
    command
        .args(["test", "--release", "--package", "whofreed"])
        .args(["--test", "html", "--color=never", "a_run_with_very_many"])
        .env("WHOFREED_TEST_BROWSER", packages::browser()?)
        .env("WHOFREED_TEST_SIZE", "soak")
        .env("WHOFREED_TEST_NOTES", &notes);
    let (output, success) = run::tee(&mut command)?;
    let tally = Tally::of_output(&output);
    if !success && tally.failed() == 0 {
        return Err("the test did not run to its end".to_owned());
    }
    noted(&notes, tally)
}

/// The file that tests write their figures into.
fn empty_notes() -> Outcome<PathBuf> {
    let notes = paths::target().join("whofreed-notes");
    run::write(&notes, "")?;
    Ok(notes)
}

/// What tests noted, as a table. Where all of them were skipped there is none: the older one has figures.
fn noted(notes: &Path, tally: Tally) -> Outcome<Measured> {
    if tally.passed() + tally.failed() == 0 {
        return Err(format!("no test ran: {tally}"));
    }
    let mut table = format!("| what | figure |\n|---|---|\n| tests | {tally} |\n");
    for line in run::read(notes)?.lines() {
        let (label, value) = line.split_once(": ").unwrap_or((line, ""));
        let _ = writeln!(table, "| {label} | {value} |");
    }
    let failed = tally.failed();
    Ok(Measured { table, failed })
}
