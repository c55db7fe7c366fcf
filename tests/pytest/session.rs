//! One session of pytest with the plugin, and what it told.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::common;
use super::common::Host;
use super::common::Scratch;
use super::setting::NEWEST;
use super::setting::Setting;

/// A suite in a folder of its own, to be run any number of times.
pub struct Session {
    scratch: Scratch,
    whofreed: PathBuf,
    python: PathBuf,
    suite: &'static str,
    variables: Vec<(String, String)>,
    adapters: String,
}

/// A session that has ended.
pub struct Ran {
    /// Its standard output and standard error.
    pub said: String,
    /// The `<testcase>` elements of the JUnit file.
    pub entries: Vec<String>,
    /// The head of that file.
    pub head: String,
}

impl Session {
    /// A suite on the real runtime, on this board; `None` where there is no pytest, or no such runtime for its interpreter.
    pub fn on_ttnn(suite: &'static str, board: &str, test: &str) -> Option<Self> {
        let python = python(test)?;
        let setting = Setting::wanted(NEWEST, board, test)?;
        let packages = match packages(&setting.python, &python) {
            Ok(packages) => packages,
            Err(why) => {
                common::skip(test, &why);
                return None;
            }
        };
        let mut session = Self::new(suite, "ttnn_host.py", python, "auto");
        let board = common::root().join("tests/ttnn/cases/board.py");
        fs::copy(board, session.scratch.file("board.py")).expect("the board");
        session.whofreed = setting.whofreed;
        session.variables = setting.variables;
        session.set("PYTHONPATH", &packages);
        // The slash at the end is what the runtime wants.
        let programs = format!("{}/", session.scratch.file("programs").display());
        session.set("TT_METAL_CACHE", &programs);
        Some(session)
    }

    /// A suite on the pool; `None` where there is no pytest.
    pub fn on_the_pool(suite: &'static str, test: &str) -> Option<Self> {
        let python = python(test)?;
        let adapter = common::root().join("tests/pytest/pool.toml");
        let adapter = adapter.display().to_string();
        let mut session = Self::new(suite, "pool_host.py", python, &adapter);
        let pool = Host::c("tests/pytest/pool.c")
            .flags(&["-shared", "-fPIC"])
            .unlinked()
            .compile(&session.scratch, "libsuite_pool.so");
        session.set("SUITE_POOL", &pool.display().to_string());
        Some(session)
    }

    fn new(suite: &'static str, host: &str, python: PathBuf, adapters: &str) -> Self {
        let scratch = Scratch::new("pytest");
        let sources = common::root().join("tests/pytest");
        copy(&sources.join(suite), &scratch.file(suite));
        fs::copy(sources.join(host), scratch.file(host)).expect("the host");
        fs::write(scratch.file("pytest.ini"), "[pytest]\npythonpath = .\n").expect("an ini file");
        Self {
            variables: Vec::new(),
            whofreed: common::cli(),
            scratch,
            python,
            suite,
            adapters: adapters.to_owned(),
        }
    }

    /// Sets a variable in the environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// A file beside the suite.
    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.file(name)
    }

    /// Runs it, or one file of it that is named last, under whofreed with these arguments; it ends with this code.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], code: i32) -> Ran {
        let junit = self.scratch.file("junit.xml");
        // Of the run before this one.
        let _ = fs::remove_file(&junit);
        let mut command = self.command();
        command.arg("--whofreed");
        command.arg("--whofreed-bin").arg(&self.whofreed);
        command.args(["--whofreed-adapters", &self.adapters]);
        command.arg("--junit-xml").arg(&junit).args(arguments);
        if !arguments.last().is_some_and(|last| last.ends_with(".py")) {
            command.arg(self.suite);
        }
        let run = common::run(&mut command).expect_code(code);
        let junit = fs::read_to_string(&junit).unwrap_or_default();
        let mut parts = junit.split("<testcase ").map(str::to_owned);
        Ran {
            said: format!("{}\n{}", run.stdout, run.stderr),
            head: parts.next().unwrap_or_default(),
            entries: parts.collect(),
        }
    }

    /// Runs the suite without whofreed; it ends with this code.
    #[track_caller]
    pub fn run_plain(&self, code: i32) {
        let mut command = self.command();
        common::run(command.arg(self.suite)).expect_code(code);
    }

    /// pytest, without any argument.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.args(["-m", "pytest", "-rA"]);
        command
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("COLUMNS", "200")
            .env_remove("PYTEST_ADDOPTS")
            .current_dir(self.scratch.path());
        command
    }

    /// The traces that it has left.
    pub fn traces(&self) -> Vec<PathBuf> {
        let left = fs::read_dir(self.scratch.file(".pytest_cache/whofreed"));
        let left = left.into_iter().flatten().flatten();
        left.map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|name| name == "wft"))
            .collect()
    }
}

