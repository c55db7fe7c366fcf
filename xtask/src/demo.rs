//! `cargo xtask demo`: a program with a planted bug, and who is blamed for it, by a plain stack dump and by whofreed.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use crate::artifacts;
use crate::paths;
use crate::run;
use crate::run::Outcome;
use crate::ttnn;
use crate::ttnn::Board;

/// What the demos leave, each its own.
const TRACE: &str = "demo.wft";
const TRACE_TTNN: &str = "demo-ttnn.wft";

/// `cargo xtask demo [--ttnn]`
pub fn command(arguments: &[&str]) -> Outcome<()> {
    if !matches!(arguments, [] | ["--ttnn"]) {
        return Err(format!(
            "demo: `{}` is not understood; there is only --ttnn",
            arguments.join(" ")
        ));
    }
    artifacts::build()?;
    let folder = paths::target().join("whofreed-demo");
    run::create_folder(&folder)?;
    match arguments {
        [] => {
            let program = compile(&folder)?;
            println!("$ whofreed run -- ./pool_runtime\n");
            let trace = folder.join(TRACE);
            show(&trace, &mut watch(&trace, &[program.as_os_str()])?)
        }
        _ => {
            let runtime = ttnn::set_up()?;
            let model = paths::root().join("tests/ttnn/cases/model_like.py");
            let words = [
                runtime.python.as_os_str(),
                model.as_os_str(),
                "15".as_ref(),
                "4".as_ref(),
                "alias".as_ref(),
            ];
            println!("$ whofreed run -- python model_like.py 15 4 alias\n");
            let trace = folder.join(TRACE_TTNN);
            show(
                &trace,
                watch(&trace, &words)?.envs(runtime.variables(Board::Mesh)),
            )
        }
    }
}

/// Compiles the embedded example: a small device runtime that is linked to the library.
pub fn compile(folder: &Path) -> Outcome<PathBuf> {
    let source = paths::root().join("examples/pool_runtime");
    let entries =
        fs::read_dir(&source).map_err(|error| format!("{}: {error}", source.display()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension() == Some("cpp".as_ref()))
        .collect();
    files.sort();
    let release = paths::target().join("release");
    let program = folder.join("pool_runtime");
    let mut compiler = Command::new(env::var_os("CXX").unwrap_or_else(|| "g++".into()));
    compiler
        .args(["-std=c++17", "-O2", "-g", "-pthread", "-I"])
        .arg(paths::root().join("include"))
        .args(&files)
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(&release)
        .arg("-lwhofreed")
        .arg(format!("-Wl,-rpath,{}", release.display()));
    run::quiet(&mut compiler)?;
    Ok(program)
}

/// The command that runs a program under whofreed, from the folder where the user stands, so that what the report
/// says can be pasted there. All of it goes to our standard output, in the order in which it comes.
fn watch(trace: &Path, program: &[&OsStr]) -> Outcome<Command> {
    let output = io::stdout().as_fd().try_clone_to_owned();
    let output = output.map_err(|error| format!("standard output: {error}"))?;
    let mut command = Command::new(paths::binary());
    command
        .arg("run")
        .arg("--trace")
        .arg(trace)
        .arg("--")
        .args(program)
        .stdin(Stdio::null())
        .stderr(Stdio::from(output));
    Ok(command)
}

/// Runs it, and shows what either way of looking says.
fn show(trace: &Path, command: &mut Command) -> Outcome<()> {
    // Of an earlier demo, if there was one.
    let _ = fs::remove_file(trace);
    run::shown(command)?;
    let json = run::quiet(
        Command::new(paths::binary())
            .arg("report")
            .arg(trace)
            .args(["--format", "json"]),
    )?;
    let report: Value =
        serde_json::from_str(&json).map_err(|error| format!("the JSON report: {error}"))?;
    println!("\n{}", side_by_side(&report));
    println!(
        "The trace stays; look at it again at any time: {} report {}",
        paths::from_here(&paths::binary()),
        paths::from_here(trace)
    );
    Ok(())
}

/// Every call site at which an excess free was seen, with what each way of looking says of it.
fn side_by_side(report: &Value) -> String {
    let excess = report["totals"]["excess"].as_u64().unwrap_or(0);
    let mut sites: Vec<(u64, String, String)> = Vec::new();
    for culprit in rows(report, "culprits") {
        let verdict = format!(
            "culprit {}: explains {} of {excess}",
            culprit["rank"], culprit["explains"]
        );
        sites.push((observed(culprit), place(culprit), verdict));
    }
    for victim in rows(report, "victims") {
        sites.push((
            observed(victim),
            place(victim),
            format!("innocent: a victim of culprit {}", victim["culprit"]),
        ));
    }
    sites.sort_by(|a, b| b.cmp(a));

    let mut text = String::from("Who is to blame for the excess frees?\n\n");
    let width = sites
        .iter()
        .map(|(_, place, _)| place.chars().count())
        .max()
        .unwrap_or(0)
        .max("freeing call site".len());
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "  {:width$}  {:18}  whofreed says",
        "freeing call site", "a stack dump says"
    );
    for (seen, place, verdict) in &sites {
        let share = 100.0 * *seen as f64 / excess.max(1) as f64;
        let _ = writeln!(
            text,
            "  {place:width$}  {seen:>8} ({share:>5.1} %)  {verdict}"
        );
    }
    let explanation = if rows(report, "victims").next().is_some() {
        "
A stack dump at each excess free shows the code that freed last. Where the address had been handed out
again in between, that is its rightful owner, and the free before it was the one too many.
"
    } else {
        "
Here the host tells who owns a buffer, and its own guards swallow the excess free without a word: there is
nothing at which a stack could be dumped but the first free.
"
    };
    text.push_str(explanation);
    text
}

fn rows<'a>(report: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    report[list].as_array().into_iter().flatten()
}

fn observed(row: &Value) -> u64 {
    row["observed"].as_u64().unwrap_or(0)
}

/// `function (file:line)`, the file without its folders.
fn place(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or("?");
    let file = text("file");
    format!(
        "{} ({}:{})",
        text("function"),
        file.rsplit('/').next().unwrap_or(file),
        row["line"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_seen_once_and_by_whoever_stands_here() {
        let command =
            watch(Path::new("target/demo.wft"), &["program".as_ref()]).expect("a command");
        let arguments: Vec<&OsStr> = command.get_args().collect();
        assert_eq!(
            arguments,
            ["run", "--trace", "target/demo.wft", "--", "program"]
        );
        assert_eq!(command.get_current_dir(), None);
        assert_ne!(TRACE, TRACE_TTNN);
    }

    #[test]
    fn the_most_seen_site_comes_first_and_the_innocent_one_is_called_so() {
        let report = serde_json::json!({
            "totals": {"excess": 10},
            "culprits": [{"rank": 1, "function": "evict", "file": "a/cache.cpp", "line": 7, "explains": 10, "observed": 2}],
            "victims": [{"function": "release", "file": "pool.cpp", "line": 3, "observed": 8, "culprit": 1}],
        });
        let text = side_by_side(&report);
        let lines: Vec<&str> = text.lines().skip(3).take(2).map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "release (pool.cpp:3)         8 ( 80.0 %)  innocent: a victim of culprit 1",
                "evict (cache.cpp:7)          2 ( 20.0 %)  culprit 1: explains 10 of 10",
            ]
        );
    }
}
