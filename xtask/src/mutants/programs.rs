//! The test programs of a crate with mutants in them: which of them notices.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use serde_json::Value;

use super::at_once;
use super::list::Mutant;
use super::results::End;
use super::results::Log;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// A test program gets so many times the time that it needs without a mutant, and so many seconds more.
const TIMES: u64 = 3;
const SECONDS_MORE: u64 = 4;
/// Programs that take more seconds are asked only about what no other notices,
const DEAR: f64 = 0.9;
/// and these when all the others were asked about everything.
const VERY_DEAR: f64 = 8.0;
/// More memory, in KiB, is taken for a loop without an end.
const MOST_MEMORY: u64 = 8 << 20;

/// What a crate is held by in other packages: the crate, the package, and its test programs.
const ELSEWHERE: [(&str, &str, &[&str]); 1] = [(
    "whofreed-analysis",
    "whofreed-corpus",
    &["golden_short", "golden_long"],
)];

/// A test program.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) file: PathBuf,
    /// Those of its tests whose names begin so; all of them where this is empty.
    tests: String,
    /// Where it runs: the folder of its package.
    pub(super) folder: PathBuf,
    /// That it takes without a mutant.
    seconds: f64,
    /// The mutants that can make a difference to it, where that is known: those that it reaches, and if they have a value,
    /// then another one than the original. Nobody else's end needs to be waited for.
    told: Option<BTreeSet<usize>>,
}

/// The test programs that hold a crate, the shortest first.
pub(super) struct Programs {
    timed: Vec<Program>,
}

impl Programs {
    /// Builds them, and sees them pass without a mutant.
    pub(super) fn build(package: &str, tree: &Path) -> Outcome<Self> {
        let mut timed = Vec::new();
        for program in build(tree, package, &[])? {
            timed.extend(program.by_module()?);
        }
        for (_, other, names) in ELSEWHERE.iter().filter(|one| one.0 == package) {
            timed.extend(build(tree, other, names)?);
        }
        for program in &mut timed {
            program.seconds = seconds_without_mutant(program)?;
            program.told = told(program)?;
            let Program { file, tests, .. } = program;
            let told = program.told.as_ref().map_or(0, BTreeSet::len);
            println!(
                "{:7.2} s, {told} mutants: {} {tests}",
                program.seconds,
                file.display()
            );
        }
        timed.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        Ok(Self { timed })
    }

    /// Tries mutants, as many at a time as there are processors, and notes what becomes of each.
    pub(super) fn try_all(&self, mutants: &[&Mutant], log: &mut Log) -> Outcome<()> {
        self.share(mutants, &[0.0..DEAR, DEAR..VERY_DEAR], log)?;
        let mut left = mutants.to_vec();
        left.retain(|mutant| !log.was_noticed(&mutant.name));
        self.share(&left, &[VERY_DEAR..f64::INFINITY], log)
    }

    /// Asks the programs that take so many seconds about all of these mutants.
    fn share(&self, mutants: &[&Mutant], orders: &[Range<f64>], log: &mut Log) -> Outcome<()> {
        let orders: Vec<Vec<usize>> = orders.iter().map(|seconds| self.order(seconds)).collect();
        if orders.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let (queue, log) = (Mutex::new(mutants.iter()), Mutex::new(log));
        let work = || -> Outcome<()> {
            let mut orders = orders.clone();
            loop {
                let next = lock(&queue).next();
                let Some(mutant) = next else { return Ok(()) };
                let mut end = End::Survived;
                for order in &mut orders {
                    if end == End::Survived {
                        end = self.first_to_notice(mutant.number, order)?;
                    }
                }
                lock(&log).note(&mutant.name, end)?;
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| {
                let end = worker.join();
                end.unwrap_or_else(|_| Err("a worker panicked".to_owned()))
            })
        })
    }

    /// Those that take so long, the shortest first.
    fn order(&self, seconds: &Range<f64>) -> Vec<usize> {
        let numbers = 0..self.timed.len();
        numbers
            .filter(|&one| seconds.contains(&self.timed[one].seconds))
            .collect()
    }

    /// Runs one after another until one notices; that one comes earlier the next time.
    fn first_to_notice(&self, number: usize, order: &mut [usize]) -> Outcome<End> {
        for at in 0..order.len() {
            let told = &self.timed[order[at]].told;
            if told.as_ref().is_some_and(|told| !told.contains(&number)) {
                continue;
            }
            let end = self.run(order[at], number)?;
            if end != End::Survived {
                // Its neighbours may be noticed by the same one.
                order[..=at].rotate_right(1);
                return Ok(end);
            }
        }
        Ok(End::Survived)
    }

    fn run(&self, index: usize, number: usize) -> Outcome<End> {
        let program = &self.timed[index];
        let seconds = SECONDS_MORE + TIMES * program.seconds.ceil() as u64;
        let limits =
            format!("ulimit -t {seconds}; ulimit -v {MOST_MEMORY}; ulimit -c 0; exec nice \"$@\"");
        let mut child = tests(&program.folder)
            .args(["-c", &limits, "sh"])
            .args(program.words())
            .env("WHOFREED_MUTANT", number.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.file.display()))?;
        let mut has_failed = false;
        if let Some(output) = child.stdout.take() {
            let mut lines = BufReader::new(output).lines();
            has_failed = lines.any(|line| line.is_ok_and(|line| line.ends_with("... FAILED")));
        }
        if has_failed {
            // It has said enough.
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        Ok(if has_failed {
            End::Caught
        } else if status.success() {
            End::Survived
        } else if is_out_of_time(status) {
            End::RanOn
        } else {
            End::Caught
        })
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Builds those test programs of a package that have these names, or all of them where none is given.
fn build(tree: &Path, package: &str, names: &[&str]) -> Outcome<Vec<Program>> {
    let named = names.iter().flat_map(|name| ["--test", name]);
    let words: Vec<&str> = ["test", "--no-run"].into_iter().chain(named).collect();
    built(tree, package, &words, |line| {
        line["profile"]["test"] == true
    })
}

/// Builds an example of a package.
pub(super) fn example(tree: &Path, package: &str, name: &str) -> Outcome<Program> {
    let words = ["build", "--example", name];
    let programs = built(tree, package, &words, |line| line["target"]["name"] == name)?;
    let mut programs = programs.into_iter();
    programs
        .next()
        .ok_or_else(|| format!("{name} was not built"))
}

/// The programs that Cargo tells of, of which `is_one` holds.
fn built(
    tree: &Path,
    package: &str,
    words: &[&str],
    is_one: impl Fn(&Value) -> bool,
) -> Outcome<Vec<Program>> {
    let mut command = at_once::cargo(tree, words);
    command.args(["--profile", "mutants", "--message-format", "json"]);
    command.args(["--package", package]);
    let mut programs = Vec::new();
    for line in run::quiet(&mut command)?.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let Some(file) = line["executable"].as_str().filter(|_| is_one(&line)) else {
            continue;
        };
        let manifest = line["manifest_path"].as_str().unwrap_or_default();
        programs.push(Program {
            file: PathBuf::from(file),
            tests: String::new(),
            folder: Path::new(manifest).parent().unwrap_or(tree).to_owned(),
            seconds: 0.0,
            told: None,
        });
    }
    Ok(programs)
}

