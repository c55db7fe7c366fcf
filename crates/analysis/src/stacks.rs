//! The stacks that were met, numbered from 0 across all traces, so that sums by stack are plain lists.

use whofreed_trace::StackId;

use crate::replay::Map;

/// The number of a stack of any trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StackNumber(pub(crate) u32);

/// Ids beyond what a recorder hands out are looked up the slow way, so that a broken one costs no memory.
const MOST_DENSE: u32 = 1 << 22;
/// Numbers have to fit into a [`Code`](crate::rows::Code); stacks beyond that are one.
const LAST: u32 = (1 << 30) - 1;
/// Was not met yet.
const NONE: u32 = u32::MAX;

/// All stacks so far.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    /// By trace and id.
    dense: Vec<Vec<u32>>,
    sparse: Map<(u32, StackId), u32>,
    all: Vec<(u32, StackId)>,
}

impl Stacks {
    /// The number of a stack.
    pub(crate) fn number(&mut self, trace: u32, stack: StackId) -> StackNumber {
        let (at, id) = (trace as usize, stack.0 as usize);
        if let Some(&number) = self.dense.get(at).and_then(|of| of.get(id))
            && number != NONE
        {
            return StackNumber(number);
        }
        self.meet(trace, stack)
    }

    /// The number of a stack, if it was met.
    pub(crate) fn find(&self, trace: u32, stack: StackId) -> Option<StackNumber> {
        let number = if stack.0 >= MOST_DENSE {
            self.sparse.get(&(trace, stack))
        } else {
            let of = self.dense.get(trace as usize);
            of.and_then(|of| of.get(stack.0 as usize))
        };
        number
            .filter(|&&number| number != NONE)
            .map(|&number| StackNumber(number))
    }

    fn meet(&mut self, trace: u32, stack: StackId) -> StackNumber {
        let all = &mut self.all;
        let mut add = || {
            all.push((trace, stack));
            (all.len() as u32 - 1).min(LAST)
        };
        if stack.0 >= MOST_DENSE {
            let number = self.sparse.entry((trace, stack));
            return StackNumber(*number.or_insert_with(add));
        }
        let (at, id) = (trace as usize, stack.0 as usize);
        if self.dense.len() <= at {
            self.dense.resize(at + 1, Vec::new());
        }
        let of = &mut self.dense[at];
        if of.len() <= id {
            of.resize(id + 1, NONE);
        }
        of[id] = add();
        StackNumber(of[id])
    }

    /// The trace of a stack, and its id there.
    pub(crate) fn of(&self, number: StackNumber) -> (u32, StackId) {
        self.all[number.0 as usize]
    }

    /// How many were met.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

/// A sum for each stack.
#[derive(Debug, Default)]
pub(crate) struct ByStack<T>(Vec<T>);

impl<T: Default + Clone> ByStack<T> {
    pub(crate) fn of(&mut self, stack: StackNumber) -> &mut T {
        let at = stack.0 as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, T::default());
        }
        &mut self.0[at]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (StackNumber, &T)> {
        (0..).map(StackNumber).zip(&self.0)
    }
}
