//! Reports of the living process: what `wf_dump_culprits`, the summary at exit and `on_excess=print` show.
//!
//! This is the one place inside the host that turns addresses into names. It runs on the writer thread; only where
//! there is none, in a child that was forked behind our back, or where it is held up by somebody who does not read what
//! it writes, does the caller do it itself.

use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use whofreed_analysis::analyse;
use whofreed_report::TextOptions;
use whofreed_report::headline;
use whofreed_report::printable;
use whofreed_report::to_text;
use whofreed_symbols::Resolver;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::read;

use crate::record::Recorder;
use crate::record::errand::Progress;
use crate::record::writer::Errand;
use crate::record::writer::Mailbox;
use crate::record::writer::Message;
use crate::record::writer::STUCK_AFTER;
use crate::sys;
use crate::thread::Inside;

/// An excess free that is to be printed.
#[derive(Clone, Copy, Debug)]
pub struct ExcessNote {
    /// The verdict.
    pub verdict: Verdict,
    /// The address space.
    pub device: u32,
    /// The address.
    pub address: u64,
    /// Who freed.
    pub owner: u64,
    /// The kernel's id of the thread.
    pub thread: u32,
    /// The interned stack.
    pub stack: u32,
}

/// After so many printed stacks the rest is left to the report.
const MAX_PRINTED: u32 = 64;
/// How often a waiting caller looks whether its report is done.
const LOOK_EVERY: Duration = Duration::from_micros(200);
/// How long the exit of a host is held up for messages that are on their way.
const EXIT_ROUNDS: u32 = 5_000;
/// How long it is held up for its summary, at the very most: one of the largest logs takes a few seconds.
const SUMMARY_PATIENCE: Duration = Duration::from_secs(30);
/// What a pipe that is ready takes without making the writer wait.
const READY_FOR: usize = libc::PIPE_BUF;

static PRINTED: AtomicU32 = AtomicU32::new(0);

