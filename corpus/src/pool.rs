//! The allocators of simulated devices.

use std::collections::BTreeMap;
use std::collections::VecDeque;

/// Which free block an allocator hands out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// The one that came back last.
    LastFirst,
    /// The one that came back first.
    FirstFirst,
    /// The smallest that is large enough; blocks are split, and joined again with their free neighbours.
    BestFit,
}

const SLOT: u64 = 0x1000;
const START: u64 = 0x1_0000;

/// The memory of one device.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    reuse: Reuse,
    slots: VecDeque<u64>,
    next_slot: u64,
    /// Free ranges of a best-fit pool: start, length.
    ranges: BTreeMap<u64, u64>,
    /// What is handed out: start, length.
    live: BTreeMap<u64, u64>,
}

impl Pool {
    pub(crate) fn new(reuse: Reuse, slots: u64) -> Self {
        let slots = match reuse {
            Reuse::BestFit => VecDeque::new(),
            _ => (0..slots).map(|slot| START + slot * SLOT).collect(),
        };
        Self {
            reuse,
            next_slot: START + slots.len() as u64 * SLOT,
            slots,
            ranges: BTreeMap::from([(START, 1 << 40)]),
            live: BTreeMap::new(),
        }
    }

    pub(crate) fn allocate(&mut self, size: u64) -> u64 {
        let address = match self.reuse {
            Reuse::LastFirst => self.slots.pop_back(),
            Reuse::FirstFirst => self.slots.pop_front(),
            Reuse::BestFit => return self.allocate_best(size),
        };
        let address = address.unwrap_or_else(|| {
            self.next_slot += SLOT;
            self.next_slot
        });
        self.live.insert(address, size);
        address
    }

    fn allocate_best(&mut self, size: u64) -> u64 {
        let fits = self.ranges.iter().filter(|(_, length)| **length >= size);
        let (&start, &length) = fits
            .min_by_key(|&(start, length)| (*length, *start))
            .expect("the last range has no end");
        self.ranges.remove(&start);
        if length > size {
            self.ranges.insert(start + size, length - size);
        }
        self.live.insert(start, size);
        start
    }

    /// Whether there was such a block.
    pub(crate) fn free(&mut self, address: u64) -> bool {
        let Some(size) = self.live.remove(&address) else {
            return false;
        };
        if self.reuse != Reuse::BestFit {
            self.slots.push_back(address);
            return true;
        }
        let (mut start, mut end) = (address, address + size);
        if let Some((&before, &length)) = self.ranges.range(..start).next_back()
            && before + length == start
        {
            start = before;
        }
        if let Some(length) = self.ranges.remove(&end) {
            end += length;
        }
        self.ranges.insert(start, end - start);
        true
    }

    /// Everything comes back at once.
    pub(crate) fn reset(&mut self) {
        while let Some((&address, _)) = self.live.first_key_value() {
            self.free(address);
        }
    }

    pub(crate) fn is_live(&self, address: u64) -> bool {
        self.live.contains_key(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_come_back_in_their_order() {
        for (reuse, expected) in [(Reuse::LastFirst, 1), (Reuse::FirstFirst, 2)] {
            let mut pool = Pool::new(reuse, 3);
            let given: Vec<u64> = (0..3).map(|_| pool.allocate(1)).collect();
            let (first, last) = (given[0], given[2]);
            assert!(pool.free(first) && pool.free(last) && !pool.free(last));
            let next = pool.allocate(1);
            assert_eq!(next, if expected == 1 { last } else { first });
        }
    }

    #[test]
    fn best_fit_splits_and_joins() {
        let mut pool = Pool::new(Reuse::BestFit, 0);
        let (a, b, c) = (pool.allocate(64), pool.allocate(128), pool.allocate(64));
        assert_eq!((b, c), (a + 64, a + 192));
        assert!(pool.free(b) && pool.free(a));
        assert_eq!(pool.allocate(192), a, "the neighbours are joined");
        assert!(pool.free(a));
        assert_eq!(pool.allocate(100), a, "the larger block is split");
        assert_eq!(pool.allocate(92), a + 100);
        pool.reset();
        assert_eq!(pool.allocate(1 << 30), a);
    }
}
