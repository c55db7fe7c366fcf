//! The interpreter in this process: found once, by name, without a lock.

use super::layout;
use super::layout::Identity;
use super::layout::Layout;
use super::peek;
use super::verify::Difference;
use crate::linkmap;
use crate::linkmap::Object;
use crate::preload;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::with_exposed_provenance;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// What is known of one interpreter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interpreter {
    pub layout: Layout,
    /// As `PY_VERSION_HEX`.
    pub version: u32,
    pub object: Object,
    pub code_type: usize,
    pub string_type: usize,
    pub bytes_type: usize,
    pub function_type: usize,
    runtime: usize,
    this_thread_state: Getter,
    current_thread_state: Getter,
}

/// A function that returns a thread state or NULL, and does nothing else.
type Getter = unsafe extern "C" fn() -> *mut c_void;

/// Why there are Python frames, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No CPython is loaded.
    NoPython,
    /// One that cannot be read.
    Unsupported {
        /// As `PY_VERSION_HEX`; 0 when not known.
        version: u32,
        /// In words.
        why: &'static str,
    },
    /// Python frames are captured.
    Reading {
        /// As `PY_VERSION_HEX`; the last two bytes are 0 for 3.10, which does not tell.
        version: u32,
        /// Whether a walk has already been compared with the interpreter's own answer: at the
        /// first event of a thread that holds the GIL.
        verified: bool,
    },
    /// The comparison failed, no Python frames since.
    Mismatch {
        /// As `PY_VERSION_HEX`.
        version: u32,
        /// What differed.
        what: &'static str,
    },
}

// States of `STATE`, in its low byte. While LOOKING (a result is being published), the process id
// is above it: a child forked right then takes over from a thread that it does not have.
const UNKNOWN: u64 = 0;
const LOOKING: u64 = 1;
const READY: u64 = 2;
const REFUSED: u64 = 3;
const MISMATCH: u64 = 4;
static STATE: AtomicU64 = AtomicU64::new(UNKNOWN);

// States of `VERIFIED`.
const NOT_YET: u32 = 0;
const IN_PROGRESS: u32 = 1;
const AGREES: u32 = 2;
static VERIFIED: AtomicU32 = AtomicU32::new(NOT_YET);

/// How many objects were loaded at the last search that found nothing; events since then.
static OBJECTS_SEEN: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);
/// Where the linker's own count of its objects is not known, a host without Python pays for a walk only at every so
/// many events.
const ASKED_PER_COUNT: usize = 16;
/// The linker's own count at the last search that found nothing, where it looked into all objects; else 0. An event
/// that comes from the middle of an opening sees objects that cannot be looked into yet, and nothing changes the count
/// again.
static COUNTED: AtomicU32 = AtomicU32::new(0);

/// Written by the thread that holds LOOKING, read once STATE is past it.
struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: one writer at a time (the LOOKING state), and no reader before the release store that
// ends it; nobody writes afterwards.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

