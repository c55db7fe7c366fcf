//! The recorders that are compared, and how each is put over the workload.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::host;
use super::lttng;
use super::processes;
use super::processes::Ran;
use crate::packages;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// The workload: as it is, with AddressSanitizer in it, and for a Python program to call.
pub struct Hosts {
    pub plain: PathBuf,
    pub sanitized: PathBuf,
    pub shared: PathBuf,
    /// The Python that has memray, or why there is none.
    pub python: Outcome<PathBuf>,
}

impl Hosts {
    pub fn build(folder: &Path) -> Outcome<Self> {
        let compile = |name: &str, flags: &[&str]| host::compile(folder, name, "churn.c", flags);
        let sanitizer = ["-fsanitize=address", "-fno-omit-frame-pointer"];
        Ok(Self {
            plain: compile("churn", &host::PLAIN)?,
            sanitized: compile("churn-sanitized", &sanitizer)?,
            shared: compile("libchurn.so", &["-fomit-frame-pointer", "-shared", "-fPIC"])?,
            python: packages::memray(),
        })
    }

    /// `python`, for what calls the workload's `main`.
    fn driver(&self, options: &[&str]) -> Outcome<Command> {
        let mut command = Command::new(self.python.as_ref()?);
        command.args(options);
        command.arg(paths::root().join("benches/driver.py"));
        command.arg(&self.shared);
        Ok(command)
    }
}

/// One run under a tool.
pub struct Recorded {
    pub ran: Ran,
    /// Of the processor time elsewhere: what the command took to read its trace again, where it does.
    pub report_ns: Option<f64>,
    /// Events that the tool says it has not kept.
    pub lost: u64,
}

impl From<Ran> for Recorded {
    fn from(ran: Ran) -> Self {
        Self {
            ran,
            report_ns: None,
            lost: 0,
        }
    }
}

/// A recorder.
pub struct Tool {
    pub name: &'static str,
    pub about: &'static str,
    /// So many times fewer pairs than the others: it is that slow.
    pub fewer: u64,
    /// Why it cannot be had.
    pub missing: fn(&Hosts) -> Option<String>,
    /// The host without it.
    pub native: fn(&Hosts) -> Outcome<Command>,
    /// Runs the host under it with these arguments, its output into a folder.
    pub record: fn(&Hosts, &Path, &[&str]) -> Outcome<Recorded>,
}

const PLAIN: Tool = Tool {
    name: "",
    about: "",
    fewer: 1,
    missing: |_| None,
    native: |hosts| Ok(Command::new(&hosts.plain)),
    record: |hosts, _, words| Ok(processes::run(Command::new(&hosts.plain).args(words))?.into()),
};

pub const TOOLS: [Tool; 7] = [
    Tool {
        name: "whofreed",
        about: "stack of every allocate and free, verdict, all events on disk",
        record: |hosts, output, words| whofreed(hosts, output, "all", words),
        ..PLAIN
    },
    Tool {
        name: "whofreed, stacks=excess",
        about: "verdict, all events on disk, no stacks of what is right",
        record: |hosts, output, words| whofreed(hosts, output, "excess", words),
        ..PLAIN
    },
    Tool {
        name: "heaptrack",
        about: "stack of every allocate, events on disk; no stack of a free. Elsewhere: its interpreter and zstd",
        missing: |_| not_there("heaptrack"),
        record: |hosts, output, words| {
            let mut command = Command::new("heaptrack");
            command.arg("--output").arg(output.join("trace"));
            Ok(processes::run(command.arg(&hosts.plain).args(words))?.into())
        },
        ..PLAIN
    },
    Tool {
        name: "memray --native",
        about: "stack of every allocate, events on disk; no stack of a free. The host is a Python program that calls \
                the workload; the same without memray is what it is compared with",
        fewer: 4,
        missing: |hosts| {
            let why = hosts.python.as_ref().err()?;
            Some(format!("skipped: {}", why.lines().next().unwrap_or(why)))
        },
        native: |hosts| hosts.driver(&[]),
        record: |hosts, output, words| {
            let trace = output.join("trace").display().to_string();
            let options = ["-m", "memray", "run", "--native", "--quiet", "-o", &trace];
            Ok(processes::run(hosts.driver(&options)?.args(words))?.into())
        },
    },
    Tool {
        name: "LTTng-UST",
        about: "one return address and the thread of every allocate and free, events on disk; no stacks. Elsewhere: \
                without its consumer daemon",
        missing: |_| lttng::missing(),
        record: |hosts, output, words| lttng::record(&hosts.plain, output, words),
        ..PLAIN
    },
    Tool {
        name: "gcc's AddressSanitizer",
        about: "stack of every allocate and free, until the block is used again; needs a build, and frame pointers",
        record: |hosts, _, words| {
            Ok(processes::run(Command::new(&hosts.sanitized).args(words))?.into())
        },
        ..PLAIN
    },
    Tool {
        name: "valgrind memcheck",
        about: "stack of every allocate and free, and every access",
        fewer: 20,
        missing: |_| not_there("valgrind"),
        record: |hosts, output, words| {
            let mut command = Command::new("valgrind");
            command.arg(format!("--log-file={}", output.join("log").display()));
            command.args(["--leak-check=no", "--keep-stacktraces=alloc-and-free"]);
            Ok(processes::run(command.arg(&hosts.plain).args(words))?.into())
        },
        ..PLAIN
    },
];

fn whofreed(hosts: &Hosts, output: &Path, stacks: &str, words: &[&str]) -> Outcome<Recorded> {
    let ran = processes::run(host::whofreed(&hosts.plain, output, stacks, &[]).args(words))?;
    // The launcher has read the trace too. How long that took is known from doing it once more.
    let entries = fs::read_dir(output).map_err(|error| format!("{}: {error}", output.display()))?;
    let mut report = Command::new(paths::binary());
    report.args(["report", "--output", "/dev/null"]);
    report.args(entries.flatten().map(|entry| entry.path()));
    let (_, report_ns) = processes::spent(|| run::quiet(&mut report))?;
    Ok(Recorded {
        report_ns: Some(report_ns),
        ..ran.into()
    })
}

/// Why a program cannot be had.
pub fn not_there(program: &str) -> Option<String> {
    let is_there = run::quiet(Command::new(program).arg("--version")).is_ok();
    (!is_there).then(|| format!("skipped: {program} is not installed"))
}
