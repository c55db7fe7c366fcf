//! The stacks that a thread has lately been on, each remembered for itself: a host that switches between coroutines
//! comes back to them.
//!
//! Place on an event's way: what `StackBuffer` captures by; the frames of one stack are [`Remembered`]'s.
//!
//! Stacks grow down from their outermost frame. So the one that an unwind begins on is likely to be that whose
//! outermost slot is the nearest above. This is a guess: whatever is remembered is verified, and a full unwind tells
//! the stack by its outermost slot. A wrong guess costs that unwind, and is never seen in a frame. A thread with one
//! stack makes two comparisons, and touches the memory of one.

use std::sync::atomic::Ordering;
use std::sync::atomic::compiler_fence;

use super::Remembered;
use super::Start;

/// How many stacks a thread remembers.
const COUNT: usize = 4;

/// Valid as zeros: nothing is remembered.
#[derive(Debug)]
#[repr(C)]
pub struct Stacks {
    /// The last captured one.
    current: usize,
    /// An unwind that begins above this, and not above `top`, is taken for one of the current stack.
    above: usize,
    top: usize,
    /// The outermost slot of each, 0 where there is none; that of the current one as it was when it was chosen.
    tops: [usize; COUNT],
    /// When each was chosen last, counted in changes.
    chosen: [u64; COUNT],
    changes: u64,
    /// The memory of those behind was never touched.
    touched: usize,
    all: [Remembered; COUNT],
}

impl Stacks {
    #[inline]
    fn last(&self) -> &Remembered {
        &self.all[self.current % COUNT]
    }

    /// A hash of the return addresses and their order.
    pub fn hash(&self) -> u128 {
        self.last().hash()
    }

    /// The epoch that the stack was captured in.
    pub fn epoch(&self) -> u32 {
        self.last().epoch()
    }

    /// The return addresses, the outermost first.
    pub fn addresses(&self) -> &[usize] {
        self.last().addresses()
    }

    /// Whether there are more frames than were found.
    pub fn is_cut(&self) -> bool {
        self.last().is_cut()
    }

    /// Nothing is remembered any more: another thread begins here, or somebody has jumped out of the middle.
    pub fn forget(&mut self) {
        for stack in &mut self.all[..self.touched.min(COUNT)] {
            stack.forget();
        }
        self.tops = [0; COUNT];
        self.choose(0);
    }

    /// Captures the stack that begins at `start`; see [`Remembered::capture`].
    ///
    /// # Safety
    /// `start` is that of a call on the calling thread that has not returned.
    #[inline]
    pub unsafe fn capture(&mut self, start: Start) -> Option<()> {
        if start.slot > self.top || start.slot <= self.above {
            // SAFETY: the caller's promise.
            return unsafe { self.capture_elsewhere(start) };
        }
        // SAFETY: the caller's promise.
        let done = unsafe { self.all[self.current % COUNT].capture(start) };
        if done.is_some() {
            done
        } else {
            self.keep_apart()
        }
    }

    /// # Safety
    /// As for [`Stacks::capture`].
    #[cold]
    #[inline(never)]
    unsafe fn capture_elsewhere(&mut self, start: Start) -> Option<()> {
        self.look_for(start.slot);
        // SAFETY: the caller's promise.
        let done = unsafe { self.all[self.current % COUNT].capture(start) };
        if done.is_some() {
            done
        } else {
            self.keep_apart()
        }
    }

    /// Chooses the stack on which a slot probably lies.
    fn look_for(&mut self, slot: usize) {
        self.note_top();
        let tops = self.tops.iter().enumerate();
        let around = tops.filter(|(_, top)| **top >= slot);
        let nearest = around.min_by_key(|(_, top)| **top);
        let index = nearest.map_or_else(|| self.oldest(), |(index, _)| index);
        self.choose(index);
    }

    /// What was captured is another stack than the one that it was taken for: both are kept. None where it was not
    /// captured at all.
    #[cold]
    #[inline(never)]
    fn keep_apart(&mut self) -> Option<()> {
        self.note_top();
        let guess = self.current;
        let top = self.all[guess].stray_top()?;
        let known = self.tops.iter().position(|known| *known == top);
        if known.is_some() {
            // The guess lies within a stack that is there now: it is of one that is no more.
            self.tops[guess] = 0;
        }
        let index = known.unwrap_or_else(|| self.oldest());
        self.tops[index] = top;
        self.choose(index);
        let Ok([from, to]) = self.all.get_disjoint_mut([guess, index]) else {
            self.forget();
            return None;
        };
        to.take_stray(from);
        if known.is_some() {
            from.forget();
        }
        Some(())
    }

    /// The one that was chosen the longest ago, and not the current one unless that is empty.
    fn oldest(&self) -> usize {
        let is_other = |index: &usize| *index != self.current || self.tops[*index] == 0;
        let mut others = (0..COUNT).filter(is_other);
        let first = others.next().unwrap_or(0);
        let is_empty = |index: usize| self.tops[index] == 0;
        others.fold(first, |oldest, index| {
            let is_older =
                !is_empty(oldest) && (is_empty(index) || self.chosen[index] < self.chosen[oldest]);
            if is_older { index } else { oldest }
        })
    }

    /// Takes down where the current stack ends now. Where it leads on to another one, or is cut, it is that still.
    fn note_top(&mut self) {
        if let Some(top) = self.last().top() {
            self.tops[self.current % COUNT] = top;
        }
    }

    fn choose(&mut self, index: usize) {
        self.touched = self.touched.max(index + 1);
        // Who jumps out from here on has to find it touched.
        compiler_fence(Ordering::SeqCst);
        self.changes += 1;
        self.chosen[index] = self.changes;
        self.current = index;
        self.top = self.tops[index];
        let lower = self.tops.iter().filter(|top| **top < self.top);
        self.above = lower.copied().max().unwrap_or(0);
    }

    /// How many stacks are remembered.
    #[cfg(test)]
    pub fn kept(&self) -> usize {
        self.tops.iter().filter(|top| **top != 0).count()
    }
}
