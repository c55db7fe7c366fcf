//! The real half of the truth corpus: programs whose culprit is known by construction (corpus/hosts), run under
//! `whofreed run`, and the reports held against what the programs say of themselves.
//!
//! `cargo test --test corpus -- --nocapture` prints the table. WHOFREED_TEST_SIZE=soak runs more seeds.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use common::Host;
use common::Mark;
use common::Marked;
use common::Scratch;
use common::Tally;

const SOURCES: [&str; 7] = [
    "corpus/hosts/main.cpp",
    "corpus/hosts/parts.cpp",
    "corpus/hosts/patterns_aliases.cpp",
    "corpus/hosts/patterns_containers.cpp",
    "corpus/hosts/patterns_owners.cpp",
    "corpus/hosts/patterns_processes.cpp",
    "corpus/hosts/patterns_shapes.cpp",
];

const LEVELS: [&str; 2] = ["-O0", "-O2"];

/// What a host tells of its owners.
const OWNERS: [&str; 3] = ["unknown", "unique", "pointers"];

/// A program, what to put before the pattern's name, and what it is called in the table.
struct Program {
    label: &'static str,
    path: PathBuf,
    leading: Vec<OsString>,
    owners: &'static [&'static str],
}

/// One run.
struct Job<'a> {
    program: &'a Program,
    pattern: &'a str,
    owners: &'a str,
    seed: u64,
}

impl Job<'_> {
    fn run(&self) -> Marked {
        let scratch = Scratch::new("corpus");
        let mut arguments = self.program.leading.clone();
        arguments.extend([self.pattern, self.owners].map(OsString::from));
        arguments.push(self.seed.to_string().into());
        let tracked = common::track(&scratch, &[], &self.program.path, &arguments);
        let truth = tracked.run.expect_code(0).truth();
        common::check_identities(&tracked.report);
        assert_eq!(common::total(&tracked.report, "dropped_events"), 0);
        Marked::new(&tracked.report, &truth)
    }

    /// Whether the mark is as it has to be.
    fn is_well(&self, marked: &Marked) -> bool {
        match marked.mark {
            Mark::Exact => true,
            Mark::Bad => false,
            Mark::Either | Mark::Silent => self.owners != "unique",
        }
    }
}

/// The seeds: three allocators, one or two devices, trusting devices or not; all combinations in twelve.
fn seeds(few: u64) -> Range<u64> {
    1..1 + if common::soak() { 24 } else { few }
}

/// The patterns that a program lists.
fn patterns(program: &Program) -> Vec<String> {
    let mut command = Command::new(&program.path);
    command.args(&program.leading);
    let run = common::run(&mut command).expect_code(0);
    run.stdout.lines().map(str::to_owned).collect()
}

/// Runs every pattern of the programs and prints the table. What is not as it should be is listed, and fails.
fn mark_all(programs: &[Program], seeds: Range<u64>) {
    let listed: Vec<Vec<String>> = programs.iter().map(patterns).collect();
    let mut jobs = Vec::new();
    for (program, patterns) in programs.iter().zip(&listed) {
        assert!(!patterns.is_empty(), "{} lists no patterns", program.label);
        for pattern in patterns {
            for &owners in program.owners {
                jobs.extend(seeds.clone().map(|seed| Job {
                    program,
                    pattern,
                    owners,
                    seed,
                }));
            }
        }
    }
    let marked = run_all(&jobs);

    let mut table: BTreeMap<(&str, &str), Tally> = BTreeMap::new();
    let mut sums: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (job, marked) in jobs.iter().zip(&marked) {
        table
            .entry((job.pattern, job.owners))
            .or_default()
            .add(marked);
        sums.entry(job.owners).or_default().add(marked);
        let names: Vec<String> = marked.innocents.iter().map(ToString::to_string).collect();
        let line = format!(
            "{} {} {} {}: {:?}: {}",
            job.program.label,
            job.pattern,
            job.owners,
            job.seed,
            marked.mark,
            names.join("; ")
        );
        if !job.is_well(marked) {
            wrong.push(line);
        }
    }
    let kind = programs[0].label.split(' ').next().unwrap_or_default();
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for ((pattern, owners), tally) in &table {
        rows.entry(pattern)
            .or_default()
            .push(format!("{owners}: {tally}"));
    }
    for (pattern, row) in rows {
        common::note(&format!("{kind} {pattern}"), &row.join("; "));
    }
    for (owners, tally) in sums {
        common::note(
            &format!("{kind}, all patterns, {owners}"),
            &tally.to_string(),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// As many at a time as there are cores; the marks in the order of the jobs.
fn run_all(jobs: &[Job<'_>]) -> Vec<Marked> {
    let next = AtomicUsize::new(0);
    let marked: Mutex<BTreeMap<usize, Marked>> = Mutex::new(BTreeMap::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else {
                        return;
                    };
                    let one = job.run();
                    marked.lock().expect("no thread panics").insert(index, one);
                }
            });
        }
    });
    let marked = marked.into_inner().expect("no thread panics");
    marked.into_values().collect()
}

#[test]
fn corpus_hosts_in_cxx_get_no_innocent_accused() {
    let scratch = Scratch::new("corpus");
    let programs: Vec<Program> = thread::scope(|scope| {
        let compile = |level: &'static str| {
            let host = Host::cxx(&SOURCES).flags(&[level]);
            let path = host.compile(&scratch, &format!("host{level}"));
            Program {
                label: if level == "-O0" { "C++ -O0" } else { "C++ -O2" },
                path,
                leading: Vec::new(),
                owners: &OWNERS,
            }
        };
        let threads = LEVELS.map(|level| scope.spawn(move || compile(level)));
        threads
            .into_iter()
            .map(|thread| thread.join().expect("it compiles"))
            .collect()
    });
    mark_all(&programs, seeds(2));
}

/// Cargo builds the examples with the tests, in target/debug/examples.
#[test]
fn corpus_hosts_in_rust_get_no_innocent_accused() {
    let test = env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("target/debug");
    let path = profile.join("examples/corpus_rust_host");
    assert!(
        path.exists(),
        "{} is not there: `cargo test` builds it, `cargo test --test corpus` does not",
        path.display()
    );
    let program = Program {
        label: "Rust",
        path,
        leading: Vec::new(),
        owners: &["unknown", "unique"],
    };
    mark_all(&[program], seeds(2));
}

#[test]
fn corpus_hosts_in_python_get_no_innocent_accused() {
    let ask = "import ctypes, sys; ok = sys.implementation.name == 'cpython' and \
               (3, 10) <= sys.version_info[:2] <= (3, 13); print(sys.executable if ok else '')";
    let answer = Command::new("python3").args(["-I", "-c", ask]).output();
    let path = answer.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    });
    if path.is_empty() {
        common::skip(
            "corpus_hosts_in_python_get_no_innocent_accused",
            "python3 is no CPython 3.10 to 3.13 with ctypes",
        );
        return;
    }
    let program = Program {
        label: "Python",
        path: path.into(),
        leading: vec![
            "-B".into(),
            common::root().join("corpus/hosts/python_host.py").into(),
        ],
        owners: &OWNERS,
    };
    mark_all(&[program], seeds(2));
}
