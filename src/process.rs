//! What there is once per process: the ledger, and the trace that is being written.
//!
//! Both are made at the first event, or when the library is loaded where a function of an adapter is there already: a
//! process that has neither is left alone, without a file, a thread or a word. A forked child, which is noticed by its
//! [`identity`], keeps the ledger, as its private copy, and begins a trace of its own.
//!
//! Threads whose first events meet do not make two traces: one makes it, and the others look at it being made for a few
//! milliseconds. This is no lock: when it takes longer, because that thread was stopped or killed in the middle, each
//! goes on with one of its own, and the first to be ready wins.

use std::ptr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use whofreed_trace::loss::NO_THREAD;

use crate::clock;
use crate::identity;
use crate::ledger::Ledger;
use crate::linkmap;
use crate::options;
use crate::record::Fork;
use crate::record::Lost;
use crate::record::Recorder;
use crate::record::writer;
use crate::sys;
use crate::tally;
use crate::thread;

/// Ledger and trace.
#[derive(Debug)]
pub struct World {
    /// Who holds what.
    pub ledger: &'static Ledger,
    /// What happened.
    pub recorder: Recorder,
    /// The world of the process that this one was forked from. It is kept within reach for leak checkers.
    pub parent: Option<&'static World>,
}

static WORLD: AtomicPtr<World> = AtomicPtr::new(ptr::null_mut());
/// The process whose first event is making a world.
static MAKER: AtomicU32 = AtomicU32::new(0);
/// The monotonic clock at the last fork that ran the handlers of fork, in the child.
static FORK_TIME: AtomicU64 = AtomicU64::new(0);
/// Events that came while there was no world to count them. None of them was judged.
static LOST_EARLY: AtomicU64 = AtomicU64::new(0);
/// The process that lost them: a forked child has a copy of its parent's number.
static LOST_EARLY_BY: AtomicU32 = AtomicU32::new(0);
/// The process that has said so.
static TOLD_NO_MEMORY_BY: AtomicU32 = AtomicU32::new(0);
/// An event was lost of which not even the address is known.
static LOST_BLINDLY: AtomicBool = AtomicBool::new(false);
/// The host granted no memory, and was told so.
static GAVE_UP: AtomicBool = AtomicBool::new(false);
/// What the host said about its owners; a trace that begins later says it too.
static OWNERS_ARE_POINTERS: AtomicBool = AtomicBool::new(false);

/// How long a thread looks at another one making the world.
const PATIENCE: u32 = 400;
const LOOK_EVERY: Duration = Duration::from_micros(50);

/// Prepares for forks. Called once, when the library is loaded.
pub fn start() {
    identity::start();
    // SAFETY: the handlers only load from atomics, store to them, and sleep.
    unsafe { libc::pthread_atfork(Some(before_fork), None, Some(in_child)) };
}

/// A thread that has only just been made may be inside of a lock of whoever wraps the making of threads, and for ever
/// then in a child: AddressSanitizer's runtime is like that.
unsafe extern "C" fn before_fork() {
    if let Some(world) = existing_world() {
        sys::keeping_errno(|| world.recorder.wait_until_begun());
    }
}

unsafe extern "C" fn in_child() {
    FORK_TIME.store(sys::monotonic_ns(), Ordering::Relaxed);
    linkmap::forked();
    thread::forked();
    identity::forked();
}

/// Ledger and trace of this process; made if there are none yet. `None` when the host grants no memory.
#[inline]
pub fn world() -> Option<&'static World> {
    match made_world() {
        None => make_world(),
        made => made,
    }
}

/// As [`world`], where it was made before and not forked since.
#[inline]
pub fn made_world() -> Option<&'static World> {
    let world = WORLD.load(Ordering::Acquire);
    if !identity::may_be_made() {
        return None;
    }
    // SAFETY: null, or a world, which is never taken down.
    unsafe { world.as_ref() }
}

/// Ledger and trace, if this process has them already.
pub fn existing_world() -> Option<&'static World> {
    // SAFETY: null, or a world, which is never taken down.
    let world = unsafe { WORLD.load(Ordering::Acquire).as_ref() }?;
    world.recorder.is_own().then_some(world)
}

/// Counts an event that is lost before it was judged; at its address (device, address) nobody is accused any more.
pub fn lose_unjudged(place: Option<(u32, u64)>) {
    // A child that has not begun a trace has the ledger of its parent.
    // SAFETY: null, or a world, which is never taken down.
    let ledger = unsafe { WORLD.load(Ordering::Acquire).as_ref() }.map(|world| world.ledger);
    if let (Some(ledger), Some((device, address))) = (ledger, place) {
        ledger.lose(device, address);
    }
    match existing_world() {
        Some(world) => {
            let lost = Lost::one(sys::thread_id(), clock::now());
            world.recorder.lose_unjudged(&lost);
            tell_lost_early(&world.recorder);
        }
        None => {
            let process = identity::number();
            if LOST_EARLY_BY.swap(process, Ordering::Relaxed) != process {
                LOST_EARLY.store(0, Ordering::Relaxed);
            }
            LOST_EARLY.fetch_add(1, Ordering::Relaxed);
            tally::count_untold(1);
        }
    }
}

/// Lets the trace tell of what was lost before it was there.
fn tell_lost_early(recorder: &Recorder) {
    if LOST_EARLY.load(Ordering::Relaxed) != 0
        && LOST_EARLY_BY.load(Ordering::Relaxed) == recorder.process
    {
        let events = LOST_EARLY.swap(0, Ordering::Relaxed);
        tally::uncount_untold(events);
        let now = clock::now();
        recorder.lose_unjudged(&Lost {
            thread: NO_THREAD,
            events,
            first: now,
            last: now,
        });
    }
}

