//! The ledger stop of an event's way: who holds which address now, and so the verdict of every event.
//!
//! A table of addresses, each with the state machine of `whofreed_lifecycle` behind one atomic cell; a table of
//! views; a table of owners, which knows where each one held buffers last; a table of devices with the number of
//! resets so far. All of it is private memory, so that a forked child inherits it.
//!
//! **Architecture Invariant:** no lock, no system call, no allocation. A table at its bound refuses new keys;
//! the event then goes on without a verdict of ours, and is counted. At an address where an event was lost, nobody is
//! accused any more.

pub mod cell;
pub mod pool;
mod recent;
mod state;
mod table;
#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests;
mod views;

use whofreed_lifecycle::Event;
use whofreed_lifecycle::Full;
use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Outcome;
use whofreed_lifecycle::Verdict;

use self::cell::Records;
use self::pool::Cache;
use self::pool::Pool;
use self::recent::Recent;
use self::table::Entry;
use self::table::Table;
use self::views::Views;
use crate::primitive::Ordering;
use crate::sys::affordable;

pub use self::state::MAX_HOLDERS;

/// Most addresses that are remembered (32 bytes each, and 64 for the state).
const MAX_ADDRESSES: u32 = 1 << 24;
/// Most owners that are remembered (as above).
const MAX_OWNERS: u32 = 1 << 24;
/// Most views that are remembered (32 bytes each).
const MAX_VIEWS: u32 = 1 << 24;
/// Most devices whose resets are counted.
const MAX_DEVICES: u32 = 1 << 16;

/// [`Entry::marks`] of an address: an event was lost here that nobody has judged.
const MARK_LOST: u32 = 1;

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

/// One instance, as a call may name it: by another owner, or without its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its address.
    pub address: u64,
    /// Its owner: for a view that of the root.
    pub owner: u64,
}

/// Who holds what.
#[derive(Debug)]
pub struct Ledger {
    pool: Pool,
    addresses: Table,
    owners: Table,
    views: Views,
    devices: Table,
}

impl Ledger {
    /// Reserves the memory; `None` when the host does not grant it.
    #[must_use]
    pub fn new() -> Option<Self> {
        let room = affordable(MAX_ADDRESSES);
        Self::with_room(room, affordable(MAX_OWNERS), affordable(MAX_VIEWS))
    }

