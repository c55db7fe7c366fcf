//! How to get from a frame to its caller, in one word: what the compiler says about one return address.
//!
//! Compilers use very few of the forms that DWARF has; those that are not here go to the C++ runtime's unwinder.

/// What the canonical frame address (CFA) is reckoned from: where the caller's stack pointer was before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no caller.
    End = 1,
    /// From the stack pointer.
    StackPointer = 2,
    /// From the frame pointer.
    FramePointer = 4,
    /// It is stored, at a distance from the frame pointer: where a function aligns its stack itself.
    Stored = 5,
    /// A signal handler returns here: registers are those that the kernel saved.
    Signal = 6,
    /// In a form that is not among these.
    Other = 7,
}

/// A rule with the epoch that it is from. The word 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Rule(u64);

const KIND: u64 = 7;
/// In the kinds that need more than the frame's own place to lead on.
const NEEDS_MORE: u64 = 4;
const SAVES: u64 = 1 << 3;
const EPOCH_AT: u32 = 4;
const EPOCH_BITS: u32 = 12;
const SAVED_AT: u32 = 16;
const OFFSET_AT: u32 = 32;
/// Only in [`Rule::with_return`].
const RETURN_AT: u32 = 48;
/// Registers are saved at multiples of that.
const WORD: i64 = size_of::<usize>() as i64;

/// Epochs that a rule can tell apart.
pub const EPOCHS: u32 = 1 << EPOCH_BITS;

impl Rule {
    /// A rule without numbers.
    pub const fn plain(kind: Kind) -> Self {
        Self(kind as u64)
    }

    /// The CFA lies `offset` bytes from what `kind` says, and the frame pointer of the caller, if it was saved, `saved`
    /// bytes from the CFA (for [`Kind::Stored`]: from the frame pointer). [`Kind::Other`] where the numbers have no
    /// room.
    pub fn new(kind: Kind, offset: i64, saved: Option<i64>) -> Self {
        let Ok(offset) = i32::try_from(offset) else {
            return Self::plain(Kind::Other);
        };
        let mut word = kind as u64 | u64::from(offset.cast_unsigned()) << OFFSET_AT;
        if let Some(saved) = saved {
            let words = i16::try_from(saved / WORD);
            let (Ok(words), 0) = (words, saved % WORD) else {
                return Self::plain(Kind::Other);
            };
            word |= SAVES | u64::from(words.cast_unsigned()) << SAVED_AT;
        }
        Self(word)
    }

    /// The same for a machine whose functions save the return address where they like: `returns` bytes from the CFA, if
    /// it is not in its register still. Distances are a fraction as long: [`Kind::Other`] beyond 256 KiB.
    pub fn with_return(kind: Kind, offset: i64, saved: Option<i64>, returns: Option<i64>) -> Self {
        let words = |bytes: i64| {
            let words = i16::try_from(bytes / WORD).ok()?;
            (bytes % WORD == 0).then(|| u64::from(words.cast_unsigned()))
        };
        // At the CFA itself is the caller's: no function saves anything there.
        let numbers = (
            words(offset),
            words(saved.unwrap_or(0)),
            words(returns.unwrap_or(0)),
        );
        let ((Some(offset), Some(at), Some(return_at)), false) = (numbers, returns == Some(0))
        else {
            return Self::plain(Kind::Other);
        };
        let saves = if saved.is_some() { SAVES } else { 0 };
        let numbers = at << SAVED_AT | offset << OFFSET_AT | return_at << RETURN_AT;
        Self(kind as u64 | saves | numbers)
    }

    /// What the CFA is reckoned from.
    pub const fn kind(self) -> Kind {
        match self.0 & KIND {
            1 => Kind::End,
            2 => Kind::StackPointer,
            4 => Kind::FramePointer,
            5 => Kind::Stored,
            6 => Kind::Signal,
            _ => Kind::Other,
        }
    }

    /// Whether it leads from the same frame to the same caller each time ([`Kind::End`], [`Kind::StackPointer`]).
    #[inline]
    pub const fn leads_by_itself(self) -> bool {
        self.0 & NEEDS_MORE == 0
    }

    /// Whether it is a [`Kind::FramePointer`].
    #[inline]
    pub const fn goes_by_frame_pointer(self) -> bool {
        self.0 & KIND == Kind::FramePointer as u64
    }

    /// How far the CFA lies from that, in bytes.
    pub const fn offset(self) -> isize {
        (self.0 >> OFFSET_AT) as i32 as isize
    }

