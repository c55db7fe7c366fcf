//! Who of the one run is who of the other.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::Fingerprint;
use super::sides::Group;
use super::stable_name::stable_name;

/// A call site in one run or in both.
#[derive(Debug)]
pub(super) enum Pair {
    Before(Group),
    Both { before: Group, after: Group },
    After(Group),
}

/// Pairs by fingerprint alone.
pub(super) fn by_fingerprint(before: Vec<Group>, after: Vec<Group>) -> Vec<Pair> {
    let mut after: BTreeMap<Fingerprint, Group> = after
        .into_iter()
        .map(|group| (group.fingerprint, group))
        .collect();
    let mut pairs: Vec<Pair> = before
        .into_iter()
        .map(|before| match after.remove(&before.fingerprint) {
            Some(after) => Pair::Both { before, after },
            None => Pair::Before(before),
        })
        .collect();
    pairs.extend(after.into_values().map(Pair::After));
    pairs
}

/// Pairs by fingerprint, and those that are left by what else makes two names one culprit: which frame of a stack
/// names it depends on everything else in a run, too.
pub(super) fn of_culprits(before: Vec<Group>, after: Vec<Group>) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut gone: Vec<Group> = Vec::new();
    let mut new: Vec<Group> = Vec::new();
    for pair in by_fingerprint(before, after) {
        match pair {
            Pair::Before(group) => gone.push(group),
            Pair::After(group) => new.push(group),
            Pair::Both { .. } => pairs.push(pair),
        }
    }
    gone.sort_by_key(|group| (Reverse(group.count), group.fingerprint));
    new.sort_by_key(|group| (Reverse(group.count), group.fingerprint));
    for before in gone {
        let partner = new.iter().position(|after| is_same(&before, after));
        pairs.push(match partner {
            Some(at) => Pair::Both {
                before,
                after: new.remove(at),
            },
            None => Pair::Before(before),
        });
    }
    pairs.extend(new.into_iter().map(Pair::After));
    pairs
}

/// Whether two culprits of different names are the same one all the same.
fn is_same(before: &Group, after: &Group) -> bool {
    before.suspects.contains(&after.fingerprint)
        || after.suspects.contains(&before.fingerprint)
        || is_same_function(before, after)
        || before.chains.iter().any(|first| {
            let mut others = after.chains.iter();
            others.any(|second| meet(first, second, [before.fingerprint, after.fingerprint]))
        })
}

/// One function, of which only one of the runs knew the source file.
fn is_same_function(before: &Group, after: &Group) -> bool {
    let (first, second) = (&before.site.frame, &after.site.frame);
    match (&first.function, &second.function) {
        (Some(one), Some(other)) => {
            first.file.is_some() != second.file.is_some()
                && first.language == second.language
                && stable_name(one, first.language) == stable_name(other, second.language)
        }
        _ => false,
    }
}

/// Whether both stacks come to the allocator on the same way, from the outer of the two names on. That they share
/// an outer function says nothing: everything is called by `main`.
fn meet(first: &[Fingerprint], second: &[Fingerprint], names: [Fingerprint; 2]) -> bool {
    let shared = first.iter().zip(second).take_while(|(a, b)| a == b).count();
    names.iter().all(|name| first[..shared].contains(name))
}
