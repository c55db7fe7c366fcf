//! What a free counts for, by how far those of a row are guilty together.

use super::*;

/// The frees of a chain in these rows: `+` is a guilty one.
fn seen(rows: &[&str]) -> Seen {
    let mut seen = Seen::default();
    for row in rows {
        let mut before = None;
        for free in row.chars() {
            let is_guilty = free == '+';
            seen.add(is_guilty, before);
            before = Some(is_guilty);
        }
    }
    seen
}

fn weights(of: &[&[&str]]) -> Vec<f64> {
    let chains = (0..).map(ChainId);
    let bunches = Bunches::of(
        chains
            .clone()
            .zip(of.iter().map(|rows| seen(rows)))
            .collect(),
    );
    let of = chains.take(of.len());
    of.map(|chain| bunches.weight(chain)).collect()
}

#[test]
fn frees_rows_and_changes_are_counted() {
    let seen = seen(&["++-", "-", "-+-+"]);
    assert_eq!(
        (seen.frees, seen.guilty, seen.rows, seen.changes),
        (8.0, 4.0, 3.0, 4.0)
    );
    // Five frees have one before them; half of all are guilty, so that every second one should differ.
    assert_eq!(seen.expected_changes(), 2.5);
    let one_in_four = self::seen(&["+---"]);
    assert_eq!(one_in_four.expected_changes(), 3.0 * 2.0 * 0.25 * 0.75);
}

#[test]
fn a_row_that_is_right_or_wrong_at_once_counts_for_one() {
    assert_eq!(weights(&[&["++++", "----"]]), [0.25]);
    // Each chain has rows of its own length; whether they are alike is told by all.
    assert_eq!(weights(&[&["++++", "----"], &["++", "--"]]), [0.25, 0.5]);
    // Nothing to tell by.
    assert_eq!(weights(&[&["++++", "++"]]), [1.0 / 3.0]);
}

#[test]
fn where_each_is_right_or_wrong_for_itself_each_counts() {
    // Three changes in six, as many as are to be expected.
    assert_eq!(weights(&[&["++-+", "--++", "-"], &["-"]])[1], 1.0);
    assert_eq!(weights(&[&["+-+-", "-+-+"]]), [1.0], "more than expected");
    assert_eq!(weights(&[&["+", "-", "+"]]), [1.0], "rows of one");
    // Half as many as are to be expected: half alike.
    let half = weights(&[&["+++--", "--+++", "+", "+", "-", "-", "-", "-"]]);
    let alike = 1.0 - 2.0 / (8.0 * 2.0 * 0.5 * 0.5);
    assert_eq!(half, [1.0 / (1.0 + (16.0 / 8.0 - 1.0) * alike)]);
    assert_eq!(NONE.weight(ChainId(7)), 1.0);
}
