//! The embedded example's report in every form that tools of others open, each opened by one of them; and what of it is
//! silenced by a file, or known from an earlier run.

mod common;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use common::Host;
use common::Run;
use common::Scratch;
use common::root;
use serde_json::Value;

/// One run of the example: its trace, and the report as JSON.
struct Recorded {
    scratch: Scratch,
    trace: PathBuf,
    report: Value,
}

impl Recorded {
    fn new(variant: &str) -> Self {
        let scratch = Scratch::new(&format!("exports-{variant}"));
        let host = Host::cxx(&["examples/pool_runtime/main.cpp"]).compile(&scratch, "pool_runtime");
        let tracked = common::track(&scratch, &[], &host, &[variant]);
        tracked.run.expect_code(0);
        let (trace, report) = (tracked.trace, tracked.report);
        Self {
            scratch,
            trace,
            report,
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = Command::new(common::cli());
        command.arg("report").arg(&self.trace).args(arguments);
        common::run(command.env_remove("COLUMNS"))
    }

    /// The report in a form, in a file of the form's name.
    fn export(&self, format: &str) -> PathBuf {
        let file = self.scratch.file(&format!("report.{format}"));
        let path = file.to_str().expect("a plain path");
        self.run(&["--format", format, "--output", path])
            .expect_code(0);
        file
    }

    fn explains(&self) -> u64 {
        common::rows(&self.report, "culprits")
            .iter()
            .map(|culprit| common::number(culprit, &["explains"]))
            .sum()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let file = self.scratch.file(name);
        fs::write(&file, text).expect("a file");
        file.display().to_string()
    }
}

fn script(name: &str) -> PathBuf {
    root().join("tests/exports").join(name)
}

/// What speedscope makes of a file: its profiles.
fn speedscope(node: &Path, file: &Path) -> Vec<Value> {
    let mut command = Command::new("node");
    command.arg(script("speedscope.mjs")).arg(node).arg(file);
    let run = common::run(&mut command).expect_code(0);
    serde_json::from_str(&run.stdout).expect("a line of JSON")
}

#[test]
fn folded_stacks_open_in_speedscope_with_the_weight_of_the_blame() {
    let test = "folded_stacks_open_in_speedscope_with_the_weight_of_the_blame";
    let Some(node) = common::provided(test, "WHOFREED_TEST_NODE") else {
        return;
    };
    let recorded = Recorded::new("two");
    let profiles = speedscope(&node, &recorded.export("folded"));
    assert_eq!(profiles.len(), 1);
    assert_eq!(profiles[0]["weight"], recorded.explains());
    let frames = profiles[0]["frames"].to_string();
    for culprit in ["ProgramCache::evict (caches.hpp:", "TraceCapture::finish ("] {
        assert!(frames.contains(culprit), "{frames}");
    }
}

#[test]
fn sarif_is_what_the_validator_of_its_editors_expects() {
    let test = "sarif_is_what_the_validator_of_its_editors_expects";
    let Some(node) = common::provided(test, "WHOFREED_TEST_NODE") else {
        return;
    };
    let recorded = Recorded::new("two");
    let line = recorded.write("known.supp", "excess:ProgramCache::evict\n");
    let baseline = recorded.write("before.json", &recorded.report.to_string());
    let file = recorded.scratch.file("marked.sarif");
    let path = file.display().to_string();
    let more = ["--suppressions", &line, "--baseline", &baseline];
    let arguments = ["--format", "sarif", "--output", &path];
    recorded
        .run(&[&arguments[..], &more].concat())
        .expect_code(0);
    for file in [recorded.export("sarif"), file] {
        let multitool = node.join("node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool");
        let log = recorded.scratch.file("validated.sarif");
        let mut command = Command::new(multitool);
        command.arg("validate").arg(&file).arg("--output").arg(&log);
        command.args(["--level", "Error;Warning", "--log", "ForceOverwrite"]);
        command.env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1");
        let run = common::run(&mut command);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert_eq!(run.code(), 0, "{said}");
        let log = fs::read_to_string(&log).expect("the validator's log");
        let log = log.trim_start_matches('\u{feff}');
        let log: Value = serde_json::from_str(log).expect("JSON");
        let results = common::rows(&log["runs"][0], "results");
        let rules = results.iter().map(|result| result["ruleId"].as_str());
        let rules: Vec<&str> = rules.flatten().collect();
        // That the tool has no page of its own is not to be mended by the report.
        let wrong = rules.iter().filter(|rule| !rule.starts_with("SARIF2005"));
        assert_eq!(wrong.count(), 0, "{said}");
    }
}

#[test]
fn junit_is_read_with_a_failure_for_each_culprit() {
    let test = "junit_is_read_with_a_failure_for_each_culprit";
    let Some(python) = common::provided(test, "WHOFREED_TEST_READERS") else {
        return;
    };
    for (variant, failures) in [("clean", 0), ("one", 1), ("two", 2)] {
        let recorded = Recorded::new(variant);
        let mut command = Command::new(&python);
        command
            .arg(script("junit.py"))
            .arg(recorded.export("junit"));
        let run = common::run(&mut command).expect_code(0);
        let read: Value = serde_json::from_str(&run.stdout).expect("JSON");
        assert_eq!(read["totals"]["failures"], failures, "{read:#}");
        assert_eq!(read["totals"]["tests"], failures + 1, "{read:#}");
        if failures > 0 {
            let case = &read["cases"][0];
            assert_eq!(case["results"][0][0], "Failure");
            let text = case["results"][0][2].as_str().unwrap_or_default();
            assert!(text.contains("==ERROR: whofreed: excess free of"), "{text}");
        }
    }
}

#[test]
fn a_profile_of_pprof_has_the_blame_as_its_first_value_to_be_shown() {
    let test = "a_profile_of_pprof_has_the_blame_as_its_first_value_to_be_shown";
    let Some(node) = common::provided(test, "WHOFREED_TEST_NODE") else {
        return;
    };
    let recorded = Recorded::new("two");
    let file = recorded.export("pprof");
    let profiles = speedscope(&node, &file);
    assert_eq!(profiles[0]["weight"], recorded.explains());

    let mut command = Command::new("node");
    command.arg(script("pprof.mjs")).arg(&node).arg(&file);
    let run = common::run(&mut command).expect_code(0);
    let read: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(read["types"][1], "excess_frees");
    let samples = common::rows(&read, "samples");
    let culprits = common::rows(&recorded.report, "culprits");
    assert_eq!(samples.len(), culprits.len());
    for (sample, culprit) in samples.iter().zip(culprits) {
        assert_eq!(sample["values"][0], culprit["observed"]);
        assert_eq!(sample["values"][1], culprit["explains"]);
        assert_eq!(sample["labels"]["culprit"], culprit["rank"]);
        let stack = common::rows(sample, "stack");
        let frames = common::rows(&culprit["stacks"], "excess");
        assert_eq!(stack.len(), frames.len());
        for (told, frame) in stack.iter().zip(frames) {
            assert_eq!(told[0], frame["function"]);
            assert_eq!(told[2], frame["line"]);
        }
    }
}

/// A session of Firefox Profiler's own reader, which answers from a process of its own.
struct Profiler<'a> {
    script: PathBuf,
    scratch: &'a Scratch,
}

