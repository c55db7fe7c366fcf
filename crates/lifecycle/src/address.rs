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
        let runs = self.holders.entries().iter();
        runs.filter(|holder| holder.standing == Standing::Live)
            .map(|holder| u64::from(holder.count))
            .sum()
    }

    /// Whether `owner` has a right of its own here that a deallocate would use, resets up to `epoch` considered.
    #[must_use]
    pub fn holds(&self, epoch: u32, owner: u64) -> bool {
        let mut own = self.holders.entries().iter().filter(|h| h.owner == owner);
        if epoch > self.epoch || !self.is_live() {
            // Whatever lives is about to end by a reset, and leaves a late right.
            own.any(|holder| holder.count > 0)
        } else {
            own.any(|holder| holder.standing == Standing::Live)
        }
    }

    fn is_live(&self) -> bool {
        let mut entries = self.holders.entries().iter();
        entries.any(|holder| holder.standing == Standing::Live)
    }

    fn newest_live(&self, is_wanted: impl Fn(u64) -> bool) -> Option<usize> {
        let mut entries = self.holders.entries().iter();
        entries.rposition(|holder| holder.standing == Standing::Live && is_wanted(holder.owner))
    }

    fn past(&self, owner: u64) -> Option<usize> {
        let mut entries = self.holders.entries().iter();
        entries.position(|holder| holder.standing == Standing::Past && holder.owner == owner)
    }

    fn late_rights(&self, owner: u64) -> u32 {
        self.past(owner)
            .map_or(0, |index| self.holders.entries()[index].count)
    }

    fn held_before(&self, owner: u64) -> bool {
        self.forgot || self.past(owner).is_some()
    }

    fn allocate(&mut self, owner: u64) -> Outcome {
        // With no owner to tell two lives apart, a late right cannot outlive the next one.
        if let Some(index) = self.past(0) {
            self.holders.remove(index);
        }
        self.seen = true;
        self.add_live(owner);
        Outcome::just(Verdict::Ok)
    }

    fn retain(&mut self, owner: u64) -> Outcome {
        let verdict = self.judge_reference(owner);
        if verdict == Verdict::Ok {
            self.add_live(owner);
        }
        Outcome::just(verdict)
    }

    /// A retain or a view refers to an instance as a deallocate would, but neither uses it up nor is excess.
    fn judge_reference(&self, owner: u64) -> Verdict {
        let finds_instance =
            |held: u64| held == owner || (held == 0 && self.late_rights(owner) == 0) || owner == 0;
        if self.newest_live(finds_instance).is_some() {
            Verdict::Ok
        } else {
            self.judge_without_right(owner)
        }
    }

    fn deallocate(&mut self, owner: u64) -> Outcome {
        if owner != 0
            && let Some(index) = self.newest_live(|held| held == owner)
        {
            return self.end_live(index);
        }
        if self.late_rights(owner) > 0 {
            return self.use_late_right(owner);
        }
        let index = self
            .newest_live(|held| held == 0)
            .or_else(|| self.newest_live(|_| owner == 0));
        match index {
            Some(index) => self.end_live(index),
            None => Outcome::just(self.judge_without_right(owner)),
        }
    }

    fn judge_without_right(&self, owner: u64) -> Verdict {
        if self.incomplete || (self.forgot_late && self.past(owner).is_none()) {
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

    fn use_late_right(&mut self, owner: u64) -> Outcome {
        let lives_under_another = self.is_live();
        if let Some(index) = self.past(owner) {
            let right = &mut self.holders.entries_mut()[index];
            right.count = right.count.saturating_sub(1);
            if owner == 0 && right.count == 0 {
                self.holders.remove(index);
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

    fn add_live(&mut self, owner: u64) {
        let newest = self.newest_live(|_| true);
        if let Some(newest) = newest {
            let run = &mut self.holders.entries_mut()[newest];
            if run.owner == owner && run.count < u32::MAX {
                run.count += 1;
                return;
            }
        }
        self.holders.push(Holder {
            owner,
            count: 1,
            standing: Standing::Live,
        });
    }

    fn end_live(&mut self, index: usize) -> Outcome {
        let run = &mut self.holders.entries_mut()[index];
        let owner = run.owner;
        // Saturating: the ledger may run this on words that another thread is just replacing, and then throws
        // the result away.
        run.count = run.count.saturating_sub(1);
        if run.count == 0 {
            self.holders.remove(index);
        }
        self.remember(owner, 0);
        Outcome {
            verdict: Verdict::Ok,
            late: false,
            ended: Some(owner),
        }
    }

    fn end_all_by_reset(&mut self) {
        while let Some(index) = self.newest_live(|_| true) {
            let run = self.holders.entries()[index];
            self.holders.remove(index);
            self.remember(run.owner, run.count);
        }
    }

    /// Makes `owner` the most recent past owner, with `late` more rights. Owner 0 is remembered only for its
    /// rights: nobody can be recognized by it.
    fn remember(&mut self, owner: u64, late: u32) {
        let mut count = late;
        if let Some(index) = self.past(owner) {
            count = count.saturating_add(self.holders.entries()[index].count);
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
    fn forget_oldest(&mut self) {
        let past = |holder: &&Holder| holder.standing == Standing::Past;
        let (mut rightless, mut late) = (0, 0);
        for holder in self.holders.entries().iter().filter(past) {
            if holder.count == 0 {
                rightless += 1;
            } else {
                late += 1;
            }
        }
        if rightless > REMEMBERED_OWNERS {
            self.forget_one();
        }
        if late > REMEMBERED_LATE_OWNERS {
            let mut entries = self.holders.entries().iter();
            let is_late = |holder: &Holder| holder.standing == Standing::Past && holder.count > 0;
            if let Some(oldest) = entries.position(is_late) {
                self.holders.remove(oldest);
                self.forgot_late = true;
            }
        }
    }

    /// Forgets the oldest past owner without a right, if there is one.
    fn forget_one(&mut self) -> bool {
        let mut entries = self.holders.entries().iter();
        let is_rightless = |holder: &Holder| holder.standing == Standing::Past && holder.count == 0;
        let Some(oldest) = entries.position(is_rightless) else {
            return false;
        };
        self.holders.remove(oldest);
        self.forgot = true;
        true
    }

    /// Whether an event may need one more entry: it adds a run, or shortens one and remembers its owner beside it.
    fn needs_room(&self, event: Event) -> bool {
        let is_long = |holder: &Holder| holder.standing == Standing::Live && holder.count > 1;
        match event {
            Event::Allocate { .. } | Event::Retain { .. } => true,
            Event::Deallocate { .. } => self.holders.entries().iter().any(is_long),
            Event::View { .. } => false,
        }
    }
}
