//! Who else can have done it, chain by chain: the check that keeps an accusation from naming an innocent.
//!
//! A description is short, not true: where a stale free always strikes the same buffers, the story in which their
//! owners free twice can be the shorter one. So every excess free is looked at on its own. Its *chain* goes back
//! to the last life that surely ended as such lives do; within it, every free that could be the one too many is a
//! suspect. How lives end is taken from where nothing is wrong, far from any excess free, not from the fit.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Range;

use super::fit::Solution;
use super::label::Label;
use super::label::Labeller;
use super::problem::Problem;
use super::problem::Token;

/// Lives that end so shortly before an excess free, in segments, tell nothing about how lives end.
const TROUBLED: usize = 3;
/// How many segments a chain goes back at most.
const MOST_SEGMENTS: usize = 6;
/// In a longer chain everybody is a suspect.
const MOST_TOKENS: usize = 28;
/// What a life ended by an unusual site costs a story, where life and site are both known,
const UNUSUAL: f64 = 4.0;
/// and where they are not.
const UNKNOWN: f64 = 1.0;
/// What a life costs that goes on over the next allocate.
const PASSED: f64 = 0.25;
/// What a free costs that takes an address's first life from its holder.
const PREMATURE: f64 = 1.5;
/// A story that costs so much more than the best is not the true one.
const SUSPECT: f64 = 1.9;
/// The same for a free that ends a life as usual,
const SUSPECT_OF_USUAL: f64 = 0.9;
/// A chain with more suspects tells little.
const TELLING: usize = 3;
/// Of so many chains some should have no other suspect.
const DOUBTFUL: f64 = 30.0;
/// How often a thing is seen until it is known.
const KNOWN: f64 = 5.0;

/// The chains that end in excess frees which an accused explains.
#[derive(Clone, Debug, Default)]
pub(super) struct Chains {
    /// Surplus frees right after a life that ended as such lives do.
    after_usual: f64,
    /// Suspects, and how many chains have these.
    suspects: BTreeMap<BTreeSet<u32>, f64>,
    all: f64,
    /// Chains that are told better with the accused as a rightful owner.
    better_without: f64,
}

impl Chains {
    /// Long chains in which nearly everybody is a suspect tell nothing; they count only where there are no others.
    fn new(of: Vec<(Suspects, f64)>) -> Self {
        let all: f64 = of.iter().map(|(_, weight)| weight).sum();
        let is_telling = |suspects: &Suspects| suspects.groups.len() <= TELLING;
        let telling: f64 = of
            .iter()
            .filter(|(suspects, _)| is_telling(suspects))
            .map(|(_, weight)| weight)
            .sum();
        let enough = telling >= f64::max(3.0, 0.1 * all);
        let mut chains = Self::default();
        for (suspects, weight) in of {
            if enough && !is_telling(&suspects) {
                continue;
            }
            chains.all += weight;
            if suspects.better_without {
                chains.better_without += weight;
            }
            *chains.suspects.entry(suspects.groups).or_default() += weight;
        }
        chains
    }

    /// Whether nobody else is needed to explain any of it, and nobody else could. Who is `otherwise_right` is a suspect
    /// wherever it frees: where nearly always somebody else is one too, two others need not do for all of it.
    pub(super) fn are_of(&self, accused: u32, otherwise_right: bool) -> bool {
        if self.all == 0.0 {
            return true;
        }
        let alone: f64 = self
            .suspects
            .iter()
            .filter(|(suspects, _)| suspects.len() == 1 && suspects.contains(&accused))
            .map(|(_, weight)| weight)
            .sum();
        if alone >= f64::max(3.0, 0.1 * self.all) {
            return true;
        }
        let is_doubtful = otherwise_right && self.all >= DOUBTFUL && alone < 0.06 * self.all;
        let most = if is_doubtful { 0.6 } else { 0.9 };
        self.better_without <= 0.1 * self.all && self.hit_by(2, accused) < most * self.all
    }

    /// How many surplus frees came when nothing was open, after a life that ended as such lives do.
    pub(super) fn after_usual(&self) -> f64 {
        self.after_usual
    }

    /// Whether there is another who could have done nearly all of it.
    pub(super) fn are_of_one_other(&self, accused: u32) -> bool {
        self.all >= KNOWN && self.hit_by(1, accused) >= 0.9 * self.all
    }

