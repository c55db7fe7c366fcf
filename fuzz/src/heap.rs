//! The heap of a target: it ends the process where code under test takes more than it may.

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// Counts what is taken.
#[derive(Debug)]
pub struct Counting;

#[global_allocator]
static HEAP: Counting = Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn took(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    MOST.fetch_max(held, Relaxed);
    if held > LIMIT.load(Relaxed) {
        // Whoever tells takes memory as well; and so does a panic, which is worse and has its own words.
        LIMIT.store(usize::MAX, Relaxed);
        if std::thread::panicking() {
            return;
        }
        eprintln!("the heap's limit is passed: {held} bytes, the last {bytes} at once");
        std::process::abort();
    }
}

// SAFETY: everything is handed on to the system's allocator, and its answers are handed back.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: the caller keeps the promises of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Where it has to move, both are held for a moment.
        took(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the promises of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Runs `action`, which may take so many bytes beyond what is held now; more ends the process, and the fuzzer keeps the
/// input.
pub fn within<R>(limit: usize, action: impl FnOnce() -> R) -> R {
    let held = HELD.load(Relaxed);
    MOST.store(held, Relaxed);
    LIMIT.store(held.saturating_add(limit), Relaxed);
    let result = action();
    LIMIT.store(usize::MAX, Relaxed);
    if std::env::var_os("FUZZ_MEASURE").is_some() {
        eprintln!("took {} of {limit}", MOST.load(Relaxed) - held);
    }
    result
}
