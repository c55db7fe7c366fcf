//! The stack stop of an event's way: where the call came from, native and Python, as the number of an interned
//! stack.
//!
//! Return addresses come from [`unwind`], which remembers the thread's last stacks, and where that has no answer from
//! the `backtrace` crate by `trace_unsynchronized`: `trace` takes a global lock. A stack that was met before has its
//! number in [`known`]. Otherwise each address is turned into (module, offset) at once, against the module that is
//! loaded there now, so that a library loaded later at the same place is never taken for this one.

mod checks;
pub mod known;
pub mod modules;
pub mod python;
mod running;
#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
mod unwind;
#[cfg(all(target_arch = "x86_64", fuzzing))]
pub mod unwind;

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use whofreed_trace::blob::PayloadWriter;
use whofreed_trace::blob::STACK_TRUNCATED;
use whofreed_trace::blob::blob_kind;
use whofreed_trace::blob::pack_frame;
use whofreed_trace::blob::pack_python_frame;

use self::known::Key;
use self::known::Recent;
use self::python::RawPythonFrame;
use self::python::Status;
use crate::hook::CallSite;
use crate::linkmap;
use crate::options;
use crate::preload;
use crate::record::Pen;
use crate::record::Recorder;

pub use self::checks::summary as summary_of_checks;
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
#[repr(C)]
pub struct StackBuffer {
    /// The stack is the remembered one, of which at most `depth` frames are wanted. `frames` is filled when it is asked
    /// for.
    is_remembered: bool,
    is_filled: bool,
    depth: usize,
    #[cfg(target_arch = "x86_64")]
    remembered: unwind::Stacks,
    recent: Recent,
    /// The innermost first, without our own.
    frames: [usize; MAX_FRAMES],
    len: usize,
    truncated: bool,
    python: [RawPythonFrame; MAX_PYTHON_FRAMES],
    remembered_python: python::Remembered,
    /// The same in words of the trace.
    packed_python: [u64; MAX_PYTHON_FRAMES],
    payload: [u8; MAX_PAYLOAD],
    /// For names and paths: a handler on a small alternate stack has no room for them.
    pub text: [u8; MAX_TEXT],
}

/// The range of the shim's own code: its frames are no part of the host's stack.
static OWN_START: AtomicUsize = AtomicUsize::new(0);
static OWN_END: AtomicUsize = AtomicUsize::new(0);
/// Whether we are told when code is unloaded: else the linker's counts are asked.
static SEES_UNLOADING: AtomicBool = AtomicBool::new(false);
/// What the linker had loaded and unloaded when the epoch of the rules began, where we are not told.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// Loads what the unwinder needs before the first event, since it allocates and opens libraries then.
pub fn start() {
    if let Some(own) = linkmap::find_object(start as *const () as usize) {
        OWN_START.store(own.start, Ordering::Relaxed);
        OWN_END.store(own.end, Ordering::Relaxed);
    }
    // SAFETY: nothing here synchronizes with other threads' traces, and libgcc's unwinder needs no such thing: it
    // reads the stack of the calling thread and the loaded objects' tables.
    unsafe { backtrace::trace_unsynchronized(|_| true) };
    SEES_UNLOADING.store(preload::sees_unloading(), Ordering::Relaxed);
    linkmap::changes::start();
}

/// Begins an epoch where the linker has loaded or unloaded anything since the last one began. False where its counts
/// are not known: then code may be unloaded at any time, and nothing can be remembered.
fn keep_up() -> bool {
    let Some(changes) = linkmap::changes::so_far() else {
        return false;
    };
    // Acquire and release: who sees these changes sees the epoch that was begun for them. Two threads may begin one
    // each, and the one that has seen less may write last: then the next one begins another.
    if CHANGES.load(Ordering::Acquire) != changes {
        forget_code();
        CHANGES.store(changes, Ordering::Release);
    }
    true
}

/// Code may be unloaded now, or has been: what is known of return addresses does not count any more.
pub fn forget_code() {
    #[cfg(target_arch = "x86_64")]
    unwind::rules::begin_epoch();
}

fn own_range() -> Range<usize> {
    OWN_START.load(Ordering::Relaxed)..OWN_END.load(Ordering::Relaxed)
}

/// Whether a return address is the host's: ours are the innermost, and those of thunks whose real function led here.
fn is_hosts(address: usize, own: &Range<usize>) -> bool {
    address != 0 && !own.contains(&address)
}

/// Tells the host's return addresses by the C++ runtime's unwinder, the innermost first, until `tell` has enough.
fn trace_host(mut tell: impl FnMut(usize) -> bool) {
    let own = own_range();
    // SAFETY: as in `start`; those who are told neither allocate nor unwind.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let address = frame.ip() as usize;
            !is_hosts(address, &own) || tell(address)
        });
    }
}

impl StackBuffer {
    /// Captures the calling thread's native stack, at most `depth` frames of it from the host's innermost on.
    pub fn capture(&mut self, depth: usize, at: CallSite) {
        self.depth = depth.min(MAX_FRAMES);
        self.is_remembered = if SEES_UNLOADING.load(Ordering::Relaxed) {
            self.remember(at)
        } else {
            self.keep_up_and_remember(at)
        };
        self.is_filled = false;
        if !self.is_remembered {
            self.trace();
        } else if options::get().check_stacks {
            checks::check(self);
        }
    }

