//! One session of pytest with the plugin, and what it told.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::common;
use super::common::Host;
use super::common::Scratch;

/// A suite in a folder of its own, to be run any number of times.
pub struct Session {
    scratch: Scratch,
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
    /// A suite on the pool; `None` where there is no pytest.
    pub fn on_the_pool(suite: &'static str, test: &str) -> Option<Self> {
        let python = python(test)?;
        let scratch = Scratch::new("pytest");
        let sources = common::root().join("tests/pytest");
        copy(&sources.join(suite), &scratch.file(suite));
        fs::copy(sources.join("pool_host.py"), scratch.file("pool_host.py")).expect("the host");
        fs::write(scratch.file("pytest.ini"), "[pytest]\npythonpath = .\n").expect("an ini file");
        let pool = Host::c("tests/pytest/pool.c")
            .flags(&["-shared", "-fPIC"])
            .unlinked()
            .compile(&scratch, "libsuite_pool.so");
        let adapter = sources.join("pool.toml");
        Some(Self {
            variables: vec![("SUITE_POOL".to_owned(), pool.display().to_string())],
            scratch,
            python,
            suite,
            adapters: adapter.display().to_string(),
        })
    }

    /// Runs it under whofreed with these arguments; it ends with this code.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], code: i32) -> Ran {
        let junit = self.scratch.file("junit.xml");
        // Of the run before this one.
        let _ = fs::remove_file(&junit);
        let mut command = self.command();
        command.arg("--whofreed");
        command.arg("--whofreed-bin").arg(common::cli());
        command.args(["--whofreed-adapters", &self.adapters]);
        command.arg("--junit-xml").arg(&junit).args(arguments);
        command.arg(self.suite);
        let run = common::run(&mut command).expect_code(code);
        let junit = fs::read_to_string(&junit).unwrap_or_default();
        let mut parts = junit.split("<testcase ").map(str::to_owned);
        Ran {
            said: format!("{}\n{}", run.stdout, run.stderr),
            head: parts.next().unwrap_or_default(),
            entries: parts.collect(),
        }
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

/// The interpreter with pytest and the plugin; `None` where there is none, which the list of tests is told.
pub fn python(test: &str) -> Option<PathBuf> {
    let python = env::var_os("WHOFREED_TEST_PYTEST").map(PathBuf::from);
    if python.is_none() {
        let why = env::var("WHOFREED_TEST_PYTEST_MISSING");
        assert!(
            env::var_os("CI").is_none(),
            "pytest has to be there in CI: {why:?}"
        );
        common::skip(test, why.as_deref().unwrap_or("there is no pytest"));
    }
    python
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
