//! A few holders side by side, so that a search compares all of them at once: what the smaller records hold.

use whofreed_lifecycle::Holder;
use whofreed_lifecycle::Holders;
use whofreed_lifecycle::Standing;

/// Entries that there is memory for.
const ROOM: usize = 16;
/// Most entries that a record of this form holds: an event adds one at the most, and there must be room for it.
pub const MOST: usize = 12;
/// The largest count that a record of this form holds. All of them together fit into the counts here.
pub const MOST_COUNT: u16 = 255;

/// Up to a dozen holders and one more, in their order. Valid as zeros.
#[derive(Debug)]
pub struct Few {
    /// Of `len` entries; what lies behind is anything, here and in `counts`.
    pub owners: [u64; ROOM],
    pub counts: [u16; ROOM],
    /// A bit for each live entry.
    pub live: u32,
    pub len: usize,
}

impl Few {
    /// Without any holders.
    #[inline(always)]
    pub const fn cleared(&mut self) -> &mut Self {
        self.live = 0;
        self.len = 0;
        self
    }

    /// Whether a record of this form holds them.
    #[inline(always)]
    pub fn fits(&self) -> bool {
        let mut high = 0;
        for (index, count) in self.counts.iter().enumerate() {
            high |= if index < self.len { *count } else { 0 };
        }
        self.len <= MOST && high <= MOST_COUNT
    }

    #[inline(always)]
    const fn used(&self) -> u32 {
        (1 << self.len) - 1
    }

    #[inline(always)]
    const fn is_past(&self) -> u32 {
        self.used() & !self.live
    }

    #[inline(always)]
    fn of_owner(&self, owner: u64) -> u32 {
        let mut found = 0;
        for (index, held) in self.owners.iter().enumerate() {
            found |= u32::from(*held == owner) << index;
        }
        found
    }

    #[inline(always)]
    fn with_count(&self) -> u32 {
        let mut found = 0;
        for (index, count) in self.counts.iter().enumerate() {
            found |= u32::from(*count != 0) << index;
        }
        found
    }
}

#[inline(always)]
const fn first(found: u32) -> Option<usize> {
    if found == 0 {
        None
    } else {
        Some(found.trailing_zeros() as usize)
    }
}

#[inline(always)]
const fn last(found: u32) -> Option<usize> {
    match found.checked_ilog2() {
        Some(index) => Some(index as usize),
        None => None,
    }
}

impl Holders for &mut Few {
    #[inline(always)]
    fn get(&self, index: usize) -> Holder {
        let index = index % ROOM;
        Holder {
            owner: self.owners[index],
            count: u32::from(self.counts[index]),
            standing: if self.live >> index & 1 == 0 {
                Standing::Past
            } else {
                Standing::Live
            },
        }
    }

    #[inline(always)]
    fn set_count(&mut self, index: usize, count: u32) {
        self.counts[index % ROOM] = count as u16;
    }

    #[inline(always)]
    fn push(&mut self, holder: Holder) {
        let index = self.len % ROOM;
        self.owners[index] = holder.owner;
        self.counts[index] = holder.count as u16;
        self.live |= u32::from(holder.standing == Standing::Live) << index;
        self.len = index + 1;
    }

    #[inline(always)]
    fn remove(&mut self, index: usize) {
        let index = index % ROOM;
        let below = (1 << index) - 1;
        self.live = (self.live & below) | (self.live >> 1 & !below);
        self.len = self.len.saturating_sub(1);
        if index == 0 {
            // The oldest one leaves most often: as many words as there are, whatever they hold.
            let (owners, counts) = (self.owners, self.counts);
            self.owners[..ROOM - 1].copy_from_slice(&owners[1..]);
            self.counts[..ROOM - 1].copy_from_slice(&counts[1..]);
        } else if index < self.len {
            for place in index..ROOM - 1 {
                self.owners[place] = self.owners[place + 1];
                self.counts[place] = self.counts[place + 1];
            }
        }
    }

    #[inline(always)]
    fn has_room(&self, more: usize) -> bool {
        ROOM - self.len >= more
    }

    #[inline(always)]
    fn newest_live(&self, owner: Option<u64>) -> Option<usize> {
        let newest = last(self.live);
        match (owner, newest) {
            (Some(owner), Some(index)) if self.owners[index % ROOM] != owner => {
                last(self.live & self.of_owner(owner))
            }
            _ => newest,
        }
    }

    #[inline(always)]
    fn past(&self, owner: u64) -> Option<usize> {
        first(self.is_past() & self.of_owner(owner))
    }

    #[inline(always)]
    fn count_past(&self) -> (usize, usize) {
        let late = (self.is_past() & self.with_count()).count_ones() as usize;
        (self.is_past().count_ones() as usize - late, late)
    }

    #[inline(always)]
    fn oldest_past(&self, is_late: bool) -> Option<usize> {
        let flip = if is_late { 0 } else { u32::MAX };
        first(self.is_past() & (self.with_count() ^ flip))
    }

    fn all(&self) -> impl Iterator<Item = Holder> {
        (0..self.len).map(|index| self.get(index))
    }
}
