//! What a thread knows of its last return addresses, so that frames that change to and fro, as calls in a loop do, cost
//! no look at the rules of all threads and no hash: the unwinder asks here first.

use super::rule::Kind;
use super::rule::Rule;
use super::rules;

/// How many are kept, a power of two.
const KEPT: usize = 256;

/// A return address. Valid as zeros: that of no caller.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Change {
    pub(super) address: usize,
    epoch: u32,
    /// The number that the hash is for, plus 1.
    hashed: u32,
    pub(super) rule: Rule,
    /// How far the caller's slot lies from its own; [`NOWHERE`] where that does not depend on it alone.
    next: isize,
    /// How far from its slot the caller's frame pointer was saved; 0 where it was not.
    saved: isize,
    hash: u128,
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
    fn new(address: usize, rule: Rule, epoch: u32) -> Self {
        Self {
            address,
            epoch,
            hashed: 0,
            rule,
            next: match rule.kind() {
                Kind::StackPointer => rule.offset(),
                _ => NOWHERE,
            },
            saved: rule.saved().map_or(0, |saved| WORD + rule.offset() + saved),
            hash: 0,
        }
    }

    /// Where the caller's slot lies, of a function whose frame at `slot` needs nothing else to lead there.
    #[inline]
    pub(super) const fn next(&self, slot: usize) -> Option<usize> {
        if self.next == NOWHERE {
            return None;
        }
        Some(slot.wrapping_add_signed(self.next))
    }

    /// Whether that is at `next`, a slot.
    #[inline]
    pub(super) const fn leads(&self, slot: usize, next: usize) -> bool {
        slot.wrapping_add_signed(self.next) == next
    }

    /// [`hash_at`] of the address at a number.
    #[inline]
    pub(super) fn hash(&mut self, index: usize) -> u128 {
        let hashed = index as u32 + 1;
        if self.hashed != hashed {
            self.hashed = hashed;
            self.hash = hash_at(self.address, index);
        }
        self.hash
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
    /// What is known of an address. `epoch` is that of the stack: a rule of a later one is never older than the code
    /// that it is about, and is not found any more when that epoch is the stack's.
    #[inline]
    pub(super) fn of(&mut self, address: usize, epoch: u32) -> &mut Change {
        let mixed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize);
        let known = &mut self.0[(mixed >> (usize::BITS - 16)) % KEPT];
        if known.address != address || known.epoch != epoch {
            find(known, address, epoch);
        }
        known
    }
}

#[cold]
#[inline(never)]
fn find(place: &mut Change, address: usize, epoch: u32) {
    let rule = match address {
        0 => Rule::plain(Kind::End),
        _ => rules::find(address),
    };
    *place = Change::new(address, rule, epoch);
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_change_leads_where_a_step_of_its_rule_does(
            // Farther up than any offset leads down.
            slot in (1_usize << 36..1 << 40).prop_map(|slot| slot & !7),
            offset in any::<i32>().prop_map(|offset| i64::from(offset & !7)),
            saved in any::<Option<i16>>(),
        ) {
            let saved = saved.map(|words| i64::from(words) * 8);
            let rule = Rule::new(Kind::StackPointer, offset, saved);
            let change = Change::new(1, rule, 0);
            // The CFA is reckoned from where the stack pointer is behind the return address.
            let frame = slot as i64 + 8 + offset;
            let next = usize::try_from(frame - 8).expect("a place");
            prop_assert!(change.leads(slot, next));
            prop_assert_eq!(change.next(slot), Some(next));
            prop_assert!(!change.leads(slot, next + 8));
            let at = saved.map_or(0, |saved| usize::try_from(frame + saved).expect("a place"));
            // Nothing is saved where the return address lies.
            prop_assume!(at != slot);
            prop_assert_eq!(change.saved_at(slot), at);
        }
    }
}
