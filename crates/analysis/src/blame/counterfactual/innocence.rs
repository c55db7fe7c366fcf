//! What it would cost to declare a culprit innocent: the evidence that a report gives for it.

use std::collections::BTreeSet;

use super::fit::Solution;
use super::fit::length_without;
use super::problem::Problem;

/// By how many nats the description of the log gets longer when `groups` may not have surplus frees. Where that is much
/// more than what is asked of an accusation, it is not looked for to the end, and this is rather too much.
pub(super) fn costs(problem: &Problem, solution: &Solution, groups: &BTreeSet<u32>) -> f64 {
    let fit = &solution.fit;
    // The description does without whoever has none in it.
    let accused: Vec<u32> = groups
        .intersection(&fit.counts.culprits())
        .copied()
        .collect();
    let weighed = match accused.as_slice() {
        [] => Some(0.0),
        [one] => solution.costs.get(one).copied(),
        _ => None,
    };
    let costs = weighed.unwrap_or_else(|| {
        let mut without = solution.banned.clone();
        without.extend(accused);
        length_without(problem, fit, &without) - fit.length
    });
    // A description that is found later, and shorter, does not make it less than dispensable.
    costs.max(0.0)
}
