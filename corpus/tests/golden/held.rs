//! The lines of hosts held against those of a file.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use whofreed_corpus::Owners;
use whofreed_corpus::patterns;

use crate::golden::Told;
use crate::golden::line;

/// So many lines that differ are shown; the rest is not waited for.
const MOST_SHOWN: usize = 5;

/// Those hosts that the lines of `golden/NAME.txt` begin with: who wants one more adds the beginning of its line, up to the
/// colon.
pub fn of_file(name: &str) -> impl Iterator<Item = Told> {
    let text = fs::read_to_string(file(name)).unwrap();
    let heads: Vec<Told> = text.lines().map(of_line).collect();
    heads.into_iter()
}

fn of_line(line: &str) -> Told {
    let (head, _) = line.split_once(':').unwrap();
    let words: Vec<&str> = head.split(' ').collect();
    let [pattern, owners, seed, steps] = words.as_slice() else {
        panic!("{head} is no host");
    };
    let all = [Owners::Unknown, Owners::Unique, Owners::Pointers];
    let owners = all.into_iter().find(|one| format!("{one:?}") == *owners);
    (
        patterns::find(pattern).unwrap(),
        owners.unwrap(),
        seed.parse().unwrap(),
        steps.parse().unwrap(),
    )
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.txt"))
}

/// Says what the blame makes of the hosts, and holds it against the lines of `golden/NAME.txt`.
pub fn check(name: &str, hosts: impl IntoIterator<Item = Told>) {
    let said = hosts.into_iter().map(line);
    if std::env::var("WHOFREED_CORPUS_GOLDEN").is_ok_and(|word| word == "write") {
        let text: String = said.map(|line| line + "\n").collect();
        fs::write(file(name), text).unwrap();
        return;
    }
    let text = fs::read_to_string(file(name)).unwrap();
    let mut wanted = text.lines();
    let mut differing = Vec::new();
    for said in said {
        let wanted = wanted.next().unwrap_or("nothing");
        if wanted != said {
            differing.push(format!("- {wanted}\n+ {said}\n"));
        }
        if differing.len() == MOST_SHOWN {
            break;
        }
    }
    assert!(differing.is_empty(), "{name}:\n{}", differing.concat());
    assert_eq!(wanted.next(), None);
}
