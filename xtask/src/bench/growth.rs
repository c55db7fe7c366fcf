//! `cargo xtask bench TURNS growth`: how the cost of an event grows with what a host has more of.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::Bench;
use super::Measured;
use super::api;
use super::host;
use super::host::median;
use crate::run;
use crate::run::Outcome;

/// What `benches/grow.c` is told.
#[derive(Clone, Copy)]
struct Shape {
    threads: u64,
    /// Of all threads together.
    events: u64,
    live: u64,
    depth: u64,
    stacks: u64,
}

/// Where nothing else is said.
const USUAL: Shape = Shape {
    threads: 1,
    events: 1_000_000,
    live: 256,
    depth: 20,
    stacks: 64,
};

/// What grows.
struct Axis {
    name: &'static str,
    values: &'static [u64],
    with: fn(u64) -> Shape,
}

const AXES: [Axis; 5] = [
    Axis {
        name: "events",
        values: &[100_000, 1_000_000, 10_000_000],
        with: |events| Shape { events, ..USUAL },
    },
    Axis {
        name: "threads",
        values: &[1, 2, 4, 8],
        with: |threads| Shape { threads, ..USUAL },
    },
    Axis {
        name: "live buffers",
        values: &[100, 1_000, 10_000, 100_000, 1_000_000],
        with: |live| Shape { live, ..USUAL },
    },
    Axis {
        name: "different stacks",
        values: &[16, 256, 4_096, 65_536],
        with: |stacks| Shape { stacks, ..USUAL },
    },
    Axis {
        name: "frames of the host",
        values: &[8, 16, 32, 64, 128, 256],
        // Few enough different ones for the least frames.
        with: |depth| Shape {
            depth,
            stacks: 16,
            ..USUAL
        },
    },
];

/// No stack is cut: the deepest has two frames of the C library besides.
const DEPTH: [&str; 2] = ["--depth", "512"];

/// Live buffers of the C interface, one thread.
const OF_API: [u64; 6] = [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

pub fn measure(bench: &Bench) -> Outcome<Measured> {
    let host = host::compile(bench.folder, "grow", "grow.c", &host::PLAIN)?;
    let mut table = String::new();
    for axis in &AXES {
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "\n| {} | native, ns | whofreed, ns more | stacks=excess, ns more |\n|---|---|---|---|",
            axis.name
        );
        for &value in axis.values {
            let row = row(&host, (axis.with)(value), bench)?;
            println!("{} {value}: {row}", axis.name);
            let _ = writeln!(table, "| {value} | {row} |");
        }
    }
    let _ = writeln!(
        table,
        "\n| live buffers, C interface | all of it, ns |\n|---|---|"
    );
    let api = host::compile_api(bench.folder)?;
    let pairs = (USUAL.events / 2).to_string();
    for live in OF_API {
        let mut processor = vec![];
        for _ in 0..bench.turns {
            let said = api::run(&api, bench.folder, ["1", &pairs, &live.to_string()])?;
            processor.push(said.processor_ns / said.events);
        }
        let row = format!("{:.0}", median(processor));
        println!("live buffers, C interface {live}: {row}");
        let _ = writeln!(table, "| {live} | {row} |");
    }
    let about = format!(
        "`cargo xtask bench`: benches/grow.c, processor time of an event in the loop; native and whofreed by turns, \
         medians of {}. Where nothing else is said: {} events, {} thread, {} live buffers, {} frames of the host, {} \
         different stacks (16 where the frames grow), `depth=512`. The C interface as above, with {} events.",
        bench.turns,
        USUAL.events,
        USUAL.threads,
        USUAL.live,
        USUAL.depth,
        USUAL.stacks,
        USUAL.events
    );
    Ok(Measured { about, table })
}

fn row(host: &Path, shape: Shape, bench: &Bench) -> Outcome<String> {
    let output = bench.folder.join("output");
    let pairs = shape.events / shape.threads / 2;
    let words = [shape.threads, pairs, shape.live, shape.depth, shape.stacks];
    let words = words.map(|word| word.to_string());
    let event = |command: &mut Command| -> Outcome<f64> {
        let said = host::figures(command.args(&words))?;
        Ok(said.processor_ns / said.events)
    };
    let (mut alone, mut all, mut excess) = (vec![], vec![], vec![]);
    for _ in 0..bench.turns {
        let native = event(&mut Command::new(host))?;
        alone.push(native);
        for (stacks, more) in [("all", &mut all), ("excess", &mut excess)] {
            let _ = fs::remove_dir_all(&output);
            run::create_folder(&output)?;
            more.push(event(&mut host::whofreed(host, &output, stacks, &DEPTH))? - native);
        }
    }
    Ok(format!(
        "{:.0} | {:.0} | {:.0}",
        median(alone),
        median(all),
        median(excess)
    ))
}
