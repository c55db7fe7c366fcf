//! The search as it was before it was made fast: the same labels have to come out.

use super::super::model::Model;
use super::super::problem::Token;
use super::Label;

const BEAM: usize = 12;
const WIDTH: f64 = 12.0;
const MOST_OPEN: usize = 8;
const ORDINARY: f64 = 5.0;

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
    /// The last entry of this story in `Slow::story`.
    last: u32,
}

/// The start of every story.
const NO_ENTRY: u32 = u32::MAX;

/// Labels patterns under one model.
pub(super) struct Slow<'a> {
    model: &'a Model,
    /// (entry before, label): all stories are paths in this tree.
    story: Vec<(u32, Label)>,
    states: Vec<State>,
    next: Vec<State>,
    lives: Vec<u32>,
}

impl<'a> Slow<'a> {
    pub(super) fn new(model: &'a Model) -> Self {
        Self {
            model,
            story: Vec::new(),
            states: Vec::new(),
            next: Vec::new(),
            lives: Vec::new(),
        }
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
        let (of_any, of_earlier) = model.surplus_costs(f, &self.lives);
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
