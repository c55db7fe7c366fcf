//! The ring of a memory sink: full chunks in the order in which they were filled, the oldest to be used again.

use std::ptr::NonNull;

use crate::primitive::AtomicBool;
use crate::primitive::AtomicPtr;
use crate::primitive::AtomicU32;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// The sealed chunks of a memory sink in the order of their sealing.
#[derive(Debug)]
pub struct Sealed {
    order: AtomicU64,
    /// Event chunks handed out so far.
    pub taken: AtomicU32,
    /// Per chunk: its place in the order, or 0 while somebody writes to it.
    places: Vec<(AtomicPtr<u8>, AtomicU64)>,
    /// A dump reads the chunks: none may be used again meanwhile.
    pub frozen: AtomicBool,
}

impl Sealed {
    /// Room for as many chunks as the sink has for events.
    pub fn new(chunks: u32) -> Self {
        Self {
            order: AtomicU64::new(0),
            taken: AtomicU32::new(0),
            places: (0..chunks)
                .map(|_| (AtomicPtr::new(std::ptr::null_mut()), AtomicU64::new(0)))
                .collect(),
            frozen: AtomicBool::new(false),
        }
    }

    /// A chunk was handed out for the first time.
    pub fn announce(&self, chunk: NonNull<u8>) {
        for (place, _) in &self.places {
            let free = std::ptr::null_mut();
            if place
                .compare_exchange(free, chunk.as_ptr(), Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return;
            }
        }
    }

    /// A chunk is full.
    pub fn add(&self, chunk: *mut u8) {
        let order = self.order.fetch_add(1, Ordering::Relaxed) + 1;
        let mut places = self.places.iter();
        if let Some((_, state)) = places.find(|(place, _)| place.load(Ordering::Relaxed) == chunk) {
            state.store(order, Ordering::Release);
        }
    }

    /// The chunk that was full first; `None` while a dump reads, or when no chunk is full.
    pub fn take_oldest(&self) -> Option<NonNull<u8>> {
        if self.frozen.load(Ordering::Acquire) {
            return None;
        }
        loop {
            let sealed = self.places.iter().filter_map(|(place, state)| {
                let order = state.load(Ordering::Acquire);
                (order != 0).then_some((order, place, state))
            });
            let (order, place, state) = sealed.min_by_key(|(order, ..)| *order)?;
            if state
                .compare_exchange(order, 0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return NonNull::new(place.load(Ordering::Relaxed));
            }
        }
    }
}
