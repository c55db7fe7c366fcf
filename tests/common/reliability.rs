//! What a test says for `docs/RELIABILITY.md`: which fault it makes or which input it gives, how often, which promise
//! that is a test of, and how it went. `cargo xtask soak reliability` makes the table of it.
//!
//! Needs nothing of its neighbours, so that tests of other packages can include it by its path.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::thread;

/// A row of the matrix. It says that the promise was broken unless the test comes to say that it [held](Self::held):
/// a test that fails on its way says so in the table as well.
pub struct Row {
    area: &'static str,
    fault: String,
    promises: &'static str,
    told: bool,
}

impl Row {
    /// Begins a row: its area (`crash`, `fork`, `files`, …), what is done to us, and the promises that it is a test of
    /// (`P1`, or several: `P1 P3`), by their numbers in the document.
    pub fn new(area: &'static str, fault: impl Into<String>, promises: &'static str) -> Self {
        Self {
            area,
            fault: fault.into(),
            promises,
            told: false,
        }
    }

    /// It was done so often, and the promise held; what more there is to say goes to the table as it is (figures, what
    /// is told in the report).
    pub fn held(mut self, runs: u64, result: &str) {
        self.told = true;
        self.write(&runs.to_string(), result);
    }

    fn write(&self, runs: &str, result: &str) {
        let line = [self.area, &self.fault, runs, self.promises, result].map(in_a_cell);
        println!("{}", line.join(" | "));
        if let Some(path) = env::var_os("WHOFREED_TEST_RELIABILITY") {
            let test = thread::current();
            let test = test.name().unwrap_or("?").to_owned();
            let mut file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .expect("the file for the matrix");
            // One write, so that lines of tests that run side by side stay whole.
            let line = format!("{}\t{test}\n", line.join("\t"));
            file.write_all(line.as_bytes())
                .expect("a line for the matrix");
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if !self.told {
            self.write("?", "**BROKEN**");
        }
    }
}

fn in_a_cell(text: &str) -> String {
    text.replace(['\t', '\n'], " ").replace('|', "\\|")
}
