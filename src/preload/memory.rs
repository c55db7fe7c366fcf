//! Bounded memory of what a handle or an owner stood for, when it can still be asked.
//!
//! Sets of eight entries, each guarded by a sequence number that is odd while it is written. Nobody ever waits: a
//! writer that finds an entry being written takes another one, a reader that does passes it by. When a set is full,
//! entries whose buffer is freed make room first, then the one whose turn it is.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::atomic::fence;

const WAYS: usize = 8;
const SETS: usize = 1 << 14;

/// What is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) owner: u64,
    pub(super) address: u64,
    pub(super) device: u32,
}

#[derive(Debug)]
struct Entry {
    /// Even: whole. Odd: being written.
    sequence: AtomicU32,
    device: AtomicU32,
    key: AtomicU64,
    owner: AtomicU64,
    address: AtomicU64,
}

/// Keys (never 0) and what they are bound to.
#[derive(Debug)]
pub(super) struct Memory {
    sets: [[Entry; WAYS]; SETS],
    turn: AtomicU32,
}

/// The top bit of `device` marks an entry whose buffer is freed.
const RETIRED: u32 = 1 << 31;

impl Entry {
    const fn empty() -> Self {
        Self {
            sequence: AtomicU32::new(0),
            device: AtomicU32::new(0),
            key: AtomicU64::new(0),
            owner: AtomicU64::new(0),
            address: AtomicU64::new(0),
        }
    }

    fn read(&self) -> Option<(u64, u32, Bound)> {
        let before = self.sequence.load(Ordering::Acquire);
        let key = self.key.load(Ordering::Relaxed);
        let device = self.device.load(Ordering::Relaxed);
        let bound = Bound {
            owner: self.owner.load(Ordering::Relaxed),
            address: self.address.load(Ordering::Relaxed),
            device: device & !RETIRED,
        };
        fence(Ordering::Acquire);
        let is_whole = before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before;
        is_whole.then_some((key, device, bound))
    }

    fn write(&self, key: u64, device: u32, bound: Bound) -> bool {
        let before = self.sequence.load(Ordering::Relaxed);
        if !before.is_multiple_of(2) {
            return false;
        }
        let odd = before.wrapping_add(1);
        let won = self
            .sequence
            .compare_exchange(before, odd, Ordering::Acquire, Ordering::Relaxed);
        if won.is_err() {
            return false;
        }
        // Readers that see any of the stores below also see the odd number.
        fence(Ordering::Release);
        self.key.store(key, Ordering::Relaxed);
        self.device.store(device, Ordering::Relaxed);
        self.owner.store(bound.owner, Ordering::Relaxed);
        self.address.store(bound.address, Ordering::Relaxed);
        self.sequence
            .store(before.wrapping_add(2), Ordering::Release);
        true
    }
}

impl Memory {
    pub(super) const fn new() -> Self {
        Self {
            sets: [const { [const { Entry::empty() }; WAYS] }; SETS],
            turn: AtomicU32::new(0),
        }
    }

    fn set(&self, key: u64) -> &[Entry; WAYS] {
        let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let index = usize::try_from(mixed >> 50).unwrap_or(0);
        &self.sets[index % SETS]
    }

    /// Binds a key; what it was bound to before is forgotten.
    #[inline]
    pub(super) fn remember(&self, key: u64, bound: Bound) {
        if key != 0 {
            self.bind(key, bound);
        }
    }

    fn bind(&self, key: u64, bound: Bound) {
        let set = self.set(key);
        let is_room = |wanted: u8| {
            move |entry: &&Entry| match entry.read() {
                Some((known, device, _)) => match wanted {
                    0 => known == key,
                    1 => known == 0,
                    _ => device & RETIRED != 0,
                },
                None => false,
            }
        };
        for wanted in 0..3 {
            for entry in set.iter().filter(is_room(wanted)) {
                if entry.write(key, bound.device & !RETIRED, bound) {
                    return;
                }
            }
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) as usize;
        for place in 0..WAYS {
            if set[(turn + place) % WAYS].write(key, bound.device & !RETIRED, bound) {
                return;
            }
        }
    }

    /// What a key is bound to.
    #[inline]
    pub(super) fn recall(&self, key: u64) -> Option<Bound> {
        if key == 0 { None } else { self.find(key) }
    }

    fn find(&self, key: u64) -> Option<Bound> {
        let mut found = self.set(key).iter().filter_map(Entry::read);
        found
            .find(|(known, ..)| *known == key)
            .map(|(.., bound)| bound)
    }

    /// Says that a key's buffer is freed: it is remembered as long as nobody needs the room.
    #[inline]
    pub(super) fn retire(&self, key: u64) {
        if key != 0 {
            self.mark_retired(key);
        }
    }

    fn mark_retired(&self, key: u64) {
        for entry in self.set(key) {
            if let Some((known, device, bound)) = entry.read()
                && known == key
            {
                entry.write(key, device | RETIRED, bound);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static MEMORY: Memory = Memory::new();

    fn bound(owner: u64) -> Bound {
        Bound {
            owner,
            address: owner * 2,
            device: 3,
        }
    }

    #[test]
    fn remembers_rebinds_and_makes_room_of_the_freed() {
        for key in 1..=50_000 {
            MEMORY.remember(key, bound(key));
        }
        MEMORY.remember(7, bound(9));
        assert_eq!(MEMORY.recall(7), Some(bound(9)));
        assert_eq!(MEMORY.recall(50_000), Some(bound(50_000)));
        assert_eq!(MEMORY.recall(0), None);
        assert_eq!(MEMORY.recall(1 << 40), None);
        for key in 100..=50_000 {
            MEMORY.retire(key);
        }
        assert_eq!(
            MEMORY.recall(200),
            Some(bound(200)),
            "the freed are known while there is room"
        );
        for key in 1_000_000..1_400_000 {
            MEMORY.remember(key, bound(key));
            MEMORY.retire(key);
        }
        let kept = (1..100).filter(|key| MEMORY.recall(*key).is_some()).count();
        assert_eq!(kept, 99, "what is not freed stays");
    }

    #[test]
    fn readers_never_see_half_of_a_binding() {
        static SHARED: Memory = Memory::new();
        std::thread::scope(|scope| {
            for writer in 0..2_u64 {
                scope.spawn(move || {
                    for round in 0..100_000 {
                        SHARED.remember(5, bound(round * 2 + writer));
                    }
                });
            }
            for _ in 0..200_000 {
                if let Some(seen) = SHARED.recall(5) {
                    assert_eq!(seen.address, seen.owner * 2);
                }
            }
        });
    }
}
