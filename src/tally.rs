//! What the launcher is told besides the traces, in memory of its own. The number of excess frees, for the exit code of
//! `whofreed run --error-exitcode`: a host may keep its trace from being made, and has freed too often all the same. The
//! number of events that were lost where there is no trace to tell of them. And which descriptors the traces have, since
//! somebody may remove a trace while it is written: the launcher holds it, too. And it tells us whether it is still there.
//!
//! The launcher keeps a small memory file open and says which. It is mapped when the library is loaded, before the
//! host can give up what it takes (descriptors, its root folder), and no descriptor is kept. Forked children share it.

use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// The size of the file.
const SIZE: usize = 4096;
/// So many traces of a run can be told of.
const MOST_TRACES: usize = SIZE / size_of::<u64>() - 4;

/// What is in the file.
#[derive(Debug)]
#[repr(C)]
struct Counts {
    excess: AtomicU64,
    untold: AtomicU64,
    /// How many traces there are, perhaps more than there is room for.
    traces: AtomicU64,
    /// Not zero: the launcher gives no traces their names any more.
    is_over: AtomicU64,
    /// Of each its process, and in the lower half its descriptor there and one. Zero: not yet told.
    descriptors: [AtomicU64; MOST_TRACES],
}

const _: () = assert!(size_of::<Counts>() == SIZE);

/// Null without a launcher that counts along.
static COUNTS: AtomicPtr<Counts> = AtomicPtr::new(ptr::null_mut());

/// Maps the file that process `launcher` has open as `descriptor`, if it lets us.
pub fn start(launcher: u32, descriptor: u32) {
    let path = format!("/proc/{launcher}/fd/{descriptor}\0");
    // SAFETY: `path` is NUL-terminated; the descriptor is closed below and nobody else's.
    unsafe {
        let file = libc::open(path.as_ptr().cast(), libc::O_RDWR | libc::O_CLOEXEC);
        if file < 0 {
            return;
        }
        let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
        if libc::fstat(file, stat.as_mut_ptr()) == 0
            && stat.assume_init_ref().st_size == SIZE as libc::off_t
        {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let memory = libc::mmap(ptr::null_mut(), SIZE, access, libc::MAP_SHARED, file, 0);
            if memory != libc::MAP_FAILED {
                COUNTS.store(memory.cast(), Ordering::Release);
            }
        }
        libc::close(file);
    }
}

fn counts() -> Option<&'static Counts> {
    // SAFETY: null, or the start of a mapping that is never given back, of a file that can neither shrink nor grow.
    unsafe { COUNTS.load(Ordering::Acquire).as_ref() }
}

/// An excess free.
pub fn count() {
    if let Some(counts) = counts() {
        counts.excess.fetch_add(1, Ordering::Relaxed);
    }
}

/// Events were lost of which no trace tells.
pub fn count_untold(events: u64) {
    if let Some(counts) = counts() {
        counts.untold.fetch_add(events, Ordering::Relaxed);
    }
}

/// A trace tells of them after all.
pub fn uncount_untold(events: u64) {
    if let Some(counts) = counts() {
        counts.untold.fetch_sub(events, Ordering::Relaxed);
    }
}

/// Whether there is a launcher that gives traces their names at its end. Who makes a trace asks again afterwards: either
/// the launcher has found it, or the answer is no.
#[must_use]
pub fn names_traces() -> bool {
    counts().is_some_and(|counts| counts.is_over.load(Ordering::SeqCst) == 0)
}

/// Process `pid` writes its trace to this descriptor of its own.
pub fn tell_of_trace(pid: u32, descriptor: i32) {
    let Some(counts) = counts() else {
        return;
    };
    let number = counts.traces.fetch_add(1, Ordering::Relaxed);
    let place = usize::try_from(number).ok();
    if let Some(place) = place.and_then(|number| counts.descriptors.get(number)) {
        let word = u64::from(pid) << 32 | (descriptor as u64 + 1);
        place.store(word, Ordering::Release);
    }
}
