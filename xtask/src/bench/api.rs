//! `cargo xtask bench TURNS api`: hosts that tell of their buffers themselves.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::Bench;
use super::Measured;
use super::host;
use super::host::Figures;
use super::host::median;
use crate::run::Outcome;

/// Pairs of an allocate and a free of each thread.
const PAIRS: u64 = 1_000_000;

/// Threads, and buffers at once on the device of each.
const SHAPES: [(&str, &str); 3] = [("1", "256"), ("2", "256"), ("1", "10000000")];

/// The C interface, with owners and without stacks.
pub fn measure(bench: &Bench) -> Outcome<Measured> {
    let host = host::compile_api(bench.folder)?;
    let mut table = String::from(
        "| threads, a device each | buffers at once | ns of processor time, an event | peak memory, MiB |\n\
         |---|---|---|---|\n",
    );
    for (threads, live) in SHAPES {
        let (mut processor, mut memory) = (vec![], vec![]);
        for _ in 0..bench.turns {
            let said = run(&host, bench.folder, [threads, &PAIRS.to_string(), live])?;
            processor.push(said.processor_ns / said.events);
            memory.push(said.peak_kib / 1024.0);
        }
        let row = format!("{:.0} | {:.0}", median(processor), median(memory));
        println!("{threads} threads, {live} buffers: {row}");
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {threads} | {live} | {row} |");
    }
    let about = format!(
        "`cargo xtask bench`: benches/api.c, {PAIRS} pairs of wf_deallocate and wf_allocate for each thread, each \
         buffer of an owner that was not there before, `stacks=excess`, with a trace; medians of {}. All of the loop's \
         processor time counts.",
        bench.turns
    );
    Ok(Measured { about, table })
}

/// Runs the host with its threads, pairs and buffers at once.
pub fn run(host: &Path, folder: &Path, words: [&str; 3]) -> Outcome<Figures> {
    let trace = folder.join("api.wft");
    let options = host::api_options(&trace);
    let said = host::figures(
        Command::new(host)
            .args(words)
            .env("WHOFREED_OPTIONS", options),
    );
    // It is large, and of no further use.
    let _ = fs::remove_file(&trace);
    said
}
