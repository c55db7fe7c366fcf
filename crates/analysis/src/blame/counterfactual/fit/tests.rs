//! When a fit is given up.

use super::*;

#[test]
fn a_fit_that_hardly_comes_nearer_is_given_up_where_it_is_far_off() {
    assert!(out_of_reach(&[2000.0, 440.0, 401.0], 0.0));
    assert!(!out_of_reach(&[2000.0, 440.0, 400.0], 0.0), "by a tenth");
    assert!(!out_of_reach(&[2000.0, 310.0, 300.0], 0.0), "not far");
    assert!(out_of_reach(&[2000.0, 311.0, 301.0], 0.0));
    assert!(!out_of_reach(&[410.0, 401.0], 0.0), "the second round");
    assert!(
        !out_of_reach(&[2000.0, 440.0, 401.0], 200.0),
        "the goal is near"
    );
}
