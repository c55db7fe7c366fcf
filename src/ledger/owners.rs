//! Where owners held buffers last: the answer to calls that do not know their address.

use crate::ledger::Instance;
use crate::ledger::Ledger;
use crate::ledger::Scratch;
use crate::ledger::cell;
use crate::ledger::cell::Records as _;
use crate::ledger::recent::Recent;
use crate::ledger::table::SmallEntry;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;
use crate::primitive::fence;

/// The largest address that fits into an owner's cell.
const MOST_SMALL: u64 = (1 << 63) - 1;

impl Ledger {
    /// Makes an address the newest one of an owner. Most owners have only one, which lies in their cell.
    #[inline]
    pub(super) fn remember(
        &self,
        scratch: &mut Scratch,
        device: u32,
        owner: u64,
        address: u64,
    ) -> bool {
        let Some(SmallEntry { cell, .. }) = self.owners.entry_for_new(device, owner) else {
            return false;
        };
        let seen = cell::look(cell);
        if seen.is_empty() && address <= MOST_SMALL {
            if cell::swing(cell, seen, cell::Next::small(address)) {
                return true;
            }
        } else if seen.small() == Some(address) {
            return true;
        }
        self.remember_more(scratch, device, cell, owner, address)
    }

    #[inline(never)]
    fn remember_more(
        &self,
        scratch: &mut Scratch,
        device: u32,
        cell: &AtomicU64,
        owner: u64,
        address: u64,
    ) -> bool {
        let mut spare = None;
        loop {
            let seen = cell::look(cell);
            let mut recent = self.recent_in(seen);
            let is_newest = recent.addresses().last() == Some(&address);
            // Keeps the loads above before the second look, which says whether they were of one piece.
            fence(Ordering::Acquire);
            if is_newest && cell::look(cell) == seen {
                self.give(spare, &mut scratch.records);
                return true;
            }
            recent.push(address, |known| {
                self.holds_through(scratch, device, known, owner)
            });
            let Some(record) = spare.or_else(|| self.pool.take(0, &mut scratch.records)) else {
                return false;
            };
            recent.store(self.pool.words(record));
            let next = cell::Next::record(seen.next_version(), record);
            if cell::swing(cell, seen, next) {
                self.give(seen.leaves(), &mut scratch.records);
                return true;
            }
            spare = Some(record);
        }
    }

    fn recent_in(&self, seen: cell::Seen) -> Recent {
        if let Some(address) = seen.small() {
            Recent::of(address)
        } else if seen.is_empty() {
            Recent::default()
        } else {
            Recent::load(self.pool.words(seen.record()))
        }
    }

    /// The instance that a call means whose owner does not know the address: the one that it held last of those that
    /// it still holds, else the one that it held last of all. `None` when that is not known.
    pub fn last_held(&self, scratch: &mut Scratch, device: u32, owner: u64) -> Option<Instance> {
        let cell = &self.owners.find(device, owner)?.cell;
        let recent = loop {
            let seen = cell::look(cell);
            let recent = self.recent_in(seen);
            // Keeps the loads above before the second look, which says whether they were of one piece.
            fence(Ordering::Acquire);
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
}
