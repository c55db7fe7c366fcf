//! Sums and reports while the host lives.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::entry::enter;
use crate::abi::WfStats;
use crate::options;
use crate::process;
use crate::record::dump;
use crate::stack;
use crate::sys;
use crate::thread;

/// Declares whether owners may be used again for other objects.
pub fn owners_are_pointers(yes: bool) {
    if let Some(_inside) = enter() {
        process::set_owners_are_pointers(yes);
    }
}

/// Writes the text report of everything so far. 0 or a negative errno.
#[must_use]
pub fn dump_culprits(descriptor: i32) -> i32 {
    match thread::enter() {
        Some(mut inside) => match process::world() {
            Some(world) => dump::request(&mut inside, &world.recorder, descriptor, true),
            None => -libc::ENOMEM,
        },
        None => -libc::EBUSY,
    }
}

/// Prints the summary of a linked host with excess frees, when it exits.
pub fn summary_at_exit() {
    let options = options::get();
    let untold = process::untold();
    if untold > 0 && !options.is_run {
        sys::complain(&format!(
            "{untold} events were lost, and there is no trace to tell of them"
        ));
    }
    let (Some(mut inside), Some(world)) = (thread::enter(), process::existing_world()) else {
        return;
    };
    dump::wait_for_writer(&world.recorder);
    stack::summary_of_checks();
    if options.summary && !options.is_run && stats().excess > 0 {
        let _ = dump::request(&mut inside, &world.recorder, 2, false);
    }
}

/// Puts everything recorded so far on the disk. 0 or a negative errno.
#[must_use]
pub fn flush() -> i32 {
    let Some(_inside) = thread::enter() else {
        return -libc::EBUSY;
    };
    process::existing_world().map_or(0, |world| world.recorder.sync())
}

/// The sums over all threads.
#[must_use]
pub fn stats() -> WfStats {
    let mut stats = WfStats {
        size: size_of::<WfStats>() as u64,
        ..WfStats::default()
    };
    let (mut held, mut ended) = (0_u64, 0_u64);
    for counters in thread::all_counters() {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        stats.allocations += read(&counters.allocations);
        stats.deallocations += read(&counters.deallocations);
        stats.excess += read(&counters.excess);
        stats.unknown += read(&counters.unknown);
        stats.late += read(&counters.late);
        stats.declined += read(&counters.declined);
        stats.invalid += read(&counters.invalid);
        stats.blocked += read(&counters.blocked);
        held += read(&counters.allocations) + read(&counters.retains);
        ended += read(&counters.ok);
    }
    stats.live = held.saturating_sub(ended);
    stats.dropped_events = process::lost();
    if let Some(world) = process::existing_world() {
        stats.distinct_addresses = u64::from(world.ledger.addresses());
        stats.distinct_stacks = u64::from(world.recorder.stacks.count());
    }
    stats
}
