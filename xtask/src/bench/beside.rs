//! `cargo xtask bench TURNS beside`: the same workload under whofreed and under what others have.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::Bench;
use super::Measured;
use super::host::median;
use super::processes;
use super::tools::Hosts;
use super::tools::TOOLS;
use super::tools::Tool;
use crate::run;
use crate::run::Outcome;

/// Pairs of an allocate and a free of each thread.
const PAIRS: u64 = 1_000_000;

/// Threads, and whether blocks go from one to another.
const SHAPES: [(&str, &[&str]); 4] = [
    ("1 thread", &["1"]),
    ("2 threads", &["2"]),
    ("4 threads", &["4"]),
    (
        "2 threads, allocated in one and freed in the other",
        &["2", "cross"],
    ),
];

const HEAD: &str = "| recorder | ns of processor time more, an event | ns elsewhere, an event | times the wall time \
                    | peak memory, MiB more | bytes on disk, an event |\n|---|---|---|---|---|---|";

pub fn measure(bench: &Bench) -> Outcome<Measured> {
    let hosts = Hosts::build(bench.folder)?;
    let mut table = String::new();
    for (shape, words) in SHAPES {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "\n{shape}:\n\n{HEAD}");
        for tool in &TOOLS {
            let row = match (tool.missing)(&hosts) {
                Some(why) => format!("{why} | | | |"),
                None => row(tool, &hosts, words, bench)?,
            };
            println!("{shape}: {}: {row}", tool.name);
            let _ = writeln!(table, "| {} | {row} |", tool.name);
        }
    }
    table.push_str("\nWhat each keeps:\n\n");
    for tool in &TOOLS {
        let _ = write!(table, "- {}: {}", tool.name, tool.about);
        if tool.fewer > 1 {
            let _ = write!(table, " ({} pairs a thread)", PAIRS / tool.fewer);
        }
        table.push('\n');
    }
    let about = format!(
        "`cargo xtask bench`: benches/churn.c, {PAIRS} pairs of malloc and free for each thread through twenty frames \
         without frame pointers, 48 different stacks; native and recorder by turns, medians of {}. Processor time is \
         that of the host's process in its loop, threads of the recorder in it included. *Elsewhere* is all else that \
         the recorder's command took more than the host alone: start and end of the host's process, and every process \
         that the command waits for. Of ours that is the launcher, which makes the hooks, and at the end reads the \
         whole trace and reports; how much that is, is told by doing it once more. The others' traces are read by \
         nobody here. Where blocks go from one thread to another, each waits for the other with sched_yield, which \
         counts as processor time too.",
        bench.turns
    );
    Ok(Measured { about, table })
}

/// A row of the table, but for its name.
fn row(tool: &Tool, hosts: &Hosts, words: &[&str], bench: &Bench) -> Outcome<String> {
    let output = bench.folder.join("output");
    let pairs = (PAIRS / tool.fewer).to_string();
    let arguments = [words[0], &pairs, words.get(1).unwrap_or(&"")];
    let (mut processor, mut wall, mut memory, mut bytes) = (vec![], vec![], vec![], vec![]);
    let (mut elsewhere, mut reports, mut lost) = (vec![], vec![], vec![]);
    // The first turn does not count.
    for turn in 0..=bench.turns {
        let native = processes::run((tool.native)(hosts)?.args(arguments))?;
        let _ = fs::remove_dir_all(&output);
        run::create_folder(&output)?;
        let recorded = (tool.record)(hosts, &output, &arguments)?;
        if turn == 0 {
            continue;
        }
        let (with, alone) = (recorded.ran.figures, native.figures);
        processor.push((with.processor_ns - alone.processor_ns) / alone.events);
        elsewhere.push((recorded.ran.elsewhere_ns() - native.elsewhere_ns()) / alone.events);
        reports.extend(recorded.report_ns.map(|report_ns| report_ns / alone.events));
        wall.push(with.wall_ns / alone.wall_ns);
        memory.push((with.peak_kib - alone.peak_kib) / 1024.0);
        bytes.push(bytes_on_disk(&output)? / alone.events);
        lost.push(100.0 * recorded.lost as f64 / alone.events);
    }
    let mut elsewhere = format!("{:.0}", median(elsewhere));
    if !reports.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(elsewhere, "; the report alone {:.0}", median(reports));
    }
    let mut bytes = format!("{:.1}", median(bytes));
    let lost = median(lost);
    if lost > 0.0 {
        let _ = write!(bytes, ", {lost:.1} % of the events lost");
    }
    Ok(format!(
        "{:.0} | {elsewhere} | {:.2} | {:.1} | {bytes}",
        median(processor),
        median(wall),
        median(memory),
    ))
}

/// The bytes that files of a folder take on the disk.
fn bytes_on_disk(folder: &Path) -> Outcome<f64> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut bytes = 0.0;
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        bytes += if metadata.is_dir() {
            bytes_on_disk(&entry.path())?
        } else {
            512.0 * metadata.blocks() as f64
        };
    }
    Ok(bytes)
}