    /// The same of a rule [with the place of the return address](Rule::with_return), and that place.
    #[cfg(any(test, target_arch = "aarch64"))]
    pub const fn offset_and_return(self) -> (isize, Option<isize>) {
        let offset = (self.0 >> OFFSET_AT) as i16 as isize * WORD as isize;
        let returns = (self.0 >> RETURN_AT) as i16 as isize * WORD as isize;
        (offset, if returns == 0 { None } else { Some(returns) })
    }

    /// How far from the CFA the caller's frame pointer was saved, in bytes, if it was.
    pub const fn saved(self) -> Option<isize> {
        if self.0 & SAVES == 0 {
            return None;
        }
        Some((self.0 >> SAVED_AT) as i16 as isize * WORD as isize)
    }

    /// The same as a word of a table, for an epoch.
    pub const fn of_epoch(self, epoch: u32) -> u64 {
        self.0 | ((epoch % EPOCHS) as u64) << EPOCH_AT
    }

    /// The rule in a word of a table, if there is one and it is of this epoch.
    pub const fn of_word(word: u64, epoch: u32) -> Option<Self> {
        let mask = ((EPOCHS - 1) as u64) << EPOCH_AT;
        let is_current = (word & mask) >> EPOCH_AT == (epoch % EPOCHS) as u64;
        if word == 0 || !is_current {
            return None;
        }
        Some(Self(word & !mask))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_rule_keeps_its_numbers(offset in any::<i32>(), saved in any::<Option<i16>>(), epoch in any::<u32>()) {
            let saved = saved.map(|words| i64::from(words) * 8);
            let rule = Rule::new(Kind::FramePointer, i64::from(offset), saved);
            prop_assert_eq!(rule.kind(), Kind::FramePointer);
            prop_assert_eq!(rule.offset(), offset as isize);
            prop_assert_eq!(rule.saved(), saved.map(|saved| saved as isize));
            let word = rule.of_epoch(epoch);
            prop_assert_eq!(Rule::of_word(word, epoch), Some(rule));
            prop_assert_eq!(Rule::of_word(word, epoch.wrapping_add(1)), None);
        }

        #[test]
        fn a_rule_with_the_place_of_the_return_address_keeps_its_numbers(
            offset in any::<i16>(),
            saved in any::<Option<i16>>(),
            returns in any::<Option<i16>>(),
            epoch in any::<u32>(),
        ) {
            let bytes = |words: i16| i64::from(words) * 8;
            let returns = returns.filter(|words| *words != 0).map(bytes);
            let rule = Rule::with_return(Kind::StackPointer, bytes(offset), saved.map(bytes), returns);
            let rule = Rule::of_word(rule.of_epoch(epoch), epoch).expect("it is of this epoch");
            prop_assert_eq!(rule.kind(), Kind::StackPointer);
            let numbers = (bytes(offset) as isize, returns.map(|bytes| bytes as isize));
            prop_assert_eq!(rule.offset_and_return(), numbers);
            prop_assert_eq!(rule.saved(), saved.map(|words| bytes(words) as isize));
        }
    }

    #[test]
    fn an_end_and_what_goes_by_the_stack_pointer_lead_by_themselves() {
        let kinds = [
            (Kind::End, true),
            (Kind::StackPointer, true),
            (Kind::FramePointer, false),
            (Kind::Stored, false),
            (Kind::Signal, false),
            (Kind::Other, false),
        ];
        for (kind, leads) in kinds {
            assert_eq!(Rule::plain(kind).kind(), kind);
            assert_eq!(Rule::plain(kind).leads_by_itself(), leads, "{kind:?}");
            let is_framed = kind == Kind::FramePointer;
            assert_eq!(Rule::plain(kind).goes_by_frame_pointer(), is_framed);
        }
    }

    #[test]
    fn what_has_no_room_is_of_another_form() {
        let other = Rule::plain(Kind::Other);
        assert_eq!(Rule::new(Kind::StackPointer, 1 << 31, None), other);
        assert_eq!(Rule::new(Kind::StackPointer, 8, Some(-12)), other);
        assert_eq!(Rule::new(Kind::StackPointer, 8, Some(8 << 16)), other);
        assert_eq!(Rule::of_word(0, 0), None);
        let with_return =
            |offset, saved, returns| Rule::with_return(Kind::StackPointer, offset, saved, returns);
        assert_eq!(with_return(8 << 15, None, None), other);
        assert_eq!(with_return(12, None, None), other);
        assert_eq!(with_return(16, Some(8 << 15), None), other);
        assert_eq!(with_return(16, None, Some(-12)), other);
        assert_eq!(with_return(16, None, Some(0)), other);
    }
}
