//! The shipped adapter `libc`: real programs behave as they do alone, what is recorded of them is what an independent
//! counter of the same calls counts, and none of them is accused of an excess free. Programs that are not installed are
//! skipped.

mod common;

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use common::Host;
use common::Run;
use common::Scratch;
use common::Tracked;
use common::number;
use common::rows;
use common::total;
use serde_json::Value;

/// What makes programs do the same twice.
const SETTLED: [(&str, &str); 4] = [
    ("PERL_HASH_SEED", "0"),
    ("PYTHONHASHSEED", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("LC_ALL", "C"),
];

/// A program with its arguments, in a setting in which it does the same twice.
struct Program<'words> {
    path: PathBuf,
    arguments: Vec<&'words str>,
    variables: Vec<(&'static str, &'static str)>,
}

impl<'words> Program<'words> {
    fn new(path: &Path, arguments: &[&'words str]) -> Self {
        Self {
            path: path.to_owned(),
            arguments: arguments.to_vec(),
            variables: SETTLED.to_vec(),
        }
    }

    /// A command in whose environment is as much as in a run under whofreed.
    fn settle(&self, command: &mut Command, folder: &Path) {
        command.envs(self.variables.iter().copied());
        command.current_dir(folder);
        command.env("HEAP_COUNTS", "none");
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        self.settle(&mut command, folder);
        command.env("WHOFREED_OPTIONS", "none");
        command
    }
}

/// What the counter counted in all processes of a run, or the report says.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    taken: u64,
    given: u64,
}

/// A program found on the PATH.
fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|folder| folder.join(name));
    found.into_iter().find(|candidate| candidate.is_file())
}

fn counted(scratch: &Scratch, program: &Program<'_>) -> Counts {
    let counter = scratch.file("heap_counter.so");
    if !counter.exists() {
        let library = Host::c("c_tests/heap_counter.c").unlinked();
        let flags = ["-shared", "-fPIC", "-fno-builtin"];
        library.flags(&flags).compile(scratch, "heap_counter.so");
    }
    let counts = scratch.file("counts");
    fs::write(&counts, [0; 3 * size_of::<u64>()]).expect("a file in the scratch folder");
    let mut command = program.command(scratch.path());
    command.env("LD_PRELOAD", &counter);
    command.env("HEAP_COUNTS", &counts);
    common::run(&mut command);
    let bytes = fs::read(&counts).expect("the counter's numbers");
    let numbers: Vec<u64> = bytes
        .chunks_exact(size_of::<u64>())
        .filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes))
        .collect();
    let [taken, given, failed] = numbers[..] else {
        panic!("{numbers:?}");
    };
    // A resize that failed is recorded as giving back and taking again.
    Counts {
        taken: taken + failed,
        given: given + failed,
    }
}

fn tracked(scratch: &Scratch, options: &[&str], program: &Program<'_>) -> Tracked {
    let trace = scratch.file("host.%p.wft");
    let file = scratch.file("report.json");
    let mut command = Command::new(common::cli());
    // The launcher hands its own variables and its folder on.
    program.settle(&mut command, scratch.path());
    command.arg("run").arg("--shim").arg(common::shim());
    command
        .arg("--trace")
        .arg(&trace)
        .arg("--report")
        .arg(&file);
    command.args(["--format", "json", "--adapters", "libc"]);
    command.args(options).arg("--").arg(&program.path);
    let run = common::run(command.args(&program.arguments));
    let text = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{error}: {command:?}\n{}\n{}", run.stdout, run.stderr));
    let report: Value = serde_json::from_str(&text).expect("the report is JSON");
    common::check_identities(&report);
    Tracked { run, report, trace }
}

