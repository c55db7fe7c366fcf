//! `cargo xtask soak hook-cost`: what a call of a hooked function takes more than one that is not, and the start of a process.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::paths;
use crate::run;
use crate::run::Outcome;

/// What `tests/cost/host.c` prints, and what it is.
const FIGURES: [(&str, &str); 7] = [
    ("plain", "a call, not hooked, ns"),
    ("tail", "a hook that ends in a jump, ns"),
    ("call", "a hook that calls through, ns"),
    ("wide", "a hook with `simd`, ns"),
    ("caller", "a hook whose original is the caller's own, ns"),
    ("pointer", "a hook by a pointer from dlvsym, ns"),
    ("start", "posix_spawn of /bin/true until its end, µs"),
];

pub fn measure() -> Outcome<String> {
    let sources = paths::root().join("tests/cost");
    let folder = paths::target().join("hook-cost");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let (library, host) = (folder.join("libpool.so"), folder.join("host"));
    let map = format!(
        "-Wl,--version-script={}",
        sources.join("pool.map").display()
    );
    run::quiet(
        Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", &map, "-o"])
            .args([&library, &sources.join("pool.c")]),
    )?;
    run::quiet(
        Command::new("cc")
            .args(["-O2", "-Wl,-rpath,$ORIGIN", "-o"])
            .args([&host, &sources.join("host.c"), &library])
            .arg("-ldl"),
    )?;
    let alone = run::quiet(Command::new(&host).arg(&library))?;
    let hooked = run::quiet(
        Command::new(paths::binary())
            .arg("run")
            .arg("--trace")
            .arg(folder.join("cost.wft"))
            .arg("--adapters")
            .arg(sources.join("pool.toml"))
            .args([Path::new("--report"), Path::new("/dev/null")])
            .arg("--")
            .args([&host, &library]),
    )?;
    let mut table = String::from("| what | alone | under whofreed run |\n|---|---|---|\n");
    for (name, about) in FIGURES {
        let figure = |said: &str| -> Outcome<String> {
            let mut lines = said.lines();
            let figure = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            let figure = figure.ok_or_else(|| format!("the host printed no {name}:\n{said}"))?;
            Ok(figure.to_owned())
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            table,
            "| {about} | {} | {} |",
            figure(&alone)?,
            figure(&hooked)?
        );
    }
    Ok(table)
}
