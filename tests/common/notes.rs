//! What a test tells `cargo xtask`, and what it is told: figures, what was skipped, and how much is asked for.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

/// Says that a test did not run, and why: `cargo xtask test` lists and counts it.
pub fn skip(name: &str, reason: &str) {
    append("WHOFREED_TEST_SKIPS", name, reason);
    eprintln!("skipped: {name}: {reason}");
}

/// What `cargo xtask test` has set up, by the variable that says where it is; else the test is skipped, but under CI, where
/// everything has to be.
#[track_caller]
pub fn provided(test: &str, variable: &str) -> Option<PathBuf> {
    if let Some(found) = env::var_os(variable) {
        return Some(PathBuf::from(found));
    }
    let why = env::var(format!("{variable}_MISSING"));
    let why = why.unwrap_or_else(|_| format!("{variable} is not set: run `cargo xtask test`"));
    assert!(env::var_os("CI").is_none(), "{why}");
    skip(test, &why);
    None
}

/// Gives a figure to `cargo xtask soak`, and to the reader of the test's output.
pub fn note(label: &str, value: &str) {
    append("WHOFREED_TEST_NOTES", label, value);
    println!("{label}: {value}");
}

fn append(variable: &str, label: &str, text: &str) {
    if let Some(path) = env::var_os(variable) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the file for notes");
        writeln!(file, "{label}: {text}").expect("a line for the notes");
    }
}

/// Whether tests are asked to run at full size.
pub fn soak() -> bool {
    env::var_os("WHOFREED_TEST_SIZE").is_some_and(|size| size == "soak")
}
