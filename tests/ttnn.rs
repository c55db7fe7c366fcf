//! The real TT-Metal runtime under `whofreed run`, on mock boards: unmodified Python programs, each with its own idea of when
//! tensors are freed.
//!
//! The cases say themselves what is expected of them. A line that ends in `# excess` frees one tensor too many
//! (`# excess x3`: three; `# excess (double)`: when that bug is asked for), and is therefore a culprit by file and line;
//! a line `# expect: late >= 1, declined = 0` names totals of the report.

#![expect(clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        mod n150 {
            $(#[test] fn $case() { super::check_case("n150", concat!(stringify!($case), ".py")); })+
        }
        mod mesh {
            $(#[test] fn $case() { super::check_case("mesh", concat!(stringify!($case), ".py")); })+
        }
    };
}

cases! {
    c01_freed_twice,
    c02_two_names,
    c03_reshaped_view,
    c04_views_of_views,
    c05_moved,
    c06_nothing_to_do,
    c07_closed_first,
    c08_left_alive,
    c09_failing_operations,
    c10_program_cache,
    c11_output_is_input,
    c12_four_threads,
    c14_reopened,
    c15_released_at_once,
    c17_stale_after_release,
}

/// The guard holds back exactly the excess frees: of dead handles, and of handles that only believe to be alive.
mod guarded {
    use super::check_guarded;

    #[test]
    fn c01_freed_twice() {
        check_guarded("c01_freed_twice.py");
    }

    #[test]
    fn c17_stale_after_release() {
        check_guarded("c17_stale_after_release.py");
    }
}

mod model_like {
    use super::check_model;

    #[test]
    fn without_a_bug_nothing_is_freed_too_often() {
        check_model("none", 0);
    }

    #[test]
    fn a_second_free_is_the_culprit() {
        check_model("double", 8);
    }

    #[test]
    fn a_free_of_what_an_alias_took_along_is_the_culprit() {
        check_model("alias", 60);
    }

    #[test]
    fn what_is_never_freed_is_not_freed_too_often() {
        check_model("leak", 0);
    }
}

/// Runs one case on one board and compares the report with what the case expects.
fn check_case(board: &str, case: &str) {
    let file = case_file(case);
    let expected = Expected::of(&fs::read_to_string(&file).expect("the case is there"), "");
    let Some(run) = Run::of(board, &file, &[], &[]) else {
        return;
    };
    run.assert_sound();
    assert_eq!(run.total("blocked"), 0, "{}", run.shown());
    assert_eq!(run.culprit_lines(), expected.lines, "{}", run.shown());
    assert_eq!(
        run.total("excess"),
        expected.lines.values().sum::<u64>(),
        "{}",
        run.shown()
    );
    for (name, or_more, value) in expected.totals {
        let found = run.total(&name);
        let right = if or_more {
            found >= value
        } else {
            found == value
        };
        assert!(right, "{name} is {found}, not {value}\n{}", run.shown());
    }
}

fn check_guarded(case: &str) {
    let file = case_file(case);
    let expected = Expected::of(&fs::read_to_string(&file).expect("the case is there"), "");
    let Some(run) = Run::of("n150", &file, &[], &["--guard"]) else {
        return;
    };
    run.assert_sound();
    assert_eq!(run.culprit_lines(), expected.lines, "{}", run.shown());
    assert_eq!(run.total("blocked"), run.total("excess"), "{}", run.shown());
}

/// Runs the decode loop with a bug on both boards: so many excess frees, all at the lines that are marked for the bug.
fn check_model(bug: &str, excess: u64) {
    let file = case_file("model_like.py");
    let expected = Expected::of(&fs::read_to_string(&file).expect("the case is there"), bug);
    for board in ["n150", "mesh"] {
        let Some(run) = Run::of(board, &file, &["15", "4", bug], &[]) else {
            return;
        };
        run.assert_sound();
        assert_eq!(run.total("excess"), excess, "{}", run.shown());
        let lines = run.culprit_lines();
        assert!(
            lines.keys().eq(expected.lines.keys()),
            "not {:?}\n{}",
            expected.lines,
            run.shown()
        );
        assert_eq!(lines.values().sum::<u64>(), excess, "{}", run.shown());
    }
}

fn case_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/ttnn/cases")
        .join(name)
}

/// What a case says of itself.
struct Expected {
    /// Excess frees by line.
    lines: BTreeMap<u64, u64>,
    /// Totals: name, whether more is right too, value.
    totals: Vec<(String, bool, u64)>,
}

impl Expected {
    fn of(source: &str, bug: &str) -> Self {
        let mut expected = Self {
            lines: BTreeMap::new(),
            totals: Vec::new(),
        };
        for (number, line) in (1..).zip(source.lines()) {
            if let Some(totals) = line.strip_prefix("# expect: ") {
                expected.totals.extend(totals.split(", ").map(Self::total));
            }
            let Some((_, mark)) = line.split_once("  # excess") else {
                continue;
            };
            let count = match mark.trim() {
                "" => 1,
                mark if mark.starts_with('(') => u64::from(mark == format!("({bug})")),
                mark => mark
                    .trim_start_matches('x')
                    .parse()
                    .expect("a number after the x"),
            };
            if count > 0 {
                expected.lines.insert(number, count);
            }
        }
        expected
    }

    /// `late >= 1`
    fn total(text: &str) -> (String, bool, u64) {
        let words: Vec<&str> = text.split(' ').collect();
        let [name, relation @ ("=" | ">="), value] = words[..] else {
            panic!("`{text}` is no expectation");
        };
        (
            name.to_owned(),
            relation == ">=",
            value.parse().expect("a number"),
        )
    }
}

/// A case that ran to its end, and the report on it.
struct Run {
    file: PathBuf,
    report: Value,
}

