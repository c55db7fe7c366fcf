//! Reports of the living process: what `wf_dump_culprits`, the summary at exit and `on_excess=print` show.
//!
//! This is the one place inside the host that turns addresses into names. It runs on the writer thread; only
//! where there is none, in a child that was forked behind our back, does the caller do it itself.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI32;
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
use whofreed_trace::read;

use crate::record::Recorder;
use crate::record::writer::Errand;
use crate::record::writer::Message;
use crate::sys;

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

static PRINTED: AtomicU32 = AtomicU32::new(0);

/// Has a report written to a descriptor, by the writer thread where there is one. 0 or a negative errno.
#[must_use]
pub fn request(recorder: &'static Recorder, descriptor: i32, whole: bool) -> i32 {
    let _no_cancel = sys::NoCancel::new();
    let errand = Errand {
        descriptor,
        whole,
        result: AtomicI32::new(0),
        done: AtomicBool::new(false),
    };
    let place = (&raw const errand).expose_provenance();
    // A full mailbox empties itself soon; this caller has time, unlike an event.
    while recorder.mail.has_writer() {
        if recorder.mail.send(Message::Report(place)) {
            while !errand.done.load(Ordering::Acquire) {
                std::thread::sleep(LOOK_EVERY);
            }
            return errand.result.load(Ordering::Relaxed);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    write_report(recorder, descriptor, whole)
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

/// Writes a report of everything so far. 0 or a negative errno.
pub fn write_report(recorder: &Recorder, descriptor: i32, whole: bool) -> i32 {
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
    write_all(descriptor, text.as_bytes())
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
    write_all(2, text.as_bytes());
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

fn write_all(descriptor: i32, mut bytes: &[u8]) -> i32 {
    while !bytes.is_empty() {
        // SAFETY: the pointer and the length are those of `bytes`.
        let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
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

impl Recorder {
    /// The trace as it is now; without its events it is what stacks need to be told.
    fn snapshot(&self, with_events: bool) -> io::Result<Trace> {
        // Nothing may be used again while it is read; threads that need a chunk meanwhile lose events, counted.
        self.sealed.frozen.store(true, Ordering::Release);
        let bytes = self.sink.copy(self.header, with_events);
        self.sealed.frozen.store(false, Ordering::Release);
        read::read(&bytes?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