    /// How many chains have one of the `most` others that most chains have.
    fn hit_by(&self, most: usize, accused: u32) -> f64 {
        let mut left: Vec<(&BTreeSet<u32>, f64)> =
            self.suspects.iter().map(|(s, &w)| (s, w)).collect();
        let mut hit = 0.0;
        for _ in 0..most {
            let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
            for (suspects, weight) in &left {
                for &suspect in suspects.iter().filter(|&&suspect| suspect != accused) {
                    *counts.entry(suspect).or_default() += weight;
                }
            }
            let Some((often, count)) = counts
                .into_iter()
                .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
            else {
                break;
            };
            hit += count;
            left.retain(|(suspects, _)| !suspects.contains(&often));
        }
        hit
    }

    /// Everybody else who could have done a part of it that is worth a word.
    pub(super) fn others(&self, accused: u32) -> BTreeSet<u32> {
        let mut counts: BTreeMap<u32, f64> = BTreeMap::new();
        for (suspects, weight) in &self.suspects {
            for &suspect in suspects.iter().filter(|&&suspect| suspect != accused) {
                *counts.entry(suspect).or_default() += weight;
            }
        }
        let enough = 0.03 * self.all;
        counts.retain(|_, count| *count >= enough);
        counts.into_keys().collect()
    }
}

/// The chains of everybody with surplus frees.
pub(super) fn chains(problem: &Problem, solution: &Solution) -> BTreeMap<u32, Chains> {
    let usual = Usual::new(problem);
    let mut chains: BTreeMap<u32, Vec<(Suspects, f64)>> = BTreeMap::new();
    let mut labeller = Labeller::new(problem, &solution.fit.model);
    let mut after_usual: BTreeMap<u32, f64> = BTreeMap::new();
    for pattern in &problem.patterns {
        let tokens = &pattern.tokens;
        let segments = segments(tokens);
        if !segments.iter().any(|segment| segment.has_excess) {
            continue;
        }
        let weight = pattern.weight;
        let is_start = pattern.context.is_empty();
        let labels = labeller.label(&pattern.context, tokens);
        for free in surplus_after_usual(tokens, &labels, &usual) {
            *after_usual.entry(free).or_default() += weight;
        }
        for (excess, by) in charges(tokens, &labels) {
            let Token::Free(accused) = tokens[by] else {
                continue;
            };
            let chain = chain(&segments, &usual, excess, by);
            let is_usual = |token: usize| {
                let at = segments.partition_point(|segment| segment.tokens.start <= token);
                let segment = at.checked_sub(1).and_then(|at| segments.get(at));
                token != by && segment.is_some_and(|segment| usual.has(segment.ordinary))
            };
            let is_start = is_start && chain.start == 0;
            let of = suspects(&tokens[chain.clone()], is_start, &usual, accused, |token| {
                is_usual(chain.start + token)
            });
            let entry = chains.entry(accused).or_default();
            entry.push((of, weight));
        }
    }
    let only_telling = |(accused, of)| {
        let after_usual = after_usual.get(&accused).copied().unwrap_or(0.0);
        let chains = Chains {
            after_usual,
            ..Chains::new(of)
        };
        (accused, chains)
    };
    chains.into_iter().map(only_telling).collect()
}

/// The groups of surplus frees that came when nothing was open, after a life that ended as usual, one by one.
fn surplus_after_usual(tokens: &[Token], labels: &[Label], usual: &Usual) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = 0_usize;
    let mut ended_as_usual = false;
    for (&token, &label) in tokens.iter().zip(labels) {
        match (token, label) {
            (Token::Allocate(_), _) => open += 1,
            (Token::Reset, _) => {
                open = 0;
                ended_as_usual = false;
            }
            (Token::Free(f), Label::Ends(a)) => {
                open = open.saturating_sub(1);
                ended_as_usual = usual.cost(a, f) == 0.0;
            }
            (Token::Free(f), Label::Surplus) if open == 0 && ended_as_usual => found.push(f),
            _ => {}
        }
    }
    found
}

/// The excess frees of a labelled row, by count, each with the surplus free that is charged with it.
fn charges(tokens: &[Token], labels: &[Label]) -> Vec<(usize, usize)> {
    let mut charges = Vec::new();
    let mut open = 0_usize;
    let mut debts: VecDeque<Option<usize>> = VecDeque::new();
    for (index, (&token, &label)) in tokens.iter().zip(labels).enumerate() {
        match token {
            Token::Allocate(_) => open += 1,
            Token::Reset => {
                open = 0;
                debts.clear();
            }
            Token::Free(_) => {
                let is_excess = open == 0;
                open = open.saturating_sub(1);
                let ends_life = matches!(label, Label::Ends(_));
                let culprit = (label == Label::Surplus).then_some(index);
                let by = match (is_excess, ends_life) {
                    (false, true) => continue,
                    (false, false) => {
                        debts.push_back(culprit);
                        continue;
                    }
                    (true, true) => debts.pop_front().flatten(),
                    (true, false) => culprit,
                };
                charges.extend(by.map(|by| (index, by)));
            }
        }
    }
    charges
}

