//! The walk through one address: what is known of it at a moment, and what the next event makes of that.

use std::collections::VecDeque;

use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event as Change;
use whofreed_lifecycle::Holder;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::StackId;
use whofreed_trace::Verdict;

use crate::sources::EventRef;

/// How many of the lives that had ended are remembered: what a fork hands down,
const ENDED: usize = 2;
/// and where owners tell lives apart. Twice as many as the lifecycle remembers owners.
const ENDED_OF_OWNERS: usize = 16;

/// One instance: a right to deallocate, from the allocate or retain that gave it to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) owner: u64,
    pub(crate) began: EventRef,
    /// Which of the address's lives it is, counted from one.
    pub(crate) number: u32,
    /// Of its allocation.
    pub(crate) stack: StackId,
    pub(crate) size: u64,
    /// The reset or close of the device that ended it.
    pub(crate) released: Option<Reset>,
    /// It began in the process that this one was forked from.
    pub(crate) inherited: bool,
}

/// A reset or close by its trace and its number; its device is that of the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reset {
    pub(crate) trace: u32,
    pub(crate) epoch: u32,
}

/// A life and the deallocate that ended it, or that came late after a reset had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) life: Life,
    pub(crate) by: EventRef,
    pub(crate) stack: StackId,
}

/// One event of an address, judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub(crate) at: EventRef,
    pub(crate) event: &'a Event,
    pub(crate) verdict: Verdict,
    pub(crate) late: bool,
    /// The life that the event began or ended; of an excess free the one that it frees again, as far as owner and
    /// address tell.
    pub(crate) life: Option<Life>,
    /// Of an excess free: the deallocate that had ended `life`, and what lives there now, which the free hits.
    pub(crate) freed: Option<EventRef>,
    pub(crate) hit: Option<Life>,
    /// How many lives the address has seen, this event's own among them.
    pub(crate) lives: u32,
    /// A reset or close of the device lies between the step before and this one.
    pub(crate) after_reset: bool,
}

/// What is known of an address.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    address: Address<Vec<Holder>>,
    /// Lives that go on, the oldest first.
    live: Vec<Life>,
    /// Lives that a reset ended and whose own deallocate has not come yet.
    reset: Vec<Life>,
    /// The last lives that were ended, the newest last.
    ended: VecDeque<Ended>,
    epoch: u32,
    /// The step that the next event has, if none is missing.
    pub(super) expected: u64,
    /// No event was missing so far.
    pub(super) exact: bool,
    /// Owners tell lives apart here; and one that ended is not remembered any more.
    has_owners: bool,
    forgot: bool,
    /// How many lives began here.
    lives: u32,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            address: Address::default(),
            live: Vec::new(),
            reset: Vec::new(),
            ended: VecDeque::new(),
            epoch: 0,
            expected: 1,
            exact: true,
            has_owners: false,
            forgot: false,
            lives: 0,
        }
    }
}

impl Walk {
    /// What a forked child has of it.
    pub(super) fn handed_down(&self) -> Self {
        let mut own = self.clone();
        let ended = own.ended.iter_mut().map(|ended| &mut ended.life);
        let lives = own.live.iter_mut().chain(&mut own.reset).chain(ended);
        lives.for_each(|life| life.inherited = true);
        own
    }

    /// Whether anything ever lived here.
    pub(crate) fn has_lived(&self) -> bool {
        self.lives > 0
    }

    /// Reads a little of everything that the next step needs.
    pub(super) fn touch(&self) -> u64 {
        let live = self.live.last().map_or(0, |life| life.owner);
        let oldest = self.ended.front().map_or(0, |ended| ended.life.owner);
        let newest = self.ended.back().map_or(0, |ended| ended.life.owner);
        let holder = self.address.holders.last().map_or(0, |holder| holder.owner);
        self.expected ^ live ^ oldest ^ newest ^ holder
    }

    /// Lives that go on.
    pub(crate) fn live(&self) -> &[Life] {
        &self.live
    }

    /// The last lives that were ended.
    pub(crate) fn last_ended(&self) -> impl Iterator<Item = &Ended> {
        self.ended
            .iter()
            .skip(self.ended.len().saturating_sub(ENDED))
    }

