//! A user's doubt about the stacks (`check_stacks=1`): each is unwound a second time, by the C++ runtime's unwinder.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::StackBuffer;
use super::trace_host;
use crate::options;
use crate::sys;

static CHECKED: AtomicU64 = AtomicU64::new(0);
static DIFFERENT: AtomicU64 = AtomicU64::new(0);

/// Compares the captured stack with that of the other unwinder; the first difference is shown. One that is cut is not:
/// that unwinder would not survive it.
pub(super) fn check(buffer: &mut StackBuffer) {
    if buffer.is_cut() {
        return;
    }
    CHECKED.fetch_add(1, Ordering::Relaxed);
    let depth = buffer.depth;
    let frames = buffer.frames();
    let (mut next, mut differ) = (0, false);
    trace_host(|address| {
        let Some(&expected) = frames.get(next) else {
            // More than are wanted, or one more than there is.
            differ = next < depth;
            return false;
        };
        next += 1;
        differ = address != expected;
        !differ
    });
    if (differ || next != frames.len()) && DIFFERENT.fetch_add(1, Ordering::Relaxed) == 0 {
        sys::complain(&format!(
            "a stack differs from that of the C++ runtime's unwinder from frame {next} on: {frames:x?}"
        ));
    }
}

/// What came of it, for the end of the process.
pub fn summary() {
    if options::get().check_stacks {
        let (checked, different) = (
            CHECKED.load(Ordering::Relaxed),
            DIFFERENT.load(Ordering::Relaxed),
        );
        sys::complain(&format!(
            "{checked} stacks checked, {different} of them differ"
        ));
    }
}
