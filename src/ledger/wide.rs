//! Numbers for keys that are wider than a word of a [`Table`](super::table::Table): a device beyond 65,534, or a number
//! that is no address as processors have them today.

use crate::arena::Arena;
use crate::arena::ZeroInit;
use crate::index::Index;
use crate::index::Inserted;
use crate::index::MappedSlots;
use crate::mix::mix;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// A wide key. It is written before the item is offered to the index, and never changes.
#[derive(Debug, Default)]
#[repr(C)]
struct Node {
    device: AtomicU64,
    number: AtomicU64,
}

// SAFETY: zeroed memory is two valid atomics, which may be shared.
unsafe impl ZeroInit for Node {}

/// A map from (device, number) to numbers that are given out one after the other.
#[derive(Debug)]
pub struct Wide {
    nodes: Arena<Node>,
    index: Index<MappedSlots>,
}

fn hash_of(device: u32, number: u64) -> u64 {
    mix(number ^ mix(u64::from(device) + 1))
}

impl Wide {
    pub fn new(capacity: u32) -> Option<Self> {
        Some(Self {
            nodes: Arena::new(capacity)?,
            index: Index::new(MappedSlots::new(capacity as usize)?),
        })
    }

    fn is(&self, item: u32, device: u32, number: u64) -> bool {
        let node = self.nodes.get(item);
        // Relaxed: the index was read with Acquire, and the key was there before.
        node.number.load(Ordering::Relaxed) == number
            && node.device.load(Ordering::Relaxed) == u64::from(device)
    }

    /// The number of a key, if it has one.
    #[cold]
    pub fn find(&self, device: u32, number: u64) -> Option<u32> {
        let is_key = |item| self.is(item, device, number);
        self.index.find(hash_of(device, number), is_key)
    }

    /// The number of a key, given out now where it has none; `None` when there is no room.
    #[cold]
    pub fn item_for(&self, device: u32, number: u64) -> Option<u32> {
        if let Some(item) = self.find(device, number) {
            return Some(item);
        }
        let new = self.nodes.take()?;
        let node = self.nodes.get(new);
        node.device.store(u64::from(device), Ordering::Relaxed);
        node.number.store(number, Ordering::Relaxed);
        let is_key = |item| self.is(item, device, number);
        match self.index.insert(hash_of(device, number), is_key, new) {
            Inserted::New => Some(new),
            // Lost to a thread with the same key; our item stays unused.
            Inserted::Found(item) => Some(item),
            Inserted::Full => None,
        }
    }
}