static FOUND: Slot<Interpreter> = Slot(UnsafeCell::new(MaybeUninit::uninit()));
static REFUSAL: Slot<(u32, &'static str)> = Slot(UnsafeCell::new(MaybeUninit::uninit()));
static DIFFERENCE: AtomicU32 = AtomicU32::new(0);

/// Whether there is no interpreter to look at. False where that is not known.
#[inline]
pub(in crate::stack) fn is_absent() -> bool {
    STATE.load(Ordering::Relaxed) == UNKNOWN && is_as_searched()
}

/// Calls `use_it` with the interpreter whose frames can be read, if there is one.
pub(super) fn with_current<R>(use_it: impl FnOnce(&Interpreter) -> R) -> Option<R> {
    match STATE.load(Ordering::Acquire) {
        // SAFETY: READY is stored with release after the slot is written.
        READY => Some(use_it(unsafe { (*FOUND.0.get()).assume_init_ref() })),
        REFUSED | MISMATCH => None,
        state => look(state, false).as_ref().map(use_it),
    }
}

/// Whether nothing was loaded since the last search that found nothing.
#[inline]
fn is_as_searched() -> bool {
    let counted = COUNTED.load(Ordering::Relaxed);
    counted != 0 && linkmap::counted() == Some(counted)
}

/// `at_once`: even if nothing seems to have been loaded since the last search.
#[cold]
fn look(state: u64, at_once: bool) -> Option<Interpreter> {
    let seen = OBJECTS_SEEN.load(Ordering::Relaxed);
    let searched = state == UNKNOWN && seen != 0 && !at_once;
    if searched {
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        if !asked.is_multiple_of(ASKED_PER_COUNT) {
            return None;
        }
    }
    let held = linkmap::hold();
    if !held.is_sure {
        // This much would be read of libraries that may be gone; the next one who asks may be luckier.
        return None;
    }
    let counted = linkmap::counted();
    let (mut loaded, mut all_seen) = (0, true);
    for object in linkmap::objects() {
        loaded += 1;
        all_seen = all_seen && object.found().is_some();
    }
    // What was in the middle of being opened may be there now.
    let counted = counted.filter(|_| all_seen).unwrap_or(0);
    let is_news = counted != 0 && counted != COUNTED.load(Ordering::Relaxed);
    if searched && loaded == seen && !is_news {
        return None;
    }
    // SAFETY: getpid only asks the kernel.
    let pid = unsafe { libc::getpid() };
    let mine = LOOKING | u64::from(pid.cast_unsigned()) << 8;
    let found = find();
    // While another thread of this process publishes the same, this one uses what it found itself:
    // an event must not lose its frames because it is the second one.
    let publishes = state != mine
        && STATE
            .compare_exchange(state, mine, Ordering::Acquire, Ordering::Relaxed)
            .is_ok();
    if publishes {
        let next = match found {
            None => {
                OBJECTS_SEEN.store(loaded, Ordering::Relaxed);
                COUNTED.store(counted, Ordering::Relaxed);
                UNKNOWN
            }
            Some(Ok(found)) => {
                // SAFETY: this thread holds LOOKING.
                unsafe { (*FOUND.0.get()).write(found) };
                READY
            }
            Some(Err(refusal)) => {
                // SAFETY: as above.
                unsafe { (*REFUSAL.0.get()).write(refusal) };
                REFUSED
            }
        };
        STATE.store(next, Ordering::Release);
    }
    found.and_then(Result::ok)
}

/// Whether an object can be looked into. Where nobody tells us that one is going to be unloaded, as in a linked host,
/// another thread may unmap it meanwhile: then only those that could be an interpreter by their names are, and the program.
fn may_be_read(object: &Object) -> bool {
    preload::sees_unloading() || object.name().is_empty() || object.matches(b"*python*")
}

/// The first object, in load order, that carries a CPython.
fn find() -> Option<Result<Interpreter, (u32, &'static str)>> {
    linkmap::objects().filter(may_be_read).find_map(|object| {
        let runtime = object.find_symbol(b"_PyRuntime", None);
        if runtime.is_none()
            && object
                .find_symbol(b"PyGILState_GetThisThreadState", None)
                .is_none()
        {
            return None;
        }
        Some(describe(object, runtime))
    })
}

fn describe(object: Object, runtime: Option<usize>) -> Result<Interpreter, (u32, &'static str)> {
    let version = version_of(&object);
    let no = |why| (version, why);
    let symbol = |name: &[u8]| {
        object
            .find_symbol(name, None)
            .ok_or((version, "lacks a symbol that every CPython exports"))
    };
    if object
        .find_symbol(b"_Py_MergeZeroLocalRefcount", None)
        .is_some()
    {
        return Err(no("free-threaded build"));
    }
    let runtime = runtime.ok_or(no("older than 3.10"))?;
    let layout = match version >> 16 {
        0x030a => layout::V3_10,
        0x030b => layout::V3_11,
        0x030c => layout::V3_12,
        0x030d => layout::described(runtime, version).map_err(no)?,
        0 => return Err(no("older than 3.10")),
        _ => return Err(no("newer than 3.13")),
    };
    let getter = |address| {
        let address = with_exposed_provenance::<c_void>(address);
        // SAFETY: the functions of the names below have had this type in every CPython 3.
        unsafe { std::mem::transmute::<*const c_void, Getter>(address) }
    };
    Ok(Interpreter {
        layout,
        version,
        object,
        code_type: symbol(b"PyCode_Type")?,
        string_type: symbol(b"PyUnicode_Type")?,
        bytes_type: symbol(b"PyBytes_Type")?,
        function_type: symbol(b"PyFunction_Type")?,
        runtime,
        this_thread_state: getter(symbol(b"PyGILState_GetThisThreadState")?),
        current_thread_state: getter(
            symbol(b"PyThreadState_GetUnchecked")
                .or_else(|_| symbol(b"_PyThreadState_UncheckedGet"))?,
        ),
    })
}

/// As `PY_VERSION_HEX`, by what the object exports: Py_GetVersion formats into a static buffer at
/// each call, which is not for a foreign thread to do.
fn version_of(object: &Object) -> u32 {
    if let Some(version) = object.find_symbol(b"Py_Version", None) {
        // SAFETY: `const unsigned long Py_Version`, since 3.11.
        return unsafe { peek::<u64>(version, 0) }
            .and_then(|v| u32::try_from(v).ok())
            .unwrap_or(0);
    }
    // New in 3.10.
    match object.find_symbol(b"PyModule_AddObjectRef", None) {
        Some(_) => 0x030a_0000,
        None => 0,
    }
}

impl Interpreter {
    /// The calling thread's state; `None` for a thread that Python does not know, and while the
    /// interpreter finalizes (then other threads' states are deleted under them), except
    /// for the thread that finalizes it: its destructors free buffers too.
    pub(super) fn thread_state(&self) -> Option<usize> {
        // SAFETY: reads a thread-specific value, with and without the GIL; NULL before the runtime
        // is initialized and after it is finalized.
        let state = unsafe { (self.this_thread_state)() }.expose_provenance();
        if state == 0 {
            return None;
        }
        // SAFETY: `_PyRuntime` is a static variable of the interpreter. The read is volatile, and
        // a stale answer is harmless: states are deleted long after the flag is set.
        let finalizing: usize = unsafe { peek(self.runtime, self.layout.finalizing) }?;
        (finalizing == 0 || finalizing == state).then_some(state)
    }

    /// The state that is current: in 3.12 and later this thread's, if it is attached; before, that
    /// of the thread which holds the GIL.
    pub(super) fn current_thread_state(&self) -> usize {
        // SAFETY: reads one variable.
        unsafe { (self.current_thread_state)() }.expose_provenance()
    }

    /// What tells code objects apart, if it is sure now.
    #[inline]
    pub(super) fn identity(&self) -> Identity {
        let identity = self.layout.identity;
        if let Identity::OfCode { interpreters, .. } = identity {
            // SAFETY: as above. Whose codes were numbered twice shows after what was counted here, by the order in
            // which the processor shows what was written.
            let count: Option<i64> = unsafe { peek(self.runtime, interpreters) };
            if count != Some(1) {
                return Identity::Nothing;
            }
        }
        identity
    }

    /// An exported function or variable of the same interpreter.
    pub(super) fn symbol(&self, name: &[u8]) -> Option<usize> {
        self.object.find_symbol(name, None)
    }
}

/// Whether nobody has compared a walk with the public API yet.
pub(super) fn unverified() -> bool {
    VERIFIED.load(Ordering::Relaxed) == NOT_YET
}

/// Reserves the comparison for the caller, who ends it with [`end_verification`].
pub(super) fn begin_verification() -> bool {
    VERIFIED
        .compare_exchange(NOT_YET, IN_PROGRESS, Ordering::Relaxed, Ordering::Relaxed)
        .is_ok()
}

/// No Python frames from here on if there is a difference.
pub(super) fn end_verification(difference: Option<Difference>) {
    VERIFIED.store(AGREES, Ordering::Relaxed);
    if let Some(difference) = difference {
        DIFFERENCE.store(difference as u32, Ordering::Relaxed);
        STATE.store(MISMATCH, Ordering::Release);
    }
}

/// Why there are Python frames, or none, so far. Looks for an interpreter first.
pub fn status() -> Status {
    let state = STATE.load(Ordering::Acquire);
    if !matches!(state, READY | REFUSED | MISMATCH) {
        look(state, true);
    }
    known_status()
}

/// As [`status`], as far as the search for frames has found out.
pub(in crate::stack) fn known_status() -> Status {
    match STATE.load(Ordering::Acquire) {
        READY => Status::Reading {
            version: found_version(),
            verified: VERIFIED.load(Ordering::Relaxed) == AGREES,
        },
        MISMATCH => Status::Mismatch {
            version: found_version(),
            what: Difference::describe(DIFFERENCE.load(Ordering::Relaxed)),
        },
        REFUSED => {
            // SAFETY: REFUSED is stored with release after the slot is written.
            let (version, why) = unsafe { (*REFUSAL.0.get()).assume_init() };
            Status::Unsupported { version, why }
        }
        _ => Status::NoPython,
    }
}

fn found_version() -> u32 {
    // SAFETY: only called past READY, which follows the write of the slot.
    unsafe { (*FOUND.0.get()).assume_init_ref() }.version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_python_is_searched_again_only_when_something_was_loaded() {
        let search = || is_absent() || with_current(|_| ()).is_none();
        // Other tests load libraries, too.
        let settles = || (0..10_000).any(|_| search() && is_absent());
        assert!(settles(), "all that is loaded can be looked into");
        let counted = COUNTED.load(Ordering::Relaxed);
        COUNTED.store(counted - 1, Ordering::Relaxed);
        assert!(!is_absent());
        assert!(settles());
    }
}
