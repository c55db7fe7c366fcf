//! The hosts that are measured, and what they say of a run.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::paths;
use crate::run;
use crate::run::Outcome;

/// What a host says of one run.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub events: f64,
    pub wall_ns: f64,
    pub processor_ns: f64,
    pub peak_kib: f64,
}

/// Runs a host, alone or under something, and reads its line.
pub fn figures(command: &mut Command) -> Outcome<Figures> {
    let said = run::quiet(command)?;
    let line = said
        .lines()
        .find_map(|line| line.find("events=").map(|at| &line[at..]));
    let line = line.ok_or_else(|| format!("{command:?}: no figures:\n{said}"))?;
    let figure = |name: &str| -> Outcome<f64> {
        let mut words = line.split(' ');
        let value = words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let value = value.and_then(|value| value.parse().ok());
        value.ok_or_else(|| format!("{command:?}: no {name}: {line}"))
    };
    Ok(Figures {
        events: figure("events")?,
        wall_ns: figure("wall_ns")?,
        processor_ns: figure("cpu_ns")?,
        peak_kib: figure("peak_kib")?,
    })
}

/// Of a host that tells by malloc and free: without frame pointers, as distributions build theirs.
pub const PLAIN: [&str; 1] = ["-fomit-frame-pointer"];

/// Builds a host of benches/.
pub fn compile(
    folder: &Path,
    name: &str,
    source: &str,
    flags: &[impl AsRef<OsStr>],
) -> Outcome<PathBuf> {
    let host = folder.join(name);
    let mut command = Command::new("cc");
    command.args(["-std=c11", "-O2", "-g", "-pthread"]);
    command.arg(paths::root().join("benches").join(source));
    // Libraries come behind what needs them.
    command.args(flags).arg("-o").arg(&host);
    run::quiet(&mut command)?;
    Ok(host)
}

/// The host that tells of its buffers by the C interface.
pub fn compile_api(folder: &Path) -> Outcome<PathBuf> {
    let library = paths::shim();
    let place = library.parent().unwrap_or(folder);
    let flags = [
        format!("-I{}", paths::root().join("include").display()),
        library.display().to_string(),
        format!("-Wl,-rpath,{}", place.display()),
    ];
    compile(folder, "api", "api.c", &flags)
}

/// What the library of that host is told.
pub fn api_options(trace: &Path) -> String {
    format!("stacks=excess:summary=0:trace={}", trace.display())
}

/// A host under `whofreed run`, its trace in a folder.
pub fn whofreed(command: &Path, output: &Path, stacks: &str, options: &[&str]) -> Command {
    let mut whofreed = Command::new(paths::binary());
    whofreed.args(["run", "--adapters", "libc", "--stacks", stacks]);
    whofreed.arg("--trace").arg(output.join("trace.%p"));
    whofreed.args(["--report", "/dev/null"]).args(options);
    whofreed.arg("--").arg(command);
    whofreed
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_a_tool_says_too() {
        let mut command = Command::new("echo");
        command.arg("heaptrack says events=10 wall_ns=20 cpu_ns=30 peak_kib=40");
        let figures = figures(&mut command).expect("they are there");
        assert_eq!(figures.events, 10.0);
        assert_eq!(figures.peak_kib, 40.0);
        assert!(super::figures(&mut Command::new("true")).is_err());
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 9.0]), 3.0);
        assert!(median(vec![]).is_nan());
    }
}
