//! Which names stand.

use super::*;

#[test]
fn a_chain_with_one_guilty_free_in_twenty_is_innocent() {
    assert!(is_innocent(0, 0));
    assert!(is_innocent(5, 95));
    assert!(!is_innocent(6, 94));
    assert!(!is_innocent(1, 0));
    assert!(!is_innocent(1, 18));
    assert!(is_innocent(1, 19));
}

#[test]
fn of_several_names_those_with_enough_guilty_frees_stand() {
    let of = |named: &[(u32, (u64, u64))]| -> Vec<u32> {
        let named = named.iter().map(|&(name, counts)| (SiteId(name), counts));
        standing(named).into_iter().map(|name| name.0).collect()
    };
    assert_eq!(of(&[(1, (1, 9))]), [1], "the only one");
    assert_eq!(of(&[(1, (9, 9)), (2, (3, 3)), (3, (2, 0))]), [1, 2]);
    assert_eq!(of(&[(1, (9, 10)), (2, (3, 0))]), [2]);
    // A name has the frees of all its chains.
    assert_eq!(
        of(&[(1, (2, 2)), (1, (1, 1)), (2, (3, 0)), (2, (0, 4))]),
        [1]
    );
    assert_eq!(of(&[(1, (1, 0)), (2, (1, 0))]), [0_u32; 0]);
}
