//! The frames of one stack, and how they are brought up to date.
//!
//! Frames are numbered from the outermost, 0. Each has a *slot*, where its return address lies; its rule leads to the
//! slot of the frame further out. For a caller whose frame pointer was saved, it is known where. The hash of a stack is
//! the sum of a hash of each return address with its number, so that a frame that changes costs one subtraction and one
//! addition, wherever it is.

mod fresh;

use std::ptr::with_exposed_provenance;

use self::fresh::Fresh;
use super::Start;
use super::changes::Changes;
use super::changes::hash_at;
use super::rule::Kind;
use super::rule::Rule;
use super::rules;
use crate::stack::MAX_FRAMES;

/// A frame that is larger is looked at twice: a wrong rule must not make the host crash.
const LARGE: usize = 1 << 20;
const WORD: usize = size_of::<usize>();

/// Valid as zeros: nothing is remembered.
#[derive(Debug)]
#[repr(C)]
pub struct Remembered {
    len: usize,
    /// No frame from this one on needs more than its own place to lead on ([`Rule::leads_by_itself`]).
    lead_from: usize,
    hash: u128,
    epoch: u32,
    /// The frames do not do for the next stack: they go through a signal handler, or to another stack.
    is_spent: bool,
    /// It ends before its end: behind an interrupted function that cannot be unwound from there.
    is_cut: bool,
    /// How many of the fresh frames are those of another stack, which was to be captured.
    stray: usize,
    slots: [usize; MAX_FRAMES],
    addresses: [usize; MAX_FRAMES],
    rules: [Rule; MAX_FRAMES],
    /// Where the caller's frame pointer was saved; 0 where it was not.
    saved_at: [usize; MAX_FRAMES],
    /// The frame pointer, where the rule goes by it.
    frame_pointers: [usize; MAX_FRAMES],
    hashes: [u128; MAX_FRAMES],
    changes: Changes,
    /// Frames that have just been unwound, the innermost first.
    fresh: [Fresh; MAX_FRAMES],
}

/// The frame pointer of the frame that is being looked at: in a register at first, later where a callee has saved it.
#[derive(Clone, Copy)]
struct FramePointer {
    register: usize,
    saved_at: usize,
}

impl FramePointer {
    /// # Safety
    /// Where it was saved is readable: on the stack of a frame that has been reached.
    #[inline]
    unsafe fn value(self) -> usize {
        if self.saved_at == 0 {
            self.register
        } else {
            // SAFETY: the caller's promise.
            unsafe { word(self.saved_at) }
        }
    }
}

/// # Safety
/// `address` is that of a readable word.
#[inline]
unsafe fn word(address: usize) -> usize {
    // SAFETY: the caller's promise. Another thread may write there, whose stack this is not; the word is read in one
    // piece.
    unsafe { with_exposed_provenance::<usize>(address).read_volatile() }
}

/// Where the frame further out has its return address, and where the caller's frame pointer was saved: 0 where it was
/// not.
///
/// # Safety
/// The rule is that of the frame at `slot`, whose frame pointer is `frame_pointer`.
#[inline]
unsafe fn step(rule: Rule, slot: usize, frame_pointer: usize) -> (usize, usize) {
    let frame = match rule.kind() {
        Kind::StackPointer => (slot + WORD).wrapping_add_signed(rule.offset()),
        Kind::FramePointer => frame_pointer.wrapping_add_signed(rule.offset()),
        // SAFETY: the function keeps its CFA there.
        _ => unsafe { word(frame_pointer.wrapping_add_signed(rule.offset())) },
    };
    let saved_from = if rule.kind() == Kind::Stored {
        frame_pointer
    } else {
        frame
    };
    let saved_at = rule.saved();
    let saved_at = saved_at.map_or(0, |saved| saved_from.wrapping_add_signed(saved));
    (frame.wrapping_sub(WORD), saved_at)
}

impl Remembered {
    /// A hash of the return addresses and their order: two stacks that have the same one are the same, as good as
    /// certainly (a million of them differ with all odds but one in 10^26).
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// The epoch that it was captured in.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The return addresses, the outermost first.
    pub fn addresses(&self) -> &[usize] {
        &self.addresses[..self.len]
    }

    /// Nothing is remembered any more: another thread begins here, or somebody has jumped out of the middle.
    pub fn forget(&mut self) {
        self.len = 0;
        self.lead_from = 0;
        self.hash = 0;
        self.is_spent = false;
        self.is_cut = false;
        self.stray = 0;
    }

