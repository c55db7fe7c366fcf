//! Simulated hosts that tell a mutant of the blame from the original: `corpus/examples/golden_find.rs`, asked for each.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use super::list::Mutant;
use super::programs;
use super::programs::lock;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// So many seconds are looked for one.
const SECONDS: u64 = 120;

/// Where the lines are that are held by `cargo xtask test`, and the program that writes them.
const CHOSEN: &str = "corpus/tests/golden/chosen.txt";

/// How the lines of hosts begin that tell one of the mutants.
pub(super) fn find(tree: &Path, mutants: &[&Mutant]) -> Outcome<BTreeSet<String>> {
    let program = programs::example(tree, "whofreed-corpus", "golden_find")?;
    let lines = paths::target().join("whofreed-mutants/hosts.txt");
    // It is of the sources as they were.
    let _ = fs::remove_file(&lines);
    let limits = format!("ulimit -t {SECONDS}; exec nice \"$0\"");
    let ask = |mutant: Option<usize>| {
        let mut shell = programs::tests(&program.folder);
        shell
            .args(["-c", &limits])
            .arg(&program.file)
            .env("WHOFREED_CORPUS_LINES", &lines);
        if let Some(number) = mutant {
            shell.env("WHOFREED_MUTANT", number.to_string());
        }
        shell.output().map_err(|error| error.to_string())
    };
    ask(None)?;
    let queue = Mutex::new(mutants.iter());
    let found = Mutex::new(BTreeSet::new());
    let work = || -> Outcome<()> {
        loop {
            let next = lock(&queue).next();
            let Some(mutant) = next else { return Ok(()) };
            let output = ask(Some(mutant.number))?;
            let said = String::from_utf8_lossy(&output.stdout);
            let host = said.lines().find_map(|line| line.split_once("HOST "));
            println!("{}\t{}", host.map_or("none", |host| host.1), mutant.name);
            lock(&found).extend(host.map(|host| host.1.to_owned()));
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            let end = worker.join();
            end.unwrap_or_else(|_| Err("a worker panicked".to_owned()))
        })
    })?;
    let found = std::mem::take(&mut *lock(&found));
    Ok(found)
}

/// Adds hosts to those whose lines are held.
pub(super) fn choose(hosts: &BTreeSet<String>) -> Outcome<()> {
    let file = paths::root().join(CHOSEN);
    let mut text = run::read(&file)?;
    for host in hosts {
        let line = format!("{host}:");
        if !text.lines().any(|old| old.starts_with(&line)) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    run::write(&file, &text)
}