/// Has a report written to a descriptor, by the writer thread where there is one. 0 or a negative errno. The summary is
/// for a host that exits, which it does not hold up for ever.
///
/// The caller stays inside while it waits: a signal handler that interrupts it has its events judged like any other.
#[must_use]
pub fn request(
    inside: &mut Inside,
    recorder: &'static Recorder,
    descriptor: i32,
    whole: bool,
) -> i32 {
    let _no_cancel = sys::NoCancel::new();
    let by_itself =
        |inside: &mut Inside| inside.silently(|| write_report(recorder, descriptor, whole, None));
    let Some(memory) = sys::reserve(size_of::<Errand>()) else {
        return by_itself(inside);
    };
    let place = memory.cast::<Errand>();
    // SAFETY: fresh memory of the right size, aligned to a page, which nobody else knows yet and which stays as it is
    // until it is released below.
    let errand = unsafe {
        place.write(Errand {
            descriptor,
            whole,
            progress: Progress::default(),
        });
        place.as_ref()
    };
    let deadline = sys::monotonic_ns() + SUMMARY_PATIENCE.as_nanos() as u64;
    let mut is_sent = false;
    // A writer that went away left it unread, or has begun.
    while recorder.mail.has_writer() || (is_sent && !errand.progress.give_up()) {
        // A full mailbox empties itself soon; this caller has time, unlike an event.
        let address = place.as_ptr().expose_provenance();
        is_sent = is_sent || recorder.mail.send(Message::Report(address));
        if let Some(result) = errand.progress.result() {
            // SAFETY: the writer does not look at an errand that is done.
            unsafe { sys::release(memory, size_of::<Errand>()) };
            return result;
        }
        if recorder.mail.is_stuck() && errand.progress.give_up() {
            break;
        }
        if !whole && sys::monotonic_ns() > deadline {
            return -libc::ETIMEDOUT;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    if !is_sent {
        // SAFETY: nobody was told of it.
        unsafe { sys::release(memory, size_of::<Errand>()) };
    }
    by_itself(inside)
}

/// Waits, for a second at the most, until the writer has done what it was told: at the exit of the host.
pub fn wait_for_writer(recorder: &Recorder) {
    for _ in 0..EXIT_ROUNDS {
        if !recorder.mail.has_writer() || recorder.mail.is_idle() {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Writes a report of everything so far. 0 or a negative errno. `mail` is the writer's own, to be told while it writes.
pub fn write_report(
    recorder: &Recorder,
    descriptor: i32,
    whole: bool,
    mail: Option<&Mailbox>,
) -> i32 {
    // Rust ends a process whose allocations fail, and this one is the host's.
    if !sys::has_room_for(recorder.room_for_report()) {
        sys::complain_without_memory(
            "whofreed: the host has no memory left for a report of its own; its trace, if it has a file, tells all\n",
        );
        return -libc::ENOMEM;
    }
    let trace = match recorder.snapshot(true) {
        Ok(trace) => trace,
        Err(error) => return -error.raw_os_error().unwrap_or(libc::EIO),
    };
    let traces = [trace];
    let resolver = Resolver::new(&traces);
    let analysis = analyse(&traces, &resolver);
    let options = TextOptions {
        trace_hint: recorder.path().map(|path| path.display().to_string()),
        ..TextOptions::default()
    };
    let text = if whole {
        to_text(&analysis, &options)
    } else {
        if analysis.totals.excess == 0 {
            return 0;
        }
        let details = match recorder.path() {
            Some(path) => format!("whofreed report {}", path.display()),
            None => "run it by `whofreed run`, or with WHOFREED_OPTIONS=trace=FILE".to_owned(),
        };
        format!(
            "{}\nwhofreed: for the stacks: {details}\n",
            headline(&analysis, &options)
        )
    };
    let patience = (!whole).then_some(STUCK_AFTER);
    write_all(descriptor, text.as_bytes(), patience, mail)
}

/// Prints an excess free and, the first times, its stack.
pub fn print_excess(recorder: &Recorder, note: &ExcessNote) {
    let ExcessNote {
        verdict,
        device,
        address,
        owner,
        thread,
        stack,
    } = *note;
    let mut text = format!(
        "whofreed: excess free ({}) of {address:#x} on device {device} by owner {owner} in thread {thread}\n",
        verdict.name(),
    );
    if PRINTED.fetch_add(1, Ordering::Relaxed) < MAX_PRINTED
        && let Ok(trace) = recorder.snapshot(false)
    {
        text.push_str(&stack_text(trace, StackId(stack)));
    }
    let _ = write_all(2, text.as_bytes(), None, Some(&recorder.mail));
}

fn stack_text(trace: Trace, stack: StackId) -> String {
    let traces = [trace];
    let frames = Resolver::new(&traces).frames(0, stack);
    let lines = frames.iter().enumerate().map(|(number, frame)| {
        let function = frame.function.as_deref().unwrap_or("??");
        let place = match &frame.file {
            Some(file) => format!("{file}:{}", frame.line),
            None => format!("({}+{:#x})", frame.module, frame.offset),
        };
        format!(
            "    #{number} {} {}\n",
            printable(function),
            printable(&place)
        )
    });
    lines.collect()
}

/// With `patience`, whoever does not read for so long gets no more.
fn write_all(
    descriptor: i32,
    mut bytes: &[u8],
    patience: Option<Duration>,
    mail: Option<&Mailbox>,
) -> i32 {
    while !bytes.is_empty() {
        let mut piece = bytes;
        if let Some(patience) = patience {
            if !is_ready(descriptor, patience) {
                return -libc::ETIMEDOUT;
            }
            piece = &bytes[..bytes.len().min(READY_FOR)];
        }
        // SAFETY: the pointer and the length are those of `piece`.
        let write = || unsafe { libc::write(descriptor, piece.as_ptr().cast(), piece.len()) };
        let written = match mail {
            Some(mail) => mail.while_writing(write),
            None => write(),
        };
        match usize::try_from(written) {
            Ok(written) => bytes = &bytes[written..],
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return -error.raw_os_error().unwrap_or(libc::EIO);
                }
            }
        }
    }
    0
}

/// Whether a write would not wait; asked for as long as `patience`.
fn is_ready(descriptor: i32, patience: Duration) -> bool {
    let mut look = libc::pollfd {
        fd: descriptor,
        events: libc::POLLOUT,
        revents: 0,
    };
    let patience = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
    loop {
        // SAFETY: the one entry is a valid place.
        let found = unsafe { libc::poll(&raw mut look, 1, patience) };
        let error = io::Error::last_os_error();
        if found >= 0 || error.kind() != io::ErrorKind::Interrupted {
            // What cannot be asked is tried.
            return found != 0;
        }
    }
}

impl Recorder {
    /// What a report takes at the most, roughly: a copy of the trace, its events as they are replayed, of which four bytes of
    /// a block tell one, and names.
    fn room_for_report(&self) -> usize {
        const NAMES: usize = 256 << 20;
        const OF_BYTE: usize = 32;
        let bytes = (self.sink.chunks() as usize).saturating_mul(CHUNK_SIZE);
        NAMES.saturating_add(bytes.saturating_mul(OF_BYTE))
    }

    /// The trace as it is now; without its events it is what stacks need to be told.
    fn snapshot(&self, with_events: bool) -> io::Result<Trace> {
        // Nothing may be used again while it is read; threads that need a chunk meanwhile lose events, counted.
        self.sealed.frozen.store(true, Ordering::Release);
        let bytes = self.sink.copy(self.header, with_events);
        self.sealed.frozen.store(false, Ordering::Release);
        read::read(&bytes?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