impl Profiler<'_> {
    fn say(&self, words: &[&str]) -> Run {
        let mut command = Command::new("node");
        command.arg(&self.script).args(words);
        command.args(["--session", "s"]);
        command.env("PROFILER_CLI_SESSION_DIR", self.scratch.path());
        command.env("PROFILER_CLI_NO_SYMBOLICATE", "1");
        command.env("PROFILER_CLI_LOAD_TIMEOUT_MS", "100000");
        common::run(command.current_dir(self.scratch.path()))
    }

    /// What it says of the functions of the only thread, once it has begun: it does not wait long for itself.
    fn functions(&self, file: &str) -> String {
        let loaded = self.say(&["load", file]);
        for _ in 0..100 {
            let told = self.say(&["thread", "functions"]);
            if told.status.success() {
                return told.stdout;
            }
            thread::sleep(Duration::from_millis(200));
        }
        panic!("{}{}", loaded.stdout, loaded.stderr);
    }
}

impl Drop for Profiler<'_> {
    fn drop(&mut self) {
        let mut command = Command::new("node");
        command.arg(&self.script).args(["stop", "--all"]);
        let _ = command
            .env("PROFILER_CLI_SESSION_DIR", self.scratch.path())
            .output();
    }
}

#[test]
fn firefox_profiler_weighs_functions_by_the_blame() {
    let test = "firefox_profiler_weighs_functions_by_the_blame";
    let Some(node) = common::provided(test, "WHOFREED_TEST_NODE") else {
        return;
    };
    let recorded = Recorded::new("two");
    let file = recorded.scratch.file("report.json");
    fs::rename(recorded.export("firefox"), &file).expect("the file can be renamed");
    let profiler = Profiler {
        script: node.join("node_modules/@firefox-devtools/profiler-cli/dist/profiler-cli.js"),
        scratch: &recorded.scratch,
    };
    let functions = profiler.functions("report.json");
    let plain = functions.replace(',', "");
    for culprit in common::rows(&recorded.report, "culprits") {
        let name = format!(". {} - ", common::function(culprit));
        let line = plain.lines().find(|line| line.contains(&name));
        let total = format!("total: {} (", common::number(culprit, &["explains"]));
        assert!(
            line.is_some_and(|line| line.contains(&total)),
            "{functions}"
        );
    }
    let all = format!("total: {} (100.0%)", recorded.explains());
    assert!(plain.contains(&all), "{functions}");
}

