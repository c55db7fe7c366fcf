//! The search for the cheapest story of one row.
//!
//! A beam search over what may be open at each moment. Ordinary lives, a life and its usual free with nothing
//! else open, are passed over at once.
//!
//! Most of the time of an analysis is spent here. What is open is one number, so that two stories are held against
//! each other at once; and only of the stories that are followed it is noted how they went.

use super::super::model::Model;
use super::super::problem::Problem;
use super::super::problem::Token;
use super::Label;
use super::ahead::Ahead;
use super::ahead::BEAM;
use super::ahead::BITS;
use super::ahead::Cheapest;
use super::ahead::MOST_OPEN;
use super::ahead::Next;
use super::ahead::Open;

/// How much worse than the best, in nats, a story may be to be followed.
const WIDTH: f64 = 12.0;
/// How dear an end may be to count as an ordinary one.
const ORDINARY: f64 = 5.0;

/// A story so far.
#[derive(Clone, Copy)]
struct State {
    open: Open,
    cost: f64,
    /// Its last entry in `Labeller::story`.
    last: u32,
}

/// What the search finds for a row.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) labels: Vec<Label>,
    /// How close the closest decision was, for each token and for the end of the row.
    pub(super) spare: Vec<f64>,
}

/// The start of every story.
const NO_ENTRY: u32 = u32::MAX;

/// Labels patterns under one model; keeps its memory from one to the next.
pub(in super::super) struct Labeller<'a> {
    model: &'a Model,
    /// The groups of the row, in ascending order, and for each group of the row its number.
    groups: Vec<u32>,
    number_of: Vec<u16>,
    /// (entry before, label): all stories are paths in this tree.
    story: Vec<(u32, Label)>,
    states: Vec<State>,
    ahead: Ahead,
    lives: Vec<u32>,
}

impl<'a> Labeller<'a> {
    pub(in super::super) fn new(problem: &'a Problem, model: &'a Model) -> Self {
        Self {
            model,
            groups: Vec::new(),
            number_of: vec![0; problem.allocs],
            story: Vec::new(),
            states: Vec::new(),
            ahead: Ahead::new(),
            lives: Vec::new(),
        }
    }

    /// The cheapest labels of one row of tokens. `context` are the groups of the lives before.
    pub(in super::super) fn label(&mut self, context: &[u32], tokens: &[Token]) -> Vec<Label> {
        let mut row = Row::default();
        self.label_into(context, tokens, &mut row);
        row.labels
    }

    pub(super) fn label_into(&mut self, context: &[u32], tokens: &[Token], row: &mut Row) {
        self.number(tokens);
        self.story.clear();
        self.lives.clear();
        self.lives.extend_from_slice(context);
        self.states.clear();
        self.states.push(State {
            open: Open::NOTHING,
            cost: 0.0,
            last: NO_ENTRY,
        });
        row.spare.clear();
        let mut at = 0;
        while at < tokens.len() {
            self.ahead.spare = f64::INFINITY;
            if self.pass_ordinary_life(&tokens[at..]) {
                row.spare.extend([self.ahead.spare; 2]);
                at += 2;
                continue;
            }
            match tokens[at] {
                Token::Allocate(a) => self.allocate(a),
                Token::Free(f) => self.free(f),
                Token::Reset => self.reset(),
            }
            row.spare.push(self.ahead.spare);
            at += 1;
        }
        self.ahead.spare = f64::INFINITY;
        self.tell_best(tokens, &mut row.labels);
        row.spare.push(self.ahead.spare);
    }

    /// Numbers the groups of the row. A row has fewer than there are numbers; the last one stands for all beyond.
    fn number(&mut self, tokens: &[Token]) {
        self.groups.clear();
        let groups = tokens.iter().filter_map(|token| match token {
            Token::Allocate(a) => Some(*a),
            _ => None,
        });
        self.groups.extend(groups);
        self.groups.sort_unstable();
        self.groups.dedup();
        for (number, &group) in (1..).zip(&self.groups) {
            self.number_of[group as usize] = u16::try_from(number).unwrap_or(u16::MAX);
        }
    }

