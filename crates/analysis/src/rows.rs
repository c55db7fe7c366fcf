//! What the blame remembers of addresses whose owners are not known: rows of allocates, frees and resets.

use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use crate::replay::Address;
use crate::replay::Place;
use crate::replay::Step;
use crate::sources::EventRef;
use crate::stacks::ByStack;
use crate::stacks::StackNumber;

/// What one step is to the blame, in four bytes.
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
}

/// A code and its event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) code: Code,
    pub(crate) at: EventRef,
}

/// What is kept of an address until its trace has been replayed.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    tokens: Vec<Token>,
}

/// All rows. Their codes and events lie one behind the other, for there may be millions.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    codes: Vec<Code>,
    events: Vec<EventRef>,
    heads: Vec<Head>,
    places: Vec<Place>,
    /// Who freed where owners are not known.
    freed_by: ByStack<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    start: usize,
    len: u32,
    place: u32,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) codes: &'a [Code],
    pub(crate) events: &'a [EventRef],
    /// Index for [`Rows::place`].
    pub(crate) place: u32,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(crate) fn row(&self, index: usize) -> Row<'_> {
        let head = self.heads[index];
        let range = head.start..head.start + head.len as usize;
        Row {
            codes: &self.codes[range.clone()],
            events: &self.events[range],
            place: head.place,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// The stacks of frees where owners are not known.
    pub(crate) fn freed_by(&self) -> impl Iterator<Item = StackNumber> {
        let freed = self.freed_by.iter().filter(|(_, freed)| **freed);
        freed.map(|(stack, _)| stack)
    }

    /// An instance that a forked child inherited, and the free that had ended it.
    pub(crate) fn inherit(
        builder: &mut Builder,
        allocate: (StackNumber, EventRef),
        free: Option<(StackNumber, EventRef)>,
    ) {
        builder.tokens.push(Token {
            code: Code::allocate(allocate.0),
            at: allocate.1,
        });
        builder.tokens.extend(free.map(|(stack, at)| Token {
            code: Code::free(stack, false),
            at,
        }));
    }

    /// The next step of an address.
    pub(crate) fn step(&mut self, builder: &mut Builder, step: &Step<'_>, stack: StackNumber) {
        let at = step.at;
        if step.after_reset {
            let code = Code::RESET;
            builder.tokens.push(Token { code, at });
        }
        let code = match (step.event.kind, step.verdict) {
            (EventKind::Allocate, _) | (EventKind::Retain, Verdict::Ok) => Code::allocate(stack),
            (EventKind::Deallocate, Verdict::Ok) if !step.late => Code::free(stack, false),
            (EventKind::Deallocate, verdict) if verdict.is_excess() => Code::free(stack, true),
            // A late free is legitimate, and a free of a buffer from before the tracking tells nothing.
            _ => return,
        };
        builder.tokens.push(Token { code, at });
    }

    /// Takes the row of an address whose owners are not known.
    pub(crate) fn end(&mut self, address: &Address, builder: &Builder) {
        let mut has_frees = false;
        for token in &builder.tokens {
            if let Meaning::Free(stack) | Meaning::Excess(stack) = token.code.meaning() {
                *self.freed_by.of(stack) = true;
                has_frees = true;
            }
        }
        // Where events are missing, an instance whose allocate was lost makes the innocent look guilty.
        if address.whole || !has_frees {
            self.heads.push(Head {
                start: self.codes.len(),
                len: builder.tokens.len() as u32,
                place: self.places.len() as u32,
            });
            self.places.push(address.place);
            self.codes.extend(builder.tokens.iter().map(|t| t.code));
            self.events.extend(builder.tokens.iter().map(|t| t.at));
        }
    }

    /// An address with rows.
    pub(crate) fn place(&self, index: u32) -> Place {
        self.places[index as usize]
    }
}
