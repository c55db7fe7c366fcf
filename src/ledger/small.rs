//! A state that fits into its cell: instances of one owner, at the most.
//!
//! The owner is none, or the one that is noted beside the cell, once and for ever. Most addresses have no other: those
//! of hosts whose frees name nobody, and all that were allocated once.

/// The state of an address with at most one owner. Whether it fits into 63 bits, its numbers decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Small {
    /// Whether the owner is the one beside the cell; else it is not known.
    pub is_owned: bool,
    /// Live instances, all in a row.
    pub live: u32,
    /// Whether the owner is a past one as well.
    pub is_past: bool,
    /// The late rights of the past owner.
    pub late: u32,
    /// Whether the address was ever allocated.
    pub is_seen: bool,
    /// Whether an event did not fit.
    pub is_incomplete: bool,
    /// The last reset that was applied.
    pub epoch: u32,
    /// Events so far.
    pub step: u64,
}

const STEP: Field = Field::from(0, 36);
const EPOCH: Field = STEP.then(10);
const LIVE: Field = EPOCH.then(7);
const LATE: Field = LIVE.then(6);
const OWNED: Field = LATE.then(1);
const PAST: Field = OWNED.then(1);
const SEEN: Field = PAST.then(1);
const INCOMPLETE: Field = SEEN.then(1);

const _: () = assert!(INCOMPLETE.shift + INCOMPLETE.bits == 63);

/// Some bits of a word.
#[derive(Clone, Copy, Debug)]
struct Field {
    shift: u32,
    bits: u32,
}

impl Field {
    const fn from(shift: u32, bits: u32) -> Self {
        Self { shift, bits }
    }

    const fn then(self, bits: u32) -> Self {
        Self::from(self.shift + self.bits, bits)
    }

    const fn of(self, word: u64) -> u64 {
        (word >> self.shift) & self.most()
    }

    const fn most(self) -> u64 {
        (1 << self.bits) - 1
    }

    const fn mask(self) -> u64 {
        self.most() << self.shift
    }
}

/// What an event of nobody's is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A buffer is allocated.
    Comes,
    /// One is freed.
    Goes,
}

/// The bits of the state after an event of nobody's that goes as nearly all do: nothing lives here and a buffer is
/// allocated, or one lives here and is freed, by nobody in particular, nor was there ever an owner; and all resets of
/// the device, `epoch` of them, were applied. It is no excess, and the only step is its own. None for any other.
#[must_use]
#[inline(always)]
pub const fn after_plain(bits: u64, turn: Turn, epoch: u32) -> Option<u64> {
    const ONE: u64 = 1 << LIVE.shift;
    const OTHERS: u64 = LATE.mask() | OWNED.mask() | PAST.mask();
    let live = bits & (LIVE.mask() | OTHERS);
    // The last step that fits comes to its end on the way of all others.
    if EPOCH.of(bits) != epoch as u64 || STEP.of(bits) == STEP.most() {
        return None;
    }
    match turn {
        Turn::Comes if live == 0 => Some((bits + 1 + ONE) | SEEN.mask()),
        Turn::Goes if live == ONE => Some(bits + 1 - ONE),
        _ => None,
    }
}

impl Small {
    /// The state as 63 bits; `None` when a number is too large for its field.
    #[must_use]
    #[inline(always)]
    pub const fn encode(self) -> Option<u64> {
        let (epoch, live, late) = (self.epoch as u64, self.live as u64, self.late as u64);
        let fits = self.step <= STEP.most()
            && epoch <= EPOCH.most()
            && live <= LIVE.most()
            && late <= LATE.most();
        if !fits {
            return None;
        }
        Some(
            self.step << STEP.shift
                | epoch << EPOCH.shift
                | live << LIVE.shift
                | late << LATE.shift
                | (self.is_owned as u64) << OWNED.shift
                | (self.is_past as u64) << PAST.shift
                | (self.is_seen as u64) << SEEN.shift
                | (self.is_incomplete as u64) << INCOMPLETE.shift,
        )
    }

    /// [`Small::step`] of these bits.
    #[must_use]
    #[inline(always)]
    pub const fn step_of(bits: u64) -> u64 {
        STEP.of(bits)
    }

    /// The state that [`Small::encode`] made these bits of.
    #[must_use]
    #[inline(always)]
    pub const fn decode(bits: u64) -> Self {
        Self {
            is_owned: OWNED.of(bits) != 0,
            live: LIVE.of(bits) as u32,
            is_past: PAST.of(bits) != 0,
            late: LATE.of(bits) as u32,
            is_seen: SEEN.of(bits) != 0,
            is_incomplete: INCOMPLETE.of(bits) != 0,
            epoch: EPOCH.of(bits) as u32,
            step: STEP.of(bits),
        }
    }
}