impl Ran {
    /// Expects exactly these tests to have failed, in the summary and in the JUnit file, and so many to have passed.
    #[track_caller]
    pub fn expect_failed(&self, tests: &[&str], passed: usize) {
        let mut told: Vec<&str> = self.said.lines().filter_map(failed_test).collect();
        told.sort_unstable();
        let mut wanted = tests.to_vec();
        wanted.sort_unstable();
        assert_eq!(told, wanted, "{}", self.said);
        let passed_lines = self.said.lines().filter(|line| line.starts_with("PASSED "));
        assert_eq!(passed_lines.count(), passed, "{}", self.said);
        assert_eq!(self.entries.len(), tests.len() + passed, "{}", self.said);
        let counts = format!("failures=\"{}\"", tests.len());
        assert!(self.head.contains(&counts), "{}", self.head);
        for entry in &self.entries {
            let is_wanted = tests.iter().any(|test| entry.contains(&name_of(test)));
            assert_eq!(entry.contains("<failure "), is_wanted, "{entry}");
        }
    }

    /// The lines of the table at the end, each without its culprit's folder: status, frees, test and culprit.
    pub fn table(&self) -> Vec<String> {
        let lines = self.said.lines();
        let lines = lines.skip_while(|line| !line.contains("= whofreed ="));
        let lines = lines.take_while(|line| !line.contains(" allocations, ") && !line.is_empty());
        let rows = lines.filter(|line| line.contains(" (") && line.ends_with(')'));
        rows.map(|line| {
            let words = line.split_whitespace();
            let words = words.map(|word| word.rsplit('/').next().unwrap_or(word));
            words.collect::<Vec<_>>().join(" ").replace('(', "")
        })
        .collect()
    }

    /// Expects each test's failure to show the culprit at its own mark in the file, which are in the same order.
    #[track_caller]
    pub fn expect_culprits(&self, file: &str, tests: &[&str]) {
        let source = common::root().join("tests/pytest").join(file);
        let text = fs::read_to_string(source).expect("the suite");
        let marks = (1..).zip(text.lines());
        let marks: Vec<i32> = marks
            .filter_map(|(number, line)| line.ends_with("  # excess").then_some(number))
            .collect();
        assert_eq!(marks.len(), tests.len(), "a mark for each test");
        let base = file.rsplit('/').next().unwrap_or(file);
        for (test, line) in tests.iter().zip(marks) {
            let entry = self.entry(test);
            let culprit = format!("{base}:{line})");
            for part in [
                "name=\"whofreed.culprit\"",
                "culprit ",
                "ERROR: whofreed: excess free of ",
            ] {
                assert!(entry.contains(part), "{part}\n{entry}");
            }
            let named = entry.matches(&culprit).count();
            assert!(named >= 2, "{culprit} is named {named} times in\n{entry}");
        }
    }

    /// The entry of a test in the JUnit file.
    #[track_caller]
    pub fn entry(&self, test: &str) -> &str {
        let found = self
            .entries
            .iter()
            .find(|entry| entry.contains(&name_of(test)));
        found.unwrap_or_else(|| panic!("no entry of {test} in {:?}", self.entries))
    }
}

/// The packages of the interpreter `of`, for `python`; or why that cannot use them.
fn packages(of: &Path, python: &Path) -> Result<String, String> {
    let ask = |python: &Path| {
        let script =
            "import sys, sysconfig; print(*sys.version_info[:2], sysconfig.get_path('purelib'))";
        let run = common::run(Command::new(python).args(["-c", script])).expect_code(0);
        let (version, folder) = run.stdout.trim().rsplit_once(' ').expect("two words");
        (version.to_owned(), folder.to_owned())
    };
    let ((has, folder), (is, _)) = (ask(of), ask(python));
    if has == is {
        return Ok(folder);
    }
    Err(format!("ttnn is there for Python {has}, pytest for {is}"))
}

/// The interpreter with pytest and the plugin; `None` where there is none, which the list of tests is told.
pub fn python(test: &str) -> Option<PathBuf> {
    common::provided(test, "WHOFREED_TEST_PYTEST")
}

fn name_of(test: &str) -> String {
    format!(" name=\"{test}\"")
}

/// The test of a line of the short summary, where it is one of a failure.
fn failed_test(line: &str) -> Option<&str> {
    let (test, _) = line.strip_prefix("FAILED ")?.split_once(" - ")?;
    test.rsplit("::").next()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the suite").flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}
