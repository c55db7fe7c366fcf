//! What names take, by hand.

use super::*;

const NOISE: Noise = Noise {
    frees: 2.0,
    share: 0.1,
};

/// Sites from the innermost on, and the guilty and innocent frees that came by them.
type Chain = (&'static [u32], (f64, f64));

fn with_tree<T>(chains: &[Chain], noise: Noise, asked: impl FnOnce(&mut Tree<'_>) -> T) -> T {
    let sites: Vec<Vec<SiteId>> = chains.iter().map(|(sites, _)| of(sites)).collect();
    let frees = chains
        .iter()
        .map(|&(_, (guilty, innocent))| Frees { guilty, innocent });
    let all = sites.iter().map(Vec::as_slice).zip(frees);
    asked(&mut Tree::of(all, noise, true))
}

fn of(sites: &[u32]) -> Vec<SiteId> {
    sites.iter().copied().map(SiteId).collect()
}

fn surcharge(chains: &[Chain], prefix: &[u32]) -> f64 {
    with_tree(chains, NOISE, |tree| tree.surcharge(&of(prefix)))
}

fn told(guilty: f64, innocent: f64) -> f64 {
    Frees { guilty, innocent }.told()
}

#[track_caller]
fn assert_close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-6, "{a} is not {b}");
}

#[test]
fn factorials_are_those_of_whole_numbers() {
    let mut sum = 0.0;
    for x in 0..200 {
        sum += f64::from(x.max(1)).ln();
        assert!((ln_factorial(x.into()) - sum).abs() < 1e-6, "{x}");
    }
    // ln Γ(3/2)
    assert!((ln_factorial(0.5) - 0.886_226_925_452_758_f64.ln()).abs() < 1e-6);
}

#[test]
fn to_tell_the_guilty_takes_the_logarithm_of_their_choices() {
    assert_close(told(0.0, 0.0), 0.0);
    // Of three frees one: four numbers are possible, and three frees.
    assert_close(told(1.0, 2.0), (4.0_f64 * 3.0).ln());
    assert_close(told(2.0, 2.0), (5.0_f64 * 6.0).ln());
    assert_close(told(5.0, 0.0), 6.0_f64.ln());
    let none = Frees {
        guilty: 0.0,
        innocent: 9.0,
    };
    assert_eq!(none.told_if_any(), 0.0);
    assert_close(none.told(), 10.0_f64.ln());
    let some = Frees {
        guilty: 1.0,
        innocent: 2.0,
    };
    assert_close(some.told_if_any(), some.told());
    assert_eq!(some.share(), 2.0 / 5.0);
    let half = some.times(0.5);
    assert_eq!((half.guilty, half.innocent, half.sum()), (0.5, 1.0, 1.5));
    let mut sum = some;
    sum.add(&half);
    assert_eq!((sum.guilty, sum.innocent), (1.5, 3.0));
}

#[test]
fn one_guilty_free_in_twenty_can_be_an_error() {
    assert!(NOISE.may_be_innocent(0.0, 0.0));
    assert!(NOISE.may_be_innocent(1.0, 19.0));
    assert!(!NOISE.may_be_innocent(1.0, 18.0));
    assert!(!Noise::NONE.may_be_innocent(1.0, 1e9));
}

#[test]
fn the_one_function_that_frees_for_several_is_hard_to_name() {
    let chains: [Chain; 3] = [
        (&[1, 2], (5.0, 45.0)),
        (&[1, 3], (0.0, 40.0)),
        (&[9, 4], (0.0, 10.0)),
    ];
    assert_eq!(surcharge(&chains, &[1]), GATE);
    assert_eq!(surcharge(&chains, &[1, 2]), 0.0, "it has one caller");
    let others = [chains[0], chains[1], (&[9, 4], (0.0, 11.0))];
    assert_eq!(surcharge(&others, &[1]), 0.0);
    // Up to where ways part there is one.
    let longer: [Chain; 2] = [(&[1, 2, 3], (5.0, 45.0)), (&[1, 2, 4], (0.0, 40.0))];
    assert_eq!(surcharge(&longer, &[1]), 0.0, "who calls it is the helper");
    assert_eq!(surcharge(&longer, &[1, 2]), 0.0);
    let unspared = with_tree_unspared(&chains);
    assert_eq!(unspared, 0.0);
}

