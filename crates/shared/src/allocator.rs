//! The shim's own use of the heap, which is the host's: where the C library's allocator is hooked, it is no event. Where
//! the host has no memory left, there is a reserve: Rust ends a process that gets none, and the host is not ours to end.

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use host::thread::asking;

/// Enough for everything that is done on the way of an event, and for what is said of it. A report may take more.
const RESERVE_SIZE: usize = 1 << 20;

struct OwnUse;

#[global_allocator]
static HEAP: OwnUse = OwnUse;

/// Memory that is the kernel's until it is needed. It is given out in a row; what was given out last can be given back.
#[repr(align(4096))]
struct Reserve(UnsafeCell<[u8; RESERVE_SIZE]>);

// SAFETY: parts of it are handed out once, by an atomic.
unsafe impl Sync for Reserve {}

static RESERVE: Reserve = Reserve(UnsafeCell::new([0; RESERVE_SIZE]));
static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Reserve {
    fn start(&self) -> *mut u8 {
        self.0.get().cast()
    }

    /// Null when it has no room either.
    fn take(&self, layout: Layout) -> *mut u8 {
        let mut taken = TAKEN.load(Ordering::Relaxed);
        loop {
            let place = taken.next_multiple_of(layout.align());
            let end = place.saturating_add(layout.size());
            if end > RESERVE_SIZE || layout.align() > 4096 {
                return ptr::null_mut();
            }
            match TAKEN.compare_exchange_weak(taken, end, Ordering::Relaxed, Ordering::Relaxed) {
                // SAFETY: the part lies inside the reserve.
                Ok(_) => return unsafe { self.start().add(place) },
                Err(now) => taken = now,
            }
        }
    }

    /// Whether the memory is the reserve's; then it is given back.
    fn give_back(&self, memory: *mut u8, layout: Layout) -> bool {
        let place = memory.addr().wrapping_sub(self.start().addr());
        if place >= RESERVE_SIZE {
            return false;
        }
        // Where something was taken since, it stays taken.
        let end = place + layout.size();
        let _ = TAKEN.compare_exchange(end, place, Ordering::Relaxed, Ordering::Relaxed);
        true
    }

    fn has(&self, memory: *mut u8) -> bool {
        memory.addr().wrapping_sub(self.start().addr()) < RESERVE_SIZE
    }
}

fn or_reserve(memory: *mut u8, layout: Layout) -> *mut u8 {
    if memory.is_null() {
        RESERVE.take(layout)
    } else {
        memory
    }
}

// SAFETY: everything is done by the system's allocator, with the same arguments, or by the reserve, whose parts are
// disjoint, large enough and aligned.
unsafe impl GlobalAlloc for OwnUse {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        or_reserve(asking(|| unsafe { System.alloc(layout) }), layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let memory = asking(|| unsafe { System.alloc_zeroed(layout) });
        if memory.is_null() {
            let memory = RESERVE.take(layout);
            if !memory.is_null() {
                // SAFETY: a part of the reserve of that size, which may have been used before.
                unsafe { memory.write_bytes(0, layout.size()) };
            }
            return memory;
        }
        memory
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !RESERVE.has(memory) {
            // SAFETY: the caller's promise.
            let moved = asking(|| unsafe { System.realloc(memory, layout, size) });
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller says that the size makes a layout; the memory is as long as `layout` says, and what it is
        // moved to is as long as the shorter of both at least.
        unsafe {
            let new = Layout::from_size_align_unchecked(size, layout.align());
            let moved = self.alloc(new);
            if !moved.is_null() {
                ptr::copy_nonoverlapping(memory, moved, size.min(layout.size()));
                self.dealloc(memory, layout);
            }
            moved
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if !RESERVE.give_back(memory, layout) {
            // SAFETY: the caller's promise.
            asking(|| unsafe { System.dealloc(memory, layout) });
        }
    }
}
