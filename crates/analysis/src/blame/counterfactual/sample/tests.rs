//! Which rows stand for all.

use super::choose;

#[test]
fn where_there_is_room_all_stand_for_themselves() {
    let rows = [('a', 3), ('b', 4), ('a', 3)];
    let all = [(0, 1.0), (1, 1.0), (2, 1.0)];
    assert_eq!(choose(&rows, 10), all);
    // There are too few to choose from.
    assert_eq!(choose(&rows, 1), all);
    assert!(choose::<char>(&[], 1).is_empty());
}

#[test]
fn of_those_that_look_alike_as_many_from_every_part_stand_for_all() {
    // A hundred rows of two tokens: half the room leaves fifty of them at the most, by steps of an eighth.
    let rows = vec![('a', 2); 100];
    let chosen = choose(&rows, 100);
    let indices: Vec<usize> = chosen.iter().map(|one| one.0).collect();
    assert_eq!(indices.len(), 49);
    for part in 0..10 {
        let of_part = indices.iter().filter(|&&index| index / 10 == part).count();
        assert!((4..=5).contains(&of_part), "{indices:?}");
    }
    assert!(chosen.iter().all(|one| one.1 == 100.0 / 49.0));
}

#[test]
fn who_looks_otherwise_is_not_crowded_out() {
    let mut rows = vec![('a', 10); 1000];
    rows[500] = ('b', 10);
    rows[700] = ('b', 10);
    let chosen = choose(&rows, 200);
    let of_b: Vec<&(usize, f64)> = chosen.iter().filter(|one| rows[one.0].0 == 'b').collect();
    assert_eq!(of_b, [&(500, 1.0), &(700, 1.0)]);
    let of_a: Vec<f64> = chosen
        .iter()
        .filter(|one| rows[one.0].0 == 'a')
        .map(|one| one.1)
        .collect();
    assert!(of_a.len() <= 18 && of_a.len() >= 16, "{}", of_a.len());
    let weight: f64 = of_a.iter().sum();
    assert!((weight - 998.0).abs() < 1e-6, "{weight}");
}

#[test]
fn eight_of_a_kind_are_left_however_little_room_there_is() {
    let rows: Vec<(usize, usize)> = (0..400).map(|index| (index % 4, 50)).collect();
    let chosen = choose(&rows, 1);
    for looks in 0..4 {
        let of_kind = chosen.iter().filter(|one| rows[one.0].0 == looks);
        assert_eq!(of_kind.count(), 8);
    }
    // The step from nine would go below.
    assert_eq!(choose(&[('a', 50); 9], 1).len(), 8);
    assert_eq!(choose(&[('a', 50); 8], 1).len(), 8);
}

#[test]
fn the_length_that_counts_is_that_of_the_rows_of_a_kind() {
    // Those of one kind are long, so that few of them fill the room.
    let rows: Vec<(bool, usize)> = (0..200)
        .map(|index| (index % 2 == 0, if index % 2 == 0 { 99 } else { 1 }))
        .collect();
    let chosen = choose(&rows, 2_000);
    let of_long = chosen.iter().filter(|one| rows[one.0].0).count();
    assert_eq!(of_long, chosen.len() / 2);
    let tokens: usize = chosen.iter().map(|one| rows[one.0].1).sum();
    assert!((1_700..=2_000).contains(&tokens), "{tokens}");
}