fn with_tree_unspared(chains: &[Chain]) -> f64 {
    with_tree(chains, NOISE, |tree| {
        tree.spares_helpers = false;
        tree.surcharge(&of(&[1]))
    })
}

#[test]
fn what_many_free_by_who_are_never_wrong_is_a_helper() {
    let rest: Chain = (&[9, 4], (0.0, 100.0));
    let of_two: [Chain; 4] = [
        (&[1, 2], (20.0, 10.0)),
        (&[1, 3], (0.0, 15.0)),
        (&[1, 5], (0.0, 15.0)),
        rest,
    ];
    assert_eq!(surcharge(&of_two, &[1]), HELPER);
    // With less than half of the frees.
    let few = [(&[1, 2][..], (20.0, 11.0)), of_two[1], of_two[2], rest];
    assert_eq!(surcharge(&few, &[1]), 0.0);
    // One that is never wrong is not several.
    let one: [Chain; 3] = [(&[1, 2], (20.0, 10.0)), (&[1, 3], (0.0, 30.0)), rest];
    assert_eq!(surcharge(&one, &[1]), 0.0);
    // As many are wrong as are not.
    let half: [Chain; 5] = [
        (&[1, 2], (5.0, 5.0)),
        (&[1, 6], (5.0, 5.0)),
        of_two[1],
        of_two[2],
        rest,
    ];
    assert_eq!(surcharge(&half, &[1]), 0.0);
}

#[test]
fn a_helper_is_looked_for_where_ways_part() {
    let rest: Chain = (&[9, 4], (0.0, 100.0));
    let parted: [Chain; 4] = [
        (&[1, 2, 3], (20.0, 10.0)),
        (&[1, 2, 4], (0.0, 15.0)),
        (&[1, 2, 5], (0.0, 15.0)),
        rest,
    ];
    assert_eq!(surcharge(&parted, &[1]), HELPER);
    // Frees that end here part as well: then there is one way, and nobody is helped.
    let own: [Chain; 5] = [(&[1], (0.0, 1.0)), parted[0], parted[1], parted[2], rest];
    assert_eq!(surcharge(&own, &[1]), 0.0);
    // Three of five are never wrong.
    let five: [Chain; 6] = [
        (&[1, 2], (10.0, 5.0)),
        (&[1, 6], (10.0, 5.0)),
        (&[1, 3], (0.0, 15.0)),
        (&[1, 4], (0.0, 15.0)),
        (&[1, 5], (0.0, 15.0)),
        rest,
    ];
    assert_eq!(surcharge(&five, &[1]), HELPER);
}

#[test]
fn what_can_be_an_error_is_told_where_a_culprit_is_never_wrong() {
    let chains: [Chain; 3] = [
        (&[1, 2], (50.0, 0.0)),
        (&[1, 3], (3.0, 47.0)),
        (&[1, 4], (1.0, 25.0)),
    ];
    let told_of = with_tree(&chains, NOISE, |tree| tree.told(&mut of(&[1])));
    let right = 25.0 * (1.0_f64 - 54.0 / 102.0).ln();
    let unlike = UNLIKE + told(50.0, 0.0) + told(3.0, 47.0) + told(1.0, 25.0) - right;
    assert!(unlike < told(54.0, 72.0));
    assert_close(told_of, unlike);
}

