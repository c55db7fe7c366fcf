//! What the blame says of a few short hosts of every pattern, line by line as in `golden/*.txt`.
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
fn the_blame_says_the_same_of_100_steps() {
    held::check(
        "100",
        (0..6).flat_map(|seed| golden::of_all(Owners::Unknown, seed, 100)),
    );
}

#[test]
fn the_blame_says_the_same_of_200_steps() {
    held::check(
        "200",
        (0..3).flat_map(|seed| golden::of_all(Owners::Unknown, seed, 200)),
    );
}

#[test]
fn the_blame_says_the_same_where_owners_are_known() {
    held::check("owners", held::of_file("owners"));
}
