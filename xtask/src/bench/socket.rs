//! `cargo xtask bench TURNS socket`: what it costs to tell another process of each event as it happens, as the
//! allocation tracking of TT-Metal does, and what it costs to record it with its stack.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::Bench;
use super::Measured;
use super::host;
use super::host::Figures;
use super::host::median;
use super::processes;
use crate::run;
use crate::run::Outcome;

/// How often the host is slower that tells by a socket.
const GOAL: f64 = 10.0;

/// How the host has its events: the reader's state, pairs, and how long it waits after each.
const SHAPES: [(&str, u64, u64); 2] = [("busy", 500_000, 0), ("asleep", 50_000, 20_000)];

pub fn measure(bench: &Bench) -> Outcome<Measured> {
    let mut table = String::from(
        "| reader | pairs | by a socket, ns | with the reader, ns | wall ns | whofreed, ns | wall ns | times the \
         processor time | times the wall time |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (reader, pairs, pause) in SHAPES {
        let compile = |name: &str, tells: u8| {
            let flags = [
                "-fomit-frame-pointer".to_owned(),
                format!("-DTELLS={tells}"),
                format!("-DPAUSE_NS={pause}"),
            ];
            host::compile(
                bench.folder,
                &format!("{name}-{reader}"),
                "socket.c",
                &flags,
            )
        };
        let row = row(&compile("silent", 0)?, &compile("socket", 1)?, pairs, bench)?;
        println!("reader {reader}: {row}");
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {reader} | {pairs} | {row} |");
    }
    let about = format!(
        "`cargo xtask bench`: benches/socket.c, the loop of churn.c on one thread, each event told by one blocking \
         send of 128 bytes over a unix stream socket to a process that reads them one by one; against whofreed with \
         the stacks of all events. Nanoseconds of an event more than native, by turns, medians of {}; the goal is \
         {GOAL} times. The reader is *busy* where the host has nothing to do but its events, and *asleep* where the \
         host computes for 20 µs after each. Processor time is that of the host's process in its loop, our writer \
         thread included; the reader's is told beside it. Not counted: what either does with the events afterwards.",
        bench.turns
    );
    Ok(Measured { about, table })
}

fn row(silent: &Path, socket: &Path, pairs: u64, bench: &Bench) -> Outcome<String> {
    let output = bench.folder.join("output");
    let pairs = pairs.to_string();
    let said = |mut command: Command| processes::run(command.args(["1", &pairs]));
    let processor =
        |with: Figures, alone: Figures| (with.processor_ns - alone.processor_ns) / alone.events;
    let wall = |with: Figures, alone: Figures| (with.wall_ns - alone.wall_ns) / alone.events;
    let (mut by_socket, mut with_reader, mut by_socket_wall) = (vec![], vec![], vec![]);
    let (mut ours, mut ours_wall) = (vec![], vec![]);
    for _ in 0..bench.turns {
        let alone = said(Command::new(silent))?;
        let told = said(Command::new(socket))?;
        let _ = fs::remove_dir_all(&output);
        run::create_folder(&output)?;
        let recorded = said(host::whofreed(silent, &output, "all", &[]))?;
        let events = alone.figures.events;
        with_reader.push((told.processes_ns - alone.processes_ns) / events);
        let (told, recorded, alone) = (told.figures, recorded.figures, alone.figures);
        by_socket.push(processor(told, alone));
        by_socket_wall.push(wall(told, alone));
        ours.push(processor(recorded, alone));
        ours_wall.push(wall(recorded, alone));
    }
    let (socket, socket_wall) = (median(by_socket), median(by_socket_wall));
    let (ours, ours_wall) = (median(ours), median(ours_wall));
    Ok(format!(
        "{socket:.0} | {:.0} | {socket_wall:.0} | {ours:.0} | {ours_wall:.0} | {:.1} | {:.1}",
        median(with_reader),
        socket / ours,
        socket_wall / ours_wall
    ))
}
