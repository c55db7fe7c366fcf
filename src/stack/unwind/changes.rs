//! What a thread has found out about return addresses at their places in its stack, so that a frame that changes to and
//! fro, as calls in a loop do, costs no look at the rules of all threads and no hash.

use super::rule::Kind;
use super::rule::Rule;
use super::rules;

/// How many are kept, a power of two.
const KEPT: usize = 256;

/// A return address at its number in a stack. Valid as zeros: of none.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Change {
    /// The epoch and, above 0, the number.
    key: u64,
    pub(super) address: usize,
    pub(super) rule: Rule,
    /// [`hash_at`].
    pub(super) hash: u128,
    /// How far the caller's slot lies from its own; [`NOWHERE`] where that does not depend on it alone.
    next: isize,
    /// How far from its slot the caller's frame pointer was saved; 0 where it was not.
    saved: isize,
}

/// No slot is so far from another: all are aligned.
const NOWHERE: isize = 1;
const WORD: isize = size_of::<usize>() as isize;

/// Valid as zeros: nothing was found out.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Changes([Change; KEPT]);

/// The hash of a return address at its place from the outermost: both halves of a product, each laid over by the other.
#[inline]
pub(super) fn hash_at(address: usize, index: usize) -> u128 {
    let keyed = address as u64 ^ (index as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
    let product = u128::from(keyed) * 0x9e37_79b9_7f4a_7c15;
    let (low, high) = (product as u64, (product >> 64) as u64);
    let first = low ^ high.wrapping_mul(0xa24b_aed4_963e_e407);
    let second = high ^ low.rotate_left(32).wrapping_mul(0xe703_7ed1_a0b4_28db);
    u128::from(first) | u128::from(second) << 64
}

impl Change {
    fn new(key: u64, address: usize, rule: Rule, hash: u128) -> Self {
        let leads = rule.kind() == Kind::StackPointer;
        Self {
            key,
            address,
            rule,
            hash,
            next: if leads { rule.offset() } else { NOWHERE },
            saved: rule.saved().map_or(0, |saved| WORD + rule.offset() + saved),
        }
    }

    /// Whether the function leads from its frame at `slot` to the one at `next`, and needs nothing else to do so.
    #[inline]
    pub(super) const fn leads(&self, slot: usize, next: usize) -> bool {
        slot.wrapping_add_signed(self.next) == next
    }

    /// Where the function has saved its caller's frame pointer, in its frame at `slot`; 0 where it has not.
    #[inline]
    pub(super) const fn saved_at(&self, slot: usize) -> usize {
        if self.saved == 0 {
            return 0;
        }
        slot.wrapping_add_signed(self.saved)
    }
}

impl Changes {
    /// What is known of an address at the number `index`. `epoch` is that of the stack: a rule of a later one is never
    /// older than the code that it is about, and is not found any more when that epoch is the stack's.
    #[inline]
    pub(super) fn of(&mut self, address: usize, index: usize, epoch: u32) -> &Change {
        let key = u64::from(epoch) << 32 | (index as u64 + 1);
        let place = (address >> 1 ^ address >> 9 ^ index << 2) % KEPT;
        let known = &mut self.0[place];
        if known.address != address || known.key != key {
            find(known, address, index, key);
        }
        known
    }
}

#[cold]
#[inline(never)]
fn find(place: &mut Change, address: usize, index: usize, key: u64) {
    let rule = match address {
        0 => Rule::plain(Kind::End),
        _ => rules::find(address),
    };
    *place = Change::new(key, address, rule, hash_at(address, index));
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_change_leads_where_a_step_of_its_rule_does(
            slot in (1_usize << 20..1 << 40).prop_map(|slot| slot & !7),
            offset in any::<i32>().prop_map(|offset| i64::from(offset & !7)),
            saved in any::<Option<i16>>(),
        ) {
            let saved = saved.map(|words| i64::from(words) * 8);
            let rule = Rule::new(Kind::StackPointer, offset, saved);
            let change = Change::new(0, 1, rule, 0);
            // The CFA is reckoned from where the stack pointer is behind the return address.
            let frame = slot as i64 + 8 + offset;
            let next = usize::try_from(frame - 8).unwrap_or(0);
            prop_assert!(change.leads(slot, next) || frame < 8);
            prop_assert!(!change.leads(slot, next + 8));
            let at = saved.map_or(0, |saved| usize::try_from(frame + saved).expect("a place"));
            prop_assert_eq!(change.saved_at(slot), at);
        }
    }
}
