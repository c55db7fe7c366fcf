//! Looks for hosts of which the blame says something else than it did: for `cargo xtask mutants --find`, which asks so for each
//! mutant that no test notices, and adds what is found to `golden/chosen.txt`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool of our own tests"
)]

#[path = "../tests/golden/mod.rs"]
mod golden;
#[path = "../tests/mark/mod.rs"]
mod mark;

use std::env;
use std::fs;
use std::panic;

use whofreed_corpus::Owners;

/// Hosts of every pattern that are in no file yet, the short ones first.
fn hosts() -> impl Iterator<Item = golden::Told> {
    let unknown = [100, 300, 600, 1_500].into_iter().flat_map(|steps| {
        (30..34).flat_map(move |seed| golden::of_all(Owners::Unknown, seed, steps))
    });
    let others = [Owners::Pointers, Owners::Unique]
        .into_iter()
        .flat_map(|owners| golden::of_all(owners, 34, 400));
    unknown.chain(others)
}

/// The file `WHOFREED_CORPUS_LINES` is written where there is none; else the first host whose line differs is told.
fn main() {
    let file = env::var_os("WHOFREED_CORPUS_LINES").unwrap();
    let Ok(text) = fs::read_to_string(&file) else {
        let text: String = hosts().map(|host| golden::line(host) + "\n").collect();
        fs::write(file, text).unwrap();
        return;
    };
    for (host, line) in hosts().zip(text.lines()) {
        let said = panic::catch_unwind(|| golden::line(host));
        if said.is_err() || said.is_ok_and(|said| said != line) {
            let (head, _) = line.split_once(':').unwrap();
            println!("HOST {head}");
            return;
        }
    }
}
