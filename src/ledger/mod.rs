//! The ledger stop of an event's way: who holds which address now, and so the verdict of every event.
//!
//! A table of addresses, each with the state machine of `whofreed_lifecycle` behind one atomic cell; a table of
//! owners, which knows where each one held a buffer last and whether it is a view; a table of devices with the
//! number of resets so far. All of it is private memory, so that a forked child inherits it.
//!
//! **Architecture Invariant:** no lock, no system call, no allocation. A table at its bound refuses new keys;
//! the event then goes on without a verdict of ours, and is counted.

pub mod cell;
pub mod pool;
mod state;
mod table;

use whofreed_lifecycle::Event;
use whofreed_lifecycle::Full;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Outcome;
use whofreed_lifecycle::Verdict;

use self::cell::Records;
use self::pool::Cache;
use self::pool::Pool;
use self::table::Entry;
use self::table::Table;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;
use crate::sys::affordable;

pub use self::state::MAX_HOLDERS;

/// Most addresses that are remembered (32 bytes each, and 64 for the state).
const MAX_ADDRESSES: u32 = 1 << 24;
/// Most owners that are remembered (as above).
const MAX_OWNERS: u32 = 1 << 24;
/// Most devices.
const MAX_DEVICES: u32 = 1 << 16;

/// What a thread lends to the ledger: memory to think in. Valid as zeros.
#[derive(Debug)]
pub struct Scratch {
    records: Cache,
    holders: [Holder; MAX_HOLDERS],
}

/// The answer to an event.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    /// The verdict, and what came to an end.
    pub outcome: Outcome,
    /// The event's number at its address, from 1; 0 when it was not tracked.
    pub step: u64,
    /// The device's resets so far.
    pub epoch: u32,
    /// The label that the buffer was allocated with last.
    pub label: u32,
    /// The ledger had no room: `outcome` is a courtesy.
    pub untracked: bool,
}

/// Where an owner held a buffer last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The address that it was told with.
    pub address: u64,
    /// The address of the buffer: for a view that of its root.
    pub root_address: u64,
    /// The owner of the instance: for a view that of its root.
    pub root_owner: u64,
}

/// Who holds what.
#[derive(Debug)]
pub struct Ledger {
    pool: Pool,
    addresses: Table,
    owners: Table,
    devices: Table,
    /// Without any view, a free needs no look at its owner.
    has_views: AtomicU64,
}

impl Ledger {
    /// Reserves the memory; `None` when the host does not grant it.
    #[must_use]
    pub fn new() -> Option<Self> {
        Some(Self {
            pool: Pool::new(affordable(MAX_ADDRESSES))?,
            addresses: Table::new(affordable(MAX_ADDRESSES))?,
            owners: Table::new(affordable(MAX_OWNERS))?,
            devices: Table::new(MAX_DEVICES)?,
            has_views: AtomicU64::new(0),
        })
    }

    /// Lets `event` happen at an address, in one atomic transition.
    ///
    /// `label` is the host's label for the buffer, where the event tells one.
    pub fn apply(
        &self,
        scratch: &mut Scratch,
        device: u32,
        address: u64,
        label: Option<u32>,
        event: Event,
    ) -> Judged {
        let epoch = self.epoch(device);
        let Some(Entry { cell, note }) = self.addresses.entry_for(device, address) else {
            return untracked(epoch);
        };
        if let Some(label) = label {
            note.store(u64::from(label), Ordering::Relaxed);
        }
        let label = label.unwrap_or_else(|| note.load(Ordering::Relaxed) as u32);
        let Scratch { records, holders } = scratch;
        // The record of an attempt that lost, to be used by the next one.
        let mut spare: Option<(u32, usize)> = None;
        loop {
            let seen = cell::look(cell);
            let Some(mut state) = state::load(&self.pool, seen.record(), holders) else {
                continue;
            };
            // Another thread may have applied a later reset here already.
            let epoch = epoch.max(state.address.epoch);
            let outcome = state.address.apply(epoch, event);
            state.step += 1;
            let class = pool::class_for(state.words());
            // A state that is larger than any record is none that was loaded from one and had no room.
            let Some(class) = class else {
                if let Some((record, _)) = spare {
                    self.pool.give(record, records);
                }
                return untracked(epoch);
            };
            let record = match spare.take() {
                Some((record, its_class)) if its_class == class => record,
                other => {
                    if let Some((record, _)) = other {
                        self.pool.give(record, records);
                    }
                    match self.pool.take(class, records) {
                        Some(record) => record,
                        None => return untracked(epoch),
                    }
                }
            };
            state.store(self.pool.words(record));
            if cell::swing(cell, seen, record) {
                if seen.record() != cell::NO_RECORD {
                    self.pool.give(seen.record(), records);
                }
                let step = state.step;
                // An event without a verdict takes a step as well: the replay sees the gap.
                return match outcome {
                    Ok(outcome) => Judged {
                        outcome,
                        step,
                        epoch,
                        label,
                        untracked: false,
                    },
                    Err(Full) => Judged {
                        step,
                        ..untracked(epoch)
                    },
                };
            }
            spare = Some((record, class));
        }
    }