/// A stretch of an address between two moments at which, by count, nothing is open.
#[derive(Clone, Debug)]
struct Segment {
    tokens: Range<usize>,
    /// It is one life and its free.
    ordinary: Option<(u32, u32)>,
    has_excess: bool,
    /// Nothing of what was before goes on in it.
    after_reset: bool,
}

fn segments(tokens: &[Token]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut open = 0_usize;
    let mut after_reset = false;
    for (index, &token) in tokens.iter().enumerate() {
        match token {
            Token::Reset => {
                open = 0;
                after_reset = true;
                continue;
            }
            Token::Allocate(_) if open == 0 => segments.push(Segment {
                tokens: index..index,
                ordinary: None,
                has_excess: false,
                after_reset: std::mem::take(&mut after_reset),
            }),
            _ => {}
        }
        let Some(segment) = segments.last_mut() else {
            continue;
        };
        segment.tokens.end = index + 1;
        match token {
            Token::Allocate(_) => open += 1,
            _ => {
                segment.has_excess |= open == 0;
                open = open.saturating_sub(1);
            }
        }
    }
    for segment in &mut segments {
        if let &[Token::Allocate(a), Token::Free(f)] = &tokens[segment.tokens.clone()] {
            segment.ordinary = Some((a, f));
        }
    }
    segments
}

/// How lives end where nothing is wrong.
#[derive(Debug, Default)]
struct Usual {
    ended: BTreeMap<(u32, u32), f64>,
    lives: BTreeMap<u32, f64>,
    frees: BTreeMap<u32, f64>,
}

impl Usual {
    fn new(problem: &Problem) -> Self {
        let mut usual = Self::default();
        for pattern in &problem.patterns {
            let weight = pattern.weight;
            let segments = segments(&pattern.tokens);
            for (index, segment) in segments.iter().enumerate() {
                let Some((a, f)) = segment.ordinary else {
                    continue;
                };
                let mut next = segments[index + 1..].iter().take(TROUBLED);
                if next.any(|next| next.has_excess) {
                    continue;
                }
                *usual.ended.entry((a, f)).or_default() += weight;
                *usual.lives.entry(a).or_default() += weight;
                *usual.frees.entry(f).or_default() += weight;
            }
        }
        usual
    }

    fn has(&self, ordinary: Option<(u32, u32)>) -> bool {
        ordinary.is_some_and(|(a, f)| self.cost(a, f) == 0.0)
    }

    /// What it costs a story that `f` ends a life of `a`.
    fn cost(&self, a: u32, f: u32) -> f64 {
        let lives = self.lives.get(&a).copied().unwrap_or(0.0);
        let frees = self.frees.get(&f).copied().unwrap_or(0.0);
        let ended = self.ended.get(&(a, f)).copied().unwrap_or(0.0);
        if ended >= f64::max(2.0, 0.03 * lives) {
            0.0
        } else if ended == 0.0 && lives >= KNOWN && frees >= KNOWN {
            UNUSUAL
        } else {
            UNKNOWN
        }
    }
}

/// The tokens of the chain that ends with the excess free, the surplus free charged with it in any case among them.
fn chain(segments: &[Segment], usual: &Usual, excess: usize, by: usize) -> Range<usize> {
    let at = segments
        .partition_point(|segment| segment.tokens.start <= excess)
        .saturating_sub(1);
    let mut first = at;
    let mut trusted = 0;
    while first > 0 && !segments[first].after_reset && at - first < MOST_SEGMENTS {
        let before = &segments[first - 1];
        if before.has_excess {
            break;
        }
        if usual.has(before.ordinary) {
            trusted += 1;
            if trusted > TRUSTED_IN_CHAIN {
                break;
            }
        }
        first -= 1;
    }
    while first > 0 && segments[first].tokens.start > by {
        first -= 1;
    }
    segments
        .get(first)
        .map_or(by, |segment| segment.tokens.start)..excess + 1
}

/// How many lives that ended as usual are looked through: a stale free can strike what its site frees rightly.
const TRUSTED_IN_CHAIN: usize = 1;

struct Suspects {
    groups: BTreeSet<u32>,
    better_without: bool,
}

