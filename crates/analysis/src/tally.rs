//! Everything that the analysis remembers of the events: sums, and what the blame needs.
//!
//! What is kept grows with addresses, stacks and excess frees, not with events.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use crate::balance::Account;
use crate::balance::Balance;
use crate::blame::Seen;
use crate::blame::Unproven;
use crate::replay::Address;
use crate::replay::Findings;
use crate::replay::Follower;
use crate::replay::Place;
use crate::replay::Step;
use crate::replay::Walk;
use crate::replay::replay;
use crate::rows::Builder;
use crate::rows::Rows;
use crate::sites::ChainId;
use crate::sites::Sites;
use crate::sources::EventRef;
use crate::sources::Source;
use crate::stacks::ByStack;
use crate::stacks::StackNumber;
use crate::stacks::Stacks;

/// What is left of all events.
#[derive(Debug)]
pub(crate) struct Tally<'a> {
    pub(crate) sources: &'a [Source<'a>],
    pub(crate) findings: Findings,
    pub(crate) stacks: Stacks,
    pub(crate) balance: Balance,
    /// Excess frees, legitimate ones, and those of what was never allocated while tracking.
    pub(crate) excess: ByStack<u64>,
    pub(crate) rightful: ByStack<u64>,
    pub(crate) unknown: ByStack<u64>,
    /// Traces in which some of the last kind come from those who mostly free what was recorded: these began late, and
    /// there may be more buffers that are older, where a stale free let the address be handed out again.
    pub(crate) late: BTreeSet<u32>,
    /// Instances that no deallocate of their own ended.
    pub(crate) leaks: ByStack<Leaked>,
    /// Addresses with events that the ledger had no room to judge.
    pub(crate) untracked: BTreeSet<Place>,
    /// Where all owners are known.
    pub(crate) seen: Seen,
    /// Where they are not.
    pub(crate) rows: Rows,
}

/// Instances without a deallocate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leaked {
    pub(crate) count: u64,
    pub(crate) bytes: u128,
}

/// What is kept of an address.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    account: Account,
    row: Builder,
    unproven: Vec<Unproven>,
}

impl<'a> Tally<'a> {
    /// Replays all traces; what the blame needs goes into `rows`.
    pub(crate) fn new(sources: &'a [Source<'a>], rows: Rows) -> Self {
        let mut tally = Self {
            sources,
            findings: Findings::default(),
            stacks: Stacks::default(),
            balance: Balance::default(),
            excess: ByStack::default(),
            rightful: ByStack::default(),
            unknown: ByStack::default(),
            late: BTreeSet::new(),
            leaks: ByStack::default(),
            untracked: BTreeSet::new(),
            seen: Seen::default(),
            rows,
        };
        for source in sources {
            tally.balance.totals.events += source.events.len();
            tally.balance.totals.dropped_events += source.dropped_events;
        }
        tally.findings = replay(sources, &mut tally);
        tally.late = tally.began_late();
        tally.rows.began_late(&tally.late);
        let leaked = tally.leaks.iter().map(|(_, leaked)| leaked.count).sum();
        tally.balance.end(leaked);
        tally
    }

    /// The chain of a stack.
    pub(crate) fn chain(&self, stack: StackNumber, sites: &mut Sites<'_>) -> ChainId {
        let (trace, stack) = self.stacks.of(stack);
        sites.chain(trace, stack)
    }

    /// Says that the chains of all these stacks will be asked for.
    pub(crate) fn prepare(&self, stacks: impl Iterator<Item = StackNumber>, sites: &Sites<'_>) {
        sites.prepare(stacks.map(|stack| self.stacks.of(stack)));
    }

    /// A sum for each stack as one for each chain; stacks with nothing are not looked up.
    pub(crate) fn by_chain(
        &self,
        sums: &ByStack<u64>,
        sites: &mut Sites<'_>,
    ) -> BTreeMap<ChainId, u64> {
        let counted = sums.iter().filter(|(_, count)| **count > 0);
        self.prepare(counted.map(|(stack, _)| stack), sites);
        let mut by_chain = BTreeMap::new();
        for (stack, &count) in sums.iter() {
            if count > 0 {
                *by_chain.entry(self.chain(stack, sites)).or_default() += count;
            }
        }
        by_chain
    }

    fn began_late(&mut self) -> BTreeSet<u32> {
        let unknown: Vec<(StackNumber, u64)> = self.unknown.iter().map(|(s, &n)| (s, n)).collect();
        let mut late = BTreeSet::new();
        for (stack, count) in unknown {
            if count > 0 && *self.rightful.of(stack) >= count {
                late.insert(self.stacks.of(stack).0);
            }
        }
        late
    }

    fn note_leaks(&mut self, step: &Step<'_>, stack: StackNumber) {
        let Some(life) = step.life else {
            return;
        };
        match step.event.kind {
            EventKind::Allocate | EventKind::Retain => {
                let leaked = self.leaks.of(stack);
                leaked.count += 1;
                leaked.bytes += u128::from(life.size);
            }
            EventKind::Deallocate if step.verdict == Verdict::Ok && !life.inherited => {
                let stack = self.stacks.number(life.began.trace(), life.stack);
                let leaked = self.leaks.of(stack);
                leaked.count -= 1;
                leaked.bytes -= u128::from(life.size);
            }
            _ => {}
        }
    }
}

impl Follower for Tally<'_> {
    type Kept = Kept;

    fn loose(&mut self, at: EventRef, event: &Event) {
        self.balance.loose(event);
        if event.untracked {
            self.untracked.insert(Place {
                trace: at.trace(),
                device: event.device,
                address: event.address,
            });
        }
    }

    fn inherits(&mut self, kept: &mut Kept, inherited: &Walk) {
        kept.account = Account::inherited(inherited);
        for ended in inherited.last_ended() {
            let life = &ended.life;
            let began = self.stacks.number(life.began.trace(), life.stack);
            let freed = self.stacks.number(ended.by.trace(), ended.stack);
            Rows::inherit(&mut kept.row, life, began, Some((freed, ended.by)));
        }
        for life in inherited.live() {
            let began = self.stacks.number(life.began.trace(), life.stack);
            Rows::inherit(&mut kept.row, life, began, None);
        }
    }

    fn touch(&self, kept: &Kept) -> u64 {
        kept.row.touch() ^ kept.account.touch()
    }

    fn step(&mut self, address: &Address, kept: &mut Kept, step: &Step<'_>) {
        let stack = self.stacks.number(address.place.trace, step.event.stack);
        self.balance.step(&mut kept.account, step);
        self.note_leaks(step, stack);
        if step.event.kind == EventKind::Deallocate {
            if step.verdict.is_excess() {
                *self.excess.of(stack) += 1;
                if address.owners_known {
                    kept.unproven.push(Unproven::new(step, stack));
                }
            } else if step.verdict == Verdict::Ok {
                *self.rightful.of(stack) += 1;
                if address.owners_known {
                    self.seen.rightful(stack);
                }
            } else if step.verdict == Verdict::Unknown {
                *self.unknown.of(stack) += 1;
                self.seen.unknown(address.place, step.event.root_owner);
            }
        }
        self.rows.step(address, &mut kept.row, step, stack);
    }

    fn ends(&mut self, address: &Address, kept: Kept) {
        let pid = self.sources[address.place.trace as usize].process.pid;
        self.balance.buffer(address.place, pid, &kept.account);
        let is_used = !address.owners_known && !self.untracked.contains(&address.place);
        self.rows.end(address, kept.row, is_used);
        if address.owners_known {
            self.seen.take(address.place, kept.unproven);
        }
    }
}