    /// Forgets the last stacks: another thread begins here, or a signal handler has jumped out of the middle.
    pub fn begin_anew(&mut self) {
        #[cfg(target_arch = "x86_64")]
        self.remembered.forget();
    }

    /// The same where nobody tells that code is unloaded.
    #[inline(never)]
    fn keep_up_and_remember(&mut self, at: CallSite) -> bool {
        keep_up() && self.remember(at)
    }

    /// Brings the remembered stack up to date. False where that cannot be done.
    #[cfg(target_arch = "x86_64")]
    fn remember(&mut self, at: CallSite) -> bool {
        if at.return_address_slot != 0 {
            let start = unwind::Start {
                slot: at.return_address_slot,
                frame_pointer: at.frame_pointer,
            };
            // SAFETY: the host's call at which the event is has not returned.
            return unsafe { self.remembered.capture(start) }.is_some();
        }
        unwind::from_caller(&mut self.remembered)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn remember(&mut self, _at: CallSite) -> bool {
        false
    }

    /// The captured stack by the C++ runtime's unwinder.
    fn trace(&mut self) {
        self.is_filled = true;
        let depth = self.depth;
        let (frames, mut len, mut truncated) = (&mut self.frames, 0, false);
        trace_host(|address| {
            if len == depth {
                truncated = true;
                return false;
            }
            frames[len] = address;
            len += 1;
            true
        });
        self.len = len;
        self.truncated = truncated;
    }

    /// Whether the stack is the remembered one, and that ends before its end.
    #[cfg(target_arch = "x86_64")]
    fn is_cut(&self) -> bool {
        self.remembered.is_cut()
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn is_cut(&self) -> bool {
        false
    }

    /// The captured return addresses.
    #[must_use]
    pub fn frames(&mut self) -> &[usize] {
        self.fill();
        &self.frames[..self.len]
    }

    #[cfg(target_arch = "x86_64")]
    fn fill(&mut self) {
        if self.is_filled {
            return;
        }
        self.is_filled = true;
        let own = own_range();
        let addresses = self.remembered.addresses().iter().rev();
        let mut hosts = addresses.filter(|address| is_hosts(**address, &own));
        self.len = 0;
        while self.len < self.depth
            && let Some(address) = hosts.next()
        {
            self.frames[self.len] = *address;
            self.len += 1;
        }
        self.truncated = hosts.next().is_some() || self.remembered.is_cut();
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn fill(&mut self) {}

    /// The stack as it is known by, if it is the remembered one, and the epoch that it is of.
    #[cfg(target_arch = "x86_64")]
    fn key(&self, python: usize) -> Option<(Key<'_>, u32)> {
        let interpreted = &self.packed_python[..python];
        let native = self.remembered.addresses();
        let key = Key {
            hash: known::hash_on(self.remembered.hash(), interpreted),
            shape: known::Shape::new(self.depth, self.remembered.is_cut(), native, interpreted),
            native,
            interpreted,
        };
        self.is_remembered.then_some((key, self.remembered.epoch()))
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn key(&self, _python: usize) -> Option<(Key<'_>, u32)> {
        None
    }

    /// Adds the Python stack to the captured one and interns both. 0 when there is no room for it.
    pub fn intern(&mut self, recorder: &Recorder, pen: &mut Pen) -> u32 {
        let python = match python::is_absent() {
            true => 0,
            false => self.capture_python(recorder, pen),
        };
        if let Some((key, epoch)) = self.key(python)
            && let Some(number) = recorder
                .known
                .find(&self.recent, recorder.trace_id, key, epoch)
        {
            return number;
        }
        let number = self.intern_anew(recorder, pen, python);
        if number != 0
            && let Some((key, epoch)) = self.key(python)
        {
            recorder.known.insert(key, epoch, number);
        }
        number
    }

    /// Captures the Python stack, and returns how many frames it has.
    #[inline(never)]
    fn capture_python(&mut self, recorder: &Recorder, pen: &mut Pen) -> usize {
        let text = &mut self.text;
        let mut intern_code = |file: &[u8], function: &[u8], first_line: u32| {
            intern_code(recorder, pen, text, file, function, first_line)
        };
        let python = python::capture(
            &mut self.python,
            &mut self.remembered_python,
            recorder.trace_id,
            &mut intern_code,
        );
        if python == 0 {
            say_why_no_python(recorder, pen, &mut self.text);
        }
        for (place, frame) in self.packed_python.iter_mut().zip(&self.python[..python]) {
            *place = pack_python_frame(frame.code, frame.line, frame.is_entry);
        }
        python
    }

    #[cold]
    #[inline(never)]
    fn intern_anew(&mut self, recorder: &Recorder, pen: &mut Pen, python: usize) -> u32 {
        self.fill();
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
        for frame in &self.packed_python[..python] {
            payload.push(*frame);
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
