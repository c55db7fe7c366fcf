//! One address and the events that happen at it.

use crate::Full;
use crate::Holder;
use crate::Holders;
use crate::Standing;
use crate::Verdict;

/// How many past owners without a right an address remembers. An owner that was forgotten is taken for one
/// that held the address before.
pub const REMEMBERED_OWNERS: usize = 8;

/// How many past owners with a late right an address remembers: hosts that close a device again and again without
/// freeing what was on it would fill any memory.
pub const REMEMBERED_LATE_OWNERS: usize = 2048;

/// What can happen at an address. Owner 0 means that the owner is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The runtime handed the address out: one more right to deallocate.
    Allocate {
        /// Who holds the buffer.
        owner: u64,
    },
    /// A reference was added to a live buffer: one more right to deallocate.
    Retain {
        /// Who holds the new reference.
        owner: u64,
    },
    /// Another object looks into a live buffer and shares its instances; no new right.
    View {
        /// The owner of the buffer that is looked into.
        root: u64,
    },
    /// A right to deallocate is used, or one that is not there is claimed.
    Deallocate {
        /// Who frees.
        owner: u64,
    },
}

/// What an event came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The judgement.
    pub verdict: Verdict,
    /// The first deallocate of an instance that a reset or close had ended already.
    pub late: bool,
    /// The owner of the live instance that this deallocate ended (its newest one), if it ended one.
    pub ended: Option<u64>,
}

impl Outcome {
    const fn just(verdict: Verdict) -> Self {
        Self {
            verdict,
            late: false,
            ended: None,
        }
    }
}

/// The state of one address: who holds it, who held it, and up to which reset of its device that is known.
#[derive(Clone, Debug, Default)]
pub struct Address<H> {
    /// The holders, past and present.
    pub holders: H,
    /// The number of the device's last reset that has been applied here.
    pub epoch: u32,
    /// Whether the address was ever allocated while tracking.
    pub seen: bool,
    /// Whether a past owner without a right had to be forgotten: one that is not known may have held the address.
    pub forgot: bool,
    /// Whether a late right had to be forgotten: an owner that is not known may have one, and is not accused.
    pub forgot_late: bool,
    /// Whether an event did not fit: from then on nobody is accused here.
    pub incomplete: bool,
}

impl<H: Holders> Address<H> {
    /// Applies every reset of the device up to number `epoch`, then `event`.
    ///
    /// Resets are applied when the address is touched next, so that a reset costs the same for one buffer and
    /// for a million. An `epoch` lower than the one already applied is a late-comer and changes nothing.
    ///
    /// # Errors
    /// [`Full`] when the holders do not fit; then the event has not happened, and the address is
    /// [`Address::incomplete`] from now on.
    #[inline]
    pub fn apply(&mut self, epoch: u32, event: Event) -> Result<Outcome, Full> {
        if epoch > self.epoch {
            self.end_all_by_reset();
            self.epoch = epoch;
        }
        if !self.holders.has_room(1) && !self.forget_one() && self.needs_room(event) {
            self.incomplete = true;
            return Err(Full);
        }
        Ok(match event {
            Event::Allocate { owner } => self.allocate(owner),
            Event::Retain { owner } => self.retain(owner),
            Event::View { root } => Outcome::just(self.judge_reference(root)),
            Event::Deallocate { owner } => self.deallocate(owner),
        })
    }

    /// The number of live instances, resets up to the applied epoch considered.
    #[must_use]
    pub fn live(&self) -> u64 {
        let runs = self.holders.all();
        runs.filter(|holder| holder.standing == Standing::Live)
            .map(|holder| u64::from(holder.count))
            .sum()
    }

    /// Whether `owner` has a right of its own here that a deallocate would use, resets up to `epoch` considered.
    #[must_use]
    pub fn holds(&self, epoch: u32, owner: u64) -> bool {
        let mut own = self.holders.all().filter(|holder| holder.owner == owner);
        if epoch > self.epoch || !self.is_live() {
            // Whatever lives is about to end by a reset, and leaves a late right.
            own.any(|holder| holder.count > 0)
        } else {
            own.any(|holder| holder.standing == Standing::Live)
        }
    }

    #[inline]
    fn is_live(&self) -> bool {
        self.holders.newest_live(None).is_some()
    }

    #[inline]
    fn late_rights(&self, owner: u64) -> u32 {
        let past = self.holders.past(owner);
        past.map_or(0, |index| self.holders.get(index).count)
    }

    #[inline]
    fn held_before(&self, owner: u64) -> bool {
        self.forgot || self.holders.past(owner).is_some()
    }

    #[inline]
    fn allocate(&mut self, owner: u64) -> Outcome {
        // With no owner to tell two lives apart, a late right cannot outlive the next one.
        if let Some(index) = self.holders.past(0) {
            self.holders.remove(index);
        }
        self.seen = true;
        self.add_live(owner);
        Outcome::just(Verdict::Ok)
    }

    #[inline]
    fn retain(&mut self, owner: u64) -> Outcome {
        let verdict = self.judge_reference(owner);
        if verdict == Verdict::Ok {
            self.add_live(owner);
        }
        Outcome::just(verdict)
    }

