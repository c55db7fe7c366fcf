//! What the blame says of a few longer hosts of every pattern, line by line as in `golden/*.txt`.
//!
//! The table of `table.rs` says how often the blame is right. This one holds how it decides: a threshold that moves, or
//! a cost that is counted otherwise, shows here. Who changes a line has to look at it: `WHOFREED_CORPUS_GOLDEN=write`
//! writes the files anew, and what differs then is what there is to be looked at.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod golden;
#[path = "golden/held.rs"]
mod held;
mod mark;

use whofreed_corpus::Owners;

#[test]
fn the_blame_says_the_same_of_300_steps() {
    held::check(
        "300",
        (3..5).flat_map(|seed| golden::of_all(Owners::Unknown, seed, 300)),
    );
}

#[test]
fn the_blame_says_the_same_of_600_steps() {
    held::check(
        "600",
        (5..7).flat_map(|seed| golden::of_all(Owners::Unknown, seed, 600)),
    );
}

#[test]
fn the_blame_says_the_same_of_1500_steps() {
    held::check("1500", golden::of_all(Owners::Unknown, 7, 1_500));
}

/// Each of these holds a decision that those above do not.
#[test]
fn the_blame_says_the_same_of_chosen_hosts() {
    held::check("chosen", held::of_file("chosen"));
}
