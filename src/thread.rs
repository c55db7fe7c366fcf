//! The re-entrancy guard stop of an event's way: one thread, inside the shim at most once, and once more in a signal
//! handler that interrupts an event. Such a handler has a state of its own to work with, so its events are judged and
//! recorded like all others; only a handler that interrupts an event of a handler loses its own. A handler that jumps
//! (siglongjmp) leaves the event that it interrupted for ever; the call of a hook that begins where that one lies on
//! the stack proves it.
//!
//! A thread's state lies in memory of the shim's own, and is borrowed: when the thread ends, the state with its
//! half-full chunks waits for the next one. There is no Rust destructor in thread-local storage; events that come after
//! the state has been given back borrow one for themselves alone.

mod list;
mod seats;

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::atomic::compiler_fence;

use self::seats::WayOut;
use self::seats::all_seats;
use self::seats::give_seats_back;
use self::seats::take_seat;
use crate::ledger::Scratch;
use crate::preload::PerThread;
use crate::process;
use crate::record::Pen;
use crate::stack::StackBuffer;
use crate::sys;
use crate::tls;
use crate::tls::Slot;

pub use self::seats::Seat;
pub use self::seats::has_ended;

/// The slot says: outside.
const OUTSIDE: usize = 0;
/// The slot says: an event is under way.
const INSIDE: usize = 1;
/// The slot says: this thread is the shim's own, or in a callback of the host's; its events are none.
const SILENT: usize = 2;
/// The slot says: an event of a signal handler is under way, which interrupted another one.
const NESTED: usize = 3;
/// The slot says: the shim asks a function of the host's, whose events are none.
const ASKING: usize = 4;
/// The slot says: the process's ledger and trace are being made. What this calls is no event, that of a handler is.
const SETTING_UP: usize = 5;

/// The deepest nesting of scopes that is kept.
pub const MAX_SCOPES: usize = 64;

/// What a thread counted. Written by its thread alone, read by everybody.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names are those of wf_stats_t")]
pub struct Counters {
    pub allocations: AtomicU64,
    pub retains: AtomicU64,
    pub deallocations: AtomicU64,
    pub ok: AtomicU64,
    pub excess: AtomicU64,
    pub unknown: AtomicU64,
    pub late: AtomicU64,
    pub declined: AtomicU64,
    pub invalid: AtomicU64,
    pub blocked: AtomicU64,
}

/// Adds one without a locked instruction: there is one writer.
#[inline]
pub fn count(counter: &AtomicU64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

/// Everything that an event needs of its thread. Valid as zeros: it begins as fresh memory. What every event looks at
/// lies together at the beginning: each page more is one that the processor has to find.
#[derive(Debug)]
#[repr(C)]
pub struct ThreadState {
    /// The kernel's id of the thread.
    pub thread_id: u32,
    /// How many scopes it is in, those beyond [`MAX_SCOPES`] included.
    pub scope_depth: usize,
    /// Where it writes.
    pub pen: Pen,
    /// What the hooks of adapters keep.
    pub preload: PerThread,
    /// The labels of the scopes that it is in, the innermost last.
    pub scopes: [u32; MAX_SCOPES],
    /// The last captured stack.
    pub stack: StackBuffer,
    /// The ledger's memory to think in.
    pub scratch: Scratch,
}

/// The permission to be inside the shim, on this thread. One word: it is handed on in a register.
#[derive(Debug)]
pub struct Inside {
    seat: &'static Seat,
    not_send: PhantomData<*mut ()>,
}

/// Why there was no way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The thread is inside twice already: a signal handler interrupted the event of another. The event is lost.
    Interrupted,
    /// A function of the host's is being asked: what it causes is no event, that of a signal handler is lost.
    Asking,
    /// Ledger and trace are being made: the event of a signal handler is lost, our own doing is none.
    SettingUp,
    /// The shim's own doing, or a callback's: not an event.
    Silent,
    /// There is no memory for the thread's state. The event is lost.
    NoMemory,
}

