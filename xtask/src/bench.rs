//! `cargo xtask bench`: what recording costs a host that does little else, beside the recorders that others have.
//!
//! The workload is `benches/churn.c`. Native and tool take turns, so that what else runs on the machine is in both; figures are
//! medians over the turns of what the tool adds. Processor time is what carries over to other machines, wall time hardly.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::artifacts;
use crate::figures::Document;
use crate::packages;
use crate::paths;
use crate::run;
use crate::run::Outcome;

const DOCUMENT: Document = Document {
    name: "PERFORMANCE.md",
    head: "# Performance\n\nWritten by `cargo xtask bench`.\n",
};

/// Each tool is run so often, by turns with the host alone, after one turn that does not count.
const TURNS: usize = 5;
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

/// A recorder.
struct Tool {
    name: &'static str,
    about: &'static str,
    /// So many times fewer pairs than the others: it is that slow.
    fewer: u64,
    command: fn(&Hosts, &Path) -> Command,
    /// The program that has to be there.
    needs: Option<&'static str>,
}

const TOOLS: [Tool; 5] = [
    Tool {
        name: "whofreed",
        about: "stack of every allocate and free, verdict, all events on disk",
        fewer: 1,
        command: |hosts, output| whofreed(hosts, output, "all"),
        needs: None,
    },
    Tool {
        name: "whofreed, stacks=excess",
        about: "verdict, all events on disk, no stacks of what is right",
        fewer: 1,
        command: |hosts, output| whofreed(hosts, output, "excess"),
        needs: None,
    },
    Tool {
        name: "heaptrack",
        about: "stack of every allocate, events on disk; no stack of a free",
        fewer: 1,
        command: |hosts, output| {
            let mut command = Command::new("heaptrack");
            command.arg("--output").arg(output.join("trace"));
            command.arg(&hosts.plain);
            command
        },
        needs: Some("heaptrack"),
    },
    Tool {
        name: "gcc's AddressSanitizer",
        about: "stack of every allocate and free, until the block is used again; needs a build, and frame pointers",
        fewer: 1,
        command: |hosts, _| Command::new(&hosts.sanitized),
        needs: None,
    },
    Tool {
        name: "valgrind memcheck",
        about: "stack of every allocate and free, and every access",
        fewer: 20,
        command: |hosts, output| {
            let mut command = Command::new("valgrind");
            command.arg(format!("--log-file={}", output.join("log").display()));
            command.args(["--leak-check=no", "--keep-stacktraces=alloc-and-free"]);
            command.arg(&hosts.plain);
            command
        },
        needs: Some("valgrind"),
    },
];

fn whofreed(hosts: &Hosts, output: &Path, stacks: &str) -> Command {
    let mut command = Command::new(paths::binary());
    command.args(["run", "--adapters", "libc", "--stacks", stacks, "--trace"]);
    command.arg(output.join("trace.%p"));
    command.arg("--report").arg("/dev/null").arg("--");
    command.arg(&hosts.plain);
    command
}

/// The workload, as it is and with AddressSanitizer in it.
struct Hosts {
    plain: PathBuf,
    sanitized: PathBuf,
}

/// What the workload says of one run.
#[derive(Clone, Copy, Debug)]
struct Figures {
    events: f64,
    wall_ns: f64,
    processor_ns: f64,
    peak_kib: f64,
}

/// `cargo xtask bench [TURNS]`
pub fn command(arguments: &[&str]) -> Outcome<()> {
    let turns = match arguments {
        [] => TURNS,
        [turns] => turns
            .parse()
            .map_err(|_| format!("bench: {turns} is no number of turns"))?,
        _ => return Err("bench: a number of turns, or nothing".to_owned()),
    };
    artifacts::build()?;
    packages::install_system();
    let folder = paths::target().join("bench");
    run::create_folder(&folder)?;
    let hosts = hosts(&folder)?;
    let mut table = String::new();
    for (shape, words) in SHAPES {
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "\n{shape}:\n\n| recorder | ns of processor time more, an event | times the wall time | peak memory, MiB more | bytes \
             on disk, an event |\n|---|---|---|---|---|"
        );
        for tool in &TOOLS {
            let row = match missing(tool) {
                Some(why) => format!("{why} | | |"),
                None => measure(tool, &hosts, words, &folder, turns)?,
            };
            println!("{shape}: {}: {row}", tool.name);
            let _ = writeln!(table, "| {} | {row} |", tool.name);
        }
    }
    table.push_str("\nWhat each keeps:\n\n");
    for tool in &TOOLS {
        let _ = writeln!(table, "- {}: {}", tool.name, tool.about);
    }
    let about = format!(
        "`cargo xtask bench`: benches/churn.c, {PAIRS} pairs of malloc and free for each thread through twenty frames without frame \
         pointers, 48 different stacks; native and recorder by turns, medians of {turns}. Processor time is that of the host's process \
         in its loop, threads of the recorder in it included, but not that of other processes. Where blocks go from one thread to another, \
         each waits for the other with sched_yield, which counts as processor time too."
    );
    DOCUMENT.write_section("Beside others", &about, &table)?;
    of_api(&folder, turns)
}

/// Hosts that tell of their buffers themselves: threads, and buffers at once on the device of each.
const API_SHAPES: [(&str, &str); 3] = [("1", "256"), ("2", "256"), ("1", "10000000")];

