//! What the tests that run real processes share: where the command and the shared library are, compiling a C or C++
//! host, running it linked or under `whofreed run`, and reading the report.
//!
//! `cargo xtask test` builds first and says where things are (`WHOFREED_TEST_BIN`, `WHOFREED_TEST_SHIM`); without
//! it they are looked for beside the test's own target folder.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses its own part of this module"
)]
#![allow(clippy::expect_used, reason = "a test may panic")]

mod host;
mod mark;
mod notes;
pub mod page;
mod reliability;
mod run;

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

pub use host::Host;
pub use mark::Mark;
pub use mark::Marked;
pub use mark::Tally;
pub use notes::note;
pub use notes::provided;
pub use notes::skip;
pub use notes::soak;
pub use reliability::Row;
pub use run::Run;
pub use run::Tracked;
pub use run::check_probe;
pub use run::is_root;
pub use run::place_of;
pub use run::report;
pub use run::report_by;
pub use run::run;
pub use run::track;
pub use run::track_with;
use serde_json::Value;

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The `whofreed` command.
pub fn cli() -> PathBuf {
    built("WHOFREED_TEST_BIN", "whofreed")
}

/// The shared library.
pub fn shim() -> PathBuf {
    built("WHOFREED_TEST_SHIM", "libwhofreed.so")
}

fn built(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        return PathBuf::from(path);
    }
    let test = env::current_exe().expect("a test has a path");
    // target/debug/deps/test-0123
    let profile = test.ancestors().nth(2).expect("target/debug").to_path_buf();
    let beside = profile.join(name);
    assert!(
        beside.exists(),
        "{} is not there: run `cargo xtask test`, or `cargo build --workspace` before `cargo test`",
        beside.display()
    );
    beside
}

/// A folder of a test's own, gone when it ends; `WHOFREED_TEST_KEEP` keeps it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            env::temp_dir().join(format!("whofreed-test.{}.{number}.{name}", process::id()));
        fs::create_dir_all(&folder).expect("a folder for the test");
        Self(folder)
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if env::var_os("WHOFREED_TEST_KEEP").is_none() {
            // What is left lies in the folder for temporary files.
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// The number at a path of keys; panics where there is none.
pub fn number(value: &Value, keys: &[&str]) -> u64 {
    let mut place = value;
    for key in keys {
        place = &place[key];
    }
    place
        .as_u64()
        .unwrap_or_else(|| panic!("{} is {place} in {value:#}", keys.join(".")))
}

/// One of the report's totals.
pub fn total(report: &Value, key: &str) -> u64 {
    number(report, &["totals", key])
}

/// What holds in every report.
pub fn check_identities(report: &Value) {
    assert_eq!(report["schema"], "whofreed-report/1");
    let total = |key: &str| total(report, key);
    assert_eq!(
        total("deallocations"),
        total("ok") + total("excess") + total("unknown") + total("invalid"),
        "{report:#}"
    );
    assert_eq!(
        total("deallocations"),
        total("forwarded") + total("blocked"),
        "{report:#}"
    );
    let verdict = |key: &str| number(report, &["verdicts", key]);
    assert_eq!(
        total("excess"),
        verdict("already_freed") + verdict("stale_owner") + verdict("foreign_owner"),
        "{report:#}"
    );
    let explained: u64 = rows(report, "culprits")
        .iter()
        .map(|culprit| number(culprit, &["explains"]))
        .sum();
    assert_eq!(
        explained + total("unexplained"),
        total("excess"),
        "{report:#}"
    );
    let buffer = |key: &str| number(report, &["buffers", key]);
    assert_eq!(
        buffer("unique"),
        buffer("balanced") + buffer("under_freed") + buffer("over_freed"),
        "{report:#}"
    );
}

/// One of the report's lists.
pub fn rows<'report>(report: &'report Value, list: &str) -> &'report [Value] {
    report[list]
        .as_array()
        .unwrap_or_else(|| panic!("{list} is a list in {report:#}"))
}

/// The functions of the culprits, sorted, without their arguments.
pub fn culprits(report: &Value) -> Vec<String> {
    let mut names: Vec<String> = rows(report, "culprits").iter().map(function).collect();
    names.sort();
    names
}

/// The function of a site or frame without its return type and parameters; template arguments stay.
pub fn function(site: &Value) -> String {
    let name = site["function"].as_str().unwrap_or("?");
    let mut bare = String::new();
    let mut depth = 0usize;
    for c in name.chars() {
        match c {
            '(' if depth == 0 => break,
            // What stood before was the return type.
            ' ' if depth == 0 => {
                bare.clear();
                continue;
            }
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        bare.push(c);
    }
    bare
}