impl Run {
    /// Runs a case; `None` where the runtime cannot be had (and this is no CI run, which has to have it).
    fn of(board: &str, file: &Path, arguments: &[&str], options: &[&str]) -> Option<Self> {
        let name = format!(
            "{board}-{}",
            file.file_stem().expect("a name").to_string_lossy()
        );
        let name = [&[name.as_str()], arguments, options].concat().join("-");
        let setting = match Setting::from_environment(board) {
            Ok(setting) => setting,
            Err(why) => {
                assert!(
                    env::var_os("CI").is_none(),
                    "the TT-Metal runtime has to be there in CI: {why}"
                );
                skip(&format!("ttnn::{name}"), &why);
                return None;
            }
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("ttnn")
            .join(name);
        // Of an earlier run, if there was one.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the trace");
        let (trace, report) = (folder.join("case.wft"), folder.join("report.json"));

        let mut command = Command::new(&setting.whofreed);
        command.arg("run").args(options).arg("--trace").arg(&trace);
        command
            .args(["--format", "json", "--report"])
            .arg(&report)
            .arg("--");
        command.arg(&setting.python).arg(file).args(arguments);
        command
            .envs(setting.variables)
            // Compiled programs of its own, with the slash at the end that the runtime wants: so no two tests write one file,
            // and the shim gets into compilers at each run.
            .env("TT_METAL_CACHE", folder.join("programs/"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(&folder)
            .stdin(Stdio::null());
        let output = command.output().expect("whofreed starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");

        let report = fs::read_to_string(&report)
            .unwrap_or_else(|error| panic!("no report: {error}\n{said}"));
        let report = serde_json::from_str(&report).expect("the report is JSON");
        // The compilers that the runtime starts free nothing: they leave no trace of their own.
        let left = fs::read_dir(&folder)
            .expect("the folder is there")
            .flatten();
        let traces = left.filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "wft")
        });
        assert_eq!(traces.count(), 1);
        fs::remove_dir_all(&folder).expect("the folder can go");
        Some(Self {
            file: file.to_owned(),
            report,
        })
    }

    /// What holds for every case: it was watched to its end, and each culprit can be read.
    fn assert_sound(&self) {
        let shown = self.shown();
        assert_eq!(self.report["process"]["exit"]["code"], 0, "{shown}");
        assert_eq!(
            self.report["process"]["adapters"],
            serde_json::json!(["tt-metal"]),
            "{shown}"
        );
        assert!(self.total("allocations") > 0, "{shown}");
        assert_eq!(self.total("dropped_events"), 0, "{shown}");
        assert_eq!(self.total("unexplained"), 0, "{shown}");
        for culprit in self.culprits() {
            assert_eq!(
                culprit["file"].as_str().map(Path::new),
                Some(self.file.as_path()),
                "{shown}"
            );
            for stack in ["allocated", "freed", "excess"] {
                let frames = culprit["stacks"][stack]
                    .as_array()
                    .expect("a list of frames");
                let own = |frame: &Value| {
                    frame["language"] == "python" && frame["file"] == culprit["file"]
                };
                assert!(
                    frames.iter().any(own),
                    "no line of the case in the {stack} stack\n{shown}"
                );
            }
        }
    }

    /// The excess frees that the culprits explain, by line.
    fn culprit_lines(&self) -> BTreeMap<u64, u64> {
        let mut lines = BTreeMap::new();
        for culprit in self.culprits() {
            *lines.entry(number(culprit, "line")).or_default() += number(culprit, "explains");
        }
        lines
    }

    fn culprits(&self) -> &[Value] {
        self.report["culprits"]
            .as_array()
            .expect("a list of culprits")
    }

    fn total(&self, name: &str) -> u64 {
        number(&self.report["totals"], name)
    }

    fn shown(&self) -> String {
        format!(
            "totals: {}\nculprits: {:#}",
            self.report["totals"], self.report["culprits"]
        )
    }
}

fn number(object: &Value, key: &str) -> u64 {
    object[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} is no number in {object}"))
}

/// Where everything is, as `cargo xtask test` tells.
struct Setting {
    whofreed: PathBuf,
    python: PathBuf,
    variables: Vec<(String, String)>,
}

impl Setting {
    /// An error is the reason why the tests cannot run.
    fn from_environment(board: &str) -> Result<Self, String> {
        let whofreed = env::var_os("WHOFREED_TEST_BIN").ok_or("run by `cargo xtask test` only")?;
        let file = env::var_os("WHOFREED_TEST_TTNN").ok_or_else(|| {
            env::var("WHOFREED_TEST_TTNN_MISSING")
                .unwrap_or_else(|_| "run by `cargo xtask test` only".to_owned())
        })?;
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        let mut setting = Self {
            whofreed: whofreed.into(),
            python: PathBuf::new(),
            variables: Vec::new(),
        };
        // Lines of `BOARD VARIABLE VALUE`, with `-` for what is the same on each board.
        for line in text.lines() {
            let mut words = line.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("-"), Some("PYTHON"), Some(python)) => setting.python = python.into(),
                (Some(of), Some(name), Some(value)) if of == board => {
                    setting.variables.push((name.to_owned(), value.to_owned()))
                }
                _ => {}
            }
        }
        Ok(setting)
    }
}

/// Says that a test did not run; `cargo xtask test` lists and counts it.
fn skip(test: &str, why: &str) {
    eprintln!("skipped: {why}");
    if let Some(file) = env::var_os("WHOFREED_TEST_SKIPS") {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .expect("the list of skipped tests");
        // One write, so that lines of several tests do not mix.
        file.write_all(format!("{test}: {why}\n").as_bytes())
            .expect("the list of skipped tests");
    }
}
