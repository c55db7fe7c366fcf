//! Things that many events refer to, each written once: stacks, Python functions, labels of scopes.
//!
//! The payload lies in the trace; the table here says where, and compares in full. Whoever sees something first
//! writes it and offers it; of two who do so at once one is believed, and the other's copy stays unused.

use std::ptr;

use whofreed_trace::blob::blob_kind;

use crate::arena::Arena;
use crate::arena::ZeroInit;
use crate::index::Index;
use crate::index::Inserted;
use crate::index::MappedSlots;
use crate::mix::mix;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;
use crate::record::Recorder;
use crate::record::pen::Pen;

#[derive(Debug, Default)]
#[repr(C)]
struct Entry {
    place: AtomicU64,
    len: AtomicU64,
}

// SAFETY: zeroed memory is two valid atomics, which may be shared.
unsafe impl ZeroInit for Entry {}

/// A set of payloads of one kind, numbered from 1.
#[derive(Debug)]
pub struct Interner {
    kind: u16,
    first_id: u32,
    entries: Arena<Entry>,
    index: Index<MappedSlots>,
}

/// A hash over words and the rest; what it collides in, the full comparison tells apart.
#[must_use]
pub fn hash_of(payload: &[u8]) -> u64 {
    let (words, rest) = payload.as_chunks::<8>();
    let mut hash = payload.len() as u64;
    for word in words {
        hash = (hash ^ u64::from_ne_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 32;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    mix(hash)
}

impl Interner {
    /// An empty set for at most `capacity` payloads; `kind` is the kind of their blobs.
    #[must_use]
    pub fn new(kind: u16, capacity: u32) -> Option<Self> {
        Some(Self {
            kind,
            // A Python function is told by its index, everything else by a number that is never 0.
            first_id: u32::from(kind != blob_kind::CODE),
            entries: Arena::new(capacity)?,
            index: Index::new(MappedSlots::new(capacity as usize)?),
        })
    }

    fn payload(&self, entry: u32) -> &[u8] {
        let entry = self.entries.get(entry);
        // Relaxed: the index was read with Acquire, and both were there before.
        let place = entry.place.load(Ordering::Relaxed) as usize;
        let len = entry.len.load(Ordering::Relaxed) as usize;
        // SAFETY: an entry is offered to the index only after both words say where a committed payload lies, and
        // data chunks stay mapped as long as their recorder.
        unsafe { std::slice::from_raw_parts(ptr::with_exposed_provenance(place), len) }
    }

    /// The id of `payload`, which is written to the trace when it is new. `None` when there is no room.
    pub fn intern(
        &self,
        recorder: &Recorder,
        pen: &mut Pen,
        flags: u16,
        payload: &[u8],
    ) -> Option<u32> {
        let hash = hash_of(payload);
        let is_same = |entry| self.payload(entry) == payload;
        if let Some(entry) = self.index.find(hash, is_same) {
            return Some(entry + self.first_id);
        }
        let new = self.entries.take()?;
        let place = pen.blob(recorder, self.kind, flags, new + self.first_id, payload)?;
        let entry = self.entries.get(new);
        entry
            .place
            .store(place.expose_provenance() as u64, Ordering::Relaxed);
        entry.len.store(payload.len() as u64, Ordering::Relaxed);
        match self.index.insert(hash, is_same, new) {
            // A full index only means that this payload will be written again next time.
            Inserted::New | Inserted::Full => Some(new + self.first_id),
            Inserted::Found(entry) => Some(entry + self.first_id),
        }
    }

    /// How many payloads there are, at the most.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.entries.taken()
    }
}