/// The program says what it says alone, and is not accused.
fn check_behaviour(tracked: &Tracked, alone: &Run) {
    let (run, report) = (&tracked.run, &tracked.report);
    assert_eq!(run.code(), alone.code(), "{}", run.stderr);
    assert_eq!(run.stdout, alone.stdout);
    let rest = run.stderr.strip_prefix(&alone.stderr);
    assert!(
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("whofreed: ")),
        "{}",
        run.stderr
    );
    assert_eq!(total(report, "excess"), 0, "{:#}", report["culprits"]);
    assert_eq!(total(report, "dropped_events"), 0);
}

fn recorded(tracked: &Tracked) -> Counts {
    Counts {
        taken: total(&tracked.report, "allocations"),
        given: total(&tracked.report, "deallocations"),
    }
}

/// A program that does the same at each run: exactly what the counter counts is recorded.
fn check(name: &str, arguments: &[&str]) {
    let Some(program) = find(name) else {
        return common::skip(&format!("libc: {name}"), "is not installed");
    };
    check_exactly(&Scratch::new(name), &Program::new(&program, arguments));
}

fn check_exactly(scratch: &Scratch, program: &Program<'_>) {
    let counts = counted(scratch, program);
    assert!(counts.taken > 10, "{counts:?}");
    if counts != counted(scratch, program) {
        let name = program.path.file_name().unwrap_or(OsStr::new("?"));
        let name = format!("libc: {}", name.display());
        return common::skip(&name, "does not do the same twice here");
    }
    let alone = common::run(&mut program.command(scratch.path()));
    let tracked = tracked(scratch, &[], program);
    check_behaviour(&tracked, &alone);
    assert_eq!(recorded(&tracked), counts);
}

/// A program that does a little more or less at each run, by its threads or where things lie: within 3 % of what the counter counts
/// is recorded.
fn check_about(name: &str, arguments: &[&str]) {
    let Some(program) = find(name) else {
        return common::skip(&format!("libc: {name}"), "is not installed");
    };
    let scratch = Scratch::new(name);
    let text = "struct A { int b; ~A(); };\nint f(const A &a) { A c(a); return c.b; }\n";
    fs::write(scratch.file("small.cpp"), text).expect("a file in the scratch folder");
    let program = Program::new(&program, arguments);
    let counts = counted(&scratch, &program);
    let alone = common::run(&mut program.command(scratch.path()));
    let tracked = tracked(&scratch, &[], &program);
    check_behaviour(&tracked, &alone);
    let recorded = recorded(&tracked);
    let is_about = |one: u64, other: u64| one.abs_diff(other) * 100 <= 3 * other;
    assert!(
        is_about(recorded.taken, counts.taken) && is_about(recorded.given, counts.given),
        "{recorded:?} {counts:?}"
    );
}

#[test]
fn bash_is_recorded_exactly() {
    check(
        "bash",
        &["-c", "for n in 1 2 3; do x=$x$n; done; echo $x; exit 3"],
    );
}

#[test]
fn perl_is_recorded_exactly() {
    let script = "my %h; $h{$_} = [$_] for 1..100; print scalar(keys %h), qq(\\n)";
    check("perl", &["-e", script]);
}

#[test]
fn git_is_recorded_exactly() {
    check("git", &["--version"]);
}

/// Not a script that finds one, which would be bash.
fn python() -> Option<PathBuf> {
    let path = Path::new("/usr/bin/python3");
    path.is_file().then(|| path.to_owned())
}

#[test]
fn python_is_recorded_exactly() {
    let Some(python) = python() else {
        return common::skip("libc: python3", "is not installed");
    };
    let script = "import json; print(len(json.dumps(list(range(1000)))))";
    check_exactly(
        &Scratch::new("python"),
        &Program::new(&python, &["-c", script]),
    );
}

#[test]
fn python_with_every_object_on_the_heap_is_recorded_exactly() {
    let Some(python) = python() else {
        return common::skip("libc: python3 with PYTHONMALLOC", "is not installed");
    };
    let script = "print(sum(len(str(n)) for n in range(200)))";
    let mut program = Program::new(&python, &["-S", "-c", script]);
    program.variables.push(("PYTHONMALLOC", "malloc"));
    check_exactly(&Scratch::new("python-malloc"), &program);
}

