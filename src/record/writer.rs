//! The shim's own thread: what an event must not wait for.
//!
//! It makes chunks ahead of need, compresses sealed ones, and does what takes names: it prints excess frees and
//! writes reports of the living process. Hooks tell it by a bounded channel and never wait: a message that does
//! not fit is done without, or done by the sender. It polls, since a receiver that is parked makes the sender take
//! a lock to wake it. While the host changes who it is, the thread is not there ([`super::aside`]).

use std::ffi::c_void;
use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use once_cell::race::OnceBox;

use crate::record::Recorder;
use crate::record::alone::Watch;
use crate::record::aside::Aside;
use crate::record::compress::Compressor;
use crate::record::dump;
use crate::record::dump::ExcessNote;
use crate::record::errand::Counts;
use crate::record::errand::Progress;
use crate::sys;
use crate::thread;

const MESSAGES: usize = 1024;
const BUSY_PAUSE: Duration = Duration::from_micros(500);
const IDLE_PAUSE: Duration = Duration::from_millis(10);
/// Rounds without work after which the longer pause is taken.
const ROUNDS_TO_IDLE: u32 = 40;

/// Rounds without work after which it is looked whether there is still somebody to work for.
const ROUNDS_TO_LOOK: u32 = 32;

/// What a hook asks for.
#[derive(Clone, Copy, Debug)]
pub enum Message {
    /// The chunk of a file at this address is full.
    Sealed(usize),
    /// An excess free is to be printed.
    Print(ExcessNote),
    /// A report is wanted; the address is that of an [`Errand`].
    Report(usize),
}

/// A report that somebody waits for. It lies in memory of its own, which stays when nobody waits any more.
#[derive(Debug)]
pub struct Errand {
    /// Where the report goes.
    pub descriptor: i32,
    /// The whole report, or the summary of a few lines, which holds nobody up.
    pub whole: bool,
    /// How far it is.
    pub progress: Progress,
}

/// The sending end, once there is a thread at the other one.
#[derive(Debug, Default)]
pub struct Mailbox {
    sender: OnceBox<Sender<Message>>,
    receiver: OnceBox<Receiver<Message>>,
    counts: Counts,
    /// The monotonic clock when the writer began to write to a descriptor; 0 while it does not.
    writing_since: AtomicU64,
    /// There is a thread at the other end.
    pub(super) is_served: AtomicBool,
    /// Who has the thread step aside.
    pub(super) aside: Aside,
}

/// A descriptor that takes nothing for so long is not being read.
pub const STUCK_AFTER: Duration = Duration::from_secs(1);

impl Mailbox {
    /// Hands a message over, without waiting. False when nobody takes it.
    pub fn send(&self, message: Message) -> bool {
        let Some(sender) = self.sender.get().filter(|_| self.has_writer()) else {
            return false;
        };
        self.counts.sending(|| sender.try_send(message).is_ok())
    }

    /// Whether everything that was sent has been done.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.counts.are_even()
    }

    /// Runs a write to a descriptor of the host's, which may take for ever.
    pub fn while_writing<T>(&self, write: impl FnOnce() -> T) -> T {
        self.writing_since
            .store(sys::monotonic_ns(), Ordering::Relaxed);
        let result = write();
        self.writing_since.store(0, Ordering::Relaxed);
        result
    }

    /// Whether the writer does not get on since somebody does not read what it writes.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let since = self.writing_since.load(Ordering::Relaxed);
        let elapsed = sys::monotonic_ns().saturating_sub(since);
        since != 0 && u128::from(elapsed) > STUCK_AFTER.as_nanos()
    }

    /// Whether there ever was to be a thread at the other end.
    #[must_use]
    pub(super) fn was_started(&self) -> bool {
        self.receiver.get().is_some()
    }

    /// Whether there is a thread at the other end.
    #[must_use]
    pub fn has_writer(&self) -> bool {
        self.is_served.load(Ordering::Acquire)
    }
}

