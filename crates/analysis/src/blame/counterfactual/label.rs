//! The cheapest story of one address: which free ended which life, and which freed again.
//!
//! A beam search over what may be open at each moment. Ordinary lives, a life and its usual free with nothing
//! else open, are passed over at once.

use std::collections::BTreeSet;

use super::model::Counts;
use super::model::Model;
use super::model::gap_of;
use super::problem::Problem;
use super::problem::Token;

/// How many stories are followed at a time.
const BEAM: usize = 12;
/// How much worse than the best, in nats, a story may be to be followed.
const WIDTH: f64 = 12.0;
/// How many lives may be open at an address at a time; more are taken for leaks.
const MOST_OPEN: usize = 8;
/// How dear an end may be to count as an ordinary one.
const ORDINARY: f64 = 5.0;

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

/// What is open, by allocation group in ascending order.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Open {
    groups: [u32; MOST_OPEN],
    len: usize,
}

impl Open {
    const NOTHING: Self = Self {
        groups: [0; MOST_OPEN],
        len: 0,
    };

    fn groups(&self) -> &[u32] {
        &self.groups[..self.len]
    }

    fn with(mut self, group: u32) -> Self {
        let at = self.groups().partition_point(|&open| open <= group);
        self.groups.copy_within(at..self.len, at + 1);
        self.groups[at] = group;
        self.len += 1;
        self
    }

    fn without(mut self, at: usize) -> Self {
        self.groups.copy_within(at + 1..self.len, at);
        self.len -= 1;
        self.groups[self.len] = 0;
        self
    }
}

#[derive(Clone, Copy)]
struct State {
    open: Open,
    cost: f64,
    /// The last entry of this story in `Labeller::story`.
    last: u32,
}

/// The start of every story.
const NO_ENTRY: u32 = u32::MAX;

/// Labels patterns under one model; keeps its memory from one to the next.
pub(super) struct Labeller<'a> {
    problem: &'a Problem,
    model: &'a Model,
    /// (entry before, label): all stories are paths in this tree.
    story: Vec<(u32, Label)>,
    states: Vec<State>,
    next: Vec<State>,
    lives: Vec<u32>,
}

impl<'a> Labeller<'a> {
    pub(super) fn new(problem: &'a Problem, model: &'a Model) -> Self {
        Self {
            problem,
            model,
            story: Vec::new(),
            states: Vec::new(),
            next: Vec::new(),
            lives: Vec::new(),
        }
    }

    /// Labels everything and counts.
    pub(super) fn count_all(&mut self) -> Counts {
        let mut counts = Counts::new(self.problem);
        for pattern in &self.problem.patterns {
            let (context, tokens) = (&pattern.context, &pattern.tokens);
            let labels = self.label(context, tokens);
            let weight = pattern.weight;
            tell(self.model, context, tokens, &labels, |fact| {
                counts.add(fact, weight)
            });
        }
        counts
    }

    /// The cheapest labels of one row of tokens. `context` are the groups of the lives before.
    pub(super) fn label(&mut self, context: &[u32], tokens: &[Token]) -> Vec<Label> {
        self.story.clear();
        self.lives.clear();
        self.lives.extend_from_slice(context);
        self.states.clear();
        self.states.push(State {
            open: Open::NOTHING,
            cost: 0.0,
            last: NO_ENTRY,
        });
        let mut at = 0;
        while at < tokens.len() {
            if self.pass_ordinary_life(&tokens[at..]) {
                at += 2;
                continue;
            }
            self.next.clear();
            match tokens[at] {
                Token::Allocate(a) => self.allocate(a),
                Token::Free(f) => self.free(f),
                Token::Reset => self.reset(),
            }
            std::mem::swap(&mut self.states, &mut self.next);
            self.prune();
            at += 1;
        }
        self.tell_best(tokens)
    }

    /// Takes an allocate and its usual free in one go where nothing is open for certain.
    fn pass_ordinary_life(&mut self, tokens: &[Token]) -> bool {
        let &[Token::Allocate(a), Token::Free(f), ref rest @ ..] = tokens else {
            return false;
        };
        let [state] = self.states.as_mut_slice() else {
            return false;
        };
        let is_ordinary = state.open.len == 0
            && matches!(rest.first(), None | Some(Token::Allocate(_)))
            && !self.model.is_suspect(f)
            && self.model.end(a, f) < ORDINARY;
        if is_ordinary {
            state.cost += self.model.end(a, f);
            self.story.push((state.last, Label::Given));
            let allocate = self.story.len() as u32 - 1;
            self.story.push((allocate, Label::Ends(a)));
            state.last = allocate + 1;
            self.lives.push(a);
        }
        is_ordinary
    }

    fn allocate(&mut self, a: u32) {
        self.lives.push(a);
        for index in 0..self.states.len() {
            let mut state = self.states[index];
            for &open in state.open.groups() {
                state.cost += self.model.pass[open as usize];
            }
            if state.open.len == MOST_OPEN {
                state.cost += self.model.leak[state.open.groups[0] as usize];
                state.open = state.open.without(0);
            }
            self.push(state, state.open.with(a), 0.0, Label::Given);
        }
    }

    fn reset(&mut self) {
        for index in 0..self.states.len() {
            self.push(self.states[index], Open::NOTHING, 0.0, Label::Given);
        }
    }

