//! Who could have done it instead: the other story of a site that is mostly right.
//!
//! With little to go by, the frees of a rare culprit pass for ends of lives, and those who usually end such lives
//! seem to free again. So next to each surplus free of a site that also ends lives, this looks for ends by
//! somebody who hardly ever ends lives of that kind.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::label::Label;
use super::label::Labeller;
use super::model::Counts;
use super::model::Model;
use super::problem::Problem;
use super::problem::Token;

/// How many tokens before and after a surplus free count as next to it.
const NEAR: usize = 8;

/// For each group whose surplus frees have somebody next to them who could be the one, the groups that could have
/// all of its part: none where it would have to be several.
pub(super) fn rivals(
    problem: &Problem,
    counts: &Counts,
    model: &Model,
) -> BTreeMap<u32, BTreeSet<u32>> {
    let ended = |a: u32, f: u32| counts.ended[a as usize * problem.frees + f as usize];
    let mut hits_with_rivals: BTreeMap<u32, f64> = BTreeMap::new();
    let mut near: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    let mut labeller = Labeller::new(problem, model);
    for pattern in &problem.patterns {
        let tokens = &pattern.tokens;
        let labels = labeller.label(&pattern.context, tokens);
        let weight = pattern.weight;
        let mut lives = pattern.context.len();
        for (index, (&token, &label)) in tokens.iter().zip(&labels).enumerate() {
            lives += usize::from(matches!(token, Token::Allocate(_)));
            let (Token::Free(accused), Label::Surplus) = (token, label) else {
                continue;
            };
            // Nobody else has ever held an address in its first life.
            if lives == 1 {
                continue;
            }
            let around = index.saturating_sub(NEAR)..tokens.len().min(index + NEAR + 1);
            let unusual: BTreeSet<u32> = tokens[around.clone()]
                .iter()
                .zip(&labels[around])
                .filter_map(|(&token, &label)| match (token, label) {
                    (Token::Free(other), Label::Ends(a)) if other != accused => {
                        (2.0 * ended(a, other) <= ended(a, accused)).then_some(other)
                    }
                    _ => None,
                })
                .collect();
            if !unusual.is_empty() {
                *hits_with_rivals.entry(accused).or_default() += weight;
            }
            for other in unusual {
                *near.entry((accused, other)).or_default() += weight;
            }
        }
    }
    let mut rivals: BTreeMap<u32, BTreeSet<u32>> = hits_with_rivals
        .iter()
        .filter(|&(&accused, &hits)| hits >= 0.5 * counts.surplus[accused as usize])
        .filter(|&(&accused, _)| is_mixed(counts, accused))
        .map(|(&accused, _)| (accused, BTreeSet::new()))
        .collect();
    for (&(accused, other), &count) in &near {
        // Somebody whose ends lie mostly elsewhere is there by chance.
        let surplus = counts.surplus[accused as usize];
        let belongs_there = count >= 0.3 * counts.ended_by(other) && count >= 0.2 * surplus;
        if let (true, Some(rivals)) = (belongs_there, rivals.get_mut(&accused)) {
            rivals.insert(other);
        }
    }
    rivals
}

/// Whether a group ends lives about as often as it frees again, or more often.
pub(super) fn is_mixed(counts: &Counts, accused: u32) -> bool {
    counts.ended_by(accused) >= 0.5 * counts.surplus[accused as usize]
}
