//! What lies ahead of the search: the stories with one token more, and the best of them.

use super::Label;

/// How many stories are followed at a time.
pub(super) const BEAM: usize = 12;
/// How many lives may be open at an address at a time; more are taken for leaks.
pub(super) const MOST_OPEN: usize = 8;

/// What is open, by allocation group in ascending order: sixteen bits each, the first in the lowest. Groups are
/// numbered within a row, in their order, from 1 on; nothing is open where there is 0.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Open(pub(super) u128);

pub(super) const BITS: u32 = 16;
const PLACE: u128 = (1 << BITS) - 1;

impl Open {
    pub(super) const NOTHING: Self = Self(0);

    /// How many lives are open.
    pub(super) fn len(self) -> usize {
        (u128::BITS - self.0.leading_zeros()).div_ceil(BITS) as usize
    }

    /// The numbers of the groups.
    pub(super) fn numbers(self) -> impl Iterator<Item = u16> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let number = rest as u16;
            rest >>= BITS;
            (number != 0).then_some(number)
        })
    }

    pub(super) fn with(self, number: u16) -> Self {
        // All bits below the first place that holds more.
        let mut below = 0;
        for open in self.numbers() {
            if open > number {
                break;
            }
            below = below << BITS | PLACE;
        }
        let place = (below + 1) * u128::from(number);
        Self(self.0 & below | place | (self.0 & !below) << BITS)
    }

    /// Every way to end one of the lives: the number of its group, and what is open then.
    pub(super) fn without_each(self) -> impl Iterator<Item = (u16, Self)> {
        let (mut rest, above) = (self.0, self.0 >> BITS);
        let mut below = 0;
        std::iter::from_fn(move || {
            let number = rest as u16;
            let without = Self(self.0 & below | above & !below);
            rest >>= BITS;
            below = below << BITS | PLACE;
            (number != 0).then_some((number, without))
        })
    }

    fn slot(self) -> usize {
        let mixed = self.0 as u64 ^ ((self.0 >> 64) as u64).rotate_left(29);
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - SLOT_BITS)) as usize
    }
}

/// Twice as many slots as there can be next stories, and more.
const SLOT_BITS: u32 = 8;
const SLOTS: usize = 1 << SLOT_BITS;
const _: () = assert!(SLOTS > 2 * BEAM * (MOST_OPEN + 1));

/// A story with one token more.
#[derive(Clone, Copy)]
pub(super) struct Next {
    pub(super) open: Open,
    pub(super) cost: f64,
    /// The last entry before.
    pub(super) from: u32,
    pub(super) label: Label,
}

/// The next stories, and where to find them by what is open.
pub(super) struct Ahead {
    pub(super) stories: Vec<Next>,
    /// Index into `stories`, plus one.
    slots: [u8; SLOTS],
    /// How close the closest decision was.
    pub(super) spare: f64,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self {
            stories: Vec::new(),
            slots: [0; SLOTS],
            spare: f64::INFINITY,
        }
    }

    pub(super) fn clear(&mut self) {
        self.stories.clear();
        self.slots = [0; SLOTS];
    }

    /// Two costs were held against each other.
    pub(super) fn decided(&mut self, one: f64, other: f64) {
        self.spare = self.spare.min((one - other).abs());
    }

    /// Goes on with a story. Of two with the same lives open, the cheaper one stays, and of two that cost the same the
    /// first.
    pub(super) fn push(&mut self, next: Next) {
        let mut slot = next.open.slot();
        while let Some(index) = self.slots[slot].checked_sub(1) {
            let same = &mut self.stories[usize::from(index)];
            if same.open == next.open {
                self.spare = self.spare.min((next.cost - same.cost).abs());
                if next.cost < same.cost {
                    *same = next;
                }
                return;
            }
            slot = (slot + 1) % SLOTS;
        }
        self.stories.push(next);
        self.slots[slot] = self.stories.len() as u8;
    }
}

/// The cheapest of the next stories, in the order of their cost; of two that cost the same the first comes first.
pub(super) struct Cheapest {
    pub(super) costs: [f64; BEAM],
    /// Indices into [`Ahead::stories`].
    pub(super) of: [u8; BEAM],
    /// What the cheapest of the others costs.
    pub(super) dearer: f64,
}

impl Default for Cheapest {
    fn default() -> Self {
        Self {
            costs: [f64::INFINITY; BEAM],
            of: [0; BEAM],
            dearer: f64::INFINITY,
        }
    }
}

impl Cheapest {
    pub(super) fn add(&mut self, cost: f64, index: u8) {
        let mut at = BEAM - 1;
        if cost >= self.costs[at] {
            self.dearer = self.dearer.min(cost);
            return;
        }
        self.dearer = self.dearer.min(self.costs[at]);
        while at > 0 && cost < self.costs[at - 1] {
            self.costs[at] = self.costs[at - 1];
            self.of[at] = self.of[at - 1];
            at -= 1;
        }
        self.costs[at] = cost;
        self.of[at] = index;
    }
}
