//! The gate between walks and the unloading of libraries, for the threads of this process.

use super::gate::Gate;
use crate::primitive::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_millis(20);

static GATE: Gate = Gate {
    walking: AtomicU64::new(0),
    unloading: AtomicU64::new(0),
};
/// The threads that are unloading. One that finds no place here waits for itself, until its patience is over.
static THREADS: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];

/// The calling thread, as a number that is not 0.
fn this_thread() -> usize {
    // SAFETY: pthread_self has no preconditions.
    unsafe { libc::pthread_self() as usize }
}

/// While it lives, no library is unloaded whose unloading can be held back.
#[derive(Debug)]
pub struct Hold {
    /// Nobody is unloading who could not be held back.
    pub is_sure: bool,
}

/// Holds back for a walk what unloads libraries.
pub fn hold() -> Hold {
    Hold {
        is_sure: GATE.begin_walk(own(), patience()),
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        GATE.end_walk();
    }
}

/// How many libraries the calling thread is in the middle of unloading: a destructor may call what is hooked.
fn own() -> u64 {
    let this = this_thread();
    let own = THREADS
        .iter()
        .filter(|place| place.load(Ordering::Relaxed) == this);
    own.count() as u64
}

/// The calling thread is about to unload a library; [`unloaded`] has to follow.
pub fn unloading() {
    GATE.begin_unload(patience());
    replace(0, this_thread());
}

/// The calling thread has unloaded a library.
pub fn unloaded() {
    replace(this_thread(), 0);
    GATE.end_unload();
}

fn replace(known: usize, new: usize) {
    // Relaxed: who looks for itself looks for what it has written.
    let is_replaced = |place: &AtomicUsize| {
        place.load(Ordering::Relaxed) == known
            && place
                .compare_exchange(known, new, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    };
    let _ = THREADS.iter().any(is_replaced);
}

/// A child of a fork has the forking thread alone, with what that one is in the middle of.
pub fn forked() {
    GATE.reset(own());
    for place in &THREADS {
        if place.load(Ordering::Relaxed) != this_thread() {
            place.store(0, Ordering::Relaxed);
        }
    }
}

fn patience() -> impl FnMut() -> bool {
    let mut begun = None;
    move || {
        let begun = *begun.get_or_insert_with(Instant::now);
        std::thread::yield_now();
        begun.elapsed() < PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use std::time::Instant;

    /// One test for all, since there is one gate.
    #[test]
    fn nobody_waits_for_ever_and_nobody_for_itself() {
        let start = Instant::now();
        unloading();
        drop(hold());
        assert!(
            start.elapsed() < Duration::from_millis(15),
            "its own unloading is no reason to wait"
        );
        let waited = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let start = Instant::now();
                assert!(!hold().is_sure);
                start.elapsed()
            });
            other.join().expect("no panic")
        });
        assert!(waited >= Duration::from_millis(20), "{waited:?}");
        unloaded();
        let held = hold();
        let start = Instant::now();
        unloading();
        assert!(start.elapsed() >= Duration::from_millis(20));
        unloaded();
        drop(held);
        unloading();
        forked();
        unloaded();
        assert!(hold().is_sure);
    }
}