/// Goes inside, where the thread may. errno is kept until the way out. `slot` is where the return address of the host's
/// call lies, which stays there while the event is under way; 0 where that is not known.
///
/// # Errors
/// Why not.
#[inline]
pub fn try_enter(slot: usize) -> Result<Inside, Refused> {
    let innermost = 0_u8;
    let (mark, slot) = (slot, tls::slot());
    if slot.busy.get() != OUTSIDE {
        forget_left(slot, ptr::from_ref(&innermost).expose_provenance()..=mark);
    }
    let before = slot.busy.get();
    let (now, place) = match before {
        OUTSIDE => (INSIDE, &slot.seat),
        INSIDE => (NESTED, &slot.nested),
        SILENT => return Err(Refused::Silent),
        ASKING => return Err(Refused::Asking),
        SETTING_UP => return Err(Refused::SettingUp),
        _ => return Err(Refused::Interrupted),
    };
    let mark_before = mark_of(slot, before).replace(mark);
    compiler_fence(Ordering::SeqCst);
    slot.busy.set(now);
    // The signal handlers of this thread must see the flag before anything below happens.
    compiler_fence(Ordering::SeqCst);
    // SAFETY: errno's place is valid for the thread's life.
    let errno = unsafe { *errno_of(slot) };
    // SAFETY: the slot holds null or a seat, and seats are never given back to the kernel.
    let seat = match unsafe { place.get().as_ref() } {
        Some(seat) => seat,
        None => match take_seat(now == INSIDE) {
            Some(seat) => {
                place.set(ptr::from_ref(seat).cast_mut());
                seat
            }
            None => {
                // SAFETY: errno's place is valid for the thread's life.
                unsafe { *errno_of(slot) = errno };
                slot.busy.set(before);
                mark_of(slot, before).set(mark_before);
                return Err(Refused::NoMemory);
            }
        },
    };
    let way_out = WayOut {
        errno,
        before,
        mark: mark_before,
    };
    // SAFETY: as in `Inside::state`, for the only one who is inside with this seat from now on.
    unsafe { seat.way_out.get().write(way_out) };
    Ok(Inside {
        seat,
        not_send: PhantomData,
    })
}

/// Lets `action` look at the thread's state and change it, as [`try_enter`] would, where the thread is outside and has
/// a state; None elsewhere. `action` calls nobody, so errno stays what it is. `slot` is as there.
#[inline]
pub fn briefly<T>(slot: usize, action: impl FnOnce(&mut ThreadState) -> Option<T>) -> Option<T> {
    let (mark, slot) = (slot, tls::slot());
    // Whoever is ending gives its state back on the way out.
    if slot.busy.get() != OUTSIDE || slot.ending.get() != 0 {
        return None;
    }
    // SAFETY: the slot holds null or a seat, and seats are never given back to the kernel.
    let seat = unsafe { slot.seat.get().as_ref() }?;
    let mark_before = slot.event.replace(mark);
    compiler_fence(Ordering::SeqCst);
    slot.busy.set(INSIDE);
    // As in `try_enter`.
    compiler_fence(Ordering::SeqCst);
    // SAFETY: as in `Inside::state`; the busy flag keeps everybody else out.
    let result = action(unsafe { &mut *seat.state.get() });
    compiler_fence(Ordering::SeqCst);
    slot.busy.set(OUTSIDE);
    compiler_fence(Ordering::SeqCst);
    slot.event.set(mark_before);
    result
}

/// Like [`try_enter`], for whoever does not ask why.
#[must_use]
pub fn enter() -> Option<Inside> {
    try_enter(0).ok()
}

/// Where the thread's errno lies. The C library is asked once.
#[inline]
fn errno_of(slot: &Slot) -> *mut libc::c_int {
    if slot.errno.get().is_null() {
        slot.errno.set(sys::errno_location());
    }
    slot.errno.get()
}

/// Where the slot keeps where the event lies that begins when it says `before`.
const fn mark_of(slot: &Slot, before: usize) -> &Cell<usize> {
    if before == OUTSIDE {
        &slot.event
    } else {
        &slot.handler
    }
}

/// Forgets events that a signal handler has jumped out of: those of calls that began where the frames of a new call
/// are. Two that are alive cannot, whatever stacks there are, coroutines' and handlers' included.
#[cold]
#[inline(never)]
fn forget_left(slot: &Slot, frames: RangeInclusive<usize>) {
    let is_left = |mark: &Cell<usize>| frames.contains(&mark.get());
    let forget = |mark: &Cell<usize>, place: &Cell<*mut Seat>| {
        // It may have been recorded already, or not: then nobody else tells. A free that was judged may not have run.
        process::lose_blindly();
        // SAFETY: the slot holds null or a seat of this thread's, and seats are never given back to the kernel.
        if let Some(seat) = unsafe { place.get().as_ref() } {
            // SAFETY: the event that used the state does not go on.
            let state = unsafe { &mut *seat.state.get() };
            state.pen.begin_anew();
            state.stack.begin_anew();
        }
        mark.set(0);
    };
    let is_event_left = is_left(&slot.event);
    // A handler's event lies upon the one that it interrupted.
    if slot.handler.get() != 0 && (is_event_left || is_left(&slot.handler)) {
        forget(&slot.handler, &slot.nested);
        slot.busy.set(INSIDE);
    }
    if is_event_left {
        forget(&slot.event, &slot.seat);
        compiler_fence(Ordering::SeqCst);
        slot.busy.set(OUTSIDE);
    }
}

