//! The attempts that a thread is in the middle of: what a deallocate nested in one has to be told apart from.

use whofreed_hooktable::flags;

use super::Frame;
use super::engine;
use super::layer::Layers;
use super::memory::Bound;
use super::memory::Memory;
use super::scope::Scopes;
use super::session::ADDRESS_UNKNOWN;
use super::session::Forward;
use super::session::OWNERS;
use super::session::Session;
use super::session::site;
use crate::hook;

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
#[repr(C)]
pub struct PerThread {
    depth: usize,
    /// The calls of layers.
    pub(super) layers: Layers,
    /// The scopes that calls are.
    pub(super) scopes: Scopes,
    attempts: [Attempt; MAX_DEPTH],
}

impl PerThread {
    /// Forgets everything: the thread is another one.
    pub(crate) const fn forget(&mut self) {
        self.depth = 0;
        self.layers.forget_all();
        self.scopes.forget_all();
    }

    /// A thread that has done nothing.
    #[cfg(test)]
    const ZERO: Self = Self {
        attempts: [Attempt {
            slot: 0,
            owner: 0,
            address: 0,
            device: 0,
            answered: false,
        }; MAX_DEPTH],
        depth: 0,
        layers: Layers::NONE,
        scopes: Scopes::NONE,
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

    /// Whether no hooked call is under way that has to be remembered.
    pub(crate) const fn is_idle(&self) -> bool {
        self.depth == 0 && self.layers.is_idle() && self.scopes.is_idle()
    }

    /// Whether no call is under way or was left that another one must be told apart from, but for those of layers.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        self.depth == 0 && self.scopes.is_idle()
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

/// What each handle stood for at its last attempt, for handles that are dead.
static HANDLES: Memory = Memory::new();

impl Session<'_> {
    /// Before the real function is called.
    #[inline(never)]
    pub(super) fn begin_attempt(&mut self, frame: &mut Frame) -> Forward {
        let expressions = &self.hooked.expressions;
        let call = self.call(frame, false);
        if !self.is_event(&call) {
            return Forward::Yes;
        }
        let (Some(handle), Some(live)) =
            (call.value(expressions.handle), call.value(expressions.live))
        else {
            self.unreadable();
            return Forward::Yes;
        };
        if live == 0 {
            // Nothing of the buffer can be read any more; what the handle stood for is remembered.
            let bound = match HANDLES.recall(handle) {
                Some(bound) => bound,
                None => {
                    let device = self.device(&call).unwrap_or(0);
                    Bound {
                        owner: 0,
                        address: ADDRESS_UNKNOWN,
                        device,
                    }
                }
            };
            return self.freed(frame, dead(bound), true);
        }
        let owner = call.value_or_zero(expressions.owner);
        let remembered = OWNERS.recall(owner);
        let device = match remembered {
            Some(bound) => Some(bound.device),
            None => self.device(&call),
        };
        let address = call.value(expressions.address);
        let address = address.or(remembered.map(|bound| bound.address));
        let (Some(device), Some(address)) = (device, address) else {
            // A buffer from before we were there: its deallocate will tell, but nothing is known of the handle.
            return Forward::Yes;
        };
        let bound = Bound {
            owner,
            address,
            device,
        };
        HANDLES.remember(handle, bound);
        // The handle believes that it holds the buffer. When the ledger knows better, the attempt is stopped here:
        // what it leads to may be seen only by a notification, too late.
        if self.hooked.has(flags::CAN_GUARD)
            && hook::guard_holds_inside(self.inside, device, address, owner)
        {
            return self.freed(frame, bound, true);
        }
        let slot = frame.return_address_slot;
        let attempt = Attempt {
            slot,
            owner,
            address,
            device,
            answered: false,
        };
        if self.inside.state().preload.push(attempt) {
            frame.ticket |= engine::ATTEMPT;
        }
        Forward::Yes
    }

    /// What came of an attempt on a live handle: a nested deallocate was it; else the handle may have died all the
    /// same (of a closed device, say), or the host declined.
    pub(super) fn end_attempt(&mut self, frame: &Frame) {
        let slot = frame.return_address_slot;
        let attempt = self.inside.state().preload.pop(slot);
        let Some(attempt) = attempt.filter(|attempt| !attempt.answered) else {
            return;
        };
        let Attempt {
            owner,
            address,
            device,
            ..
        } = attempt;
        match self.call(frame, true).value(self.hooked.expressions.live) {
            Some(0) => {
                self.freed(
                    frame,
                    dead(Bound {
                        owner,
                        address,
                        device,
                    }),
                    false,
                );
            }
            Some(_) => {
                self.inside.state().preload.answer(slot, owner);
                hook::declined_inside(self.inside, device, address, owner, site(frame));
            }
            None => self.unreadable(),
        }
    }
}

/// How a handle that no longer tells its address is freed: by its owner, where there is one.
fn dead(bound: Bound) -> Bound {
    let address = if bound.owner == 0 {
        bound.address
    } else {
        ADDRESS_UNKNOWN
    };
    Bound { address, ..bound }
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