/// Who can have freed once too often in a chain; `is_start` if nothing has lived there before.
fn suspects(
    tokens: &[Token],
    is_start: bool,
    usual: &Usual,
    accused: u32,
    is_usual: impl Fn(usize) -> bool,
) -> Suspects {
    let (mut frees, mut most) = (Vec::new(), Vec::new());
    for (index, &token) in tokens.iter().enumerate() {
        if let Token::Free(f) = token {
            frees.push(f);
            most.push(if is_usual(index) {
                SUSPECT_OF_USUAL
            } else {
                SUSPECT
            });
        }
    }
    let is_short = tokens.len() <= MOST_TOKENS && !tokens.contains(&Token::Reset);
    let costs = |premature: f64| {
        if is_short {
            surplus_costs(tokens, &frees, premature, usual)
        } else {
            vec![0.0; frees.len()]
        }
    };
    // Without anything that was freed before, a surplus free can only have come too early.
    let early = if is_start {
        costs(PREMATURE)
    } else {
        Vec::new()
    };
    let costs = costs(if is_start { f64::INFINITY } else { 0.0 });
    let least = |of: &dyn Fn(u32) -> bool| {
        costs
            .iter()
            .zip(&frees)
            .filter(|&(_, &f)| of(f))
            .map(|(&cost, _)| cost)
            .fold(f64::INFINITY, f64::min)
    };
    let best = least(&|_| true);
    let is_suspect = |index: &usize| {
        let cost = early.get(*index).unwrap_or(&costs[*index]);
        cost.min(costs[*index]) < best + most[*index] || best.is_infinite()
    };
    let groups = (0..frees.len())
        .filter(is_suspect)
        .map(|index| frees[index])
        .collect();
    Suspects {
        groups,
        better_without: least(&|f| f != accused) + 0.5 < least(&|f| f == accused),
    }
}

/// The stories of a chain with the same lives open and as many surplus frees to come.
struct Stories {
    open: Vec<u32>,
    left: usize,
    /// The cheapest, and the cheapest of those in which a given free is surplus.
    any: f64,
    with: Vec<f64>,
}

/// For each free of a chain, the cost of the cheapest story in which it is surplus; `premature` is that of a surplus
/// free before anything has ended.
fn surplus_costs(tokens: &[Token], frees: &[u32], premature: f64, usual: &Usual) -> Vec<f64> {
    let lives = tokens.len() - frees.len();
    let mut stories = vec![Stories {
        open: Vec::new(),
        left: frees.len().saturating_sub(lives),
        any: 0.0,
        with: vec![f64::INFINITY; frees.len()],
    }];
    let (mut begun, mut freed) = (0, 0);
    for &token in tokens {
        let mut next: Vec<Stories> = Vec::new();
        for story in stories {
            match token {
                Token::Allocate(a) => {
                    let passed = PASSED * story.open.len() as f64;
                    let mut open = story.open.clone();
                    open.push(a);
                    open.sort_unstable();
                    story.go_on(&mut next, open, passed, None);
                }
                Token::Free(f) => {
                    for at in 0..story.open.len() {
                        let mut open = story.open.clone();
                        let a = open.remove(at);
                        story.go_on(&mut next, open, usual.cost(a, f), None);
                    }
                    let any_ended = begun > story.open.len();
                    let cost = if any_ended { 0.0 } else { premature };
                    if story.left > 0 && cost.is_finite() {
                        story.go_on(&mut next, story.open.clone(), cost, Some(freed));
                    }
                }
                Token::Reset => {}
            }
        }
        match token {
            Token::Allocate(_) => begun += 1,
            _ => freed += 1,
        }
        stories = next;
    }
    let mut costs = vec![f64::INFINITY; frees.len()];
    for story in stories {
        for (cost, with) in costs.iter_mut().zip(&story.with) {
            *cost = cost.min(*with);
        }
    }
    costs
}

impl Stories {
    fn go_on(&self, next: &mut Vec<Self>, open: Vec<u32>, cost: f64, surplus: Option<usize>) {
        let left = self.left - usize::from(surplus.is_some());
        let any = self.any + cost;
        let mut with: Vec<f64> = self.with.iter().map(|with| with + cost).collect();
        if let Some(surplus) = surplus {
            with[surplus] = any;
        }
        let same = next
            .iter_mut()
            .find(|story| story.left == left && story.open == open);
        if let Some(same) = same {
            same.any = same.any.min(any);
            for (into, with) in same.with.iter_mut().zip(with) {
                *into = into.min(with);
            }
        } else {
            next.push(Self {
                open,
                left,
                any,
                with,
            });
        }
    }
}