    /// A retain or a view refers to an instance as a deallocate would, but neither uses it up nor is excess.
    #[inline]
    fn judge_reference(&self, owner: u64) -> Verdict {
        let finds = |held: Option<u64>| self.holders.newest_live(held).is_some();
        let finds_instance = if owner == 0 {
            finds(None)
        } else {
            finds(Some(owner)) || (finds(Some(0)) && self.late_rights(owner) == 0)
        };
        if finds_instance {
            Verdict::Ok
        } else {
            self.judge_without_right(owner)
        }
    }

    #[inline]
    fn deallocate(&mut self, owner: u64) -> Outcome {
        if owner != 0
            && let Some(index) = self.holders.newest_live(Some(owner))
        {
            return self.end_live(index);
        }
        if self.late_rights(owner) > 0 {
            return self.use_late_right(owner);
        }
        let index = match self.holders.newest_live(Some(0)) {
            None if owner == 0 => self.holders.newest_live(None),
            of_nobody => of_nobody,
        };
        match index {
            Some(index) => self.end_live(index),
            None => Outcome::just(self.judge_without_right(owner)),
        }
    }

    #[inline]
    fn judge_without_right(&self, owner: u64) -> Verdict {
        if self.incomplete || (self.forgot_late && self.holders.past(owner).is_none()) {
            Verdict::Unknown
        } else if self.is_live() {
            if self.held_before(owner) {
                Verdict::StaleOwner
            } else {
                Verdict::ForeignOwner
            }
        } else if self.seen {
            Verdict::AlreadyFreed
        } else {
            Verdict::Unknown
        }
    }

    #[inline]
    fn use_late_right(&mut self, owner: u64) -> Outcome {
        let lives_under_another = self.is_live();
        if let Some(index) = self.holders.past(owner) {
            let left = self.holders.get(index).count.saturating_sub(1);
            if owner == 0 && left == 0 {
                self.holders.remove(index);
            } else {
                self.holders.set_count(index, left);
            }
        }
        self.forget_oldest();
        if lives_under_another && self.incomplete {
            Outcome::just(Verdict::Unknown)
        } else if lives_under_another {
            Outcome::just(Verdict::StaleOwner)
        } else {
            Outcome {
                verdict: Verdict::Ok,
                late: true,
                ended: None,
            }
        }
    }

    #[inline]
    fn add_live(&mut self, owner: u64) {
        if let Some(newest) = self.holders.newest_live(None) {
            let run = self.holders.get(newest);
            if run.owner == owner && run.count < u32::MAX {
                self.holders.set_count(newest, run.count + 1);
                return;
            }
        }
        self.holders.push(Holder {
            owner,
            count: 1,
            standing: Standing::Live,
        });
    }

    #[inline]
    fn end_live(&mut self, index: usize) -> Outcome {
        let Holder { owner, count, .. } = self.holders.get(index);
        // The ledger may run this on words that another thread is just replacing, and then throws the result away: so
        // the count may be anything.
        if count <= 1 {
            self.holders.remove(index);
        } else {
            self.holders.set_count(index, count - 1);
        }
        self.remember(owner, 0);
        Outcome {
            verdict: Verdict::Ok,
            late: false,
            ended: Some(owner),
        }
    }

    #[inline]
    fn end_all_by_reset(&mut self) {
        while let Some(index) = self.holders.newest_live(None) {
            let run = self.holders.get(index);
            self.holders.remove(index);
            self.remember(run.owner, run.count);
        }
    }

    /// Makes `owner` the most recent past owner, with `late` more rights. Owner 0 is remembered only for its
    /// rights: nobody can be recognized by it.
    #[inline]
    fn remember(&mut self, owner: u64, late: u32) {
        let mut count = late;
        if let Some(index) = self.holders.past(owner) {
            count = count.saturating_add(self.holders.get(index).count);
            self.holders.remove(index);
        }
        if owner != 0 || count > 0 {
            self.holders.push(Holder {
                owner,
                count,
                standing: Standing::Past,
            });
        }
        self.forget_oldest();
    }

    /// Owners with a late right are kept much longer: an owner that comes with one must not be taken for guilty.
    #[inline]
    fn forget_oldest(&mut self) {
        let (rightless, late) = self.holders.count_past();
        if rightless > REMEMBERED_OWNERS {
            self.forget_one();
        }
        if late > REMEMBERED_LATE_OWNERS
            && let Some(oldest) = self.holders.oldest_past(true)
        {
            self.holders.remove(oldest);
            self.forgot_late = true;
        }
    }

    /// Forgets the oldest past owner without a right, if there is one.
    #[inline]
    fn forget_one(&mut self) -> bool {
        let Some(oldest) = self.holders.oldest_past(false) else {
            return false;
        };
        self.holders.remove(oldest);
        self.forgot = true;
        true
    }

    /// Whether an event may need one more entry: it adds a run, or shortens one and remembers its owner beside it.
    fn needs_room(&self, event: Event) -> bool {
        let is_long = |holder: Holder| holder.standing == Standing::Live && holder.count > 1;
        match event {
            Event::Allocate { .. } | Event::Retain { .. } => true,
            Event::Deallocate { .. } => self.holders.all().any(is_long),
            Event::View { .. } => false,
        }
    }
}
