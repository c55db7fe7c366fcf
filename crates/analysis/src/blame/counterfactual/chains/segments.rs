//! Where a chain begins: an address cut into segments, and how lives end where nothing is wrong.

use std::collections::BTreeMap;
use std::ops::Range;

use super::KNOWN;
use crate::blame::counterfactual::problem::Problem;
use crate::blame::counterfactual::problem::Token;

/// Lives that end so shortly before an excess free, in segments, tell nothing about how lives end.
const TROUBLED: usize = 3;
/// How many segments a chain goes back at most.
const MOST_SEGMENTS: usize = 6;
/// What a life ended by an unusual site costs a story, where life and site are both known,
const UNUSUAL: f64 = 4.0;
/// and where they are not.
const UNKNOWN: f64 = 1.0;
/// How many lives that ended as usual are looked through: a stale free can strike what its site frees rightly.
const TRUSTED_IN_CHAIN: usize = 1;

/// A stretch of an address between two moments at which, by count, nothing is open.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) tokens: Range<usize>,
    /// It is one life and its free.
    pub(super) ordinary: Option<(u32, u32)>,
    pub(super) has_excess: bool,
    /// Nothing of what was before goes on in it.
    after_reset: bool,
}

/// The segments of an address.
pub(super) fn segments(tokens: &[Token]) -> Vec<Segment> {
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
pub(super) struct Usual {
    ended: BTreeMap<(u32, u32), f64>,
    lives: BTreeMap<u32, f64>,
    frees: BTreeMap<u32, f64>,
}

impl Usual {
    pub(super) fn new(problem: &Problem) -> Self {
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

    pub(super) fn has(&self, ordinary: Option<(u32, u32)>) -> bool {
        ordinary.is_some_and(|(a, f)| self.cost(a, f) == 0.0)
    }

    /// What it costs a story that `f` ends a life of `a`.
    pub(super) fn cost(&self, a: u32, f: u32) -> f64 {
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
pub(super) fn chain(segments: &[Segment], usual: &Usual, excess: usize, by: usize) -> Range<usize> {
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
    let start = segments.get(first).map(|segment| segment.tokens.start);
    // A free before the first allocate is in no segment.
    start.map_or(by, |start| start.min(by))..excess + 1
}
