//! Whoever walks over the loaded objects and whoever unloads one keep out of each other's way, as well as they can
//! without a lock.
//!
//! A walk says that it has begun and then lets those finish who are unloading already; who wants to unload lets the
//! walks finish that have begun. Neither waits longer than it has patience: a destructor may well wait for a thread that
//! walks. Beyond that, a walk is as safe as `_dl_find_object` makes it.

use crate::primitive::AtomicU64;
use crate::primitive::Ordering;

/// How many walk and how many unload at the moment.
#[derive(Debug)]
pub struct Gate {
    /// How many walks have begun.
    pub walking: AtomicU64,
    /// How many have begun to unload.
    pub unloading: AtomicU64,
}

// A number is read by adding nothing to it. Two such steps on one number are in an order that both sides know, and so
// what each side did before on the other number is: one of the two sees the other.
fn read(number: &AtomicU64) -> u64 {
    number.fetch_add(0, Ordering::AcqRel)
}

impl Gate {
    /// Begins a walk, of a thread that is in the middle of `own` unloadings itself; `patience` waits a little. False
    /// when somebody is unloading all the same.
    pub fn begin_walk(&self, own: u64, mut patience: impl FnMut() -> bool) -> bool {
        self.walking.fetch_add(1, Ordering::AcqRel);
        while read(&self.unloading) > own {
            if !patience() {
                return false;
            }
        }
        true
    }

    /// Ends a walk.
    pub fn end_walk(&self) {
        self.walking.fetch_sub(1, Ordering::AcqRel);
    }

    /// Begins to unload. False when somebody walks all the same.
    pub fn begin_unload(&self, mut patience: impl FnMut() -> bool) -> bool {
        loop {
            let may_wait = read(&self.walking) == 0 || patience();
            self.unloading.fetch_add(1, Ordering::AcqRel);
            let is_alone = read(&self.walking) == 0;
            if is_alone || !may_wait {
                return is_alone;
            }
            // A walk began: it comes first.
            self.unloading.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Ends to unload.
    pub fn end_unload(&self) {
        self.unloading.fetch_sub(1, Ordering::AcqRel);
    }

    /// Nobody walks and only `own` unload: the other threads that did are not in this process.
    pub fn reset(&self, own: u64) {
        self.walking.store(0, Ordering::Release);
        self.unloading.store(own, Ordering::Release);
    }
}
