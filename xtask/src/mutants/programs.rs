//! The test programs of a crate with mutants in them: which of them notices.

use std::io::BufRead;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use super::at_once;
use super::list::Mutant;
use super::results::End;
use super::results::Log;
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

/// The test programs of a crate, and the folder that they run in.
pub(super) struct Programs {
    /// The shortest first, with the seconds that they take without a mutant.
    timed: Vec<(PathBuf, f64)>,
    folder: PathBuf,
}

impl Programs {
    /// Builds them, and sees them pass without a mutant.
    pub(super) fn build(package: &str, tree: &Path) -> Outcome<Self> {
        let words = ["test", "--no-run", "--profile", "mutants"];
        let mut command = at_once::cargo(tree, &words);
        command.args(["--message-format", "json", "--package", package]);
        let mut programs = Vec::new();
        let mut folder = tree.to_owned();
        for line in run::quiet(&mut command)?.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let program = line["executable"].as_str();
            if let (Some(program), true) = (program, line["profile"]["test"] == true) {
                programs.push(PathBuf::from(program));
                let manifest = line["manifest_path"].as_str().unwrap_or_default();
                folder = Path::new(manifest).parent().unwrap_or(tree).to_owned();
            }
        }
        let mut timed = Vec::new();
        for program in programs {
            let seconds = seconds_without_mutant(&program, &folder)?;
            println!("{seconds:7.2} s {}", program.display());
            timed.push((seconds, program));
        }
        timed.sort_by(|a, b| a.0.total_cmp(&b.0));
        let timed = timed
            .into_iter()
            .map(|(seconds, program)| (program, seconds));
        Ok(Self {
            timed: timed.collect(),
            folder,
        })
    }

    /// Tries mutants, and notes what becomes of each.
    pub(super) fn try_all(&self, mutants: &[&Mutant], log: &mut Log) -> Outcome<()> {
        let mut orders = [0.0..DEAR, DEAR..VERY_DEAR].map(|seconds| self.order(seconds));
        for mutant in mutants {
            let mut end = End::Survived;
            for order in &mut orders {
                if end == End::Survived {
                    end = self.first_to_notice(mutant.number, order)?;
                }
            }
            log.note(&mutant.name, end)?;
        }
        let mut order = self.order(VERY_DEAR..f64::INFINITY);
        for mutant in mutants {
            if !log.was_noticed(&mutant.name) {
                let end = self.first_to_notice(mutant.number, &mut order)?;
                log.note(&mutant.name, end)?;
            }
        }
        Ok(())
    }

    /// Those that take so long, the shortest first.
    fn order(&self, seconds: Range<f64>) -> Vec<usize> {
        let numbers = 0..self.timed.len();
        numbers
            .filter(|&one| seconds.contains(&self.timed[one].1))
            .collect()
    }

    /// Runs one after another until one notices; that one comes earlier the next time.
    fn first_to_notice(&self, number: usize, order: &mut [usize]) -> Outcome<End> {
        for at in 0..order.len() {
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
        let (program, seconds) = &self.timed[index];
        let seconds = SECONDS_MORE + TIMES * seconds.ceil() as u64;
        let limits =
            format!("ulimit -t {seconds}; ulimit -v {MOST_MEMORY}; ulimit -c 0; exec nice \"$0\"");
        let mut child = tests(&self.folder)
            .args(["-c", &limits])
            .arg(program)
            .env("WHOFREED_MUTANT", number.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
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

fn is_out_of_time(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    // SIGXCPU, or SIGKILL where that is not heard; nobody else kills it.
    matches!(status.signal(), Some(24 | 9))
}

/// A shell where the tests of the crate run, with property tests that stop at the first failure and remember nothing.
fn tests(folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell
        .current_dir(folder)
        .env("PROPTEST_MAX_SHRINK_ITERS", "0")
        .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null());
    shell
}

fn seconds_without_mutant(program: &Path, folder: &Path) -> Outcome<f64> {
    let mut shell = tests(folder);
    shell
        .args(["-c", "\"$0\" >&2 || exit 1; times"])
        .arg(program);
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