#[test]
fn a_compiler_and_its_children_run_as_they_do_alone() {
    // Its hash tables are keyed by addresses: one more or less at each run.
    check_about("g++", &["-O1", "-c", "small.cpp", "-o", "small.o"]);
}

#[test]
fn gdb_runs_as_it_does_alone() {
    check_about("gdb", &["-nx", "-batch", "-ex", "print 1+1"]);
}

#[test]
fn node_runs_as_it_does_alone() {
    check_about("node", &["-e", "console.log(1 + 1)"]);
}

#[test]
fn java_runs_as_it_does_alone() {
    check_about("java", &["-Xint", "-XX:+UseSerialGC", "-version"]);
}

#[test]
fn the_heap_is_recorded_exactly_where_it_is_easily_got_wrong() {
    let scratch = Scratch::new("edges");
    let host = Host::cxx(&["tests/libc/edges.cpp"]).unlinked();
    let flags = [
        "-fno-builtin",
        "-Wno-alloc-size-larger-than",
        "-Wno-unused-result",
    ];
    let program = host.flags(&flags).compile(&scratch, "edges");
    let program = Program::new(&program, &[]);
    let counts = counted(&scratch, &program);
    let tracked = tracked(&scratch, &[], &program);
    let (run, report) = (&tracked.run, &tracked.report);
    assert_eq!((run.code(), &*run.stdout), (0, "done\n"), "{}", run.stderr);
    assert_eq!(recorded(&tracked), counts);
    assert_eq!(total(report, "excess"), 0, "{:#}", report["culprits"]);
    assert_eq!(total(report, "unknown"), 0);
    assert_eq!(total(report, "dropped_events"), 0);
    let grown = run
        .stderr
        .split_whitespace()
        .nth(2)
        .and_then(|word| word.parse().ok());
    let grown: i64 = grown.unwrap_or_else(|| panic!("{}", run.stderr));
    assert!(
        grown < 2000,
        "400 threads that ended left {grown} pages behind"
    );
}

#[test]
fn threads_that_hand_buffers_to_each_other_are_recorded_exactly() {
    let scratch = Scratch::new("threads");
    let host = Host::cxx(&["tests/libc/threads.cpp"]).unlinked();
    let program = host.flags(&["-fno-builtin"]).compile(&scratch, "threads");
    let program = Program::new(&program, &[]);
    let counts = counted(&scratch, &program);
    let alone = common::run(&mut program.command(scratch.path()));
    let tracked = tracked(&scratch, &[], &program);
    check_behaviour(&tracked, &alone);
    assert_eq!(recorded(&tracked), counts);
}

#[test]
fn what_is_deleted_twice_is_named_by_its_culprit() {
    let scratch = Scratch::new("twice");
    let host = Host::cxx(&["tests/libc/twice.cpp"]).unlinked();
    let program = host.compile(&scratch, "twice");
    let tracked = tracked(&scratch, &["--guard"], &Program::new(&program, &[]));
    let (run, report) = (&tracked.run, &tracked.report);
    assert_eq!((run.code(), &*run.stdout), (0, "done\n"), "{}", run.stderr);
    // How many hit somebody depends on which address the heap hands out next.
    assert!(total(report, "excess") > 20, "{report:#}");
    assert_eq!(total(report, "blocked"), total(report, "excess"));
    assert_eq!(common::culprits(report), ["Cache::evict"]);
    let victims = rows(report, "victims").iter().map(common::function);
    let innocent: u64 = rows(report, "victims")
        .iter()
        .map(|row| number(row, &["observed"]))
        .sum();
    assert!(innocent > 10, "{report:#}");
    for victim in victims {
        assert!(victim.starts_with("Operator"), "{victim}");
    }
}
