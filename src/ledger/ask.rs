//! What is asked of an address, and changes nothing there.

use whofreed_lifecycle::Event;
use whofreed_lifecycle::Full;
#[cfg(test)]
use whofreed_lifecycle::Holder;
#[cfg(test)]
use whofreed_lifecycle::Holders as _;
use whofreed_lifecycle::Outcome;
use whofreed_lifecycle::Verdict;

use crate::ledger::Ledger;
use crate::ledger::Scratch;
use crate::ledger::apply::Read;
use crate::ledger::apply::happen;
use crate::ledger::cell;
use crate::primitive::Ordering;
use crate::primitive::fence;

impl Ledger {
    /// What the verdict of `event` would be if it happened now; nothing happens.
    pub fn judge(&self, scratch: &mut Scratch, device: u32, address: u64, event: Event) -> Verdict {
        let Some(entry) = self.addresses.find(device, address) else {
            return Verdict::Unknown;
        };
        let verdict = |outcome: Result<Outcome, Full>| {
            outcome.map_or(Verdict::Unknown, |outcome| outcome.verdict)
        };
        let Scratch { few, holders, .. } = scratch;
        loop {
            let seen = cell::look(&entry.cell);
            let epoch = self.epoch(device);
            let is_lost = entry.is_lost();
            let judged = match self.read(entry, seen, few, holders) {
                None => continue,
                Some(Read::Few(mut state)) => happen(&mut state, is_lost, epoch, event),
                Some(Read::Many(mut state)) => happen(&mut state, is_lost, epoch, event),
            };
            // Keeps the loads above before the second look, which says whether they were of one piece.
            fence(Ordering::Acquire);
            if cell::look(&entry.cell) == seen {
                return verdict(judged.outcome);
            }
        }
    }

    /// All holders of an address, for tests.
    #[cfg(test)]
    pub(super) fn holders(&self, scratch: &mut Scratch, device: u32, address: u64) -> Vec<Holder> {
        let Some(entry) = self.addresses.find(device, address) else {
            return Vec::new();
        };
        let seen = cell::look(&entry.cell);
        let Scratch { few, holders, .. } = scratch;
        match self.read(entry, seen, few, holders) {
            None => Vec::new(),
            Some(Read::Few(state)) => state.address.holders.all().collect(),
            Some(Read::Many(state)) => state.address.holders.all().collect(),
        }
    }

    /// Whether `owner` has a right of its own at an address; owner 0 whether anything lives there.
    pub(super) fn holds(
        &self,
        scratch: &mut Scratch,
        device: u32,
        address: u64,
        owner: u64,
    ) -> bool {
        if owner == 0 {
            let event = Event::Deallocate { owner };
            return self.judge(scratch, device, address, event) == Verdict::Ok;
        }
        let Some(entry) = self.addresses.find(device, address) else {
            return false;
        };
        let Scratch { few, holders, .. } = scratch;
        loop {
            let seen = cell::look(&entry.cell);
            let epoch = self.epoch(device);
            let holds = match self.read(entry, seen, few, holders) {
                None => continue,
                Some(Read::Few(state)) => state.address.holds(epoch, owner),
                Some(Read::Many(state)) => state.address.holds(epoch, owner),
            };
            // As in `judge`.
            fence(Ordering::Acquire);
            if cell::look(&entry.cell) == seen {
                return holds;
            }
        }
    }
}
