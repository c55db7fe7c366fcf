//! The stack stop of an event's way: where the call came from, native and Python, as the number of an interned
//! stack.
//!
//! Return addresses come from the `backtrace` crate by `trace_unsynchronized`: `trace` takes a global lock. Each is
//! turned into (module, offset) at once, against the module that is loaded there now, so that a library loaded
//! later at the same place is never taken for this one. This function is the seam for a faster unwinder: it alone
//! knows how the addresses were found.

pub mod modules;
pub mod python;
mod running;

use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use whofreed_trace::blob::PayloadWriter;
use whofreed_trace::blob::STACK_TRUNCATED;
use whofreed_trace::blob::blob_kind;
use whofreed_trace::blob::pack_frame;
use whofreed_trace::blob::pack_python_frame;

use self::python::RawPythonFrame;
use self::python::Status;
use crate::linkmap;
use crate::record::Pen;
use crate::record::Recorder;

pub use self::running::is_running;

/// The most native frames of a stack.
pub const MAX_FRAMES: usize = 512;
/// The most Python frames of a stack.
pub const MAX_PYTHON_FRAMES: usize = 128;

const COUNT_BYTES: usize = 8;
/// Room for the longest text or list of texts.
pub const MAX_TEXT: usize = 16 * 1024;
const MAX_PAYLOAD: usize = COUNT_BYTES + 8 * (MAX_FRAMES + MAX_PYTHON_FRAMES);

/// A thread's memory for one stack. Valid as zeros.
#[derive(Debug)]
pub struct StackBuffer {
    frames: [usize; MAX_FRAMES],
    len: usize,
    truncated: bool,
    python: [RawPythonFrame; MAX_PYTHON_FRAMES],
    payload: [u8; MAX_PAYLOAD],
    /// For names and paths: a handler on a small alternate stack has no room for them.
    pub text: [u8; MAX_TEXT],
}

/// The range of the shim's own code: its frames are no part of the host's stack.
static OWN_START: AtomicUsize = AtomicUsize::new(0);
static OWN_END: AtomicUsize = AtomicUsize::new(0);

/// Loads what the unwinder needs before the first event, since it allocates and opens libraries then.
pub fn start() {
    if let Some(own) = linkmap::find_object(start as *const () as usize) {
        OWN_START.store(own.start, Ordering::Relaxed);
        OWN_END.store(own.end, Ordering::Relaxed);
    }
    // SAFETY: nothing here synchronizes with other threads' traces, and libgcc's unwinder needs no such thing: it
    // reads the stack of the calling thread and the loaded objects' tables.
    unsafe { backtrace::trace_unsynchronized(|_| true) };
}

fn own_range() -> Range<usize> {
    OWN_START.load(Ordering::Relaxed)..OWN_END.load(Ordering::Relaxed)
}

impl StackBuffer {
    /// Captures the calling thread's native stack, the host's innermost frame first.
    pub fn capture(&mut self, depth: usize) {
        let own = own_range();
        let depth = depth.min(MAX_FRAMES);
        let (frames, mut len, mut truncated) = (&mut self.frames, 0, false);
        // SAFETY: as in `start`; the closure neither allocates nor unwinds.
        unsafe {
            backtrace::trace_unsynchronized(|frame| {
                let address = frame.ip() as usize;
                // Ours are the innermost, and those of thunks whose real function led here.
                if own.contains(&address) || address == 0 {
                    return true;
                }
                if len == depth {
                    truncated = true;
                    return false;
                }
                frames[len] = address;
                len += 1;
                true
            });
        }
        self.len = len;
        self.truncated = truncated;
    }

    /// The captured return addresses.
    #[must_use]
    pub fn frames(&self) -> &[usize] {
        &self.frames[..self.len]
    }

    /// Adds the Python stack to the captured one and interns both. 0 when there is no room for it.
    pub fn intern(&mut self, recorder: &Recorder, pen: &mut Pen) -> u32 {
        let text = &mut self.text;
        let mut intern_code = |file: &[u8], function: &[u8], first_line: u32| {
            intern_code(recorder, pen, text, file, function, first_line)
        };
        let python = python::capture(&mut self.python, &mut intern_code);
        if python == 0 {
            say_why_no_python(recorder, pen, &mut self.text);
        }
        let mut payload = Payload {
            bytes: &mut self.payload,
            len: 0,
        };
        let counts = (self.len as u64) | ((python as u64) << 32);
        payload.push(if cfg!(target_endian = "little") {
            counts
        } else {
            counts.rotate_left(32)
        });
        let mut finder = recorder.modules.finder();
        for address in &self.frames[..self.len] {
            let (module, offset) = finder.find(recorder, pen, &mut self.text, *address);
            payload.push(pack_frame(module, offset));
        }
        for frame in &self.python[..python] {
            payload.push(pack_python_frame(frame.code, frame.line, frame.is_entry));
        }
        let flags = if self.truncated { STACK_TRUNCATED } else { 0 };
        let len = payload.len;
        let id = recorder
            .stacks
            .intern(recorder, pen, flags, &self.payload[..len]);
        id.unwrap_or(0)
    }
}

/// An interpreter that is there and cannot be read is said in the report, once.
fn say_why_no_python(recorder: &Recorder, pen: &mut Pen, memory: &mut [u8; MAX_TEXT]) {
    let why = match python::known_status() {
        Status::Unsupported { why, .. } => why,
        Status::Mismatch { what, .. } => what,
        Status::NoPython | Status::Reading { .. } => return,
    };
    if recorder.first_word_on_python() {
        let mut payload = PayloadWriter::new(memory);
        payload.text(b"frames of Python");
        payload.text(&why.as_bytes()[..why.len().min(256)]);
        if let Some(len) = payload.finish() {
            pen.blob(recorder, blob_kind::UNOBSERVABLE, 0, 0, &memory[..len]);
        }
    }
}

struct Payload<'buffer> {
    bytes: &'buffer mut [u8; MAX_PAYLOAD],
    len: usize,
}

impl Payload<'_> {
    fn push(&mut self, word: u64) {
        self.bytes[self.len..self.len + 8].copy_from_slice(&word.to_ne_bytes());
        self.len += 8;
    }
}

fn intern_code(
    recorder: &Recorder,
    pen: &mut Pen,
    memory: &mut [u8; MAX_TEXT],
    file: &[u8],
    function: &[u8],
    first_line: u32,
) -> u32 {
    let mut payload = PayloadWriter::new(memory);
    payload.u32(first_line);
    payload.text(&file[file.len().saturating_sub(1024)..]);
    payload.text(&function[..function.len().min(1024)]);
    let len = payload.finish().unwrap_or(0);
    // A code that cannot be told gets a number that no trace has: the report shows the frame without a name.
    let id = recorder.codes.intern(recorder, pen, 0, &memory[..len]);
    id.unwrap_or(u32::MAX >> 1)
}