fn lost_early() -> u64 {
    if LOST_EARLY_BY.load(Ordering::Relaxed) == identity::number() {
        LOST_EARLY.load(Ordering::Relaxed)
    } else {
        0
    }
}

/// As [`lose_unjudged`], where it is not known what the event would have been: from now on nothing is held back.
pub fn lose_blindly() {
    LOST_BLINDLY.store(true, Ordering::Relaxed);
    lose_unjudged(None);
}

/// Says that a thread has no memory, where no trace of this process can tell what it lost: whoever ends without its exit
/// handlers, as forked children do, says nothing later.
#[cold]
pub fn tell_no_memory() {
    let process = identity::number();
    if existing_world().is_none() && TOLD_NO_MEMORY_BY.swap(process, Ordering::Relaxed) != process {
        sys::complain_without_memory(
            "whofreed: the host grants no memory for a thread: its events are lost\n",
        );
    }
}

/// Whether any free may be legitimate, whatever the ledger says.
pub fn is_blind() -> bool {
    LOST_BLINDLY.load(Ordering::Relaxed)
}

/// Declares whether owners may be used again for other objects.
pub fn set_owners_are_pointers(yes: bool) {
    OWNERS_ARE_POINTERS.store(yes, Ordering::Relaxed);
    if let Some(world) = existing_world() {
        world.recorder.set_owners_are_pointers(yes);
    }
}

/// Every event that was lost so far.
pub fn lost() -> u64 {
    let recorder = existing_world().map_or(0, |world| world.recorder.lost());
    recorder + lost_early()
}

/// Events that were lost so far and of which no trace tells.
pub fn untold() -> u64 {
    let recorder = existing_world().map_or(0, |world| world.recorder.untold());
    recorder + lost_early()
}

/// The calling thread is about to call what all threads of the process would have to follow, or none may see:
/// the writer thread ends. True when [`threads_may_follow`] has to be called behind it.
pub fn threads_must_not_follow() -> bool {
    // None in a child that shares our memory: its process does not have our thread.
    let own = existing_world();
    if let Some(world) = own {
        sys::keeping_errno(|| world.recorder.step_aside());
    }
    own.is_some()
}

/// The call is over, with whatever result.
pub fn threads_may_follow() {
    if let Some(world) = existing_world() {
        sys::keeping_errno(|| thread::setting_up(|| world.recorder.bring_back()));
    }
}

#[cold]
#[inline(never)]
fn make_world() -> Option<&'static World> {
    let is_nested = thread::is_nested();
    thread::setting_up(|| make_world_here(is_nested))
}

fn make_world_here(is_nested: bool) -> Option<&'static World> {
    // What could not be had once is not tried again at every event.
    if GAVE_UP.load(Ordering::Relaxed) {
        return None;
    }
    // A handler that interrupts whoever is making it can neither wait for that nor use the heap.
    if is_nested {
        return existing_world();
    }
    let _no_cancel = sys::NoCancel::new();
    crate::start();
    let process = identity::number();
    let before = MAKER.load(Ordering::Relaxed);
    let is_maker = before != process
        && MAKER
            .compare_exchange(before, process, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
    if !is_maker && let Some(world) = wait_for_world() {
        return Some(world);
    }
    let old = WORLD.load(Ordering::Acquire);
    // SAFETY: null, or a world, which is never taken down.
    let parent = unsafe { old.as_ref() };
    if let Some(world) = parent.filter(|world| world.recorder.is_own()) {
        return Some(world);
    }
    let handled_fork_at = FORK_TIME.swap(0, Ordering::Relaxed);
    if parent.is_some() && handled_fork_at == 0 {
        // Nobody told it of the fork: the threads that walked or unloaded are not here.
        linkmap::forked();
    }
    let fork = parent.map(|parent| Fork {
        parent_trace: parent.recorder.trace_id,
        time: match handled_fork_at {
            0 => sys::monotonic_ns(),
            time => time,
        },
    });
    let ledger = match parent {
        Some(parent) => parent.ledger,
        None => match Ledger::new() {
            Some(ledger) => Box::leak(Box::new(ledger)),
            None => return no_memory(),
        },
    };
    clock::start();
    let Some(recorder) = Recorder::start(options::get(), fork) else {
        return no_memory();
    };
    recorder.set_owners_are_pointers(OWNERS_ARE_POINTERS.load(Ordering::Relaxed));
    let world = Box::into_raw(Box::new(World {
        ledger,
        recorder,
        parent,
    }));
    match WORLD.compare_exchange(old, world, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            identity::is_made();
            // SAFETY: the world was just made, and is never taken down.
            let world = unsafe { &*world };
            world.recorder.tell_launcher();
            // Only now: what handlers lost until here had no world to be counted in.
            tell_lost_early(&world.recorder);
            // Behind a fork that ran no handlers the host's heap may be locked for ever: no thread is made then.
            if parent.is_none() || handled_fork_at != 0 {
                writer::start(&world.recorder);
            }
            Some(world)
        }
        Err(other) => {
            // SAFETY: ours was never published, so nobody else has it; the other one is never taken down.
            unsafe {
                (*world).recorder.discard();
                other.as_ref()
            }
        }
    }
}

fn wait_for_world() -> Option<&'static World> {
    (0..PATIENCE).find_map(|_| {
        let world = existing_world();
        if world.is_none() {
            std::thread::sleep(LOOK_EVERY);
        }
        world
    })
}

fn no_memory() -> Option<&'static World> {
    if !GAVE_UP.swap(true, Ordering::Relaxed) {
        sys::complain("the host grants no memory for the ledger: nothing is recorded");
    }
    None
}
