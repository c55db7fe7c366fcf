//! The labels of the frees of one address, and what they tell.

mod ahead;
#[cfg(test)]
mod facts;
#[cfg(test)]
mod oracle;
mod reuse;
mod search;
#[cfg(test)]
mod tests;

pub(super) use self::reuse::Labelled;
pub(super) use self::search::Labeller;

use super::model::Counts;
use super::model::Model;
use super::model::gap_of;
use super::problem::Token;

/// What a token is in a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// An allocate or a reset: no choice.
    Given,
    /// Ends a life of this allocation group.
    Ends(u32),
    /// Frees again what was freed.
    Surplus,
    /// No story.
    Unexplained,
}

/// One thing that a labelled row tells.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fact {
    /// An open life of the group saw another allocate.
    Passed { alloc: u32 },
    /// The free at `token` ended the life that the allocate at `began` had begun.
    Ended {
        token: usize,
        began: usize,
        alloc: u32,
        free: u32,
        late: bool,
        /// Of the address.
        in_first_life: bool,
    },
    /// The free at `token` is surplus.
    Surplus(Surplus),
    /// The free at `token` has no story.
    Unexplained { free: u32 },
    /// A life that nobody ended.
    Leaked { alloc: u32 },
    /// Between two moments with nothing open, all surplus frees were by this group.
    Clean { free: u32, count: usize },
    /// A surplus free by `hitter` struck a life that `ender` ended later.
    HitThenEnded { hitter: u32, ender: u32 },
}

/// A surplus free and what was around it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surplus {
    pub(super) token: usize,
    pub(super) free: u32,
    /// Lives back to the likeliest life that it frees again, and that life's group.
    pub(super) back: usize,
    pub(super) origin: Option<u32>,
    /// The token that began that life.
    pub(super) origin_began: Option<usize>,
    /// Its place among the lives before the row, if it is one of those.
    pub(super) origin_before: Option<usize>,
    /// The group of the newest open life, which it strikes, and the token that began it.
    pub(super) struck: Option<u32>,
    pub(super) struck_began: Option<usize>,
    /// Where nothing is open: who ended the last life, if no other surplus free came between.
    pub(super) after_end_by: Option<u32>,
    /// The address has seen only one life so far.
    pub(super) in_first_life: bool,
    /// Who ended the life that is freed again, for the first time by this group.
    pub(super) freed_by: Option<u32>,
    /// The free before it, with no allocate between, is by the same group.
    pub(super) is_repeated: bool,
}

/// Tells the facts of a labelled row.
pub(super) fn tell(
    model: &Model,
    context: &[u32],
    tokens: &[Token],
    labels: &[Label],
    fact: impl FnMut(Fact),
) {
    Teller::default().tell(model, context, tokens, labels, fact);
}

/// Tells the facts of labelled rows; keeps its memory from one to the next.
#[derive(Default)]
struct Teller {
    open: Vec<OpenLife>,
    lives: Vec<Lived>,
    groups: Vec<u32>,
    segment: Vec<u32>,
}

struct OpenLife {
    alloc: u32,
    /// Its number among the lives, and the token that began it.
    number: usize,
    began: usize,
    hits: Vec<u32>,
}

/// A life of the address.
#[derive(Clone, Default)]
struct Lived {
    began: Option<usize>,
    ended_by: Option<u32>,
    /// Who freed it again.
    again: Vec<u32>,
}

