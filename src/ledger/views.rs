//! Whose instances a view shares: by device, address and the view's owner, the owner of the root.

use crate::arena::Arena;
use crate::arena::ZeroInit;
use crate::index::Index;
use crate::index::Inserted;
use crate::index::MappedSlots;
use crate::mix::mix;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// A view. The key is written before the node is offered to the index, and never changes.
#[derive(Debug, Default)]
#[repr(C)]
struct Node {
    device: AtomicU64,
    address: AtomicU64,
    owner: AtomicU64,
    /// Whose instances are shared; `owner` itself when the view is one no more.
    root: AtomicU64,
}

// SAFETY: zeroed memory is four valid atomics, which may be shared.
unsafe impl ZeroInit for Node {}

/// A map from (device, address, owner) to the owner of the root.
#[derive(Debug)]
pub struct Views {
    nodes: Arena<Node>,
    index: Index<MappedSlots>,
    /// Without any view, a free needs no look here.
    is_used: AtomicU64,
}

fn hash_of(device: u32, address: u64, owner: u64) -> u64 {
    mix(owner ^ mix(address ^ mix(u64::from(device) + 1)))
}

impl Views {
    pub fn new(capacity: u32) -> Option<Self> {
        Some(Self {
            nodes: Arena::new(capacity)?,
            index: Index::new(MappedSlots::new(capacity as usize)?),
            is_used: AtomicU64::new(0),
        })
    }

    fn is(&self, node: u32, device: u32, address: u64, owner: u64) -> bool {
        let node = self.nodes.get(node);
        // Relaxed: the index was read with Acquire, and the key was there before.
        node.address.load(Ordering::Relaxed) == address
            && node.owner.load(Ordering::Relaxed) == owner
            && node.device.load(Ordering::Relaxed) == u64::from(device)
    }

    fn find(&self, device: u32, address: u64, owner: u64) -> Option<&AtomicU64> {
        if self.is_used.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let is_key = |node| self.is(node, device, address, owner);
        let node = self.index.find(hash_of(device, address, owner), is_key)?;
        Some(&self.nodes.get(node).root)
    }

    /// Whose instances `owner` shares at an address; its own where it has no view there.
    pub fn root(&self, device: u32, address: u64, owner: u64) -> u64 {
        self.find(device, address, owner)
            .map_or(owner, |root| root.load(Ordering::Acquire))
    }

    /// Notes a view, in the place of the one that `owner` had at the address. False when there is no room.
    pub fn set(&self, device: u32, address: u64, owner: u64, root: u64) -> bool {
        if let Some(place) = self.find(device, address, owner) {
            place.store(root, Ordering::Release);
            return true;
        }
        if root == owner {
            return true;
        }
        let Some(new) = self.nodes.take() else {
            return false;
        };
        let node = self.nodes.get(new);
        node.device.store(u64::from(device), Ordering::Relaxed);
        node.address.store(address, Ordering::Relaxed);
        node.owner.store(owner, Ordering::Relaxed);
        node.root.store(root, Ordering::Relaxed);
        self.is_used.store(1, Ordering::Relaxed);
        let is_key = |node| self.is(node, device, address, owner);
        let hash = hash_of(device, address, owner);
        match self.index.insert(hash, is_key, new) {
            Inserted::New => true,
            Inserted::Found(node) => {
                self.nodes.get(node).root.store(root, Ordering::Release);
                true
            }
            Inserted::Full => false,
        }
    }

    /// What `owner` has at an address from now on is its own.
    pub fn forget(&self, device: u32, address: u64, owner: u64) {
        if let Some(root) = self.find(device, address, owner) {
            root.store(owner, Ordering::Release);
        }
    }
}
