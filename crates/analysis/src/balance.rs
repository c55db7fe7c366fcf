//! The sums: totals, verdicts, balances of buffers. Who is to blame does not matter here.

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

use crate::Buffers;
use crate::Totals;
use crate::Verdicts;
use crate::WorstBuffer;
use crate::replay::AddressLog;
use crate::replay::Replay;
use crate::replay::Step;

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

impl Balance {
    /// Adds everything up. `unexplained` is left for the blame.
    pub(crate) fn new(traces: &[Trace], replay: &Replay) -> Self {
        let mut balance = Self::default();
        for trace in traces {
            balance.totals.events += trace.events.len() as u64;
            balance.totals.dropped_events += trace.dropped_events;
            balance.totals.untracked += trace.events.iter().filter(|e| e.untracked).count() as u64;
        }
        for &loose in &replay.loose {
            let event = loose.of(traces);
            // Where the ledger had no room there is no answer: such a free is of an address that nobody knows.
            let verdict = if event.untracked && event.verdict != Verdict::Invalid {
                match event.kind {
                    EventKind::Deallocate => Verdict::Unknown,
                    _ => Verdict::Ok,
                }
            } else {
                event.verdict
            };
            balance.count(event.kind, verdict, event.late, event);
        }
        for address in &replay.addresses {
            let pid = traces[address.trace as usize].process.pid;
            let steps = replay.steps_of(address);
            for step in steps {
                let event = step.event.of(traces);
                balance.count(step.kind, step.verdict, step.late, event);
            }
            balance.count_buffer(traces, replay, address, pid, steps);
        }
        balance.totals.leaked = replay
            .lives
            .iter()
            .filter(|life| life.freed.is_none() && !life.inherited)
            .count() as u64;
        let worst = &mut balance.worst_buffers;
        worst.sort_by_key(|b| (std::cmp::Reverse(b.excess), b.pid, b.device, b.address));
        worst.truncate(WORST);
        balance
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

    fn count_buffer(
        &mut self,
        traces: &[Trace],
        replay: &Replay,
        address: &AddressLog,
        pid: u32,
        steps: &[Step],
    ) {
        let mut buffer = WorstBuffer {
            pid,
            device: address.device,
            address: address.address,
            allocated: address.inherited_live,
            freed: 0,
            excess: 0,
            forwarded: 0,
            blocked: 0,
        };
        // A child may free what it inherited; that its parent's instances go on is none of its account.
        let mut was_allocated = false;
        let mut was_freed = false;
        let mut ended_inherited = 0;
        for step in steps {
            match step.kind {
                EventKind::Allocate => {
                    was_allocated = true;
                    buffer.allocated += 1;
                }
                EventKind::Retain if step.verdict == Verdict::Ok => buffer.allocated += 1,
                EventKind::Deallocate => {
                    was_freed = true;
                    buffer.freed += 1;
                    buffer.excess += u64::from(step.verdict.is_excess());
                    let blocked = step.event.of(traces).blocked;
                    buffer.blocked += u64::from(blocked);
                    buffer.forwarded += u64::from(!blocked);
                    let inherited = |life: u32| replay.lives[life as usize].inherited;
                    ended_inherited +=
                        u64::from(step.verdict == Verdict::Ok && step.life.is_some_and(inherited));
                }
                _ => {}
            }
        }
        if was_allocated || was_freed && address.inherited_known {
            let buffers = &mut self.buffers;
            buffers.unique += 1;
            let own = buffer.allocated - address.inherited_live;
            let freed_of_own = buffer.freed - ended_inherited;
            *if buffer.freed > buffer.allocated {
                &mut buffers.over_freed
            } else if own > freed_of_own {
                &mut buffers.under_freed
            } else {
                &mut buffers.balanced
            } += 1;
        }
        if buffer.excess > 0 {
            self.worst_buffers.push(buffer);
            // Keeps a run with excess everywhere from growing a list of all buffers.
            if self.worst_buffers.len() > 64 * WORST {
                self.worst_buffers
                    .sort_by_key(|b| (std::cmp::Reverse(b.excess), b.pid, b.device, b.address));
                self.worst_buffers.truncate(WORST);
            }
        }
    }
}
