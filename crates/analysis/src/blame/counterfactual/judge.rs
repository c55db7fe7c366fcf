//! Which accusations of a solution are spoken out. To name an innocent is the worst failure: whatever is thin is
//! left unexplained, and where the log fits two stories both are told.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::chains::Chains;
use super::chains::chains;
use super::fit::Solution;
use super::innocence;
use super::model::Counts;
use super::problem::Problem;
use super::rivals::is_mixed;
use super::rivals::rivals;

/// A site that is mostly right needs this many surplus frees to be named at all,
const FEW_OF_MIXED: f64 = 5.0;
/// this many where its stacks differ further out, since it may then be a helper of several,
const FEW_OF_SEVERAL: f64 = 100.0;
/// and this many where somebody else could have done each of them.
const FEW: f64 = 20.0;

/// So few surplus frees, for each of another, may be no more than its traces: where it is not known who that other one
/// is,
const BESIDE_OPEN: f64 = 0.5;
/// where it is,
const BESIDE_SURE: f64 = 0.15;
/// and where it is not known whose the few are.
const BESIDE_ANY: f64 = 0.25;
/// So many nats for each of fewer than twice another's the description has to be longer without them.
const WEAK: f64 = 3.5;

/// A site that ends more lives than this, for each surplus free, is a site that is also right.
const OTHERWISE_RIGHT: f64 = 0.25;

/// With more alternatives than these an accusation says nothing.
const MOST_OTHERS: usize = 3;

/// What is said of an accused group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sentence {
    /// It did it.
    Guilty,
    /// It did, or these did.
    Either(Vec<u32>),
    /// Nothing.
    Silent,
}

/// Judges every group with surplus frees.
pub(super) fn judge(problem: &Problem, solution: &Solution) -> Vec<(u32, Sentence)> {
    let counts = &solution.fit.counts;
    let rivals = rivals(problem, counts, &solution.fit.model);
    let chains = chains(problem, solution);
    let mut sentences: Vec<(u32, Sentence)> = counts
        .culprits()
        .into_iter()
        .map(|accused| {
            let mut either = solution.either.iter();
            let instead = either.find(|(f, _)| *f == accused);
            let instead = instead.map(|(_, instead)| instead.as_slice());
            let sentence = sentence(problem, counts, accused, instead, rivals.get(&accused));
            match chains.get(&accused) {
                Some(chains) => (accused, review(counts, sentence, chains, accused)),
                None => (accused, sentence),
            }
        })
        .collect();
    spare_beside_others(problem, solution, &mut sentences);
    sentences
}

/// What is to be said of an accused before everybody near it is heard: `instead` of it others may have done it, and it
/// has these `rivals`, or too many of them where there are none.
fn sentence(
    problem: &Problem,
    counts: &Counts,
    accused: u32,
    instead: Option<&[u32]>,
    rivals: Option<&BTreeSet<u32>>,
) -> Sentence {
    if could_be_loss(problem, counts, accused) || could_be_older(problem, counts, accused) {
        return Sentence::Silent;
    }
    if let Some(sentence) = enders_in_first_lives(counts, accused) {
        return sentence;
    }
    if is_thin(problem, counts, accused) {
        return Sentence::Silent;
    }
    if let Some(instead) = instead {
        return Sentence::Either(instead.to_vec());
    }
    let mut others = interchangeable(counts, accused);
    match confined(problem, counts, accused) {
        Some(enders) if enders.len() > MOST_OTHERS => return Sentence::Silent,
        Some(enders) => others.extend(enders),
        None => {}
    }
    if let Some(rivals) = rivals {
        if rivals.is_empty() && counts.surplus[accused as usize] < FEW {
            return Sentence::Silent;
        }
        others.extend(rivals);
    }
    if others.is_empty() {
        Sentence::Guilty
    } else {
        Sentence::Either(others.into_iter().collect())
    }
}

