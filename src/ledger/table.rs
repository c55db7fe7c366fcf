//! Cells by (device, number): insert-only, found again without a lock.

use std::sync::atomic::AtomicU32;

use crate::arena::Arena;
use crate::arena::ZeroInit;
use crate::index::Index;
use crate::index::Inserted;
use crate::index::MappedSlots;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;
use crate::sys::mix;

/// A key and its cell. The key is written before the node is offered to the index, and never changes.
#[derive(Debug)]
#[repr(C)]
struct Node {
    device: AtomicU32,
    /// What was noted once and stays: see [`Entry::marks`].
    marks: AtomicU32,
    number: AtomicU64,
    cell: AtomicU64,
    /// A word beside the state, outside of its transitions.
    note: AtomicU64,
}

/// What a key leads to.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'table> {
    /// The cell of the state; zero at first.
    pub cell: &'table AtomicU64,
    /// A word that may be read and written at will; zero at first.
    pub note: &'table AtomicU64,
    /// Bits outside of the state's transitions, which may be set at any time and by anybody; zero at first.
    pub marks: &'table AtomicU32,
}

// SAFETY: zeroed memory is five valid atomics, which may be shared.
unsafe impl ZeroInit for Node {}

/// A map from (device, number) to a cell that begins as zero.
#[derive(Debug)]
pub struct Table {
    nodes: Arena<Node>,
    index: Index<MappedSlots>,
}

fn hash_of(device: u32, number: u64) -> u64 {
    mix(number ^ mix(u64::from(device) + 1))
}

impl Table {
    pub fn new(capacity: u32) -> Option<Self> {
        Some(Self {
            nodes: Arena::new(capacity)?,
            index: Index::new(MappedSlots::new(capacity as usize)?),
        })
    }

    fn is(&self, node: u32, device: u32, number: u64) -> bool {
        let node = self.nodes.get(node);
        // Relaxed: the index was read with Acquire, and the key was there before.
        node.number.load(Ordering::Relaxed) == number
            && node.device.load(Ordering::Relaxed) == device
    }

    fn entry(&self, node: u32) -> Entry<'_> {
        let node = self.nodes.get(node);
        Entry {
            cell: &node.cell,
            note: &node.note,
            marks: &node.marks,
        }
    }

    /// The entry of a key, if it was ever asked for by [`Table::entry_for`].
    pub fn find(&self, device: u32, number: u64) -> Option<Entry<'_>> {
        let hash = hash_of(device, number);
        let node = self
            .index
            .find(hash, |node| self.is(node, device, number))?;
        Some(self.entry(node))
    }

    /// The entry of a key, made when it is not there; `None` when the table is at its bound.
    pub fn entry_for(&self, device: u32, number: u64) -> Option<Entry<'_>> {
        if let Some(entry) = self.find(device, number) {
            return Some(entry);
        }
        let node = self.nodes.take()?;
        self.nodes.get(node).device.store(device, Ordering::Relaxed);
        self.nodes.get(node).number.store(number, Ordering::Relaxed);
        let hash = hash_of(device, number);
        let is_key = |node| self.is(node, device, number);
        match self.index.insert(hash, is_key, node) {
            Inserted::New => Some(self.entry(node)),
            // Lost to a thread with the same key; our node stays unused.
            Inserted::Found(node) => Some(self.entry(node)),
            Inserted::Full => None,
        }
    }

    /// How many keys there are, at the most.
    pub fn count(&self) -> u32 {
        self.nodes.taken()
    }
}
