//! What one step is to the blame, in four bytes.

use crate::sources::EventRef;
use crate::stacks::StackNumber;

/// An allocate, a free or a reset, with its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Code(u32);

/// What a [`Code`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// An instance begins.
    Allocate(StackNumber),
    /// A free that was judged legitimate.
    Free(StackNumber),
    /// A free that was judged excess.
    Excess(StackNumber),
    /// Everything that was open ends without a free.
    Reset,
}

const KIND: u32 = 30;
const STACK: u32 = (1 << KIND) - 1;

impl Code {
    pub(crate) const RESET: Self = Self(3 << KIND);

    pub(crate) const fn allocate(stack: StackNumber) -> Self {
        Self(stack.0 & STACK)
    }

    pub(crate) const fn free(stack: StackNumber, is_excess: bool) -> Self {
        let kind = if is_excess { 2 } else { 1 };
        Self(kind << KIND | stack.0 & STACK)
    }

    pub(crate) const fn meaning(self) -> Meaning {
        let stack = StackNumber(self.0 & STACK);
        match self.0 >> KIND {
            0 => Meaning::Allocate(stack),
            1 => Meaning::Free(stack),
            2 => Meaning::Excess(stack),
            _ => Meaning::Reset,
        }
    }

    pub(crate) const fn is_allocate(self) -> bool {
        matches!(self.meaning(), Meaning::Allocate(_))
    }

    pub(crate) const fn is_excess(self) -> bool {
        matches!(self.meaning(), Meaning::Excess(_))
    }

    /// How many lives an address has seen with this code, after so many before.
    pub(super) const fn lives_after(self, before: u32) -> u32 {
        if self.is_allocate() {
            before.saturating_add(1)
        } else {
            before
        }
    }

    /// The stack of a free.
    pub(crate) const fn freed_by(self) -> Option<StackNumber> {
        match self.meaning() {
            Meaning::Free(stack) | Meaning::Excess(stack) => Some(stack),
            _ => None,
        }
    }

    /// Two codes as one number.
    pub(super) const fn pair(self, other: Self) -> u64 {
        (self.0 as u64) << 32 | other.0 as u64
    }
}

/// A code and its event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) code: Code,
    /// How many lives the address had seen by then, the one that an allocate begins among them.
    pub(crate) lives: u32,
    pub(crate) at: EventRef,
}
