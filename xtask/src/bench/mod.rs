//! `cargo xtask bench`: what recording costs a host that does little else, beside the recorders that others have.
//!
//! Native and tool take turns, so that what else runs on the machine is in both; figures are medians over the turns of
//! what the tool adds. Processor time is what carries over to other machines, wall time hardly.

mod api;
mod beside;
mod growth;
mod lttng;
mod primitives;
mod processes;
mod socket;
mod tools;

pub mod host;

use std::path::Path;

use crate::artifacts;
use crate::figures::Document;
use crate::packages;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// Where the figures go.
pub const DOCUMENT: Document = Document {
    name: "PERFORMANCE.md",
    head: "# Performance\n\nWritten by `cargo xtask bench`.\n\n\
           An event is one allocate or one free. What it costs more under a recorder is its processor time: at 200 ns, \
           five million\nevents take a second. How many times longer a loop takes that does nothing but allocate and free \
           is told too; no program is\nas slow as that.\n",
};

/// Each measurement is made so often, by turns with the host alone.
const TURNS: usize = 5;

/// A section of `docs/PERFORMANCE.md`.
struct Section {
    /// On the command line.
    name: &'static str,
    /// In the document.
    title: &'static str,
    measure: fn(&Bench) -> Outcome<Measured>,
}

/// What a section says.
struct Measured {
    about: String,
    table: String,
}

/// Where and how often is measured.
struct Bench<'a> {
    folder: &'a Path,
    turns: usize,
}

const SECTIONS: [Section; 5] = [
    Section {
        name: "beside",
        title: "Beside others",
        measure: beside::measure,
    },
    Section {
        name: "api",
        title: "The C interface",
        measure: api::measure,
    },
    Section {
        name: "growth",
        title: "Growth",
        measure: growth::measure,
    },
    Section {
        name: "socket",
        title: "Reporting by a socket",
        measure: socket::measure,
    },
    Section {
        name: "primitives",
        title: "Primitives",
        measure: primitives::measure,
    },
];

/// `cargo xtask bench [TURNS [NAME]]`
pub fn command(arguments: &[&str]) -> Outcome<()> {
    let (turns, chosen) = choose(arguments)?;
    artifacts::build()?;
    packages::install_system();
    packages::install_peers();
    let folder = paths::target().join("bench");
    run::create_folder(&folder)?;
    let bench = Bench {
        folder: &folder,
        turns,
    };
    for section in chosen {
        eprintln!("xtask: bench {}", section.name);
        let measured = (section.measure)(&bench)?;
        println!("{}", measured.table);
        DOCUMENT.write_section(section.title, &measured.about, &measured.table)?;
    }
    Ok(())
}

fn choose(arguments: &[&str]) -> Outcome<(usize, Vec<&'static Section>)> {
    let (turns, chosen): (_, Vec<&Section>) = match arguments {
        [] => (None, SECTIONS.iter().collect()),
        [turns] => (Some(turns), SECTIONS.iter().collect()),
        [turns, name] => {
            let named = SECTIONS.iter().filter(|section| section.name == *name);
            (Some(turns), named.collect())
        }
        _ => (None, Vec::new()),
    };
    if chosen.is_empty() {
        let names = SECTIONS.map(|section| section.name).join(", ");
        return Err(format!(
            "bench: a number of turns, and behind it one of {names}, or nothing for all of them"
        ));
    }
    let turns = match turns.map(|turns| (turns, turns.parse())) {
        None => TURNS,
        Some((_, Ok(number @ 1..))) => number,
        Some((turns, _)) => return Err(format!("bench: {turns} is no number of turns")),
    };
    Ok((turns, chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_chosen_by_its_name_behind_the_turns() {
        let names = |arguments: &[&str]| {
            let (turns, chosen) = choose(arguments)?;
            let names: Vec<&str> = chosen.iter().map(|section| section.name).collect();
            Outcome::Ok((turns, names))
        };
        assert_eq!(names(&["3", "api"]), Ok((3, vec!["api"])));
        let all = SECTIONS.map(|section| section.name).to_vec();
        assert_eq!(names(&[]), Ok((TURNS, all.clone())));
        assert_eq!(names(&["1"]), Ok((1, all)));
    }

    #[test]
    fn what_is_no_section_is_answered_with_those_that_there_are() {
        let why = choose(&["1", "nonsense"])
            .map(drop)
            .expect_err("no such section");
        assert!(
            SECTIONS.iter().all(|section| why.contains(section.name)),
            "{why}"
        );
        for turns in ["0", "api", "-1"] {
            let why = choose(&[turns]).map(drop).expect_err("no number of turns");
            assert!(why.contains("is no number of turns"), "{why}");
        }
    }
}