/// Takes back what is said of sites that are otherwise right and have few surplus frees beside those of another: that
/// one may have left the traces that look like theirs, above all if nobody knows who it is.
fn spare_beside_others(problem: &Problem, solution: &Solution, sentences: &mut [(u32, Sentence)]) {
    let counts = &solution.fit.counts;
    let surplus = |accused: u32| counts.surplus[accused as usize];
    let said: Vec<u32> = { sentences.iter() }
        .filter(|(_, sentence)| *sentence != Sentence::Silent)
        .map(|&(accused, _)| accused)
        .collect();
    let others = |accused: u32| {
        let others = said.iter().filter(|&&other| other != accused);
        others.map(|&other| surplus(other)).fold(0.0, f64::max)
    };
    let (mut open, mut sure) = (0.0, 0.0);
    for (accused, sentence) in sentences.iter() {
        let most = match sentence {
            Sentence::Guilty => &mut sure,
            Sentence::Either(_) => &mut open,
            Sentence::Silent => continue,
        };
        *most = surplus(*accused).max(*most);
    }
    for (accused, sentence) in sentences {
        let costs = || innocence::costs(problem, solution, &BTreeSet::from([*accused]));
        let beside = Beside {
            open,
            sure,
            other: others(*accused),
        };
        let is_little = beside.is_little(sentence, surplus(*accused), costs);
        // In an address's first life nobody else can have been it, however little there is.
        let is_certain = || enders_in_first_lives(counts, *accused).is_some();
        if is_little && is_otherwise_right(counts, *accused) && !is_certain() {
            *sentence = Sentence::Silent;
        }
    }
}

/// The most surplus frees of one that has some beside an accused: of those of whom it is not sure that they did it, of
/// those of whom it is, and of any other.
#[derive(Clone, Copy, Debug)]
struct Beside {
    open: f64,
    sure: f64,
    other: f64,
}

impl Beside {
    /// Whether so many surplus frees may be no more than traces of theirs; `costs` is what the description gets longer
    /// by without them.
    fn is_little(self, sentence: &Sentence, surplus: f64, costs: impl FnOnce() -> f64) -> bool {
        let Self { open, sure, other } = self;
        match sentence {
            Sentence::Guilty => {
                surplus < f64::max(BESIDE_OPEN * open, BESIDE_SURE * sure)
                    || surplus < 2.0 * other && costs() < WEAK * surplus
            }
            Sentence::Either(_) => surplus < BESIDE_ANY * f64::max(open, sure),
            Sentence::Silent => false,
        }
    }
}

/// What is left of a sentence when everybody else who could have done it is heard.
fn review(counts: &Counts, sentence: Sentence, chains: &Chains, accused: u32) -> Sentence {
    if sentence == Sentence::Silent || is_odd_one(counts, chains, accused) {
        return sentence;
    }
    if chains.are_of(accused, is_otherwise_right(counts, accused)) {
        return sentence;
    }
    let mut others = chains.others(accused);
    if let Sentence::Either(instead) = sentence {
        others.extend(instead);
    }
    if others.is_empty() || others.len() > MOST_OTHERS {
        Sentence::Silent
    } else {
        Sentence::Either(others.into_iter().collect())
    }
}

/// Whether the accused seldom ends a life, and what it frees was freed or is freed by many: without it, each of them
/// would have to be wrong just where it appears.
fn is_odd_one(counts: &Counts, chains: &Chains, accused: u32) -> bool {
    let surplus = counts.surplus[accused as usize];
    if surplus < FEW_OF_MIXED || is_otherwise_right(counts, accused) {
        return false;
    }
    let live = live_hits(counts, accused);
    let hit_then_ended = counts.hit_then_ended.iter();
    let of_one = hit_then_ended
        .filter(|((hitter, ender), _)| *hitter == accused && *ender != accused)
        .map(|(_, &count)| count)
        .fold(0.0, f64::max);
    let strikes_many = live > 0.5 * surplus && of_one < 0.9 * live;
    chains.after_usual() >= 0.5 * surplus || strikes_many && !chains.are_of_one_other(accused)
}

/// How many of a group's surplus frees took a life that was open.
fn live_hits(counts: &Counts, accused: u32) -> f64 {
    let hits = counts.hit_life.iter().filter(|((f, _), _)| *f == accused);
    hits.map(|(_, count)| count).sum()
}