    /// What the verdict of `event` would be if it happened now; nothing happens.
    pub fn judge(&self, scratch: &mut Scratch, device: u32, address: u64, event: Event) -> Verdict {
        let Some(Entry { cell, .. }) = self.addresses.find(device, address) else {
            return Verdict::Unknown;
        };
        loop {
            let seen = cell::look(cell);
            let Some(mut state) = state::load(&self.pool, seen.record(), &mut scratch.holders)
            else {
                continue;
            };
            let epoch = self.epoch(device).max(state.address.epoch);
            let outcome = state.address.apply(epoch, event);
            // Keeps the loads above before the second look, which says whether they were of one piece.
            std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
            if cell::look(cell) == seen {
                return outcome.map_or(Verdict::Unknown, |outcome| outcome.verdict);
            }
        }
    }

    /// Notes where an owner holds a buffer now. False when there is no room to note it.
    pub fn hold(&self, scratch: &mut Scratch, device: u32, owner: u64, holding: Holding) -> bool {
        let Some(Entry { cell, .. }) = self.owners.entry_for(device, owner) else {
            return false;
        };
        let Some(record) = self.pool.take(0, &mut scratch.records) else {
            return false;
        };
        let words = self.pool.words(record);
        words[0].store(holding.address, Ordering::Relaxed);
        words[1].store(holding.root_address, Ordering::Relaxed);
        words[2].store(holding.root_owner, Ordering::Relaxed);
        loop {
            let seen = cell::look(cell);
            if cell::swing(cell, seen, record) {
                if seen.record() != cell::NO_RECORD {
                    self.pool.give(seen.record(), &mut scratch.records);
                }
                return true;
            }
        }
    }

    /// Like [`Ledger::hold`], for a view.
    pub fn hold_view(
        &self,
        scratch: &mut Scratch,
        device: u32,
        owner: u64,
        holding: Holding,
    ) -> bool {
        self.has_views.store(1, Ordering::Relaxed);
        self.hold(scratch, device, owner, holding)
    }

    /// Where an owner held a buffer last.
    #[must_use]
    pub fn last_holding(&self, device: u32, owner: u64) -> Option<Holding> {
        let cell = self.owners.find(device, owner)?.cell;
        loop {
            let seen = cell::look(cell);
            if seen.record() == cell::NO_RECORD {
                return None;
            }
            let words = self.pool.words(seen.record());
            let holding = Holding {
                address: words[0].load(Ordering::Relaxed),
                root_address: words[1].load(Ordering::Relaxed),
                root_owner: words[2].load(Ordering::Relaxed),
            };
            // Keeps the loads above before the second look, which says whether they were of one piece.
            std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
            if cell::look(cell) == seen {
                return Some(holding);
            }
        }
    }

    /// Whether any view was ever made: if not, an owner is always its own root.
    #[must_use]
    pub fn has_views(&self) -> bool {
        self.has_views.load(Ordering::Relaxed) != 0
    }

    /// The number of resets and closes of a device so far.
    #[must_use]
    pub fn epoch(&self, device: u32) -> u32 {
        let entry = self.devices.find(device, 0);
        entry.map_or(0, |entry| entry.cell.load(Ordering::Acquire) as u32)
    }

    /// Ends every live instance on a device; returns the new number of resets, or `None` when there are too many
    /// devices to remember this one.
    pub fn reset(&self, device: u32) -> Option<u32> {
        let entry = self.devices.entry_for(device, 0)?;
        Some(entry.cell.fetch_add(1, Ordering::AcqRel) as u32 + 1)
    }

    /// How many addresses are remembered.
    #[must_use]
    pub fn addresses(&self) -> u32 {
        self.addresses.count()
    }
}

fn untracked(epoch: u32) -> Judged {
    Judged {
        outcome: Outcome {
            verdict: Verdict::Unknown,
            late: false,
            ended: None,
        },
        step: 0,
        epoch,
        label: 0,
        untracked: true,
    }
}
