//! The ledger stop of an event's way: who holds which address now, and so the verdict of every event.
//!
//! A table of addresses, each with the state machine of `whofreed_lifecycle` behind one atomic cell; a table of views;
//! a table of owners, which knows where each one held buffers last; the number of resets of each device so far. An
//! event of nobody's, or at an address with one owner, reads and writes one cache line ([`small`]). All of it is
//! private memory, so that a forked child inherits it.
//!
//! **Architecture Invariant:** no lock, no system call, no allocation. A table at its bound refuses new keys; the event
//! then goes on without a verdict of ours, and is counted. At an address where an event was lost, nobody is accused any
//! more.

mod apply;
mod ask;
#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod boundary_tests;
pub mod cell;
mod devices;
mod few;
pub mod lines;
mod one;
mod owners;
pub mod pool;
mod recent;
mod ring;
pub mod small;
mod state;
mod table;
#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod table_tests;
#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests;
mod views;
mod wide;

use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Outcome;

use self::devices::Devices;
use self::few::Few;
use self::pool::Cache;
use self::pool::Pool;
use self::table::AddressEntry;
use self::table::SmallEntry;
use self::table::Table;
use self::views::Views;
use crate::primitive::AtomicU32;
use crate::primitive::Ordering;
#[cfg(not(modelled))]
use crate::sys::affordable;

pub use self::state::MAX_HOLDERS;

#[cfg(not(modelled))]
/// Most addresses that are remembered (32 bytes each, and a record for a state that does not fit into the cell).
const MAX_ADDRESSES: u32 = 1 << 24;
#[cfg(not(modelled))]
/// Most owners that are remembered (16 bytes each, and a record for those with several buffers).
const MAX_OWNERS: u32 = 1 << 24;
#[cfg(not(modelled))]
/// Most views that are remembered (32 bytes each).
const MAX_VIEWS: u32 = 1 << 24;

/// [`AddressEntry::marks`] of an address: an event was lost here that nobody has judged.
const MARK_LOST: u32 = 1;

/// What a thread lends to the ledger: memory to think in. Valid as zeros.
#[derive(Debug)]
pub struct Scratch {
    records: Cache,
    few: Few,
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
    addresses: Table<AddressEntry>,
    owners: Table<SmallEntry>,
    views: Views,
    devices: Devices,
    count: AtomicU32,
}

impl Ledger {
    /// Reserves the memory; `None` when the host does not grant it.
    #[cfg(not(modelled))]
    #[must_use]
    pub fn new() -> Option<Self> {
        let room = affordable(MAX_ADDRESSES);
        Self::with_room(room, affordable(MAX_OWNERS), affordable(MAX_VIEWS))
    }

    /// As `new`, for so many addresses, owners and views.
    #[must_use]
    pub fn with_room(addresses: u32, owners: u32, views: u32) -> Option<Self> {
        Some(Self {
            // Each address and each owner has a record, and a thread that changes one holds another.
            pool: Pool::new(addresses.saturating_add(owners).saturating_add(owners / 8))?,
            addresses: Table::new(addresses)?,
            owners: Table::new(owners)?,
            views: Views::new(views)?,
            devices: Devices::new()?,
            count: AtomicU32::new(0),
        })
    }

    /// An event at an address is on its way.
    #[inline]
    pub fn expect(&self, device: u32, address: u64) {
        self.addresses.expect(device, address);
    }

    fn address_entry(&self, device: u32, address: u64) -> Option<&AddressEntry> {
        let (entry, is_new) = self.addresses.entry_for(device, address)?;
        if is_new {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Some(entry)
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

    /// Whether `owner` has a right at an address, of its own or through a view.
    fn holds_through(&self, scratch: &mut Scratch, device: u32, address: u64, owner: u64) -> bool {
        let root = self.root(scratch, device, address, owner);
        self.holds(scratch, device, address, root)
    }

    /// An event at an address was lost before it could be judged: from now on nobody is accused there.
    pub fn lose(&self, device: u32, address: u64) {
        // An address that there is no room for is never judged anyway.
        if let Some(entry) = self.address_entry(device, address) {
            entry.marks.fetch_or(MARK_LOST, Ordering::Relaxed);
        }
    }

    /// The number of resets and closes of a device so far.
    #[must_use]
    #[inline]
    pub fn epoch(&self, device: u32) -> u32 {
        self.devices.resets(device)
    }

    /// Ends every live instance on a device; returns the new number of resets, or `None` when there are too many
    /// devices to remember this one.
    pub fn reset(&self, device: u32) -> Option<u32> {
        self.devices.reset(device)
    }

    /// How many addresses are remembered.
    #[must_use]
    pub fn addresses(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }
}

impl AddressEntry {
    #[inline(always)]
    fn is_lost(&self) -> bool {
        self.marks.load(Ordering::Relaxed) & MARK_LOST != 0
    }
}