    /// Whether there are more frames than were found.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The outermost slot, where it is that of a whole stack.
    pub fn top(&self) -> Option<usize> {
        (self.len > 0 && !self.is_spent).then_some(self.slots[0])
    }

    /// The outermost slot of the stack that was found to be another one, if the last capture was of such a one.
    pub fn stray_top(&self) -> Option<usize> {
        let outermost = self.fresh.get(self.stray.checked_sub(1)?)?;
        Some(outermost.slot)
    }

    /// Becomes the stack that was found to be another one than `from`.
    pub fn take_stray(&mut self, from: &mut Self) {
        let stray = std::mem::take(&mut from.stray);
        self.forget();
        self.epoch = from.epoch;
        self.fresh[..stray].copy_from_slice(&from.fresh[..stray]);
        self.splice(0, 0, stray);
    }

    /// Makes it the stack that begins at `start`.
    ///
    /// None, and what is remembered stays, where it is another stack ([`Remembered::stray_top`]). None, and nothing is
    /// remembered, where a function finds its caller in a way that is not known here, where there are more than
    /// [`MAX_FRAMES`], or where a rule leads to what cannot be read. The C++ runtime's unwinder may have
    /// an answer. It is not to be asked behind a function that a signal has interrupted anywhere: it follows what the
    /// compiler says even where that does not hold, as while `_Unwind_Resume` leaves for another frame, and dies. There
    /// the stack is cut.
    ///
    /// # Safety
    /// `start` is that of a call on the calling thread that has not returned.
    pub unsafe fn capture(&mut self, start: Start) -> Option<()> {
        let epoch = rules::epoch();
        if self.is_spent || self.epoch != epoch {
            self.forget();
            self.epoch = epoch;
        }
        // SAFETY: the caller's promise.
        let done = unsafe { self.update(start) };
        if done.is_none() && self.stray == 0 {
            self.forget();
        }
        done
    }

    /// # Safety
    /// As for [`Remembered::capture`].
    unsafe fn update(&mut self, start: Start) -> Option<()> {
        // Those of calls that have returned.
        let mut known = self.len;
        while known > 0 && self.slots[known - 1] < start.slot {
            known -= 1;
            self.hash = self.hash.wrapping_sub(self.hashes[known]);
        }
        self.len = known;
        self.lead_from = self.lead_from.min(known);
        // Frames from here on inward are right.
        let mut right = known;
        if known == 0 || self.slots[known - 1] != start.slot {
            // SAFETY: the caller's promise.
            right = unsafe { self.unwind(known, start)? };
        }
        loop {
            // SAFETY: the frames from `right` on are.
            right = unsafe { self.update_leading(right) };
            if right == 0 {
                return Some(());
            }
            // SAFETY: the frames from `right` on are.
            right = unsafe { self.update_one(right, start)? };
        }
    }

    /// Makes frames before `right` right, one after the other, as long as they lead on by themselves to where they led.
    /// Returns from which one on all are then.
    ///
    /// # Safety
    /// Those from `right` on are right.
    #[inline]
    unsafe fn update_leading(&mut self, mut right: usize) -> usize {
        let lead_from = self.lead_from;
        while right > lead_from {
            // No index is looked at twice.
            let index = (right - 1) % MAX_FRAMES;
            // SAFETY: every frame further in is right, so that a full unwind would read the word as well.
            let is_same = unsafe { word(self.slots[index]) } == self.addresses[index];
            // SAFETY: as above.
            if !is_same && !unsafe { self.replace(index) } {
                break;
            }
            right = index;
        }
        right
    }

    /// Makes the frame before `right` right. Returns from which one on all are then.
    ///
    /// # Safety
    /// Those from `right` on are, and `start` is as for [`Remembered::capture`].
    #[inline]
    unsafe fn update_one(&mut self, right: usize, start: Start) -> Option<usize> {
        let index = right - 1;
        let slot = self.slots[index];
        // SAFETY: every frame further in is right, so that a full unwind would read this as well.
        let address = unsafe { word(slot) };
        let is_same = address == self.addresses[index];
        if is_same {
            if self.rules[index].leads_by_itself() {
                if right == self.lead_from {
                    self.lead_from = index;
                }
                return Some(index);
            }
        // SAFETY: as above.
        } else if unsafe { self.replace(index) } {
            return Some(index);
        }
        // SAFETY: as above.
        let framed = unsafe { self.update_framed(right, start) };
        if framed < right {
            return Some(framed);
        }
        // SAFETY: as above.
        if is_same && unsafe { self.leads_on(index, start) } {
            return Some(index);
        }
        // SAFETY: as above.
        unsafe { self.unwind(right, Start { slot, ..start }) }
    }

