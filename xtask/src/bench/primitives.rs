//! `cargo xtask bench TURNS primitives`: the single stops of an event's way, each for itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Bench;
use super::Measured;
use super::host::median;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// Nanoseconds of each benchmark, by its group and its name.
type Times = BTreeMap<(String, String), Vec<f64>>;

/// Runs benches/primitives.rs so often.
pub fn measure(bench: &Bench) -> Outcome<Measured> {
    let results = paths::target().join("criterion");
    let mut times = Times::new();
    for _ in 0..bench.turns {
        // Where there is none, there is nothing to be mistaken for a new one.
        let _ = fs::remove_dir_all(&results);
        run::quiet(
            Command::new("cargo")
                .args(["bench", "--bench", "primitives", "--", "--noplot"])
                .current_dir(paths::root()),
        )?;
        collect(&results, &mut times)?;
    }
    let mut table = String::from("| stop | of what | ns |\n|---|---|---|\n");
    for ((group, name), times) in times {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "| {group} | {name} | {:.1} |", median(times));
    }
    let about = format!(
        "`cargo xtask bench`: benches/primitives.rs by criterion, one thread with caches warm and nothing in between; \
         medians of {}, for one verdict, one stack, one event.",
        bench.turns
    );
    Ok(Measured { about, table })
}

/// Adds what criterion has left in its folders: one for each group, in it one for each benchmark.
fn collect(results: &Path, times: &mut Times) -> Outcome<()> {
    let entries = |folder: &Path| -> Outcome<Vec<_>> {
        let entries = fs::read_dir(folder);
        let entries = entries.map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    };
    let mut count = 0;
    for group in entries(results)?.iter().filter(|group| group.is_dir()) {
        for benchmark in entries(group)?.iter().filter(|path| path.is_dir()) {
            let new = benchmark.join("new");
            if !new.is_dir() {
                continue;
            }
            let said = json(&new.join("benchmark.json"))?;
            let text = |name: &str| said[name].as_str().map(str::to_owned);
            let elements = said["throughput"]["Elements"].as_f64();
            let nanoseconds =
                json(&new.join("estimates.json"))?["median"]["point_estimate"].as_f64();
            let (Some(group), Some(name), Some(elements), Some(nanoseconds)) =
                (text("group_id"), text("function_id"), elements, nanoseconds)
            else {
                return Err(format!("{}: not criterion's words", new.display()));
            };
            times
                .entry((group, name))
                .or_default()
                .push(nanoseconds / elements);
            count += 1;
        }
    }
    if count == 0 {
        return Err(format!(
            "{}: criterion has left no figure",
            results.display()
        ));
    }
    Ok(())
}

fn json(path: &Path) -> Outcome<Value> {
    let text = run::read(path)?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}
