//! The clock stop of an event's way: when it happened.
//!
//! Where the processor keeps a counter that runs at one rate on all of its cores, whatever they do, and the kernel
//! tells the time by it, it is read as it is: that takes half as long as the C library's monotonic clock, which reads
//! it too. The trace's header holds pairs of both clocks, so that a reader makes nanoseconds of ticks.

use whofreed_trace::layout::Anchor;

use crate::sys;

/// What the times of all traces of this process are, and of those of its forked children.
#[must_use]
pub fn is_ticking() -> bool {
    machine::is_ticking()
}

/// Now: ticks, or nanoseconds on the monotonic clock.
#[inline]
#[must_use]
pub fn now() -> u64 {
    if machine::is_ticking() {
        machine::ticks()
    } else {
        sys::monotonic_ns()
    }
}

/// Finds out which clock there is, once. Before the first event.
pub fn start() {
    machine::start();
}

/// Both clocks at one moment.
#[must_use]
pub fn anchor() -> Anchor {
    if !machine::is_ticking() {
        // The counter may be forbidden. Readers see by the time that somebody is writing.
        let ns = sys::monotonic_ns();
        return Anchor { ticks: 0, ns };
    }
    let pair = || {
        let before = machine::ticks();
        let ns = sys::monotonic_ns();
        let width = machine::ticks().wrapping_sub(before);
        let ticks = before.wrapping_add(width / 2);
        (width, Anchor { ticks, ns })
    };
    // Of a few, the one in which the least came between.
    let pairs = [pair(), pair(), pair()];
    let closest = pairs.into_iter().min_by_key(|(width, _)| *width);
    closest.map_or_else(Anchor::default, |(_, anchor)| anchor)
}

#[cfg(target_arch = "x86_64")]
mod machine {
    use std::arch::x86_64::__cpuid;
    use std::arch::x86_64::_rdtsc;
    use std::fs;
    use std::sync::atomic::AtomicU8;
    use std::sync::atomic::Ordering;

    use crate::sys;

    const UNDECIDED: u8 = 0;
    const TICKS: u8 = 1;
    const NANOSECONDS: u8 = 2;
    static DECISION: AtomicU8 = AtomicU8::new(UNDECIDED);

    #[inline]
    pub fn is_ticking() -> bool {
        DECISION.load(Ordering::Relaxed) == TICKS
    }

    #[inline]
    pub fn ticks() -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and `start` has asked whether the process may use it.
        unsafe { _rdtsc() }
    }

    pub fn start() {
        if DECISION.load(Ordering::Relaxed) != UNDECIDED {
            return;
        }
        let is_permitted = is_permitted();
        if !is_permitted {
            sys::ask_kernel_for_time();
        }
        let is_usable = is_permitted && is_invariant() && is_trusted();
        let decision = if is_usable { TICKS } else { NANOSECONDS };
        // Of threads that come at once the first one decides: there may be events already.
        let _ =
            DECISION.compare_exchange(UNDECIDED, decision, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The processor's word for a counter of one rate in all states (Intel's manual, volume 3, 19.17.1).
    fn is_invariant() -> bool {
        const LEAF: u32 = 0x8000_0007;
        __cpuid(0x8000_0000).eax >= LEAF && __cpuid(LEAF).edx & (1 << 8) != 0
    }

    /// A process can have itself killed for reading the counter. One that forbids it only after this was asked is not
    /// helped.
    fn is_permitted() -> bool {
        let mut state = 0_i32;
        // SAFETY: prctl writes one int to the place.
        let code = unsafe { libc::prctl(libc::PR_GET_TSC, &raw mut state) };
        code == 0 && state == libc::PR_TSC_ENABLE
    }

    /// The kernel has found the counters of all cores to agree: it tells the time by them.
    fn is_trusted() -> bool {
        let source = fs::read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        source.is_ok_and(|source| source.trim_ascii() == b"tsc")
    }
}

/// Other machines read the monotonic clock; AArch64's counter is for whoever measures it there.
#[cfg(not(target_arch = "x86_64"))]
mod machine {
    use crate::sys;

    pub const fn is_ticking() -> bool {
        false
    }

    pub fn ticks() -> u64 {
        sys::monotonic_ns()
    }

    pub const fn start() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_was_chosen_goes_on_and_anchors_lie_close_to_it() {
        start();
        let before = now();
        let anchor = anchor();
        let after = now();
        assert!(before <= after);
        assert!(!is_ticking() || (before..=after).contains(&anchor.ticks));
    }
}
