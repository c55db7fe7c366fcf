//! Who is a suspect in a chain: every free with which as the surplus one the chain's cheapest story is about as cheap as any.

use std::collections::BTreeSet;

use super::segments::Usual;
use crate::blame::counterfactual::problem::Token;

/// In a longer chain everybody is a suspect.
const MOST_TOKENS: usize = 28;
/// What a life costs that goes on over the next allocate.
const PASSED: f64 = 0.25;
/// What a free costs that takes an address's first life from its holder.
const PREMATURE: f64 = 1.5;
/// A story that costs so much more than the best is not the true one.
const SUSPECT: f64 = 1.9;
/// The same for a free that ends a life as usual,
const SUSPECT_OF_USUAL: f64 = 0.9;

/// The groups that can have freed once too often, and whether the chain is told better if the accused has not.
#[derive(Clone, Debug)]
pub(super) struct Suspects {
    pub(super) groups: BTreeSet<u32>,
    pub(super) better_without: bool,
}

/// Who can have freed once too often in a chain; `is_start` if nothing has lived there before.
pub(super) fn suspects(
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