#[test]
fn a_culprit_is_told_alike_on_all_ways_or_each_on_its_own() {
    let told_of =
        |chains: &[Chain]| with_tree(chains, Noise::NONE, |tree| tree.told(&mut of(&[1])));
    // Alike: as one sum.
    let alike: [Chain; 2] = [(&[1, 2], (5.0, 5.0)), (&[1, 3], (5.0, 5.0))];
    let apart = UNLIKE + told(5.0, 5.0) + told(5.0, 5.0);
    assert!(told(10.0, 10.0) < apart);
    assert_close(told_of(&alike), told(10.0, 10.0));
    // Wrong on one way and hardly on the other.
    let unlike: [Chain; 2] = [(&[1, 2], (50.0, 0.0)), (&[1, 3], (2.0, 48.0))];
    let apart = UNLIKE + told(50.0, 0.0) + told(2.0, 48.0);
    assert!(apart < told(52.0, 48.0));
    assert_close(told_of(&unlike), apart);
    // Never wrong on a third way: by chance, as seldom as it is wrong elsewhere.
    let chance: [Chain; 3] = [unlike[0], unlike[1], (&[1, 4], (0.0, 3.0))];
    let right = 3.0 * (1.0_f64 - 53.0 / 102.0).ln();
    assert_close(told_of(&chance), apart - right);
    // What ends here is a way without a name.
    let own: [Chain; 2] = [(&[1], (0.0, 40.0)), (&[1, 2], (40.0, 0.0))];
    assert_close(told_of(&own), told(0.0, 40.0) + told(40.0, 0.0));
}

#[test]
fn culprits_further_out_are_chosen_among_the_ways() {
    let apart_of =
        |chains: &[Chain]| with_tree(chains, Noise::NONE, |tree| tree.apart(&mut of(&[1])));
    let chains: [Chain; 3] = [
        (&[1, 2], (9.0, 0.0)),
        (&[1, 3], (0.0, 9.0)),
        (&[1, 4], (3.0, 9.0)),
    ];
    let choice = 3.0_f64.ln();
    let named = |guilty, innocent| choice + NAME + told(guilty, innocent);
    assert_close(apart_of(&chains), named(9.0, 0.0) + named(3.0, 9.0));
    // Frees that end here are a culprit's too.
    let own: [Chain; 2] = [(&[1], (2.0, 1.0)), (&[1, 2], (9.0, 0.0))];
    assert_close(
        apart_of(&own),
        NAME + told(2.0, 1.0) + NAME + told(9.0, 0.0),
    );
    let innocent: [Chain; 2] = [(&[1], (0.0, 1.0)), (&[1, 2], (9.0, 0.0))];
    assert_close(apart_of(&innocent), NAME + told(9.0, 0.0));
    // What can be an error is told where it stands.
    let noisy = with_tree(
        &[(&[1, 2], (1.0, 99.0)), (&[1, 3], (9.0, 0.0))],
        NOISE,
        |tree| tree.apart(&mut of(&[1])),
    );
    assert_close(
        noisy,
        told(1.0, 99.0) + 2.0_f64.ln() + NAME + told(9.0, 0.0),
    );
}

#[test]
fn who_is_right_and_wrong_by_turns_is_one_unless_ways_tell_more() {
    let is_one = |chains: &[Chain]| with_tree(chains, NOISE, |tree| tree.is_one(&of(&[1])));
    let rest: Chain = (&[9, 4], (0.0, 1000.0));
    assert!(is_one(&[
        (&[1, 2], (10.0, 10.0)),
        (&[1, 3], (10.0, 10.0)),
        rest
    ]));
    // No way is wrong by turns.
    assert!(!is_one(&[
        (&[1, 2], (10.0, 0.0)),
        (&[1, 3], (0.0, 10.0)),
        rest
    ]));
    // One is wrong by turns, and the other never, however often.
    assert!(!is_one(&[
        (&[1, 2], (10.0, 10.0)),
        (&[1, 3], (0.0, 200.0)),
        rest
    ]));
    let tree: [Chain; 1] = [(&[1, 2], (1.0, 1.0))];
    assert!(
        !with_tree(&tree, NOISE, |tree| tree.is_one(&of(&[7]))),
        "nobody frees by it"
    );
    // The longer story may be longer by two nats, and not by more: with one name, by five and a choice of two less one name.
    with_tree(
        &[(&[1, 2], (4.0, 4.0)), (&[1, 3], (4.0, 4.0)), rest],
        NOISE,
        |tree| {
            let (named, apart) = (tree.named(&mut of(&[1])), tree.apart(&mut of(&[1])));
            assert_close(named, NAME + told(8.0, 8.0));
            assert_close(apart, 2.0 * (2.0_f64.ln() + NAME + told(4.0, 4.0)));
            assert_close(tree.cost(&mut of(&[1])), named);
        },
    );
}
