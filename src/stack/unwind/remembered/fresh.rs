//! Frames that are not remembered: unwound by their rules until a remembered one is met, and put in their place.

use super::LARGE;
use super::Remembered;
use super::WORD;
use super::step;
use super::word;
use crate::stack::MAX_FRAMES;
use crate::stack::unwind::Start;
use crate::stack::unwind::changes::hash_at;
use crate::stack::unwind::rule::Kind;
use crate::stack::unwind::rule::Rule;
use crate::stack::unwind::rules;
use crate::stack::unwind::way::interrupted;
use crate::sys;

/// A frame that has just been unwound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh {
    pub(super) slot: usize,
    pub(super) address: usize,
    pub(super) rule: Rule,
    pub(super) saved_at: usize,
    pub(super) frame_pointer: usize,
}

impl Remembered {
    /// Unwinds by rules from the slot of `start` until a remembered slot further out than the frame `right` is met, or
    /// to the end, and puts what was found between that and the frames from `right` on. Returns from which frame on all
    /// are right then.
    ///
    /// # Safety
    /// It is that of a frame of the stack, to which the frames from `right` on lead.
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn unwind(&mut self, right: usize, start: Start) -> Option<usize> {
        let mut frame_pointer = self.frame_pointer(right, start);
        let mut slot = start.slot;
        let inner = self.len - right;
        let mut met = right;
        if met > 0 && self.slots[met - 1] == slot {
            // It is this frame that has changed.
            met -= 1;
        }
        let mut fresh = 0;
        // SAFETY: a slot of a frame.
        let mut address = unsafe { word(slot) };
        let mut exact = 0;
        let mut is_interrupted = false;
        loop {
            if fresh + inner >= MAX_FRAMES {
                return None;
            }
            let rule = match exact {
                0 if address == 0 => Rule::plain(Kind::End),
                0 => {
                    let change = self.changes.of(address, self.epoch);
                    // As nearly all do; the others take longer below.
                    if let Some(next) = change.next(slot)
                        && next > slot
                        && next - slot <= LARGE
                        && next.is_multiple_of(WORD)
                    {
                        let saved_at = change.saved_at(slot);
                        self.fresh[fresh] = Fresh {
                            slot,
                            address,
                            rule: change.rule,
                            saved_at,
                            frame_pointer: 0,
                        };
                        fresh += 1;
                        if saved_at != 0 {
                            frame_pointer.saved_at = saved_at;
                        }
                        slot = next;
                        met = self.not_further_in(met, slot);
                        if met > 0 && self.slots[met - 1] == slot {
                            break;
                        }
                        // SAFETY: the rules say that the caller's return address lies there.
                        address = unsafe { word(slot) };
                        continue;
                    }
                    change.rule
                }
                _ => rules::find(address | exact),
            };
            exact = 0;
            let kind = rule.kind();
            let goes_by_it = matches!(kind, Kind::FramePointer | Kind::Stored);
            let value = if goes_by_it {
                // SAFETY: where it was saved lies in a frame that was reached.
                unsafe { frame_pointer.value() }
            } else {
                0
            };
            self.fresh[fresh] = Fresh {
                slot,
                address,
                rule,
                saved_at: 0,
                frame_pointer: value,
            };
            match kind {
                Kind::StackPointer | Kind::FramePointer | Kind::Stored => {
                    // SAFETY: the rule is that of the frame.
                    let (next, saved_at) = unsafe { step(rule, slot, value) };
                    self.fresh[fresh].saved_at = saved_at;
                    fresh += 1;
                    let is_odd = next <= slot || next - slot > LARGE;
                    if !next.is_multiple_of(WORD) || is_odd && !sys::may_be_readable(next) {
                        if !is_interrupted {
                            return None;
                        }
                        self.is_cut = true;
                        met = 0;
                        break;
                    }
                    if next <= slot {
                        // On to another stack, which may be gone the next time.
                        self.is_spent = true;
                        met = 0;
                    }
                    if saved_at != 0 {
                        frame_pointer.saved_at = saved_at;
                    }
                    slot = next;
                    met = self.not_further_in(met, slot);
                    if met > 0 && self.slots[met - 1] == slot {
                        break;
                    }
                    // SAFETY: the rules say that the caller's return address lies there.
                    address = unsafe { word(slot) };
                }
                Kind::Signal => {
                    let registers = slot + WORD;
                    fresh += 1;
                    self.is_spent = true;
                    met = 0;
                    frame_pointer.saved_at = registers + interrupted::FRAME_POINTER;
                    // SAFETY: the kernel has put the registers there, above the trampoline's frame.
                    unsafe {
                        slot = word(registers + interrupted::STACK_POINTER).wrapping_sub(WORD);
                        address = word(registers + interrupted::INSTRUCTION);
                    }
                    exact = rules::EXACT;
                    is_interrupted = true;
                }
                Kind::End => {
                    fresh += 1;
                    met = 0;
                    break;
                }
                Kind::Other if is_interrupted => {
                    fresh += 1;
                    self.is_cut = true;
                    met = 0;
                    break;
                }
                Kind::Other => return None,
            }
        }
        if met + fresh + inner > MAX_FRAMES {
            return None;
        }
        let is_all_fresh = met == 0 && right == self.len && right > 0 && !self.is_spent;
        if is_all_fresh && self.fresh[fresh - 1].slot != self.slots[0] {
            self.stray = fresh;
            return None;
        }
        self.splice(right, met, fresh);
        Some(met)
    }

    /// How many of the first `met` frames do not lie further in than a slot.
    #[inline]
    fn not_further_in(&self, mut met: usize, slot: usize) -> usize {
        while met > 0 && self.slots[met - 1] < slot {
            met -= 1;
        }
        met
    }

    /// Puts the `fresh` frames between the frames before `met` and those from `right` on.
    pub(super) fn splice(&mut self, right: usize, met: usize, fresh: usize) {
        let to = met + fresh;
        let inner = right..self.len;
        for hash in &self.hashes[met..right] {
            self.hash = self.hash.wrapping_sub(*hash);
        }
        self.len = to + inner.len();
        if to != right && !inner.is_empty() {
            for hash in &self.hashes[inner.clone()] {
                self.hash = self.hash.wrapping_sub(*hash);
            }
            self.slots.copy_within(inner.clone(), to);
            self.addresses.copy_within(inner.clone(), to);
            self.rules.copy_within(inner.clone(), to);
            self.saved_at.copy_within(inner.clone(), to);
            self.frame_pointers.copy_within(inner, to);
            for index in to..self.len {
                self.hashes[index] = hash_at(self.addresses[index], index);
                self.hash = self.hash.wrapping_add(self.hashes[index]);
            }
        }
        if self.lead_from > met {
            self.lead_from = self.len;
        }
        for (index, frame) in (met..to).zip(self.fresh[..fresh].iter().rev()) {
            if !frame.rule.leads_by_itself() {
                self.lead_from = self.lead_from.max(index + 1);
            }
            self.slots[index] = frame.slot;
            self.addresses[index] = frame.address;
            self.rules[index] = frame.rule;
            self.saved_at[index] = frame.saved_at;
            self.frame_pointers[index] = frame.frame_pointer;
            self.hashes[index] = hash_at(frame.address, index);
            self.hash = self.hash.wrapping_add(self.hashes[index]);
        }
    }
}
