//! The sums: totals, verdicts, balances of buffers. Who is to blame does not matter here.

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use crate::Buffers;
use crate::Totals;
use crate::Verdicts;
use crate::WorstBuffer;
use crate::replay::Place;
use crate::replay::Step;
use crate::replay::Walk;

/// How many of the buffers with excess frees are listed.
const WORST: usize = 20;

/// All sums of a run.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    pub(crate) totals: Totals,
    pub(crate) verdicts: Verdicts,
    pub(crate) buffers: Buffers,
    pub(crate) worst_buffers: Vec<WorstBuffer>,
}

/// What happened at one address so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    /// Allocates and retains, inherited instances among them.
    allocated: u64,
    freed: u64,
    excess: u64,
    blocked: u64,
    was_allocated: bool,
    inherited_live: u64,
    /// Ancestors allocated here.
    inherited_known: bool,
    ended_inherited: u64,
}

impl Account {
    /// Where a forked child begins.
    pub(crate) fn inherited(inherited: &Walk) -> Self {
        let live = inherited.live().len() as u64;
        Self {
            allocated: live,
            inherited_live: live,
            inherited_known: inherited.has_lived(),
            ..Self::default()
        }
    }

    pub(crate) const fn touch(&self) -> u64 {
        self.freed
    }

    fn step(&mut self, step: &Step<'_>) {
        match step.event.kind {
            EventKind::Allocate => {
                self.was_allocated = true;
                self.allocated += 1;
            }
            EventKind::Retain if step.verdict == Verdict::Ok => self.allocated += 1,
            EventKind::Deallocate => {
                self.freed += 1;
                self.excess += u64::from(step.verdict.is_excess());
                self.blocked += u64::from(step.event.blocked);
                let inherited = step.life.is_some_and(|life| life.inherited);
                self.ended_inherited += u64::from(step.verdict == Verdict::Ok && inherited);
            }
            _ => {}
        }
    }
}

impl Balance {
    /// An event without an order at an address.
    pub(crate) fn loose(&mut self, event: &Event) {
        self.totals.untracked += u64::from(event.untracked);
        // Where the ledger had no room there is no answer: such a free is of an address that nobody knows.
        let verdict = if event.untracked && event.verdict != Verdict::Invalid {
            match event.kind {
                EventKind::Deallocate => Verdict::Unknown,
                _ => Verdict::Ok,
            }
        } else {
            event.verdict
        };
        self.count(event.kind, verdict, event.late, event);
    }

    /// The next event of an address.
    pub(crate) fn step(&mut self, account: &mut Account, step: &Step<'_>) {
        self.count(step.event.kind, step.verdict, step.late, step.event);
        account.step(step);
    }

    /// All is told. `unexplained` is left for the blame.
    pub(crate) fn end(&mut self, leaked: u64) {
        self.totals.leaked = leaked;
        self.keep_worst();
    }

    fn count(&mut self, kind: EventKind, verdict: Verdict, late: bool, event: &Event) {
        let totals = &mut self.totals;
        match (kind, verdict) {
            (EventKind::Allocate | EventKind::Retain | EventKind::View, Verdict::Invalid) => {
                totals.invalid_other += 1;
            }
            (EventKind::Allocate, _) => totals.allocations += 1,
            (EventKind::Retain, Verdict::Ok) => totals.retains += 1,
            (EventKind::Declined, _) => totals.declined += 1,
            (EventKind::Deallocate, verdict) => {
                totals.deallocations += 1;
                totals.late += u64::from(late);
                totals.ownerless += u64::from(event.owner == 0);
                if event.blocked {
                    totals.blocked += 1;
                } else {
                    totals.forwarded += 1;
                }
                totals.excess += u64::from(verdict.is_excess());
                let verdicts = &mut self.verdicts;
                *match verdict {
                    Verdict::Ok => &mut totals.ok,
                    Verdict::AlreadyFreed => &mut verdicts.already_freed,
                    Verdict::StaleOwner => &mut verdicts.stale_owner,
                    Verdict::ForeignOwner => &mut verdicts.foreign_owner,
                    Verdict::Invalid => &mut totals.invalid,
                    Verdict::Unknown => {
                        totals.unknown += 1;
                        &mut verdicts.unknown
                    }
                } += 1;
            }
            _ => {}
        }
    }

    /// All events of an address were told.
    pub(crate) fn buffer(&mut self, place: Place, pid: u32, account: &Account) {
        // A child may free what it inherited; that its parent's instances go on is none of its account.
        if account.was_allocated || account.freed > 0 && account.inherited_known {
            let buffers = &mut self.buffers;
            buffers.unique += 1;
            let own = account.allocated - account.inherited_live;
            let freed_of_own = account.freed - account.ended_inherited;
            *if account.freed > account.allocated {
                &mut buffers.over_freed
            } else if own > freed_of_own {
                &mut buffers.under_freed
            } else {
                &mut buffers.balanced
            } += 1;
        }
        if account.excess > 0 {
            self.worst_buffers.push(WorstBuffer {
                pid,
                device: place.device,
                address: place.address,
                allocated: account.allocated,
                freed: account.freed,
                excess: account.excess,
                forwarded: account.freed - account.blocked,
                blocked: account.blocked,
            });
            // Keeps a run with excess everywhere from growing a list of all buffers.
            if self.worst_buffers.len() > 64 * WORST {
                self.keep_worst();
            }
        }
    }

    fn keep_worst(&mut self) {
        let worst = &mut self.worst_buffers;
        worst.sort_by_key(|b| (std::cmp::Reverse(b.excess), b.pid, b.device, b.address));
        worst.truncate(WORST);
    }
}
