//! What the blame remembers of addresses whose owners are not known: rows of allocates, frees and resets.
//!
//! A short log is remembered as it is, one row an address. Beyond [`MOST_WHOLE`] it is cut into pieces (see `cut`), each
//! a row of its own with a context; what happens all the time is only counted.

mod code;
mod cut;
#[cfg(test)]
mod tests;

pub(crate) use self::code::Code;
pub(crate) use self::code::Meaning;
pub(crate) use self::code::Token;

use std::collections::BTreeSet;

use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use self::cut::Cut;
use self::cut::Cutter;
use crate::replay::Address;
use crate::replay::Life;
use crate::replay::Map;
use crate::replay::Place;
use crate::replay::Step;
use crate::sources::EventRef;
use crate::stacks::ByStack;
use crate::stacks::StackNumber;

/// A log of so many tokens is not cut.
const MOST_WHOLE: usize = 1 << 17;
/// A segment seen less often is rare,
const RARE: u64 = 8;
/// and one that is less than a hundredth of what becomes of such an allocation, as long as it was not seen so often.
const RARE_OF_MANY: u64 = 64;
/// No place yet.
const NOWHERE: u32 = u32::MAX;
/// The event lies far from the first of its row.
const FAR: u32 = u32::MAX;

/// What is kept of an address until its trace has been replayed.
#[derive(Debug)]
pub(crate) struct Builder {
    tokens: Vec<Token>,
    /// Of an address that is being cut.
    cut: Option<Cut>,
    place: u32,
}

impl Builder {
    /// Reads a little of everything that the next step needs.
    pub(crate) fn touch(&self) -> u64 {
        let first = self.tokens.first().map_or(0, |token| token.at.trace());
        let last = self.tokens.last().map_or(0, |token| token.at.trace());
        let cut = self.cut.as_ref().map_or(0, Cut::touch);
        u64::from(first ^ last ^ self.place) ^ cut
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            cut: None,
            place: NOWHERE,
        }
    }
}

/// All rows. Their codes lie one behind the other, for there may be millions.
#[derive(Debug)]
pub(crate) struct Rows {
    codes: Vec<Code>,
    /// For each code, how far its event lies behind the first of the row.
    offsets: Vec<u32>,
    /// The events of codes for which that cannot be told.
    far: Map<usize, EventRef>,
    /// How many lives the address had seen at a code, where that is not told by the code before.
    lives_at: Map<usize, u32>,
    heads: Vec<Head>,
    /// Addresses with rows, and when their rows are to be used.
    places: Vec<(Place, Use)>,
    /// Traces that began when there were buffers already.
    late: BTreeSet<u32>,
    /// Who freed where owners are not known.
    freed_by: ByStack<bool>,
    /// How many tokens were taken before cutting began, and may be.
    whole: usize,
    most_whole: usize,
    /// Segments that may be quiet, and how to find them: pairs of codes, and longer ones.
    quiet: Vec<Quiet>,
    quiet_codes: Vec<Box<[Code]>>,
    pairs: Map<u64, u32>,
    longer: Map<Box<[Code]>, u32>,
    /// Quiet segments that a stack began: all, and those of the most frequent kind.
    lives: ByStack<(u64, u64)>,
}

/// When the rows of an address are to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Always,
    /// There was a buffer from before the tracking: where there are others anyhow.
    OfLate,
    Never,
}

impl Use {
    fn of(address: &Address) -> Self {
        if address.whole {
            Self::Always
        } else if address.recorded {
            Self::OfLate
        } else {
            // Where events are missing, an instance whose allocate was lost makes the innocent look guilty.
            Self::Never
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Head {
    first: EventRef,
    start: usize,
    len: u32,
    context: u32,
    place: u32,
}

/// A segment without an excess free.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    /// The stack that it begins with, if that is an allocate's.
    begun_by: Option<StackNumber>,
    /// How often it was seen, and how often it went by without being part of a piece.
    seen: u64,
    passed: u64,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    rows: &'a Rows,
    head: Head,
    /// The last allocates before the row, the oldest first.
    pub(crate) context: &'a [Code],
    pub(crate) codes: &'a [Code],
}

impl Row<'_> {
    /// The event of a code.
    pub(crate) fn event(&self, index: usize) -> EventRef {
        let at = self.head.start + self.head.context as usize + index;
        match self.rows.offsets[at] {
            FAR => self.rows.far[&at],
            offset => self.head.first.behind(offset),
        }
    }

    /// For each code how many lives the address had seen by then, the one that an allocate begins among them.
    pub(crate) fn lives(&self) -> Vec<u32> {
        let first = self.head.start + self.head.context as usize;
        let mut lives = 0;
        let codes = self.codes.iter().zip(first..);
        codes
            .map(|(code, at)| {
                let told = self.rows.lives_at.get(&at).copied();
                lives = told.unwrap_or_else(|| code.lives_after(lives));
                lives
            })
            .collect()
    }

    pub(crate) fn place(&self) -> Place {
        self.rows.places[self.head.place as usize].0
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::uncut(MOST_WHOLE)
    }
}

impl Rows {
    /// Rows that are cut beyond so many tokens.
    pub(crate) fn uncut(most: usize) -> Self {
        Self {
            codes: Vec::new(),
            offsets: Vec::new(),
            far: Map::default(),
            lives_at: Map::default(),
            heads: Vec::new(),
            places: Vec::new(),
            late: BTreeSet::new(),
            freed_by: ByStack::default(),
            whole: 0,
            most_whole: most,
            quiet: Vec::new(),
            quiet_codes: Vec::new(),
            pairs: Map::default(),
            longer: Map::default(),
            lives: ByStack::default(),
        }
    }