impl Teller {
    fn tell(
        &mut self,
        model: &Model,
        context: &[u32],
        tokens: &[Token],
        labels: &[Label],
        mut fact: impl FnMut(Fact),
    ) {
        let Self {
            open,
            lives,
            groups,
            segment,
        } = self;
        open.clear();
        groups.clear();
        groups.extend_from_slice(context);
        lives.clear();
        lives.resize(context.len(), Lived::default());
        segment.clear();
        let mut last_end: Option<u32> = None;
        // Who freed last since something was allocated.
        let mut before: Option<u32> = None;
        for (index, (&token, &label)) in tokens.iter().zip(labels).enumerate() {
            if open.is_empty() && !matches!(token, Token::Free(_)) {
                close_segment(segment, &mut fact);
            }
            match (token, label) {
                (Token::Allocate(alloc), _) => {
                    open.iter()
                        .for_each(|life| fact(Fact::Passed { alloc: life.alloc }));
                    open.push(OpenLife {
                        alloc,
                        number: lives.len(),
                        began: index,
                        hits: Vec::new(),
                    });
                    groups.push(alloc);
                    lives.push(Lived {
                        began: Some(index),
                        ..Lived::default()
                    });
                    last_end = None;
                    before = None;
                }
                (Token::Reset, _) => {
                    open.clear();
                    last_end = None;
                }
                (Token::Free(free), Label::Ends(alloc)) => {
                    if let Some(at) = open.iter().rposition(|life| life.alloc == alloc) {
                        let life = open.remove(at);
                        lives[life.number].ended_by = Some(free);
                        fact(Fact::Ended {
                            token: index,
                            began: life.began,
                            alloc,
                            free,
                            late: groups.last() != Some(&alloc),
                            in_first_life: lives.len() == 1,
                        });
                        for hitter in life.hits {
                            fact(Fact::HitThenEnded {
                                hitter,
                                ender: free,
                            });
                        }
                    }
                    last_end = Some(free);
                    before = Some(free);
                }
                (Token::Free(free), Label::Surplus) => {
                    let from = usize::from(!open.is_empty());
                    let likeliest = model.likeliest(free, groups, from);
                    // Without knowledge of this group, the nearest life that has ended.
                    let back = likeliest.unwrap_or(from);
                    let at = lives.len().checked_sub(back + 1);
                    let is_first = at.is_some_and(|at| {
                        let again = &mut lives[at].again;
                        let is_first = !again.contains(&free);
                        if is_first {
                            again.push(free);
                        }
                        is_first
                    });
                    fact(Fact::Surplus(Surplus {
                        token: index,
                        free,
                        back,
                        origin: at.map(|at| groups[at]),
                        origin_began: at.and_then(|at| lives[at].began),
                        origin_before: at.filter(|&at| at < context.len()),
                        struck: open.last().map(|life| life.alloc),
                        struck_began: open.last().map(|life| life.began),
                        after_end_by: last_end.take().filter(|_| open.is_empty()),
                        in_first_life: lives.len() == 1,
                        freed_by: at.filter(|_| is_first).and_then(|at| lives[at].ended_by),
                        is_repeated: before == Some(free),
                    }));
                    before = Some(free);
                    segment.push(free);
                    if let Some(life) = open.last_mut() {
                        life.hits.push(free);
                    }
                }
                (Token::Free(free), _) => fact(Fact::Unexplained { free }),
            }
        }
        close_segment(segment, &mut fact);
        if let Some(Token::Allocate(in_use)) = tokens.last()
            && let Some(at) = open.iter().rposition(|life| life.alloc == *in_use)
        {
            open.remove(at);
        }
        open.iter()
            .for_each(|life| fact(Fact::Leaked { alloc: life.alloc }));
    }
}

fn close_segment(segment: &mut Vec<u32>, fact: &mut impl FnMut(Fact)) {
    if let Some((&free, rest)) = segment.split_first()
        && rest.iter().all(|&other| other == free)
    {
        fact(Fact::Clean {
            free,
            count: segment.len(),
        });
    }
    segment.clear();
}

impl Counts {
    fn add(&mut self, fact: Fact, weight: f64) {
        match fact {
            Fact::Passed { alloc } => self.passed[alloc as usize] += weight,
            Fact::Ended {
                alloc,
                free,
                late,
                in_first_life,
                ..
            } => {
                let frees = self.surplus.len();
                self.ended[alloc as usize * frees + free as usize] += weight;
                if in_first_life {
                    *self.ended_first.entry((alloc, free)).or_default() += weight;
                }
                if late {
                    self.ended_late[alloc as usize] += weight;
                }
            }
            Fact::Surplus(surplus) => {
                let free = surplus.free;
                self.surplus[free as usize] += weight;
                *self.origins.entry((surplus.origin, free)).or_default() += weight;
                self.gaps[free as usize][gap_of(surplus.back)] += weight;
                if let Some(struck) = surplus.struck {
                    *self.hit_life.entry((free, struck)).or_default() += weight;
                }
                if let Some(ender) = surplus.freed_by {
                    *self.freed_again.entry((ender, free)).or_default() += weight;
                }
                if surplus.is_repeated {
                    self.repeated[free as usize] += weight;
                }
                if let Some(ender) = surplus.after_end_by {
                    *self.after_end.entry((ender, free)).or_default() += weight;
                    if surplus.in_first_life {
                        *self
                            .after_end_in_first_life
                            .entry((ender, free))
                            .or_default() += weight;
                    }
                }
            }
            Fact::Unexplained { free } => self.unexplained[free as usize] += weight,
            Fact::Leaked { alloc } => self.leaked[alloc as usize] += weight,
            Fact::Clean { free, count } => self.clean[free as usize] += weight * count as f64,
            Fact::HitThenEnded { hitter, ender } => {
                *self.hit_then_ended.entry((hitter, ender)).or_default() += weight;
            }
        }
    }
}