/// Who else it can have been where a group only ever frees what is open, and only what comes from a few places: then
/// it may be the one that frees too early there, and those who come after it free again. `None` where what it strikes
/// is a matter of chance.
fn confined(problem: &Problem, counts: &Counts, accused: u32) -> Option<BTreeSet<u32>> {
    let surplus = counts.surplus[accused as usize];
    let live = live_hits(counts, accused);
    if live < 0.9 * surplus {
        return None;
    }
    let lives: f64 = problem.allocations.iter().sum();
    let mut struck: Vec<(f64, f64)> = (0..problem.allocs)
        .filter_map(|a| {
            let hits = *counts.hit_life.get(&(accused, a as u32))?;
            Some((hits, problem.allocations[a] / lives.max(1.0)))
        })
        .collect();
    let seldom_twice = struck.len() >= 4 && struck.len() as f64 >= 0.5 * live;
    // The places that are struck most for what lives there, until they have most of the hits.
    struck.sort_by(|a, b| (b.0 * a.1).total_cmp(&(a.0 * b.1)));
    let (mut hits, mut share) = (0.0, 0.0);
    for (of_hits, of_lives) in struck {
        if hits >= 0.8 * live {
            break;
        }
        hits += of_hits;
        share += of_lives;
    }
    let comes_early = comes_early(counts, accused);
    if !comes_early && (share >= 0.35 || seldom_twice) {
        return None;
    }
    let enders = counts.hit_then_ended.iter();
    let enders = enders
        .filter(|&(&(f, ender), _)| f == accused && ender != accused)
        .filter(|(_, count)| **count >= 0.1 * live)
        .map(|(&(_, ender), _)| ender);
    Some(enders.collect())
}

/// Whether a group ends first lives of an address that others usually end. Nobody can have held the address before, so
/// these frees are not stale, and the others may be like them.
fn comes_early(counts: &Counts, accused: u32) -> bool {
    let frees = counts.surplus.len();
    counts.ended_first.iter().any(|(&(a, f), _)| {
        let row = &counts.ended[a as usize * frees..][..frees];
        f == accused && row[f as usize] < 0.2 * row.iter().sum::<f64>()
    })
}

/// Whether lost events alone would make as many of this group's frees look surplus.
fn could_be_loss(problem: &Problem, counts: &Counts, accused: u32) -> bool {
    let surplus = counts.surplus[accused as usize];
    if problem.drop_rate == 0.0 {
        return false;
    }
    if surplus <= problem.unjudged {
        return true;
    }
    let expected = problem.drop_rate * problem.traffic[accused as usize];
    let mut term = (-expected).exp();
    let mut below = 0.0;
    for k in 0..surplus as u64 {
        below += term;
        term *= expected / (k as f64 + 1.0);
    }
    surplus < 3.0 || 1.0 - below > 1e-4 / problem.frees as f64
}

/// Whether buffers that the record knows nothing of would make this group's frees look surplus: those from before the
/// tracking, whose holders are mostly right otherwise, or those from a path that is not hooked, which always come
/// from the same place.
fn could_be_older(problem: &Problem, counts: &Counts, accused: u32) -> bool {
    let unknown = problem.unknown[accused as usize];
    let surplus = counts.surplus[accused as usize];
    if problem.is_late {
        return is_otherwise_right(counts, accused) || unknown > 0.1 * surplus;
    }
    // What has a buffer of its own at an address never strikes there.
    unknown > 0.02 * surplus || unknown > 0.0 && live_hits(counts, accused) < 0.1 * surplus
}

/// Where every surplus free came right after the end of an address's first life, nobody else can have held the
/// address: it was freed again by this group, or too early by the one before.
fn enders_in_first_lives(counts: &Counts, accused: u32) -> Option<Sentence> {
    let surplus = counts.surplus[accused as usize];
    let enders: Vec<(u32, f64)> = counts
        .after_end_in_first_life
        .iter()
        .filter(|((_, free), _)| *free == accused)
        .map(|((ender, _), &count)| (*ender, count))
        .collect();
    let all: f64 = enders.iter().map(|ender| ender.1).sum();
    if all < surplus {
        return None;
    }
    if surplus < 3.0 {
        // Both ends of the one case, where there is just one.
        let other = enders.first().map(|ender| ender.0);
        return Some(match (enders.len(), other) {
            (1, Some(other)) if other == accused => Sentence::Guilty,
            (1, Some(other)) => Sentence::Either(vec![other]),
            _ => Sentence::Silent,
        });
    }
    let others: Vec<u32> = enders
        .iter()
        .map(|ender| ender.0)
        .filter(|&ender| ender != accused)
        .filter(|&ender| {
            never_ends_alone(counts, ender) || always_after(counts, accused) == Some(ender)
        })
        .collect();
    if others.is_empty() {
        Some(Sentence::Guilty)
    } else if others.len() <= MOST_OTHERS {
        Some(Sentence::Either(others))
    } else {
        Some(Sentence::Silent)
    }
}