    /// Whether the log was too long to be remembered as it is.
    pub(crate) fn are_cut(&self) -> bool {
        self.whole >= self.most_whole
    }

    /// All rows that are to be used.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let used = |head: &&Head| match self.places[head.place as usize] {
            (_, Use::Always) => true,
            (place, Use::OfLate) => self.late.contains(&place.trace),
            (_, Use::Never) => false,
        };
        self.heads.iter().filter(used).map(|&head| {
            let codes = &self.codes[head.start..head.start + head.len as usize];
            let (context, codes) = codes.split_at(head.context as usize);
            Row {
                rows: self,
                head,
                context,
                codes,
            }
        })
    }

    /// What happened all the time, and how often that was.
    pub(crate) fn quiet(&self) -> impl Iterator<Item = (&[Code], u64)> {
        let all = self.quiet_codes.iter().zip(&self.quiet);
        let passed = all.filter(|(_, quiet)| quiet.passed > 0);
        passed.map(|(codes, quiet)| (&**codes, quiet.passed))
    }

    /// The stacks of frees where owners are not known.
    pub(crate) fn freed_by(&self) -> impl Iterator<Item = StackNumber> {
        let freed = self.freed_by.iter().filter(|(_, freed)| **freed);
        freed.map(|(stack, _)| stack)
    }

    /// An instance that a forked child inherited, and the free that had ended it.
    pub(crate) fn inherit(
        builder: &mut Builder,
        life: &Life,
        allocate: StackNumber,
        free: Option<(StackNumber, EventRef)>,
    ) {
        let lives = life.number;
        builder.tokens.push(Token {
            code: Code::allocate(allocate),
            lives,
            at: life.began,
        });
        builder.tokens.extend(free.map(|(stack, at)| Token {
            code: Code::free(stack, false),
            lives,
            at,
        }));
    }

    /// The next step of an address.
    pub(crate) fn step(
        &mut self,
        address: &Address,
        builder: &mut Builder,
        step: &Step<'_>,
        stack: StackNumber,
    ) {
        let (at, lives) = (step.at, step.lives);
        if step.after_reset {
            let code = Code::RESET;
            self.push(address, builder, Token { code, lives, at });
        }
        let code = match (step.event.kind, step.verdict) {
            (EventKind::Allocate, _) | (EventKind::Retain, Verdict::Ok) => Code::allocate(stack),
            (EventKind::Deallocate, Verdict::Ok) if !step.late => Code::free(stack, false),
            (EventKind::Deallocate, verdict) if verdict.is_excess() => Code::free(stack, true),
            // A late free is legitimate, and a free of a buffer from before the tracking tells nothing.
            _ => return,
        };
        self.push(address, builder, Token { code, lives, at });
    }

    fn push(&mut self, address: &Address, builder: &mut Builder, token: Token) {
        if !self.are_cut() {
            self.whole += 1;
            builder.tokens.push(token);
            return;
        }
        let before = if builder.cut.is_none() {
            std::mem::take(&mut builder.tokens)
        } else {
            Vec::new()
        };
        let mut cutter = self.cutter(address, builder);
        before.into_iter().for_each(|token| cutter.push(token));
        cutter.push(token);
    }

    /// Notes who frees; whether anybody does.
    fn freed(&mut self, code: Code) -> bool {
        let stack = code.freed_by();
        if let Some(stack) = stack {
            *self.freed_by.of(stack) = true;
        }
        stack.is_some()
    }

    fn cutter<'a>(&'a mut self, address: &Address, builder: &'a mut Builder) -> Cutter<'a> {
        if builder.place == NOWHERE {
            builder.place = self.places.len() as u32;
            self.places.push((address.place, Use::Always));
        }
        Cutter {
            rows: self,
            place: builder.place,
            counts: !address.owners_known,
            tokens: &mut builder.tokens,
            cut: builder.cut.get_or_insert_default(),
        }
    }

    /// All steps of an address were told; `is_used` if the blame may look at them.
    pub(crate) fn end(&mut self, address: &Address, mut builder: Builder, is_used: bool) {
        if builder.cut.is_some() {
            self.cutter(address, &mut builder).end();
            self.places[builder.place as usize].1 = match is_used {
                true => Use::of(address),
                false => Use::Never,
            };
            return;
        }
        if !is_used {
            return;
        }
        let mut has_frees = false;
        for token in &builder.tokens {
            has_frees |= self.freed(token.code);
        }
        let when = match has_frees {
            true => Use::of(address),
            false => Use::Always,
        };
        if when != Use::Never {
            let place = self.places.len() as u32;
            self.places.push((address.place, when));
            self.add(place, std::iter::empty(), &builder.tokens);
        }
    }

    /// Which traces began when there were buffers already.
    pub(crate) fn began_late(&mut self, traces: &BTreeSet<u32>) {
        self.late.clone_from(traces);
    }

    fn piece(&mut self, place: u32, cut: &Cut, tokens: &[Token]) {
        // Where nobody frees there is nothing to tell.
        if tokens.iter().any(|token| token.code.freed_by().is_some()) {
            self.add(place, cut.context(), tokens);
        }
    }

    fn add(&mut self, place: u32, context: impl Iterator<Item = Code>, tokens: &[Token]) {
        let Some(first) = tokens.iter().map(|token| token.at).min() else {
            return;
        };
        let start = self.codes.len();
        self.codes.extend(context);
        let context = self.codes.len() - start;
        self.offsets.resize(self.codes.len(), FAR);
        let mut lives = 0;
        for token in tokens {
            if token.lives != token.code.lives_after(lives) {
                self.lives_at.insert(self.codes.len(), token.lives);
            }
            lives = token.lives;
            let offset = token.at.distance(first).filter(|&offset| offset != FAR);
            if offset.is_none() {
                self.far.insert(self.codes.len(), token.at);
            }
            self.codes.push(token.code);
            self.offsets.push(offset.unwrap_or(FAR));
        }
        self.heads.push(Head {
            first,
            start,
            len: (self.codes.len() - start) as u32,
            context: context as u32,
            place,
        });
    }

    /// The number of a segment that is seen all the time.
    fn usual(&mut self, segment: &[Token], counts: bool) -> Option<u32> {
        let next = self.quiet.len() as u32;
        let begun_by = match segment.first().map(|token| token.code.meaning()) {
            Some(Meaning::Allocate(stack)) => Some(stack),
            _ => None,
        };
        let add = || {
            let codes = segment.iter().map(|token| token.code);
            self.quiet_codes.push(codes.collect());
            self.quiet.push(Quiet {
                begun_by,
                seen: 0,
                passed: 0,
            });
            next
        };
        let number = match segment {
            [allocate, free] => {
                let pair = self.pairs.entry(allocate.code.pair(free.code));
                *pair.or_insert_with(add)
            }
            _ => {
                let codes: Box<[Code]> = segment.iter().map(|token| token.code).collect();
                *self.longer.entry(codes).or_insert_with(add)
            }
        };
        if !counts {
            return Some(number);
        }
        let quiet = &mut self.quiet[number as usize];
        quiet.seen += 1;
        let seen = quiet.seen;
        let mut lives = seen;
        if let Some(stack) = begun_by {
            let (all, most) = self.lives.of(stack);
            *all += 1;
            *most = seen.max(*most);
            lives = *all;
        }
        let is_rare = seen < RARE || seen < RARE_OF_MANY && seen * 100 < lives;
        (!is_rare).then_some(number)
    }

    fn passed(&mut self, number: u32, counts: bool) {
        self.quiet[number as usize].passed += u64::from(counts);
    }

    /// It has become part of a piece after all.
    fn not_passed(&mut self, number: u32, counts: bool) {
        let passed = &mut self.quiet[number as usize].passed;
        *passed = passed.saturating_sub(u64::from(counts));
    }

    /// Whether most lives of this kind do not end like that.
    fn is_odd(&mut self, number: u32) -> bool {
        let quiet = self.quiet[number as usize];
        let stack = quiet.begun_by;
        stack.is_some_and(|stack| 2 * quiet.seen < self.lives.of(stack).1)
    }
}
