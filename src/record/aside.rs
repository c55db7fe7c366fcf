//! The writer thread steps aside while the host changes who it is.
//!
//! To change its user, the C library has every thread of the process do the same, and ends the process where one cannot:
//! our thread never has the capabilities that the host's has kept for itself (setpriv, container runtimes). And the
//! kernel gives new user namespaces to processes of one thread alone. So before such a call of the host's, which is
//! hooked in every run, the thread ends, and behind it there is a new one with the rights of who made the call.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::Recorder;
use super::writer;
use crate::sys;

/// How often it is looked whether the thread is gone, which it mostly is at once.
const LOOK_EVERY: Duration = Duration::from_micros(50);
/// After so long the host goes on as it would have without us: a report is being written.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a fork waits for the thread to begin: it does so once, and on a machine with much to do a new thread may not run
/// for hundreds of milliseconds.
const BEGINS_IN: Duration = Duration::from_secs(1);

/// Who wants the writer thread to be away.
#[derive(Debug, Default)]
pub struct Aside {
    /// Calls under way that it must not see. The thread sleeps on this word.
    wanted: AtomicU32,
    /// The kernel's number of the thread, once it runs; 0 when it is gone, or never was.
    thread: AtomicI32,
    /// A thread of the host is sending it away or bringing it back.
    busy: AtomicBool,
}

impl Aside {
    /// For the writer thread: it runs.
    pub(super) fn is_here(&self) {
        self.thread
            .store(sys::thread_id() as i32, Ordering::Release);
    }

    /// For the writer thread: it is to end.
    #[must_use]
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire) != 0
    }

    /// For the writer thread: sleeps, or until it is to end.
    pub(super) fn sleep(&self, pause: Duration) {
        if !sys::wait_on(&self.wanted, 0, pause) {
            std::thread::sleep(pause);
        }
    }

    /// One thread of the host at a time; none of them is in an event. A handler of a signal that changes the user, too,
    /// would wait for the thread that it has interrupted, and one that jumps away would leave it busy for ever.
    fn alone<T>(&self, action: impl FnOnce() -> T) -> T {
        sys::with_signals_blocked(|| {
            let _no_cancel = sys::NoCancel::new();
            self.wait_until(PATIENCE, || !self.busy.swap(true, Ordering::Acquire));
            let result = action();
            self.busy.store(false, Ordering::Release);
            result
        })
    }

    fn wait_until(&self, patience: Duration, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() && begun.elapsed() < patience {
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether the thread is gone for the kernel too. Where that cannot be asked, its own word has to do.
    fn is_gone(&self, recorder: &Recorder) -> bool {
        let thread = self.thread.load(Ordering::Acquire);
        if thread == 0 {
            // It does not run yet, but will.
            return false;
        }
        sys::has_thread(recorder.pid, thread).map_or(!recorder.mail.has_writer(), |has| !has)
    }
}

impl Recorder {
    /// Has the writer thread end, and waits until it is gone. [`Recorder::bring_back`] has to follow.
    pub fn step_aside(&self) {
        let aside = &self.mail.aside;
        aside.alone(|| {
            aside.wanted.fetch_add(1, Ordering::AcqRel);
            if self.mail.has_writer() {
                sys::wake_all(&aside.wanted);
                aside.wait_until(PATIENCE, || aside.is_gone(self));
                aside.thread.store(0, Ordering::Release);
            }
        });
    }

    /// Waits until the thread, if there is to be one, has begun: then it holds nothing that a child would lack.
    pub fn wait_until_begun(&self) {
        let aside = &self.mail.aside;
        let has_begun = || !self.mail.has_writer() || aside.thread.load(Ordering::Acquire) != 0;
        if !has_begun() {
            let _no_cancel = sys::NoCancel::new();
            aside.wait_until(BEGINS_IN, has_begun);
        }
    }

    /// The call that the thread must not see is over: the last of them makes a new one where there was one.
    pub fn bring_back(&'static self) {
        let aside = &self.mail.aside;
        aside.alone(|| {
            let was_last = aside.wanted.fetch_sub(1, Ordering::AcqRel) == 1;
            if was_last && self.mail.was_started() && !self.mail.has_writer() {
                writer::make_thread(self);
            }
        });
    }
}
