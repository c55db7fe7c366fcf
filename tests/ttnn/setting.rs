//! Where the runtimes are.

use std::env;
use std::fs;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

/// The release that every case runs on, and that has to be there in CI.
pub const NEWEST: &str = "0.81.1";

/// Where everything is, as `cargo xtask test` tells.
pub struct Setting {
    /// The command.
    pub whofreed: PathBuf,
    /// The interpreter that the release is installed for.
    pub python: PathBuf,
    /// The environment of a process that uses it.
    pub variables: Vec<(String, String)>,
}

impl Setting {
    /// The setting for a test; `None` where the release cannot be had, which the test list is told. In CI, the newest has to be
    /// there.
    pub fn wanted(release: &str, board: &str, test: &str) -> Option<Self> {
        match Self::from_environment(release, board) {
            Ok(setting) => Some(setting),
            Err(why) => {
                assert!(
                    env::var_os("CI").is_none() || release != NEWEST,
                    "the TT-Metal runtime has to be there in CI: {why}"
                );
                skip(&format!("ttnn::{test}"), &why);
                None
            }
        }
    }

    /// An error is the reason why the tests cannot run.
    fn from_environment(release: &str, board: &str) -> Result<Self, String> {
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
        // Lines of `RELEASE BOARD VARIABLE VALUE`, with `-` for what is the same on each board.
        for line in text.lines() {
            let mut words = line.splitn(4, ' ');
            if words.next() != Some(release) {
                continue;
            }
            match (words.next(), words.next(), words.next()) {
                (Some("-"), Some("PYTHON"), Some(python)) => setting.python = python.into(),
                (Some("-"), Some("MISSING"), why) => {
                    return Err(format!("no ttnn {release}: {}", why.unwrap_or_default()));
                }
                (Some("-"), Some("BROKEN"), why) => {
                    panic!("ttnn {release} is installed but does not work: {why:?}")
                }
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