/// The C interface, with owners and without stacks.
fn of_api(folder: &Path, turns: usize) -> Outcome<()> {
    let host = folder.join("api");
    let library = paths::shim();
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-O2", "-g", "-pthread", "-I"]);
    command.arg(paths::root().join("include"));
    command
        .arg(paths::root().join("benches/api.c"))
        .arg(&library);
    if let Some(folder) = library.parent() {
        command.arg(format!("-Wl,-rpath,{}", folder.display()));
    }
    run::quiet(command.arg("-o").arg(&host))?;
    let mut table = String::from(
        "| threads, a device each | buffers at once | ns of processor time, an event | peak memory, MiB |\n|---|---|---|---|\n",
    );
    let trace = folder.join("api.wft");
    for (threads, live) in API_SHAPES {
        let (mut processor, mut memory) = (vec![], vec![]);
        for _ in 0..turns {
            let options = format!("stacks=excess:summary=0:trace={}", trace.display());
            let mut command = Command::new(&host);
            command.args([threads, &PAIRS.to_string(), live]);
            let said = figures(command.env("WHOFREED_OPTIONS", options))?;
            processor.push(said.processor_ns / said.events);
            memory.push(said.peak_kib / 1024.0);
        }
        let row = format!("{:.0} | {:.0}", median(processor), median(memory));
        println!("{threads} threads, {live} buffers: {row}");
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {threads} | {live} | {row} |");
    }
    let _ = fs::remove_file(&trace);
    let about = format!(
        "`cargo xtask bench`: benches/api.c, {PAIRS} pairs of wf_deallocate and wf_allocate for each thread, each buffer of an owner that \
         was not there before, `stacks=excess`, with a trace; medians of {turns}. All of the loop's processor time counts."
    );
    DOCUMENT.write_section("The C interface", &about, &table)
}

fn missing(tool: &Tool) -> Option<String> {
    let program = tool.needs?;
    let is_there = run::quiet(Command::new(program).arg("--version")).is_ok();
    (!is_there).then(|| format!("skipped: {program} is not installed"))
}

fn hosts(folder: &Path) -> Outcome<Hosts> {
    let source = paths::root().join("benches/churn.c");
    let compile = |name: &str, flags: &[&str]| -> Outcome<PathBuf> {
        let host = folder.join(name);
        let mut command = Command::new("cc");
        command
            .args(["-std=c11", "-O2", "-g", "-pthread"])
            .args(flags);
        run::quiet(command.arg(&source).arg("-o").arg(&host))?;
        Ok(host)
    };
    Ok(Hosts {
        plain: compile("churn", &["-fomit-frame-pointer"])?,
        sanitized: compile(
            "churn-sanitized",
            &["-fsanitize=address", "-fno-omit-frame-pointer"],
        )?,
    })
}

/// A row of the table.
fn measure(
    tool: &Tool,
    hosts: &Hosts,
    words: &[&str],
    folder: &Path,
    turns: usize,
) -> Outcome<String> {
    let output = folder.join("output");
    let pairs = (PAIRS / tool.fewer).to_string();
    let arguments = [words[0], &pairs, words.get(1).unwrap_or(&"")];
    let (mut processor, mut wall, mut memory, mut bytes) = (vec![], vec![], vec![], vec![]);
    for turn in 0..=turns {
        let native = figures(Command::new(&hosts.plain).args(arguments))?;
        let _ = fs::remove_dir_all(&output);
        run::create_folder(&output)?;
        let with = figures((tool.command)(hosts, &output).args(arguments))?;
        if turn == 0 {
            continue;
        }
        processor.push((with.processor_ns - native.processor_ns) / native.events);
        wall.push(with.wall_ns / native.wall_ns);
        memory.push((with.peak_kib - native.peak_kib) / 1024.0);
        bytes.push(bytes_on_disk(&output)? / native.events);
    }
    Ok(format!(
        "{:.0} | {:.2} | {:.1} | {:.1}",
        median(processor),
        median(wall),
        median(memory),
        median(bytes)
    ))
}

fn figures(command: &mut Command) -> Outcome<Figures> {
    let said = run::quiet(command)?;
    let line = said
        .lines()
        .find_map(|line| line.find("events=").map(|at| &line[at..]));
    let line = line.ok_or_else(|| format!("{command:?}: no figures:\n{said}"))?;
    let figure = |name: &str| -> Outcome<f64> {
        let mut words = line.split(' ');
        let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let value = value.and_then(|value| value.parse().ok());
        value.ok_or_else(|| format!("{command:?}: no {name}: {line}"))
    };
    Ok(Figures {
        events: figure("events")?,
        wall_ns: figure("wall_ns")?,
        processor_ns: figure("cpu_ns")?,
        peak_kib: figure("peak_kib")?,
    })
}

/// The bytes that files of a folder take on the disk.
fn bytes_on_disk(folder: &Path) -> Outcome<f64> {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let blocks = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.blocks()));
    Ok(512.0 * blocks.sum::<u64>() as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_a_tool_says_too() {
        let mut command = Command::new("echo");
        command.arg("heaptrack says events=10 wall_ns=20 cpu_ns=30 peak_kib=40");
        let figures = figures(&mut command).expect("they are there");
        assert_eq!(figures.events, 10.0);
        assert_eq!(figures.peak_kib, 40.0);
        assert!(super::figures(&mut Command::new("true")).is_err());
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 9.0]), 3.0);
        assert!(median(vec![]).is_nan());
    }
}