    /// Takes an allocate and its usual free in one go where nothing is open for certain.
    fn pass_ordinary_life(&mut self, tokens: &[Token]) -> bool {
        let &[Token::Allocate(a), Token::Free(f), ref rest @ ..] = tokens else {
            return false;
        };
        let [state] = self.states.as_mut_slice() else {
            return false;
        };
        let may_be_ordinary = state.open == Open::NOTHING
            && matches!(rest.first(), None | Some(Token::Allocate(_)))
            && !self.model.is_suspect(f);
        if !may_be_ordinary {
            return false;
        }
        let cost = self.model.end(a, f);
        self.ahead.decided(cost, ORDINARY);
        let is_ordinary = cost < ORDINARY;
        if is_ordinary {
            state.cost += cost;
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
        let number = self.number_of[a as usize];
        let group = |number: u16| self.groups[usize::from(number) - 1] as usize;
        let mut is_any_full = false;
        for state in &mut self.states {
            let mut cost = state.cost;
            for open in state.open.numbers() {
                cost += self.model.pass[group(open)];
            }
            if state.open.len() == MOST_OPEN {
                cost += self.model.leak[group(state.open.0 as u16)];
                state.open = Open(state.open.0 >> BITS);
                is_any_full = true;
            }
            state.open = state.open.with(number);
            state.cost = cost;
        }
        self.given(is_any_full);
    }

    fn reset(&mut self) {
        for state in &mut self.states {
            state.open = Open::NOTHING;
        }
        self.given(true);
    }

    /// All stories go on with the token that leaves no choice. Where several may have come to have the same lives open,
    /// they are held against each other.
    fn given(&mut self, may_meet: bool) {
        if may_meet {
            self.ahead.clear();
            for state in &self.states {
                self.ahead.push(Next {
                    open: state.open,
                    cost: state.cost,
                    from: state.last,
                    label: Label::Given,
                });
            }
            self.prune();
            return;
        }
        let best = self.states.iter().map(|state| state.cost);
        let most = best.fold(f64::INFINITY, f64::min) + WIDTH;
        let story = &mut self.story;
        let ahead = &mut self.ahead;
        self.states.retain_mut(|state| {
            ahead.decided(state.cost, most);
            let stays = state.cost <= most;
            if stays {
                story.push((state.last, Label::Given));
                state.last = story.len() as u32 - 1;
            }
            stays
        });
    }

    fn free(&mut self, f: u32) {
        let model = self.model;
        let current = self.lives.last().copied();
        let (of_any, of_earlier) = model.surplus_costs(f, &self.lives);
        let unexplained = model.unexplained[f as usize];
        self.ahead.clear();
        for state in &self.states {
            let mut before = 0;
            for (number, open) in state.open.without_each() {
                if number == before {
                    continue;
                }
                before = number;
                let a = self.groups[usize::from(number) - 1];
                let late = if current == Some(a) {
                    0.0
                } else {
                    model.late[a as usize]
                };
                let cost = model.end(a, f) + late;
                self.ahead.push(Next {
                    open,
                    cost: state.cost + cost,
                    from: state.last,
                    label: Label::Ends(a),
                });
            }
            let open = state.open.len();
            let surplus = match (self.lives.len() > open, open) {
                (false, _) => f64::INFINITY,
                (true, 0) => of_any,
                (true, _) => of_earlier,
            };
            self.ahead.decided(surplus, unexplained);
            let (cost, label) = if surplus <= unexplained {
                (surplus, Label::Surplus)
            } else {
                (unexplained, Label::Unexplained)
            };
            self.ahead.push(Next {
                open: state.open,
                cost: state.cost + cost,
                from: state.last,
                label,
            });
        }
        self.prune();
    }

    /// Goes on with the best of the next stories: in their order, or where there are too many, the cheapest first.
    fn prune(&mut self) {
        let next = &self.ahead.stories;
        let best = next.iter().map(|next| next.cost);
        let most = best.fold(f64::INFINITY, f64::min) + WIDTH;
        let mut spare = self.ahead.spare;
        let mut cheapest = Cheapest::default();
        let mut followed = 0;
        for (index, next) in (0..).zip(next) {
            spare = spare.min((next.cost - most).abs());
            if next.cost <= most {
                followed += 1;
                cheapest.add(next.cost, index);
            }
        }
        self.states.clear();
        let story = &mut self.story;
        let states = &mut self.states;
        let mut follow = |next: &Next| {
            story.push((next.from, next.label));
            states.push(State {
                open: next.open,
                cost: next.cost,
                last: story.len() as u32 - 1,
            });
        };
        if followed <= BEAM {
            let next = next.iter().filter(|next| next.cost <= most);
            next.for_each(follow);
        } else {
            spare = spare.min(cheapest.dearer - cheapest.costs[BEAM - 1]);
            let cheapest = cheapest.of.iter();
            cheapest.for_each(|&index| follow(&next[usize::from(index)]));
        }
        self.ahead.spare = spare;
    }

    fn tell_best(&mut self, tokens: &[Token], labels: &mut Vec<Label>) {
        let group = |number: u16| self.groups[usize::from(number) - 1];
        // The last buffer of an address may simply still be in use.
        let in_use = match tokens.last() {
            Some(&Token::Allocate(a)) => Some(a),
            _ => None,
        };
        let cost = |state: &State| {
            let leaks = state.open.numbers();
            let leaks = leaks.map(|number| self.model.leak[group(number) as usize]);
            let is_open = |a: &u32| state.open.numbers().any(|number| group(number) == *a);
            let spared = in_use.filter(is_open);
            state.cost + leaks.sum::<f64>() - spared.map_or(0.0, |a| self.model.leak[a as usize])
        };
        let (mut best, mut entry) = (f64::INFINITY, NO_ENTRY);
        for state in &self.states {
            let cost = cost(state);
            self.ahead.decided(cost, best);
            if cost < best {
                (best, entry) = (cost, state.last);
            }
        }
        labels.clear();
        labels.resize(tokens.len(), Label::Given);
        for label in labels.iter_mut().rev() {
            if let Some(&(before, this)) = self.story.get(entry as usize) {
                *label = this;
                entry = before;
            }
        }
    }
}
