//! Holders of one owner: what most addresses have, in numbers that lie in no memory.

use whofreed_lifecycle::Event;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Holders;
use whofreed_lifecycle::Standing;

use crate::ledger::small::Small;

/// The index of the past entry, and that of the live one.
const PAST: usize = 0;
const LIVE: usize = 1;

/// At most one live run and one past entry, both of the same owner.
#[derive(Clone, Copy, Debug)]
pub struct One {
    owner: u64,
    live: u32,
    is_past: bool,
    late: u32,
}

impl One {
    /// The holders of a small state, whose noted owner is `owner`. `None` when `event` may bring another one.
    #[inline(always)]
    pub fn of(small: Small, owner: u64, event: Event) -> Option<Self> {
        let owner = if small.is_owned { owner } else { 0 };
        let is_empty = small.live == 0 && !small.is_past;
        let owner = match event {
            Event::Allocate { owner: new } | Event::Retain { owner: new } if new != owner => {
                if !is_empty {
                    return None;
                }
                new
            }
            _ => owner,
        };
        Some(Self {
            owner,
            live: small.live,
            is_past: small.is_past,
            late: small.late,
        })
    }

    /// The owner, if there is a holder and it is known.
    #[inline(always)]
    pub const fn owner(self) -> u64 {
        if self.live > 0 || self.is_past {
            self.owner
        } else {
            0
        }
    }

    /// Takes the place of the holders in `small`.
    #[inline(always)]
    pub const fn write_to(self, small: &mut Small) {
        small.is_owned = self.owner() != 0;
        small.live = self.live;
        small.is_past = self.is_past;
        small.late = if self.is_past { self.late } else { 0 };
    }
}

impl Holders for One {
    #[inline(always)]
    fn get(&self, index: usize) -> Holder {
        let (count, standing) = match index {
            PAST => (self.late, Standing::Past),
            _ => (self.live, Standing::Live),
        };
        Holder {
            owner: self.owner,
            count,
            standing,
        }
    }

    #[inline(always)]
    fn set_count(&mut self, index: usize, count: u32) {
        match index {
            PAST => self.late = count,
            _ => self.live = count,
        }
    }

    #[inline(always)]
    fn push(&mut self, holder: Holder) {
        self.owner = holder.owner;
        match holder.standing {
            Standing::Live => self.live = holder.count,
            Standing::Past => {
                self.is_past = true;
                self.late = holder.count;
            }
        }
    }

    #[inline(always)]
    fn remove(&mut self, index: usize) {
        match index {
            PAST => self.is_past = false,
            _ => self.live = 0,
        }
    }

    #[inline(always)]
    fn has_room(&self, _more: usize) -> bool {
        // A count that a cell holds grows by one at the most, so no owner ever needs a second run.
        true
    }

    #[inline(always)]
    fn newest_live(&self, owner: Option<u64>) -> Option<usize> {
        let is_wanted = owner.is_none_or(|owner| owner == self.owner);
        (self.live > 0 && is_wanted).then_some(LIVE)
    }

    #[inline(always)]
    fn past(&self, owner: u64) -> Option<usize> {
        (self.is_past && owner == self.owner).then_some(PAST)
    }

    #[inline(always)]
    fn count_past(&self) -> (usize, usize) {
        let is_late = self.is_past && self.late > 0;
        (usize::from(self.is_past && !is_late), usize::from(is_late))
    }

    #[inline(always)]
    fn oldest_past(&self, is_late: bool) -> Option<usize> {
        (self.is_past && (self.late > 0) == is_late).then_some(PAST)
    }

    fn all(&self) -> impl Iterator<Item = Holder> {
        let past = self.is_past.then(|| self.get(PAST));
        let live = (self.live > 0).then(|| self.get(LIVE));
        past.into_iter().chain(live)
    }
}
