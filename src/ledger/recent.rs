//! Where an owner held buffers last, for handles that no longer tell their address: as words of a record.
//!
//! Word 0 holds the number of addresses and whether one that was still held had to be forgotten; then the addresses,
//! the newest last.

use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// How many addresses of an owner are remembered: what the smallest record takes.
pub const REMEMBERED: usize = super::pool::words_of(0) - 1;

const FORGOT: u64 = 1 << 32;

/// The addresses where an owner held something last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    addresses: [u64; REMEMBERED],
    len: usize,
    /// An address where the owner still held something did not fit.
    pub forgot: bool,
}

impl Recent {
    /// One address.
    pub fn of(address: u64) -> Self {
        let mut recent = Self::default();
        recent.addresses[0] = address;
        recent.len = 1;
        recent
    }

    /// The addresses, the newest last.
    pub fn addresses(&self) -> &[u64] {
        &self.addresses[..self.len]
    }

    /// Makes `address` the newest one. When there is no room, one where nothing is held any more goes first.
    pub fn push(&mut self, address: u64, is_held: impl FnMut(u64) -> bool) {
        let known = self.addresses().iter().position(|known| *known == address);
        if known.is_some() || self.len == REMEMBERED {
            let leaves = known.unwrap_or_else(|| self.make_room(is_held));
            self.addresses.copy_within(leaves + 1..self.len, leaves);
            self.len -= 1;
        }
        self.addresses[self.len] = address;
        self.len += 1;
    }

    /// An owner with many buffers at once is not asked for each of them again and again.
    fn make_room(&mut self, mut is_held: impl FnMut(u64) -> bool) -> usize {
        if self.forgot {
            return 0;
        }
        let free = self.addresses().iter().position(|known| !is_held(*known));
        self.forgot = free.is_none();
        free.unwrap_or(0)
    }

    /// Writes it into a record that nobody else reads.
    pub fn store(&self, words: &[AtomicU64]) {
        let header = self.len as u64 | if self.forgot { FORGOT } else { 0 };
        words[0].store(header, Ordering::Relaxed);
        for (word, address) in words[1..].iter().zip(self.addresses()) {
            word.store(*address, Ordering::Relaxed);
        }
    }

    /// Reads it out of a record. When that is being used for another state by now, this is nonsense, but safe.
    pub fn load(words: &[AtomicU64]) -> Self {
        let header = words[0].load(Ordering::Relaxed);
        let mut recent = Self {
            addresses: [0; REMEMBERED],
            len: (header as u32 as usize).min(REMEMBERED),
            forgot: header & FORGOT != 0,
        };
        for (address, word) in recent.addresses.iter_mut().zip(&words[1..]) {
            *address = word.load(Ordering::Relaxed);
        }
        recent
    }
}

#[cfg(test)]
mod tests {
    use super::REMEMBERED;
    use super::Recent;

    #[test]
    fn what_is_still_held_is_forgotten_last_and_that_is_known() {
        let mut recent = Recent::default();
        for address in 0..REMEMBERED as u64 {
            recent.push(address, |_| true);
        }
        recent.push(0, |_| true);
        assert_eq!(recent.addresses(), [1, 2, 3, 4, 5, 6, 0]);
        recent.push(7, |address| address != 3);
        assert_eq!(recent.addresses(), [1, 2, 4, 5, 6, 0, 7]);
        assert!(!recent.forgot);
        recent.push(8, |_| true);
        assert_eq!(recent.addresses(), [2, 4, 5, 6, 0, 7, 8]);
        assert!(recent.forgot);
    }
}
