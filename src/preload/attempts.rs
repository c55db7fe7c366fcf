//! The attempts that a thread is in the middle of: what a deallocate nested in one has to be told apart from.

/// How many attempts within attempts are followed; deeper ones are not events.
const MAX_DEPTH: usize = 8;

/// Stacks grow downwards; an older attempt within this distance below a newer one's frame is gone.
const STACK_REACH: usize = 64 << 20;

/// One attempt whose real function has not returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// Where its return address lies: its identity while it lasts.
    pub(super) slot: usize,
    pub(super) owner: u64,
    pub(super) address: u64,
    pub(super) device: u32,
    /// A nested event was this attempt's answer.
    pub(super) answered: bool,
}

/// What the hooks keep for each thread.
#[derive(Debug)]
pub struct PerThread {
    attempts: [Attempt; MAX_DEPTH],
    depth: usize,
}

impl PerThread {
    /// A thread that has done nothing.
    pub const ZERO: Self = Self {
        attempts: [Attempt {
            slot: 0,
            owner: 0,
            address: 0,
            device: 0,
            answered: false,
        }; MAX_DEPTH],
        depth: 0,
    };

    /// Forgets the attempts that were left by an exception or a longjmp: their frames lie below `slot`.
    fn forget_left(&mut self, slot: usize) {
        while let Some(last) = self.depth.checked_sub(1) {
            let below = slot.wrapping_sub(self.attempts[last].slot);
            if below == 0 || below > STACK_REACH {
                break;
            }
            self.depth = last;
        }
    }

    /// Begins an attempt; false when there are too many.
    pub(super) fn push(&mut self, attempt: Attempt) -> bool {
        self.forget_left(attempt.slot.wrapping_add(1));
        let Some(place) = self.attempts.get_mut(self.depth) else {
            return false;
        };
        *place = attempt;
        self.depth += 1;
        true
    }

    /// Ends the attempt whose return address lies at `slot`, and those within it that never returned.
    pub(super) fn pop(&mut self, slot: usize) -> Option<Attempt> {
        let begun = self.attempts.iter().take(self.depth);
        let place = begun
            .into_iter()
            .rposition(|attempt| attempt.slot == slot)?;
        self.depth = place;
        Some(self.attempts[place])
    }

    /// A deallocate of `owner` happened in a call whose return address lies at `slot`: it answers the attempts that
    /// wait for it.
    pub(super) fn answer(&mut self, slot: usize, owner: u64) {
        self.forget_left(slot);
        for attempt in self.attempts.iter_mut().take(self.depth) {
            if attempt.owner == owner || attempt.owner == 0 || owner == 0 {
                attempt.answered = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(slot: usize, owner: u64) -> Attempt {
        Attempt {
            slot,
            owner,
            address: 0,
            device: 0,
            answered: false,
        }
    }

    #[test]
    fn a_nested_deallocate_answers_the_attempt_of_its_owner() {
        let mut thread = PerThread::ZERO;
        assert!(thread.push(attempt(1000, 7)));
        assert!(thread.push(attempt(900, 8)));
        thread.answer(800, 7);
        assert!(!thread.pop(900).expect("the inner one").answered);
        assert!(thread.pop(1000).expect("the outer one").answered);
        assert!(thread.pop(1000).is_none());
    }

    #[test]
    fn an_attempt_left_by_an_exception_is_forgotten() {
        let mut thread = PerThread::ZERO;
        assert!(thread.push(attempt(1000, 7)));
        assert!(thread.push(attempt(900, 8)));
        // The next call comes from above the inner attempt's frame: it cannot be running any more.
        assert!(thread.push(attempt(950, 9)));
        thread.answer(500, 8);
        assert!(thread.pop(950).is_some_and(|attempt| !attempt.answered));
        assert!(thread.pop(900).is_none());
        assert!(thread.pop(1000).is_some());
        // The same frame again, after an exception.
        assert!(thread.push(attempt(1000, 7)));
        assert!(thread.push(attempt(1000, 8)));
        assert_eq!(thread.pop(1000).map(|attempt| attempt.owner), Some(8));
        assert!(thread.pop(1000).is_none());
    }

    #[test]
    fn too_many_are_refused_not_lost() {
        let mut thread = PerThread::ZERO;
        for depth in 0..MAX_DEPTH {
            assert!(thread.push(attempt(1000 - depth, 1)));
        }
        assert!(!thread.push(attempt(1, 1)));
        assert!(thread.pop(1000).is_some());
    }
}