    /// The frame pointer of the frame before the one `right`, where the frames from that on are right: the innermost of
    /// them that has saved its caller's has it.
    #[inline]
    fn frame_pointer(&self, right: usize, start: Start) -> FramePointer {
        let mut saved = self.saved_at[right..self.len].iter();
        FramePointer {
            register: start.frame_pointer,
            saved_at: saved.find(|at| **at != 0).copied().unwrap_or(0),
        }
    }

    /// Verifies frames that go by their frame pointers, from the one before `right` outward, and puts in place those
    /// that have changed and lead on to the same place. Returns from which one on all are right then.
    ///
    /// # Safety
    /// Those from `right` on are, and `start` is as for [`Remembered::capture`].
    #[inline(never)]
    unsafe fn update_framed(&mut self, mut right: usize, start: Start) -> usize {
        let mut frame_pointer = self.frame_pointer(right, start);
        while let Some(index) = right.checked_sub(1) {
            let slot = self.slots[index];
            // SAFETY: every frame further in is right, so that a full unwind would read this as well.
            let address = unsafe { word(slot) };
            if address == self.addresses[index] {
                let is_framed = self.rules[index].goes_by_frame_pointer();
                // SAFETY: where it was saved lies in a frame that is right.
                if !is_framed || unsafe { frame_pointer.value() } != self.frame_pointers[index] {
                    break;
                }
            } else {
                let rule = rules::find(address);
                if index == 0 || address == 0 || !rule.goes_by_frame_pointer() {
                    break;
                }
                // SAFETY: as above, and such a step reads nothing.
                let (value, (next, saved_at)) = unsafe {
                    let value = frame_pointer.value();
                    (value, step(rule, slot, value))
                };
                if next != self.slots[index - 1] {
                    break;
                }
                let hash = hash_at(address, index);
                self.addresses[index] = address;
                self.rules[index] = rule;
                self.saved_at[index] = saved_at;
                self.frame_pointers[index] = value;
                self.hash = self
                    .hash
                    .wrapping_add(hash)
                    .wrapping_sub(self.hashes[index]);
                self.hashes[index] = hash;
                self.lead_from = self.lead_from.max(right);
            }
            if self.saved_at[index] != 0 {
                frame_pointer.saved_at = self.saved_at[index];
            }
            right = index;
        }
        right
    }

    /// Whether a frame whose return address is the remembered one, and whose CFA is stored, leads to where it led.
    ///
    /// # Safety
    /// Every frame further in is right.
    #[cold]
    unsafe fn leads_on(&self, index: usize, start: Start) -> bool {
        let rule = self.rules[index];
        if rule.kind() != Kind::Stored || index == 0 {
            return false;
        }
        let frame_pointer = self.frame_pointer(index + 1, start);
        // SAFETY: where it was saved lies in a frame that is right, and where the CFA is kept is read by a full unwind
        // too.
        unsafe {
            let value = frame_pointer.value();
            value == self.frame_pointers[index]
                && step(rule, self.slots[index], value).0 == self.slots[index - 1]
        }
    }

    /// Puts the frame that is now at a number in the place of the remembered one, if it leads on to the same place by
    /// itself.
    ///
    /// # Safety
    /// Every frame further in is right.
    #[inline]
    unsafe fn replace(&mut self, index: usize) -> bool {
        if index == 0 {
            return false;
        }
        let slot = self.slots[index];
        // SAFETY: a full unwind would read this as well.
        let address = unsafe { word(slot) };
        let change = self.changes.of(address, self.epoch);
        if !change.leads(slot, self.slots[index - 1]) {
            return false;
        }
        self.addresses[index] = address;
        self.rules[index] = change.rule;
        self.saved_at[index] = change.saved_at(slot);
        let hash = change.hash(index);
        self.hash = self
            .hash
            .wrapping_add(hash)
            .wrapping_sub(self.hashes[index]);
        self.hashes[index] = hash;
        true
    }
}
