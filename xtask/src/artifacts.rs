//! The two files that people use, and the header.

use std::fs;
use std::process::Command;

use crate::paths;
use crate::run;
use crate::run::Outcome;

/// Cargo, as it was called to run this, in the workspace's folder.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root());
    cargo
}

/// The machine that this toolchain builds for.
pub fn host() -> Outcome<String> {
    let about = run::quiet(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc does not say what machine this is".to_owned())
}

/// Builds the command and the shared library for release.
pub fn build() -> Outcome<()> {
    run::shown(cargo().args(["build", "--release", "--workspace", "--exclude", "xtask"]))?;
    for file in [paths::binary(), paths::shim()] {
        if !file.is_file() {
            return Err(format!("the build left no {}", file.display()));
        }
    }
    Ok(())
}

/// Writes `include/whofreed.h` from the sources.
pub fn write_header() -> Outcome<()> {
    run::quiet(cargo().args(GENERATE_HEADER)).map(drop)
}

/// Is the checked-in header the one that the sources give?
pub fn check_header() -> Outcome<()> {
    // A new name each time: Cargo does not run a build script again for a file that somebody deleted.
    let fresh = paths::target().join(format!("whofreed.{}.h", std::process::id()));
    run::quiet(
        cargo()
            .args(GENERATE_HEADER)
            .env("WHOFREED_HEADER_OUT", &fresh),
    )?;
    let generated = run::read(&fresh)?;
    // What is left of a failed removal is one small file under target/.
    let _ = fs::remove_file(&fresh);
    if generated == run::read(&paths::root().join("include/whofreed.h"))? {
        Ok(())
    } else {
        Err("include/whofreed.h is stale: run `cargo xtask header`".to_owned())
    }
}

const GENERATE_HEADER: [&str; 5] = [
    "check",
    "--package",
    "whofreed",
    "--features",
    "generate-header",
];
