//! Follows the replay for the timeline.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashSet;

use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Verdict;

use super::latest::Latest;
use super::lines::Line;
use super::lines::Lines;
use super::live::Held;
use super::live::Live;
use crate::replay::Address;
use crate::replay::Follower;
use crate::replay::Place;
use crate::replay::Step;
use crate::replay::Walk;
use crate::sources::EventRef;
use crate::sources::Source;
use crate::stacks::ByStack;
use crate::stacks::StackNumber;
use crate::stacks::Stacks;

/// Addresses that are listed.
pub(super) const BUFFERS: usize = 10_000;

/// What is left of all events.
#[derive(Debug)]
pub(super) struct Followed<'a> {
    pub(super) sources: &'a [Source<'a>],
    pub(super) stacks: Stacks,
    pub(super) live: Live,
    pub(super) lines: Vec<(Place, u64, Line)>,
    pub(super) buffers: Vec<(Place, Account)>,
    pub(super) buffer_count: u64,
    pub(super) line_count: u64,
    pub(super) live_buffers: BTreeMap<u32, u64>,
    pub(super) latest: Latest,
    pub(super) allocated: ByStack<Sums>,
    of_lines: Lines,
}

/// What one stack allocated.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) buffers: u64,
    pub(super) allocations: u64,
    pub(super) bytes: u64,
    pub(super) excess: u64,
    pub(super) live: u64,
}

/// The account of an address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) freed: u64,
    pub(super) excess: u64,
    pub(super) is_live: bool,
    pub(super) first: Option<StackNumber>,
}

impl Account {
    /// What people look for comes first.
    fn order(&self) -> impl Ord + use<> {
        (
            Reverse(self.excess),
            Reverse(self.is_live),
            Reverse(self.allocated),
        )
    }
}

/// What is kept of an address.
#[derive(Debug, Default)]
pub(super) struct Kept {
    is_met: bool,
    instances: u32,
    held: Option<Held>,
    account: Account,
    line: Line,
}

impl<'a> Followed<'a> {
    /// `wanted` are addresses, by process and device, that get a line if anything strikes there.
    pub(super) fn new(
        sources: &'a [Source<'a>],
        start_ns: u64,
        wanted: HashSet<(u32, u32, u64)>,
    ) -> Self {
        Self {
            sources,
            stacks: Stacks::default(),
            live: Live::new(start_ns),
            lines: Vec::new(),
            buffers: Vec::new(),
            buffer_count: 0,
            line_count: 0,
            live_buffers: BTreeMap::new(),
            latest: Latest::default(),
            allocated: ByStack::default(),
            of_lines: Lines::new(wanted),
        }
    }

    fn keep_first_buffers(&mut self) {
        self.buffers
            .sort_by_key(|(place, account)| (account.order(), *place));
        self.buffers.truncate(BUFFERS);
    }

    fn hold(&mut self, kept: &mut Kept, step: &Step<'_>, stack: StackNumber) {
        let event = step.event;
        if step.after_reset {
            kept.instances = 0;
            kept.held = None;
        }
        match event.kind {
            EventKind::Allocate => {
                // There is but one buffer at an address, whatever rights to it are left.
                if let Some(before) = kept.held.take() {
                    self.live.finish(event, before);
                }
                kept.held = Some(self.live.begin(event, stack));
                kept.instances = kept.instances.saturating_add(1);
            }
            EventKind::Retain if step.verdict == Verdict::Ok => {
                kept.instances = kept.instances.saturating_add(1);
            }
            EventKind::Deallocate if step.verdict == Verdict::Ok && !step.late => {
                kept.instances = kept.instances.saturating_sub(1);
                if kept.instances == 0
                    && let Some(held) = kept.held.take()
                {
                    self.live.finish(event, held);
                }
            }
            _ => {}
        }
    }

    fn account(&mut self, kept: &mut Kept, step: &Step<'_>, stack: StackNumber) {
        let (event, account) = (step.event, &mut kept.account);
        match event.kind {
            EventKind::Allocate => {
                account.allocated += 1;
                account.size = account.size.max(event.size);
                let sums = self.allocated.of(stack);
                sums.buffers += u64::from(account.first.is_none());
                sums.allocations += 1;
                sums.bytes = sums.bytes.saturating_add(event.size);
                account.first.get_or_insert(stack);
            }
            EventKind::Retain if step.verdict == Verdict::Ok => account.allocated += 1,
            EventKind::Deallocate => {
                account.freed += 1;
                if step.verdict.is_excess() {
                    account.excess += 1;
                    self.live.struck(event.time_ns);
                    if let Some(again) = step.life {
                        let stack = self.stacks.number(again.began.trace(), again.stack);
                        self.allocated.of(stack).excess += 1;
                    }
                }
            }
            _ => {}
        }
    }
}

impl Follower for Followed<'_> {
    type Kept = Kept;

    fn loose(&mut self, at: EventRef, event: &Event) {
        self.live.at(at.trace(), event);
        if matches!(event.kind, EventKind::DeviceReset | EventKind::DeviceClose) {
            self.live.reset(event);
        }
    }

    fn inherits(&mut self, kept: &mut Kept, inherited: &Walk) {
        // The bytes are its parent's.
        kept.instances = inherited.live().len() as u32;
    }

    fn step(&mut self, address: &Address, kept: &mut Kept, step: &Step<'_>) {
        let (place, event) = (address.place, step.event);
        self.live.at(place.trace, event);
        let stack = self.stacks.number(place.trace, event.stack);
        if !kept.is_met {
            kept.is_met = true;
            let pid = self.sources[place.trace as usize].process.pid;
            let line = &mut kept.line;
            self.of_lines.meet(line, pid, place.device, place.address);
        }
        let reset = step
            .after_reset
            .then(|| self.live.reset_at(place.device, event.epoch))
            .flatten();
        self.of_lines.step(&mut kept.line, step, stack, reset);
        self.hold(kept, step, stack);
        self.account(kept, step, stack);
        if event.kind == EventKind::Deallocate && step.verdict.is_excess() {
            self.latest.add(place, step, stack);
        }
    }

    fn ends(&mut self, address: &Address, kept: Kept) {
        let mut account = kept.account;
        if let Some(held) = kept.held {
            // A reset that nothing came after has ended it.
            account.is_live = self.live.is_live(address.place.device, held);
            self.allocated.of(held.stack).live += u64::from(account.is_live);
            *self.live_buffers.entry(address.place.device).or_default() +=
                u64::from(account.is_live);
        }
        self.line_count += u64::from(account.excess > 0);
        if kept.line.is_kept() {
            self.lines.push((address.place, account.excess, kept.line));
        }
        if account.allocated > 0 || account.excess > 0 {
            self.buffer_count += 1;
            self.buffers.push((address.place, account));
            if self.buffers.len() >= 4 * BUFFERS {
                self.keep_first_buffers();
            }
        }
    }
}

impl Followed<'_> {
    /// All traces were told.
    pub(super) fn end(&mut self) {
        self.live.end();
        self.latest.end();
        self.keep_first_buffers();
    }
}