#[test]
fn trace_events_open_in_speedscope_with_a_line_for_each_culprit() {
    let test = "trace_events_open_in_speedscope_with_a_line_for_each_culprit";
    let Some(node) = common::provided(test, "WHOFREED_TEST_NODE") else {
        return;
    };
    let recorded = Recorded::new("two");
    let profiles = speedscope(&node, &recorded.export("chrome"));
    assert_eq!(profiles.len(), 2, "{profiles:?}");
    for (profile, culprit) in profiles
        .iter()
        .zip(common::rows(&recorded.report, "culprits"))
    {
        let at = |key: &str| common::number(&culprit[key], &["since_start_ns"]);
        let micros = (at("last") - at("first")) as f64 / 1000.0;
        let weight = profile["weight"].as_f64().unwrap_or_default();
        assert!((weight - micros).abs() < 1.0, "{profile} {micros}");
        let frames = profile["frames"].to_string();
        assert!(frames.contains(&common::function(culprit)), "{frames}");
    }
}

#[test]
fn events_are_read_by_a_database_and_by_python_alike() {
    let test = "events_are_read_by_a_database_and_by_python_alike";
    let Some(python) = common::provided(test, "WHOFREED_TEST_READERS") else {
        return;
    };
    let recorded = Recorded::new("two");
    let (table, lines) = (recorded.export("csv"), recorded.export("jsonl"));
    let mut command = Command::new(&python);
    command.arg(script("events.py")).args([table, lines]);
    let run = common::run(&mut command).expect_code(0);
    let read: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let total = |key: &str| common::total(&recorded.report, key);
    for form in ["csv", "lines"] {
        assert_eq!(read[form]["allocate"], total("allocations"), "{read:#}");
        assert_eq!(read[form]["deallocate"], total("deallocations"), "{read:#}");
    }
    for count in ["rows", "events", "announced"] {
        assert_eq!(read[count], total("events"), "{count}");
    }
    for fact in ["same", "in_order", "stacks_told"] {
        assert_eq!(read[fact], true, "{fact}");
    }
}

#[test]
fn the_lines_that_are_made_silence_the_run_and_its_exit_code() {
    let recorded = Recorded::new("two");
    let code = ["--error-exitcode", "7"];
    recorded.run(&code).expect_code(7);
    let made = recorded.run(&["--gen-suppressions"]).expect_code(0).stdout;
    assert_eq!(made.matches("\nexcess:^").count(), 2, "{made}");
    let all = recorded.write("all.supp", &made);
    let told = recorded
        .run(&["--suppressions", &all, "--error-exitcode", "7"])
        .expect_code(0);
    assert!(told.stdout.contains(", all suppressed"), "{}", told.stdout);

    let one = recorded.write(
        "one.supp",
        "# the cache\nexcess:^ProgramCache::evict\nexcess:nobody\n",
    );
    let options = ["--suppressions", &one, "--error-exitcode", "7"];
    let told = recorded.run(&options).expect_code(7);
    let line = "suppressed by excess:^ProgramCache::evict (one.supp:2) ";
    assert!(told.stdout.contains(line), "{}", told.stdout);
    assert!(!told.stdout.contains("nobody"), "{}", told.stdout);
    let verbose = recorded.run(&[&options[..], &["--verbose"]].concat());
    let unused = "suppressed nothing: excess:nobody (one.supp:3)";
    assert!(verbose.stdout.contains(unused), "{}", verbose.stdout);

    let bad = recorded.write("bad.supp", "# no line\nrace:x\n");
    let told = recorded.run(&["--suppressions", &bad]).expect_code(125);
    assert!(
        told.stderr.contains("bad.supp:2: `race` is not known here"),
        "{}",
        told.stderr
    );
}

#[test]
fn only_what_the_baseline_does_not_know_fails() {
    let before = Recorded::new("one");
    let after = Recorded::new("two");
    let baseline = before.write("before.json", &before.report.to_string());
    let options = ["--baseline", &baseline, "--error-exitcode", "7"];
    before.run(&options).expect_code(0);
    let told = after.run(&options).expect_code(7).stdout;
    assert!(
        told.contains("\nbaseline: 1 of 2 culprits known; "),
        "{told}"
    );
    let news: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("culprit "))
        .collect();
    let has = |name: &str, mark: &str| {
        let mut lines = news.iter();
        lines.any(|line| line.contains(name) && line.contains(mark))
    };
    assert!(has("ProgramCache::evict", " (known): "), "{told}");
    assert!(has("TraceCapture::finish", " (new): "), "{told}");
    let clean = Recorded::new("clean");
    clean.run(&options).expect_code(0);

    // The same under `run`.
    let host = Host::cxx(&["examples/pool_runtime/main.cpp"]).compile(&after.scratch, "again");
    let shim = common::shim();
    for (variant, code) in [("one", 0), ("two", 7)] {
        let mut command = Command::new(common::cli());
        command.args(["run", "--shim"]).arg(&shim).args(options);
        command.arg("--").arg(&host).arg(variant);
        common::run(command.current_dir(after.scratch.path())).expect_code(code);
    }
}