    fn free(&mut self, f: u32) {
        let model = self.model;
        let current = self.lives.last().copied();
        let of_any = model.surplus(f, &self.lives, 0).0;
        let of_earlier = model.surplus(f, &self.lives, 1).0;
        for index in 0..self.states.len() {
            let state = self.states[index];
            let groups = state.open;
            for (at, &a) in groups.groups().iter().enumerate() {
                if at > 0 && groups.groups[at - 1] == a {
                    continue;
                }
                let late = if current == Some(a) {
                    0.0
                } else {
                    model.late[a as usize]
                };
                let cost = model.end(a, f) + late;
                self.push(state, groups.without(at), cost, Label::Ends(a));
            }
            let unexplained = model.unexplained[f as usize];
            let surplus = match (self.lives.len() > groups.len, groups.len) {
                (false, _) => f64::INFINITY,
                (true, 0) => of_any,
                (true, _) => of_earlier,
            };
            if surplus <= unexplained {
                self.push(state, groups, surplus, Label::Surplus);
            } else {
                self.push(state, groups, unexplained, Label::Unexplained);
            }
        }
    }

    fn push(&mut self, from: State, open: Open, cost: f64, label: Label) {
        let cost = from.cost + cost;
        if let Some(same) = self.next.iter_mut().find(|state| state.open == open) {
            if cost < same.cost {
                same.cost = cost;
                self.story[same.last as usize] = (from.last, label);
            }
            return;
        }
        self.story.push((from.last, label));
        self.next.push(State {
            open,
            cost,
            last: self.story.len() as u32 - 1,
        });
    }

    fn prune(&mut self) {
        let best = self
            .states
            .iter()
            .map(|state| state.cost)
            .fold(f64::INFINITY, f64::min);
        self.states.retain(|state| state.cost <= best + WIDTH);
        if self.states.len() > BEAM {
            self.states.sort_by(|a, b| a.cost.total_cmp(&b.cost));
            self.states.truncate(BEAM);
        }
    }

    fn tell_best(&self, tokens: &[Token]) -> Vec<Label> {
        // The last buffer of an address may simply still be in use.
        let in_use = match tokens.last() {
            Some(&Token::Allocate(a)) => Some(a),
            _ => None,
        };
        let cost = |state: &State| {
            let leaks = state
                .open
                .groups()
                .iter()
                .map(|&a| self.model.leak[a as usize]);
            let spared = in_use.filter(|a| state.open.groups().contains(a));
            state.cost + leaks.sum::<f64>() - spared.map_or(0.0, |a| self.model.leak[a as usize])
        };
        let best = self
            .states
            .iter()
            .min_by(|a, b| cost(a).total_cmp(&cost(b)));
        let mut entry = best.map_or(NO_ENTRY, |state| state.last);
        let mut labels = vec![Label::Given; tokens.len()];
        for label in labels.iter_mut().rev() {
            if let Some(&(before, this)) = self.story.get(entry as usize) {
                *label = this;
                entry = before;
            }
        }
        labels
    }
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
    mut fact: impl FnMut(Fact),
) {
    struct OpenLife {
        alloc: u32,
        began: usize,
        hits: Vec<u32>,
    }
    let mut open: Vec<OpenLife> = Vec::new();
    let mut lives: Vec<u32> = context.to_vec();
    let mut began: Vec<Option<usize>> = vec![None; context.len()];
    let mut segment: Vec<u32> = Vec::new();
    let mut last_end: Option<u32> = None;
    // Who freed last since something was allocated.
    let mut before: Option<u32> = None;
    let mut ended_by: Vec<Option<u32>> = vec![None; context.len()];
    let mut freed_again: BTreeSet<(usize, u32)> = BTreeSet::new();
    for (index, (&token, &label)) in tokens.iter().zip(labels).enumerate() {
        if open.is_empty() && !matches!(token, Token::Free(_)) {
            close_segment(&mut segment, &mut fact);
        }
        match (token, label) {
            (Token::Allocate(alloc), _) => {
                open.iter()
                    .for_each(|life| fact(Fact::Passed { alloc: life.alloc }));
                open.push(OpenLife {
                    alloc,
                    began: index,
                    hits: Vec::new(),
                });
                lives.push(alloc);
                began.push(Some(index));
                ended_by.push(None);
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
                    let late = lives.last() != Some(&alloc);
                    if let Some(number) = began.iter().rposition(|&at| at == Some(life.began)) {
                        ended_by[number] = Some(free);
                    }
                    fact(Fact::Ended {
                        token: index,
                        began: life.began,
                        alloc,
                        free,
                        late,
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
                let likeliest = model.surplus(free, &lives, from).1;
                // Without knowledge of this group, the nearest life that has ended.
                let back = likeliest.unwrap_or(from);
                let at = lives.len().checked_sub(back + 1);
                let is_first = at.is_some_and(|at| freed_again.insert((at, free)));
                fact(Fact::Surplus(Surplus {
                    token: index,
                    free,
                    back,
                    origin: at.map(|at| lives[at]),
                    origin_began: at.and_then(|at| began[at]),
                    origin_before: at.filter(|&at| at < context.len()),
                    struck: open.last().map(|life| life.alloc),
                    struck_began: open.last().map(|life| life.began),
                    after_end_by: last_end.take().filter(|_| open.is_empty()),
                    in_first_life: lives.len() == 1,
                    freed_by: at.filter(|_| is_first).and_then(|at| ended_by[at]),
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
    close_segment(&mut segment, &mut fact);
    if let Some(Token::Allocate(in_use)) = tokens.last()
        && let Some(at) = open.iter().rposition(|life| life.alloc == *in_use)
    {
        open.remove(at);
    }
    open.iter()
        .for_each(|life| fact(Fact::Leaked { alloc: life.alloc }));
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
