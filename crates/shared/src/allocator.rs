//! The shim's own use of the heap, which is the host's: where the C library's allocator is hooked, it is no event.

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;

use host::thread::asking;

struct OwnUse;

#[global_allocator]
static HEAP: OwnUse = OwnUse;

// SAFETY: everything is done by the system's allocator, with the same arguments.
unsafe impl GlobalAlloc for OwnUse {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        asking(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        asking(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        asking(|| unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        asking(|| unsafe { System.dealloc(memory, layout) });
    }
}