impl Program {
    /// What is run: the file and what it is asked for.
    fn words(&self) -> impl Iterator<Item = &OsStr> {
        let tests = (!self.tests.is_empty()).then(|| self.tests.as_ref());
        std::iter::once(self.file.as_os_str()).chain(tests)
    }

    /// The same in pieces, where its tests lie in modules: most mutants are noticed by a short one.
    fn by_module(self) -> Outcome<Vec<Self>> {
        let mut list = Command::new(&self.file);
        let list = run::quiet(list.args(["--list", "--format", "terse"]))?;
        let modules = modules(&list);
        if modules.contains("") {
            return Ok(vec![self]);
        }
        let of_module = |tests| Self {
            tests,
            ..self.clone()
        };
        Ok(modules.into_iter().map(of_module).collect())
    }
}

/// The modules of listed tests, `a::tests::` of `a::tests::it_works: test`; those that lie in another one are in that.
fn modules(list: &str) -> BTreeSet<String> {
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    let paths = names.map(|name| name.rfind("::").map_or("", |end| &name[..end + 2]));
    let mut modules: BTreeSet<String> = BTreeSet::new();
    // An outer one comes before those in it.
    for path in paths.collect::<BTreeSet<_>>() {
        if !modules.iter().any(|outer| path.starts_with(outer)) {
            modules.insert(path.to_owned());
        }
    }
    modules
}

fn is_out_of_time(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    // SIGXCPU, or SIGKILL where that is not heard; nobody else kills it.
    matches!(status.signal(), Some(24 | 9))
}

/// A shell where the tests of the crate run, with property tests that stop at the first failure and remember nothing.
pub(super) fn tests(folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell
        .current_dir(folder)
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    shell
}

/// The mutants that can make a difference to a program; none where it does not pass when both values are reckoned.
fn told(program: &Program) -> Outcome<Option<BTreeSet<usize>>> {
    let file = paths::target().join("whofreed-mutants").join("told.txt");
    // It is of the program before.
    let _ = fs::remove_file(&file);
    let mut shell = tests(&program.folder);
    let status = shell
        .args(["-c", "exec \"$@\"", "sh"])
        .args(program.words())
        .env("WHOFREED_MUTANT", "watch")
        .env("WHOFREED_MUTANTS_TOLD", &file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|error| format!("{}: {error}", program.file.display()))?;
    if !status.success() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file).unwrap_or_default();
    let numbers = text.lines().map(str::parse::<usize>);
    let numbers: Result<BTreeSet<usize>, _> = numbers.collect();
    let numbers = numbers.map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Some(numbers))
}

fn seconds_without_mutant(program: &Program) -> Outcome<f64> {
    let mut shell = tests(&program.folder);
    shell
        .args(["-c", "\"$@\" >&2 || exit 1; times", "sh"])
        .args(program.words());
    let said = run::quiet(&mut shell)?;
    // The second line is of the program, the first word of it of its own time: `0m1.25s`.
    let word = said.lines().nth(1).and_then(|line| line.split(' ').next());
    let parts = word.and_then(|word| word.trim_end_matches('s').split_once('m'));
    let number = |text: &str| text.parse::<f64>().ok();
    let (minutes, seconds) = parts.ok_or_else(|| format!("the shell's times: {said}"))?;
    match (number(minutes), number(seconds)) {
        (Some(minutes), Some(seconds)) => Ok(60.0 * minutes + seconds),
        _ => Err(format!("the shell's times: {said}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_is_in_one_of_the_modules() {
        let list = "a::tests::one: test\na::tests::deep::two: test\nb::three: test\nc: benchmark\n";
        let expected = ["a::tests::", "b::"].map(str::to_owned);
        assert_eq!(modules(list), BTreeSet::from(expected));
        let alone = modules("at_the_root: test\na::one: test\n");
        assert!(alone.contains(""), "{alone:?}");
    }
}
