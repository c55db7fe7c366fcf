//! Whether a call that began is still under way: the frame that it returns to is asked for, by a walk up to there.

use std::ops::ControlFlow;

/// Whether the hooked call whose return address lies at `slot` is under way: the frame that it returns to is on the
/// stack, and called us there. Where a frame on the way has no unwind information, it is believed to be.
#[must_use]
pub fn is_running(slot: usize) -> bool {
    let own = super::own_range();
    let return_to = slot + size_of::<usize>();
    let mut called_us = false;
    let mut answer = true;
    // SAFETY: as in `start`; the closure neither allocates nor unwinds.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let step = match (frame.sp() as usize).cmp(&return_to) {
                std::cmp::Ordering::Less => ControlFlow::Continue(()),
                std::cmp::Ordering::Equal => ControlFlow::Break(called_us),
                std::cmp::Ordering::Greater => ControlFlow::Break(false),
            };
            called_us = own.contains(&(frame.ip() as usize));
            if let ControlFlow::Break(found) = step {
                answer = found;
            }
            step.is_continue()
        });
    }
    answer
}