/// Whether what `ender` ends is nearly always freed again: then it may be the one that comes too early.
fn never_ends_alone(counts: &Counts, ender: u32) -> bool {
    let after = counts.after_end.iter();
    let followed: f64 = after
        .filter(|((e, f), _)| *e == ender && *f != ender)
        .map(|(_, count)| count)
        .sum();
    let ended = counts.ended_by(ender);
    // At whose life a surplus free aims is a guess; and who does nothing but free again comes after many.
    let again = counts.freed_again.iter();
    let by_the_mixed: f64 = again
        .filter(|((e, f), _)| *e == ender && *f != ender && is_otherwise_right(counts, *f))
        .map(|(_, count)| count)
        .sum();
    followed >= 0.8 * ended || by_the_mixed >= 0.5 * ended
}

/// Whether a group also ends lives, as often as that it is no odd one out.
fn is_otherwise_right(counts: &Counts, accused: u32) -> bool {
    counts.ended_by(accused) > OTHERWISE_RIGHT * counts.surplus[accused as usize]
}

/// The enders of which each may be the one that comes too early, when the accused frees again what they freed.
fn too_early(counts: &Counts, accused: u32) -> BTreeSet<u32> {
    let surplus = counts.surplus[accused as usize];
    let mut early: BTreeMap<u32, f64> = BTreeMap::new();
    for by in [&counts.after_end, &counts.freed_again] {
        for (&(ender, after), &count) in by {
            if after == accused && ender != accused && never_ends_alone(counts, ender) {
                let most = early.entry(ender).or_default();
                *most = most.max(count);
            }
        }
    }
    if early.values().sum::<f64>() < 0.5 * surplus {
        return BTreeSet::new();
    }
    early.retain(|_, count| *count >= 0.03 * surplus);
    early.into_keys().collect()
}

/// The one after whose frees nearly all surplus frees of the accused come at once: there the accused may be right,
/// and the other wrong, however right it is elsewhere. Not where the accused frees several times in a row: then it
/// is wrong in any case.
fn always_after(counts: &Counts, accused: u32) -> Option<u32> {
    if counts.repeated[accused as usize] >= 3.0 {
        return None;
    }
    let surplus = counts.surplus[accused as usize];
    let after = counts.after_end.iter().filter(|((_, f), _)| *f == accused);
    let (&(ender, _), &count) = after.max_by(|a, b| a.1.total_cmp(b.1))?;
    (ender != accused && count >= 0.9 * surplus).then_some(ender)
}

/// Whether too little stands behind an accusation.
fn is_thin(problem: &Problem, counts: &Counts, accused: u32) -> bool {
    let surplus = counts.surplus[accused as usize];
    let clean = counts.clean[accused as usize];
    let traffic = problem.traffic[accused as usize];
    let is_mixed = is_mixed(counts, accused);
    let is_crowded = (is_mixed || surplus < 0.6 * traffic) && clean < 0.4 * surplus;
    let is_rare = surplus < 0.05 * traffic && clean < 2.0;
    let is_several = problem.chains[accused as usize].len() > 1;
    let few = if is_several {
        FEW_OF_SEVERAL
    } else {
        FEW_OF_MIXED
    };
    surplus < 3.0 || is_mixed && surplus < few || is_crowded || is_rare
}

/// The groups whose part in the story could be exchanged with the accused's.
fn interchangeable(counts: &Counts, accused: u32) -> BTreeSet<u32> {
    let surplus = counts.surplus[accused as usize];
    let frees = counts.surplus.len();
    let mut others = BTreeSet::new();
    for (&(hitter, ender), &count) in &counts.hit_then_ended {
        if hitter == accused && count >= 0.9 * surplus {
            others.insert(ender);
        }
    }
    for (&(hitter, struck), &count) in &counts.hit_life {
        if hitter == accused && count >= 0.9 * surplus {
            let row = &counts.ended[struck as usize * frees..][..frees];
            let lives: f64 = row.iter().sum();
            others.extend(
                (0..frees)
                    .filter(|&f| row[f] > 0.0 && row[f] >= 0.03 * lives)
                    .map(|f| f as u32),
            );
        }
    }
    others.extend(too_early(counts, accused));
    others.extend(always_after(counts, accused));
    others.remove(&accused);
    others
}