    fn with_room(addresses: u32, owners: u32, views: u32) -> Option<Self> {
        Some(Self {
            // Each address and each owner has a record, and a thread that changes one holds another.
            pool: Pool::new(addresses.saturating_add(owners).saturating_add(owners / 8))?,
            addresses: Table::new(addresses)?,
            owners: Table::new(owners)?,
            views: Views::new(views)?,
            devices: Table::new(MAX_DEVICES)?,
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
        let Some(Entry { cell, note, marks }) = self.addresses.entry_for(device, address) else {
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
            // The step that the lost event would have had stays out: the replay sees the gap.
            if marks.load(Ordering::Relaxed) & MARK_LOST != 0 && !state.address.incomplete {
                state.address.incomplete = true;
                state.step += 1;
            }
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
                        None => {
                            marks.fetch_or(MARK_LOST, Ordering::Relaxed);
                            return untracked(epoch);
                        }
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
        let Some(Entry { cell, marks, .. }) = self.addresses.find(device, address) else {
            return Verdict::Unknown;
        };
        loop {
            let seen = cell::look(cell);
            let Some(mut state) = state::load(&self.pool, seen.record(), &mut scratch.holders)
            else {
                continue;
            };
            state.address.incomplete |= marks.load(Ordering::Relaxed) & MARK_LOST != 0;
            let epoch = self.epoch(device).max(state.address.epoch);
            let outcome = state.address.apply(epoch, event);
            // Keeps the loads above before the second look, which says whether they were of one piece.
            std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
            if cell::look(cell) == seen {
                return outcome.map_or(Verdict::Unknown, |outcome| outcome.verdict);
            }
        }
    }

    /// Whose instance a call is about that names `owner`: its own where it has one, else that of the root of its view.
    pub fn root(&self, scratch: &mut Scratch, device: u32, address: u64, owner: u64) -> u64 {
        match self.views.root(device, address, owner) {
            root if root == owner || self.holds(scratch, device, address, owner) => owner,
            root => root,
        }
    }

    /// Notes that `owner` shares the instances of `parent` at an address from now on. False when there is no room to
    /// note it: then nobody is accused there any more.
    pub fn share(
        &self,
        scratch: &mut Scratch,
        device: u32,
        instance: Instance,
        owner: u64,
    ) -> bool {
        let Instance {
            address,
            owner: root,
        } = instance;
        let noted = self.views.set(device, address, owner, root);
        if !noted {
            self.lose(device, address);
        }
        self.remember(scratch, device, owner, address) && noted
    }

    /// Notes that `owner` has an instance of its own at an address now. False when there is no room to note it.
    pub fn hold(&self, scratch: &mut Scratch, device: u32, address: u64, owner: u64) -> bool {
        self.views.forget(device, address, owner);
        self.remember(scratch, device, owner, address)
    }

    fn remember(&self, scratch: &mut Scratch, device: u32, owner: u64, address: u64) -> bool {
        let Some(Entry { cell, .. }) = self.owners.entry_for(device, owner) else {
            return false;
        };
        let Some(record) = self.pool.take(0, &mut scratch.records) else {
            return false;
        };
        loop {
            let seen = cell::look(cell);
            let mut recent = self.recent_in(seen);
            recent.push(address, |known| {
                self.holds_through(scratch, device, known, owner)
            });
            recent.store(self.pool.words(record));
            if cell::swing(cell, seen, record) {
                if seen.record() != cell::NO_RECORD {
                    self.pool.give(seen.record(), &mut scratch.records);
                }
                return true;
            }
        }
    }

    fn recent_in(&self, seen: cell::Seen) -> Recent {
        if seen.record() == cell::NO_RECORD {
            Recent::default()
        } else {
            Recent::load(self.pool.words(seen.record()))
        }
    }

    /// The instance that a call means whose owner does not know the address: the one that it held last of those that
    /// it still holds, else the one that it held last of all. `None` when that is not known.
    pub fn last_held(&self, scratch: &mut Scratch, device: u32, owner: u64) -> Option<Instance> {
        let cell = self.owners.find(device, owner)?.cell;
        let recent = loop {
            let seen = cell::look(cell);
            let recent = self.recent_in(seen);
            // Keeps the loads above before the second look, which says whether they were of one piece.
            std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
            if cell::look(cell) == seen {
                break recent;
            }
        };
        let mut newest_first = recent.addresses().iter().rev();
        let held = newest_first.find(|&&known| self.holds_through(scratch, device, known, owner));
        let address = match held {
            None if recent.forgot => return None,
            None => recent.addresses().last(),
            held => held,
        };
        address.map(|&address| Instance {
            address,
            owner: self.root(scratch, device, address, owner),
        })
    }

    /// Whether `owner` has a right at an address, of its own or through a view.
    fn holds_through(&self, scratch: &mut Scratch, device: u32, address: u64, owner: u64) -> bool {
        let root = self.root(scratch, device, address, owner);
        self.holds(scratch, device, address, root)
    }

    /// Whether `owner` has a right of its own at an address; owner 0 whether anything lives there.
    fn holds(&self, scratch: &mut Scratch, device: u32, address: u64, owner: u64) -> bool {
        if owner == 0 {
            let event = Event::Deallocate { owner };
            return self.judge(scratch, device, address, event) == Verdict::Ok;
        }
        let Some(Entry { cell, .. }) = self.addresses.find(device, address) else {
            return false;
        };
        loop {
            let seen = cell::look(cell);
            let Some(state) = state::load(&self.pool, seen.record(), &mut scratch.holders) else {
                continue;
            };
            let holds = state.address.holds(self.epoch(device), owner);
            // As in `last_held`.
            std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
            if cell::look(cell) == seen {
                return holds;
            }
        }
    }

    /// An event at an address was lost before it could be judged: from now on nobody is accused there.
    pub fn lose(&self, device: u32, address: u64) {
        // An address that there is no room for is never judged anyway.
        if let Some(Entry { marks, .. }) = self.addresses.entry_for(device, address) {
            marks.fetch_or(MARK_LOST, Ordering::Relaxed);
        }
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