impl Inside {
    /// The thread's state.
    #[inline]
    pub fn state(&mut self) -> &mut ThreadState {
        // SAFETY: `taken` makes the state this thread's alone, the busy flag makes this `Inside` the only one with
        // this seat, and the borrow of `self` makes this reference the only one.
        unsafe { &mut *self.seat.state.get() }
    }

    /// What the thread counted.
    #[must_use]
    pub const fn counters(&self) -> &'static Counters {
        &self.seat.counters
    }

    /// Runs `action` so that calls into the shim from within are no events.
    pub fn silently<T>(&mut self, action: impl FnOnce() -> T) -> T {
        during(SILENT, action)
    }
}

fn during<T>(what: usize, action: impl FnOnce() -> T) -> T {
    let slot = tls::slot();
    let before = slot.busy.replace(what);
    let result = action();
    slot.busy.set(before);
    result
}

/// Runs a function of the host's that the shim needs an answer of: what it causes is no event.
pub fn asking<T>(question: impl FnOnce() -> T) -> T {
    // There the heap alone is asked, and is told from a handler that interrupts it.
    if tls::slot().busy.get() == SETTING_UP {
        return question();
    }
    during(ASKING, question)
}

/// Runs what makes ledger and trace.
pub fn setting_up<T>(action: impl FnOnce() -> T) -> T {
    during(SETTING_UP, action)
}

/// Whether the thread is in a signal handler that interrupted an event, and the handler in an event of its own.
#[must_use]
pub fn is_nested() -> bool {
    tls::slot().busy.get() == NESTED
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        let slot = tls::slot();
        // SAFETY: as in `state`; it was written on the way in.
        let way_out = unsafe { self.seat.way_out.get().read() };
        // SAFETY: errno's place is valid for the thread's life.
        unsafe { *errno_of(slot) = way_out.errno };
        // Nobody will tell of the end of a thread that is ending: each event gives back what it borrowed, but for one
        // in the middle of a hooked call.
        if slot.ending.get() != 0 && way_out.before == OUTSIDE && self.state().preload.is_idle() {
            give_seats_back();
        }
        if way_out.before == OUTSIDE {
            // One that a handler jumped out of to another handler, which has returned.
            slot.handler.set(0);
        }
        compiler_fence(Ordering::SeqCst);
        slot.busy.set(way_out.before);
        compiler_fence(Ordering::SeqCst);
        mark_of(slot, way_out.before).set(way_out.mark);
    }
}

/// Counts events that a signal handler has jumped out of, and after which no call of a hook came that would have told:
/// when their thread ends, or the process.
pub fn count_left() {
    let left = match tls::slot().busy.get() {
        INSIDE => 1,
        NESTED => 2,
        _ => 0,
    };
    for _ in 0..left {
        process::lose_blindly();
    }
}

/// In a forked child: an event that a signal handler has interrupted by forking is the parent's.
pub fn forked() {
    let slot = tls::slot();
    if slot.busy.get() == OUTSIDE {
        return;
    }
    for place in [&slot.seat, &slot.nested] {
        // SAFETY: the slot holds null or a seat of this thread's, and seats are never given back to the kernel.
        if let Some(seat) = unsafe { place.get().as_ref() } {
            // SAFETY: the state is this thread's, which does not go on with the event meanwhile; what is read are words
            // that an event hardly ever changes.
            unsafe { (*seat.state.get()).pen.part() };
        }
    }
}

/// Declares the calling thread to be the shim's own: nothing that it does is an event.
pub fn belongs_to_shim() {
    tls::slot().busy.set(SILENT);
}

/// What every thread counted, those that are gone included.
pub fn all_counters() -> impl Iterator<Item = &'static Counters> {
    all_seats().map(|seat| &seat.counters)
}

/// Prepares for threads that end and for forks. Called once, when the library is loaded.
pub fn start() {
    seats::start();
    process::start();
}