    /// Judges the next event.
    pub(super) fn step<'a>(&mut self, at: EventRef, event: &'a Event) -> Step<'a> {
        self.exact &= event.step == self.expected;
        self.expected = self.expected.max(event.step.saturating_add(1));
        let after_reset = event.epoch > self.epoch;
        if after_reset {
            // The first reset since the address was last touched ended whatever lived there.
            let released = Some(Reset {
                trace: at.trace(),
                epoch: self.epoch + 1,
            });
            self.live.iter_mut().for_each(|l| l.released = released);
            self.epoch = event.epoch;
            self.reset.append(&mut self.live);
        }
        let (verdict, late) = self.verdict(event);
        let owner = event.root_owner;
        let (mut freed, mut hit) = (None, None);
        let life = match event.kind {
            EventKind::Allocate => {
                // With no owner to tell two lives apart, a late right cannot outlive the next one.
                self.reset.retain(|life| life.owner != 0);
                Some(self.begin(at, event))
            }
            EventKind::Retain if verdict == Verdict::Ok => Some(self.begin(at, event)),
            EventKind::Deallocate if verdict == Verdict::Ok => self.end(at, event, late),
            EventKind::Deallocate if verdict.is_excess() => {
                let again = self.freed_again(owner);
                freed = again.and_then(|(_, freed)| freed);
                hit = self.live.last().copied();
                again.map(|(life, _)| life)
            }
            _ => None,
        };
        Step {
            at,
            event,
            verdict,
            late,
            life,
            freed,
            hit,
            lives: self.lives,
            after_reset,
        }
    }

    fn verdict(&mut self, event: &Event) -> (Verdict, bool) {
        let owner = event.root_owner;
        let change = match event.kind {
            EventKind::Allocate => Change::Allocate { owner },
            EventKind::Retain => Change::Retain { owner },
            EventKind::View => Change::View { root: owner },
            EventKind::Deallocate => Change::Deallocate { owner },
            _ => return (event.verdict, event.late),
        };
        match self.address.apply(event.epoch, change) {
            Ok(outcome) if self.exact => (outcome.verdict, outcome.late),
            _ => (event.verdict, event.late),
        }
    }

    fn begin(&mut self, at: EventRef, event: &Event) -> Life {
        self.lives = self.lives.saturating_add(1);
        let life = Life {
            owner: event.root_owner,
            began: at,
            number: self.lives,
            stack: event.stack,
            size: event.size,
            released: None,
            inherited: false,
        };
        self.live.push(life);
        life
    }

    /// Finds the life that a legitimate deallocate ended, by the order of the contract's rules.
    fn end(&mut self, at: EventRef, event: &Event, late: bool) -> Option<Life> {
        let owner = event.root_owner;
        let life = if late {
            let index = self.reset.iter().rposition(|life| life.owner == owner)?;
            self.reset.remove(index)
        } else {
            let held_by = |wanted: u64| self.live.iter().rposition(|life| life.owner == wanted);
            let newest = if owner == 0 {
                self.live.len().checked_sub(1)
            } else {
                None
            };
            let index = held_by(owner).or_else(|| held_by(0)).or(newest)?;
            self.live.remove(index)
        };
        self.remember(Ended {
            life,
            by: at,
            stack: event.stack,
        });
        Some(life)
    }

    fn remember(&mut self, ended: Ended) {
        self.has_owners |= ended.life.owner != 0;
        let most = if self.has_owners {
            ENDED_OF_OWNERS
        } else {
            ENDED
        };
        if self.ended.len() >= most
            && let Some(oldest) = self.ended.pop_front()
        {
            self.forgot |= oldest.life.owner != 0;
        }
        self.ended.push_back(ended);
    }

    /// The life that an excess free frees again, and what had ended it.
    fn freed_again(&mut self, owner: u64) -> Option<(Life, Option<EventRef>)> {
        if owner != 0 {
            // The right that a reset left is used up by a deallocate that came too late.
            let index = self.reset.iter().rposition(|life| life.owner == owner);
            if let Some(index) = index {
                return Some((self.reset.remove(index), None));
            }
            let mut ended = self.ended.iter().rev();
            if let Some(ended) = ended.find(|ended| ended.life.owner == owner) {
                return Some((ended.life, Some(ended.by)));
            }
            // Rather no life than a wrong one.
            if self.forgot {
                return None;
            }
        }
        if self.live.is_empty() || owner == 0 {
            self.ended.back().map(|ended| (ended.life, Some(ended.by)))
        } else {
            self.live.last().map(|life| (*life, None))
        }
    }
}