/// Starts the writer thread for a recorder. Without one, as where the host forbids threads, hooks help themselves.
///
/// The thread is a bare one of the C library and owns nothing: what a thread of `std` owns would be lost memory in
/// the eyes of a leak checker, in every forked child of the host.
pub fn start(recorder: &'static Recorder) {
    let (sender, receiver) = crossbeam_channel::bounded(MESSAGES);
    drop(recorder.mail.receiver.set(Box::new(receiver)));
    drop(recorder.mail.sender.set(Box::new(sender)));
    make_thread(recorder);
}

/// Makes the thread, anew where it had stepped aside. What waits in the mailbox is still there for it.
pub(super) fn make_thread(recorder: &'static Recorder) {
    let argument = ptr::from_ref(recorder).cast_mut().cast();
    let mut thread = std::mem::MaybeUninit::<libc::pthread_t>::uninit();
    // The host's signals are for the host's threads: ours is born with all of them blocked. And a handler that forks would
    // wait for a thread that the one it has interrupted is about to make.
    // SAFETY: the argument is a recorder, which is never taken down, as `thread_main` expects; the place for the
    // thread's handle is valid, and the handle is read only when there is a thread.
    sys::with_signals_blocked(|| unsafe {
        // Before it can say that it has ended.
        recorder.mail.is_served.store(true, Ordering::Release);
        let code = libc::pthread_create(thread.as_mut_ptr(), ptr::null(), thread_main, argument);
        if code == 0 {
            libc::pthread_detach(thread.assume_init());
        } else {
            recorder.mail.is_served.store(false, Ordering::Release);
        }
    });
}

extern "C" fn thread_main(recorder: *mut c_void) -> *mut c_void {
    thread::belongs_to_shim();
    // SAFETY: `start` passes a recorder, which is never taken down.
    let recorder = unsafe { &*recorder.cast::<Recorder>() };
    // SAFETY: the name is NUL-terminated and shorter than 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"whofreed".as_ptr()) };
    recorder.mail.aside.is_here();
    if let Some(receiver) = recorder.mail.receiver.get() {
        run(recorder, receiver);
    }
    recorder.mail.is_served.store(false, Ordering::Release);
    ptr::null_mut()
}

/// Until it is to step aside, which it mostly is never.
fn run(recorder: &'static Recorder, receiver: &Receiver<Message>) {
    let aside = &recorder.mail.aside;
    let mut rounds_without_work = 0_u32;
    let mut compressor = Compressor::default();
    let mut watch = Watch::default();
    while !aside.is_wanted() {
        recorder.tell_clocks();
        compressor.prepare(recorder);
        let mut worked = false;
        while !aside.is_wanted()
            && let Ok(message) = receiver.try_recv()
        {
            worked = true;
            // A bug in a report must not end the thread that keeps the recording going.
            let handling =
                std::panic::AssertUnwindSafe(|| handle(recorder, &mut compressor, message));
            drop(std::panic::catch_unwind(handling));
            recorder.mail.counts.handled();
            compressor.prepare(recorder);
        }
        rounds_without_work = if worked {
            0
        } else {
            rounds_without_work.saturating_add(1)
        };
        let is_idle = rounds_without_work > ROUNDS_TO_IDLE;
        if is_idle && rounds_without_work.is_multiple_of(ROUNDS_TO_LOOK) {
            watch.look();
        }
        aside.sleep(if is_idle { IDLE_PAUSE } else { BUSY_PAUSE });
    }
    compressor.let_go();
}

fn handle(recorder: &'static Recorder, compressor: &mut Compressor, message: Message) {
    match message {
        Message::Sealed(chunk) => {
            if let Some(chunk) = NonNull::new(ptr::with_exposed_provenance_mut(chunk)) {
                compressor.take(recorder, chunk);
            }
        }
        Message::Print(note) => dump::print_excess(recorder, &note),
        Message::Report(errand) => {
            // SAFETY: whoever sent the errand waits until it is done before it lets go of it, or never does.
            let errand = unsafe { &*ptr::with_exposed_provenance::<Errand>(errand) };
            if !errand.progress.begin() {
                return;
            }
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                dump::write_report(
                    recorder,
                    errand.descriptor,
                    errand.whole,
                    Some(&recorder.mail),
                )
            }));
            errand.progress.finish(result.unwrap_or(-libc::EIO));
        }
    }
}
