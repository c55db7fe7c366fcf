//! The states that threads borrow, and give back when they end: for the next thread, with their half-full chunks. They
//! lie in memory of the shim's own that the kernel never gets back, so whoever finds one may look at it.

use std::cell::UnsafeCell;
use std::ptr;

use super::Counters;
use super::ThreadState;
use super::list;
use super::list::Listed;
use crate::primitive::AtomicBool;
use crate::primitive::AtomicPtr;
use crate::primitive::AtomicU32;
use crate::primitive::Ordering;
use crate::sys;
use crate::tls;

/// A state that can be borrowed, and what stays visible to everybody while it is.
#[derive(Debug)]
#[repr(C)]
pub struct Seat {
    next: AtomicPtr<Seat>,
    taken: AtomicBool,
    pub(super) way_out: UnsafeCell<WayOut>,
    pub(super) counters: Counters,
    pub(super) state: UnsafeCell<ThreadState>,
}

/// What whoever is inside with a seat gives back on the way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct WayOut {
    pub(super) errno: libc::c_int,
    /// What the slot said before.
    pub(super) before: usize,
    /// And where an event lay then.
    pub(super) mark: usize,
}

// SAFETY: everything but `way_out` and `state` is atomic; those are used by the thread that has won `taken`, alone.
unsafe impl Sync for Seat {}

// SAFETY: as above.
unsafe impl Listed for Seat {
    fn next(&self) -> &AtomicPtr<Self> {
        &self.next
    }

    fn taken(&self) -> &AtomicBool {
        &self.taken
    }
}

static SEATS: AtomicPtr<Seat> = AtomicPtr::new(ptr::null_mut());
/// The key whose destructor gives a thread's state back, plus one; 0 before [`start`].
static EXIT_KEY: AtomicU32 = AtomicU32::new(0);

/// A thread that had a seat is ending, or has ended.
static HAS_ENDED: AtomicBool = AtomicBool::new(false);

/// Whether a thread that had events has come to its end since this was asked last.
pub fn has_ended() -> bool {
    HAS_ENDED.swap(false, Ordering::Relaxed)
}

/// All of them, those that nobody has borrowed included.
pub(super) fn all_seats() -> impl Iterator<Item = &'static Seat> {
    // SAFETY: the list holds seats alone that `add_seat` put there, which are never given back to the kernel.
    unsafe { list::all(&SEATS) }
}

/// A seat for the calling thread; its first one is given back when the thread ends, and takes the other along.
#[cold]
#[inline(never)]
pub(super) fn take_seat(is_first: bool) -> Option<&'static Seat> {
    // SAFETY: as in `all_seats`.
    let seat = match unsafe { list::take(&SEATS) } {
        Some(seat) => seat,
        None => add_seat()?,
    };
    adopt(seat, is_first);
    Some(seat)
}

fn add_seat() -> Option<&'static Seat> {
    // SAFETY: fresh zeroed memory of the right size, aligned to a page, and a seat is valid as zeros.
    let seat: &'static Seat = unsafe { sys::reserve(size_of::<Seat>())?.cast().as_ref() };
    list::add(&SEATS, seat);
    Some(seat)
}

/// Makes a seat that has just been taken the calling thread's.
fn adopt(seat: &'static Seat, is_first: bool) {
    // SAFETY: `taken` has just been won, so nobody else uses the state.
    let state = unsafe { &mut *seat.state.get() };
    state.thread_id = sys::thread_id();
    state.scope_depth = 0;
    state.pen.begin_anew();
    state.stack.begin_anew();
    state.preload.forget();
    let key = EXIT_KEY.load(Ordering::Relaxed);
    let is_ending = tls::slot().ending.get() != 0;
    if is_first
        && !is_ending
        && let Some(key) = key.checked_sub(1)
    {
        // SAFETY: the key was made in `start`; its destructor takes any value that is not null.
        unsafe { libc::pthread_setspecific(key, ptr::from_ref(seat).cast()) };
    }
}

/// Runs when a thread ends: its seats are for the next one.
unsafe extern "C" fn give_back(_seat: *mut libc::c_void) {
    super::count_left();
    tls::slot().ending.set(1);
    give_seats_back();
    HAS_ENDED.store(true, Ordering::Relaxed);
}

#[cold]
pub(super) fn give_seats_back() {
    let slot = tls::slot();
    for place in [&slot.seat, &slot.nested] {
        // SAFETY: the slot holds null or a seat, and seats are never given back to the kernel.
        if let Some(seat) = unsafe { place.replace(ptr::null_mut()).as_ref() } {
            list::give_back(seat);
        }
    }
}

/// Prepares for threads that end. Called once, when the library is loaded.
pub(super) fn start() {
    let mut key = 0;
    // SAFETY: `key` is a valid place, and the destructor is one that takes any value.
    let made = unsafe { libc::pthread_key_create(&raw mut key, Some(give_back)) };
    if made == 0 {
        EXIT_KEY.store(key + 1, Ordering::Relaxed);
    }
}
