//! One event, stop by stop: re-entrancy guard, ledger, clock, stack, record.
//!
//! These functions are what the C ABI and the hooks of adapters call. Each comes twice: once for callers from
//! outside, and once, with `_inside`, for those that have entered already because they had to look at the host's
//! objects first.
//!
//! **Architecture Invariant:** on the way of an event there is no lock that another thread can hold, no allocation
//! from the host's heap, no symbol lookup, and no system call but in the chunk that a thread makes when the
//! writer has none ready.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use whofreed_lifecycle as lifecycle;
use whofreed_lifecycle::Verdict;
use whofreed_trace::EventKind;
use whofreed_trace::blob::PayloadWriter;
use whofreed_trace::blob::blob_kind;
use whofreed_trace::layout;
use whofreed_trace::layout::EventRecord;

use crate::abi::WF_ADDRESS_UNKNOWN;
use crate::abi::WfExcess;
use crate::abi::WfExcessCallback;
use crate::abi::WfStats;
use crate::ledger::Holding;
use crate::ledger::Judged;
use crate::options;
use crate::options::OnExcess;
use crate::process;
use crate::process::World;
use crate::record::dump;
use crate::record::dump::ExcessNote;
use crate::record::writer::Message;
use crate::stack::MAX_FRAMES;
use crate::sys;
use crate::thread;
use crate::thread::Inside;
use crate::thread::MAX_SCOPES;
use crate::thread::Refused;
use crate::thread::ThreadState;
use crate::thread::count;

/// Where the host called from. A fast unwinder starts here; zeros where it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallSite {
    /// Where the caller's return address lies.
    pub return_address_slot: usize,
    /// The caller's frame pointer register.
    pub frame_pointer: usize,
}

/// The answer to a deallocate.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the real function is to be called.
    pub forward: bool,
}

/// The longest name of a device, a kind or a scope, in bytes.
const MAX_NAME: usize = 4096;

static CALLBACK: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
static CALLBACK_USER: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
/// 0: not said, 1: owners are unique, 2: owners are pointers. Kept for a trace that is not there yet.
static OWNERS: AtomicUsize = AtomicUsize::new(0);

/// Goes inside for an event; one that cannot be had is counted.
fn enter_for_event() -> Option<Inside> {
    match thread::try_enter() {
        Ok(inside) => Some(inside),
        Err(Refused::Silent) => None,
        Err(Refused::Interrupted | Refused::NoMemory) => {
            match process::existing_world() {
                Some(world) => world.recorder.lose(1),
                None => process::lose_early(),
            }
            None
        }
    }
}

fn world_for_event() -> Option<&'static World> {
    let world = process::world();
    if world.is_none() {
        process::lose_early();
    }
    world
}

/// A buffer was handed out.
pub fn allocate(
    device: u32,
    address: u64,
    size: u64,
    kind: u32,
    owner: u64,
    at: CallSite,
) -> Verdict {
    enter_for_event().map_or(Verdict::Ok, |mut inside| {
        allocate_inside(&mut inside, device, address, size, kind, owner, at)
    })
}

/// See [`allocate`].
pub fn allocate_inside(
    inside: &mut Inside,
    device: u32,
    address: u64,
    size: u64,
    kind: u32,
    owner: u64,
    at: CallSite,
) -> Verdict {
    let Some(world) = world_for_event() else {
        return Verdict::Ok;
    };
    let counters = inside.counters();
    let mut event = Draft::new(EventKind::Allocate, device, address, owner);
    event.record.extra = size;
    event.record.label = kind;
    if address == WF_ADDRESS_UNKNOWN {
        count(&counters.invalid);
        event.verdict(Verdict::Invalid);
        event.finish(world, inside.state(), at);
        return Verdict::Invalid;
    }
    let state = inside.state();
    let occurrence = lifecycle::Event::Allocate { owner };
    let judged = world
        .ledger
        .apply(&mut state.scratch, device, address, Some(kind), occurrence);
    if owner != 0 {
        let holding = Holding {
            address,
            root_address: address,
            root_owner: owner,
        };
        event.untracked_unless(
            world
                .ledger
                .hold(&mut state.scratch, device, owner, holding),
        );
    }
    count(&counters.allocations);
    event.judged(&judged);
    event.finish(world, state, at);
    Verdict::Ok
}

/// A buffer is about to be freed, or somebody tries to.
pub fn deallocate(device: u32, address: u64, owner: u64, at: CallSite) -> Decision {
    let unjudged = Decision {
        verdict: Verdict::Unknown,
        forward: true,
    };
    enter_for_event().map_or(unjudged, |mut inside| {
        deallocate_inside(&mut inside, device, address, owner, at)
    })
}

/// See [`deallocate`].
pub fn deallocate_inside(
    inside: &mut Inside,
    device: u32,
    address: u64,
    owner: u64,
    at: CallSite,
) -> Decision {
    let Some(world) = world_for_event() else {
        return Decision {
            verdict: Verdict::Unknown,
            forward: true,
        };
    };
    let counters = inside.counters();
    count(&counters.deallocations);
    let mut event = Draft::new(EventKind::Deallocate, device, address, owner);
    let is_unknown = address == WF_ADDRESS_UNKNOWN;
    if is_unknown {
        event.record.flags |= layout::EVENT_ADDRESS_UNKNOWN;
    }
    let target = resolve(world, device, address, owner);
    let verdict = match target {
        Target::Nothing if owner == 0 => {
            count(&counters.invalid);
            Verdict::Invalid
        }
        Target::Nothing => {
            count(&counters.unknown);
            Verdict::Unknown
        }
        Target::Instance {
            address,
            owner: root,
        } => {
            event.root(address, root);
            let occurrence = lifecycle::Event::Deallocate { owner: root };
            let scratch = &mut inside.state().scratch;
            let judged = world
                .ledger
                .apply(scratch, device, address, None, occurrence);
            event.record.label = judged.label;
            event.judged(&judged);
            match judged.outcome.verdict {
                Verdict::Ok => count(&counters.ok),
                Verdict::Unknown => count(&counters.unknown),
                _ => count(&counters.excess),
            }
            if judged.outcome.late {
                count(&counters.late);
            }
            judged.outcome.verdict
        }
    };
    event.verdict(verdict);
    let options = options::get();
    let forward = !(options.guard && verdict.is_excess());
    if !forward {
        count(&counters.blocked);
        event.record.flags |= layout::EVENT_BLOCKED;
    }
    event.finish(world, inside.state(), at);
    if verdict.is_excess() {
        react(inside, world, &event.record, options.on_excess);
    }
    Decision { verdict, forward }
}

/// Whose instance a call is about.
enum Target {
    Instance { address: u64, owner: u64 },
    Nothing,
}

fn resolve(world: &World, device: u32, address: u64, owner: u64) -> Target {
    let itself = Target::Instance { address, owner };
    let is_unknown = address == WF_ADDRESS_UNKNOWN;
    if owner == 0 {
        return if is_unknown { Target::Nothing } else { itself };
    }
    if !is_unknown && !world.ledger.has_views() {
        return itself;
    }
    match world.ledger.last_holding(device, owner) {
        Some(holding)
            if is_unknown || address == holding.address || address == holding.root_address =>
        {
            Target::Instance {
                address: holding.root_address,
                owner: holding.root_owner,
            }
        }
        None if is_unknown => Target::Nothing,
        _ => itself,
    }
}

/// A reference to a live buffer was added.
pub fn retain(device: u32, address: u64, owner: u64, at: CallSite) -> Verdict {
    enter_for_event().map_or(Verdict::Ok, |mut inside| {
        retain_inside(&mut inside, device, address, owner, at)
    })
}

/// See [`retain`].
pub fn retain_inside(
    inside: &mut Inside,
    device: u32,
    address: u64,
    owner: u64,
    at: CallSite,
) -> Verdict {
    let Some(world) = world_for_event() else {
        return Verdict::Ok;
    };
    let counters = inside.counters();
    let mut event = Draft::new(EventKind::Retain, device, address, owner);
    let state = inside.state();
    let target = resolve(world, device, address, owner);
    let (
        Target::Instance {
            address: root_address,
            owner: root_owner,
        },
        false,
    ) = (target, address == WF_ADDRESS_UNKNOWN)
    else {
        count(&counters.invalid);
        event.verdict(Verdict::Invalid);
        event.finish(world, state, at);
        return Verdict::Invalid;
    };
    event.root(root_address, root_owner);
    let occurrence = lifecycle::Event::Retain { owner: root_owner };
    let judged = world
        .ledger
        .apply(&mut state.scratch, device, root_address, None, occurrence);
    event.judged(&judged);
    event.record.label = judged.label;
    let verdict = judged.outcome.verdict;
    if verdict == Verdict::Ok {
        count(&counters.retains);
        if owner != 0 && owner == root_owner {
            let holding = Holding {
                address,
                root_address,
                root_owner,
            };
            event.untracked_unless(
                world
                    .ledger
                    .hold(&mut state.scratch, device, owner, holding),
            );
        }
    }
    event.finish(world, state, at);
    verdict
}

/// An object begins to share the buffer of `parent_owner`.
pub fn view(device: u32, address: u64, owner: u64, parent_owner: u64, at: CallSite) -> Verdict {
    enter_for_event().map_or(Verdict::Ok, |mut inside| {
        view_inside(&mut inside, device, address, owner, parent_owner, at)
    })
}

/// See [`view`].
pub fn view_inside(
    inside: &mut Inside,
    device: u32,
    address: u64,
    owner: u64,
    parent_owner: u64,
    at: CallSite,
) -> Verdict {
    let Some(world) = world_for_event() else {
        return Verdict::Ok;
    };
    let counters = inside.counters();
    let mut event = Draft::new(EventKind::View, device, address, owner);
    let state = inside.state();
    if address == WF_ADDRESS_UNKNOWN {
        count(&counters.invalid);
        event.verdict(Verdict::Invalid);
        event.finish(world, state, at);
        return Verdict::Invalid;
    }
    // The root of a view of a view is the first one's; a parent that was never seen is its own.
    let parent = match parent_owner {
        0 => None,
        parent => world.ledger.last_holding(device, parent),
    };
    let (root_address, root_owner) = match parent {
        Some(holding) => (holding.root_address, holding.root_owner),
        None => (address, parent_owner),
    };
    event.root(root_address, root_owner);
    let occurrence = lifecycle::Event::View { root: root_owner };
    let judged = world
        .ledger
        .apply(&mut state.scratch, device, root_address, None, occurrence);
    event.judged(&judged);
    event.record.label = judged.label;
    let verdict = judged.outcome.verdict;
    if verdict == Verdict::Ok && owner != 0 {
        let holding = Holding {
            address,
            root_address,
            root_owner,
        };
        event.untracked_unless(
            world
                .ledger
                .hold_view(&mut state.scratch, device, owner, holding),
        );
    }
    event.finish(world, state, at);
    verdict
}

/// An attempt on a live handle that the host did not carry out.
pub fn declined(device: u32, address: u64, owner: u64, at: CallSite) {
    if let Some(mut inside) = enter_for_event() {
        declined_inside(&mut inside, device, address, owner, at);
    }
}

/// See [`declined`].
pub fn declined_inside(inside: &mut Inside, device: u32, address: u64, owner: u64, at: CallSite) {
    let Some(world) = world_for_event() else {
        return;
    };
    count(&inside.counters().declined);
    let mut event = Draft::new(EventKind::Declined, device, address, owner);
    event.finish(world, inside.state(), at);
}

/// A device came up.
pub fn device_open(device: u32, name: &[u8], capacity: u64) {
    if let Some(mut inside) = enter_for_event() {
        device_open_inside(&mut inside, device, name, capacity);
    }
}

/// See [`device_open`].
pub fn device_open_inside(inside: &mut Inside, device: u32, name: &[u8], capacity: u64) {
    let Some(world) = world_for_event() else {
        return;
    };
    let state = inside.state();
    if !name.is_empty() {
        let name = &name[..name.len().min(MAX_NAME)];
        state
            .pen
            .blob(&world.recorder, blob_kind::DEVICE_NAME, 0, device, name);
    }
    let mut event = Draft::new(EventKind::DeviceOpen, device, 0, 0);
    event.record.extra = capacity;
    event.record.epoch = world.ledger.epoch(device);
    event.finish(world, state, CallSite::default());
}

/// The runtime released everything on the device at once.
pub fn device_reset(device: u32) {
    if let Some(mut inside) = enter_for_event() {
        end_device(&mut inside, EventKind::DeviceReset, device);
    }
}

/// See [`device_reset`].
pub fn device_reset_inside(inside: &mut Inside, device: u32) {
    end_device(inside, EventKind::DeviceReset, device);
}

/// The device went away, and everything on it.
pub fn device_close(device: u32) {
    if let Some(mut inside) = enter_for_event() {
        end_device(&mut inside, EventKind::DeviceClose, device);
    }
}

/// See [`device_close`].
pub fn device_close_inside(inside: &mut Inside, device: u32) {
    end_device(inside, EventKind::DeviceClose, device);
}

fn end_device(inside: &mut Inside, kind: EventKind, device: u32) {
    let Some(world) = world_for_event() else {
        return;
    };
    let mut event = Draft::new(kind, device, 0, 0);
    match world.ledger.reset(device) {
        Some(epoch) => event.record.epoch = epoch,
        None => event.record.flags |= layout::EVENT_UNTRACKED,
    }
    event.finish(world, inside.state(), CallSite::default());
}

/// Names a label of buffers.
pub fn name_kind(kind: u32, name: &[u8]) {
    tell(
        blob_kind::KIND_NAME,
        kind,
        &name[..name.len().min(MAX_NAME)],
    );
}

/// An adapter is in force.
pub fn adapter_in_force(name: &[u8]) {
    tell(blob_kind::ADAPTER, 0, &name[..name.len().min(MAX_NAME)]);
}

/// A hook has found its original.
pub fn coverage_bound(adapter: &[u8], symbol: &[u8], library: &[u8]) {
    tell_texts(blob_kind::BOUND, &[adapter, symbol, library]);
}

/// Something cannot be seen.
pub fn coverage_unobservable(symbol: &[u8], why: &[u8]) {
    tell_texts(blob_kind::UNOBSERVABLE, &[symbol, why]);
}

fn tell_texts(kind: u16, texts: &[&[u8]]) {
    let mut memory = [0; 3 * (MAX_NAME + 4)];
    let mut payload = PayloadWriter::new(&mut memory);
    for text in texts {
        payload.text(&text[..text.len().min(MAX_NAME)]);
    }
    if let Some(len) = payload.finish() {
        tell(kind, 0, &memory[..len]);
    }
}

/// Writes something that belongs to no event. Those who are inside already use the pen themselves.
fn tell(kind: u16, id: u32, payload: &[u8]) {
    let Some(mut inside) = enter_for_event() else {
        return;
    };
    tell_inside(&mut inside, kind, id, payload);
}

fn tell_inside(inside: &mut Inside, kind: u16, id: u32, payload: &[u8]) {
    if let Some(world) = process::world() {
        inside
            .state()
            .pen
            .blob(&world.recorder, kind, 0, id, payload);
    }
}

/// See [`coverage_bound`].
pub fn coverage_bound_inside(inside: &mut Inside, adapter: &[u8], symbol: &[u8], library: &[u8]) {
    tell_texts_inside(inside, blob_kind::BOUND, &[adapter, symbol, library]);
}

/// See [`coverage_unobservable`].
pub fn coverage_unobservable_inside(inside: &mut Inside, symbol: &[u8], why: &[u8]) {
    tell_texts_inside(inside, blob_kind::UNOBSERVABLE, &[symbol, why]);
}

/// See [`adapter_in_force`].
pub fn adapter_in_force_inside(inside: &mut Inside, name: &[u8]) {
    tell_inside(
        inside,
        blob_kind::ADAPTER,
        0,
        &name[..name.len().min(MAX_NAME)],
    );
}

/// See [`name_kind`].
pub fn name_kind_inside(inside: &mut Inside, kind: u32, name: &[u8]) {
    tell_inside(
        inside,
        blob_kind::KIND_NAME,
        kind,
        &name[..name.len().min(MAX_NAME)],
    );
}

fn tell_texts_inside(inside: &mut Inside, kind: u16, texts: &[&[u8]]) {
    let mut memory = [0; 3 * (MAX_NAME + 4)];
    let mut payload = PayloadWriter::new(&mut memory);
    for text in texts {
        payload.text(&text[..text.len().min(MAX_NAME)]);
    }
    if let Some(len) = payload.finish() {
        tell_inside(inside, kind, 0, &memory[..len]);
    }
}

/// Begins a scope on this thread: its label is attached to the thread's events until [`scope_leave`]. Returns 0
/// when it could not be begun.
pub fn scope_enter(label: &[u8]) -> u64 {
    let Some(mut inside) = enter_for_event() else {
        return 0;
    };
    let Some(world) = world_for_event() else {
        return 0;
    };
    let state = inside.state();
    let label = &label[..label.len().min(MAX_NAME)];
    let id = world
        .recorder
        .labels
        .intern(&world.recorder, &mut state.pen, 0, label);
    let depth = state.scope_depth;
    if let Some(place) = state.scopes.get_mut(depth) {
        *place = id.unwrap_or(0);
    }
    state.scope_depth += 1;
    (depth as u64) + 1
}

/// Ends a scope of this thread, and those that were begun inside it.
pub fn scope_leave(scope: u64) {
    let Some(mut inside) = enter_for_event() else {
        return;
    };
    let state = inside.state();
    if let Some(depth) = scope
        .checked_sub(1)
        .and_then(|depth| usize::try_from(depth).ok())
    {
        state.scope_depth = state.scope_depth.min(depth);
    }
}

/// Sets who is told of excess frees, on the freeing thread.
pub fn on_excess(callback: WfExcessCallback, user: *mut c_void) {
    CALLBACK_USER.store(user, Ordering::Release);
    let callback = callback.map_or(ptr::null_mut(), |callback| callback as *mut c_void);
    CALLBACK.store(callback, Ordering::Release);
}

/// Declares whether owners may be used again for other objects.
pub fn owners_are_pointers(yes: bool) {
    OWNERS.store(if yes { 2 } else { 1 }, Ordering::Relaxed);
    if let Some(_inside) = enter_for_event()
        && let Some(world) = world_for_event()
    {
        world.recorder.set_owners_are_pointers(yes);
    }
}

/// Writes the text report of everything so far. 0 or a negative errno.
#[must_use]
pub fn dump_culprits(descriptor: i32) -> i32 {
    match thread::enter() {
        Some(mut inside) => match process::world() {
            Some(world) => inside.silently(|| dump::request(&world.recorder, descriptor, true)),
            None => -libc::ENOMEM,
        },
        None => -libc::EBUSY,
    }
}

/// Prints the summary of a linked host with excess frees, when it exits.
pub fn summary_at_exit() {
    let options = options::get();
    let (Some(mut inside), Some(world)) = (thread::enter(), process::existing_world()) else {
        return;
    };
    inside.silently(|| dump::wait_for_writer(&world.recorder));
    if options.summary && !options.is_run && stats().excess > 0 {
        let _ = inside.silently(|| dump::request(&world.recorder, 2, false));
    }
}

/// Puts everything recorded so far on the disk. 0 or a negative errno.
#[must_use]
pub fn flush() -> i32 {
    let Some(_inside) = thread::enter() else {
        return -libc::EBUSY;
    };
    process::existing_world().map_or(0, |world| world.recorder.sync())
}

/// The sums over all threads.
#[must_use]
pub fn stats() -> WfStats {
    let mut stats = WfStats {
        size: size_of::<WfStats>() as u64,
        ..WfStats::default()
    };
    let (mut held, mut ended) = (0_u64, 0_u64);
    for counters in thread::all_counters() {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        stats.allocations += read(&counters.allocations);
        stats.deallocations += read(&counters.deallocations);
        stats.excess += read(&counters.excess);
        stats.unknown += read(&counters.unknown);
        stats.late += read(&counters.late);
        stats.declined += read(&counters.declined);
        stats.invalid += read(&counters.invalid);
        stats.blocked += read(&counters.blocked);
        held += read(&counters.allocations) + read(&counters.retains);
        ended += read(&counters.ok);
    }
    stats.live = held.saturating_sub(ended);
    stats.dropped_events = process::lost();
    if let Some(world) = process::existing_world() {
        stats.distinct_addresses = u64::from(world.ledger.addresses());
        stats.distinct_stacks = u64::from(world.recorder.stacks.len());
    }
    stats
}

/// What the user asked for at an excess free.
fn react(inside: &mut Inside, world: &'static World, record: &EventRecord, on_excess: OnExcess) {
    let thread = inside.state().thread_id;
    let callback = CALLBACK.load(Ordering::Acquire);
    if !callback.is_null() {
        let mut frames = [0_u64; MAX_FRAMES];
        let captured = inside.state().stack.frames();
        let frame_count = captured.len();
        for (place, frame) in frames.iter_mut().zip(captured) {
            *place = *frame as u64;
        }
        let event = WfExcess {
            size: size_of::<WfExcess>() as u32,
            verdict: Verdict::from_number(record.verdict)
                .unwrap_or(Verdict::Invalid)
                .into(),
            device: record.device,
            kind: record.label,
            address: record.address,
            owner: record.owner,
            thread: u64::from(thread),
            sequence: record.step,
            frames: if frame_count == 0 {
                ptr::null()
            } else {
                frames.as_ptr()
            },
            frame_count: frame_count as u64,
            reserved: [0; 8],
        };
        let user = CALLBACK_USER.load(Ordering::Acquire);
        // SAFETY: the pointer was stored by `on_excess` from a function of this very type.
        let callback = unsafe {
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*const WfExcess, *mut c_void)>(
                callback,
            )
        };
        // SAFETY: the host has promised a function that may be called with an event and its `user`.
        inside.silently(|| unsafe { callback(&raw const event, user) });
    }
    match on_excess {
        OnExcess::Record => {}
        OnExcess::Print => {
            let note = ExcessNote {
                verdict: Verdict::from_number(record.verdict).unwrap_or(Verdict::Invalid),
                device: record.device,
                address: record.address,
                owner: record.owner,
                thread,
                stack: record.stack,
            };
            world.recorder.mail.send(Message::Print(note));
        }
        // SAFETY: raising a signal and ending the process are what the user asked for.
        OnExcess::Trap => drop(unsafe { libc::raise(libc::SIGTRAP) }),
        // SAFETY: as above.
        OnExcess::Abort => unsafe { libc::abort() },
    }
}

/// An event on its way to the trace.
struct Draft {
    record: EventRecord,
}

impl Draft {
    fn new(kind: EventKind, device: u32, address: u64, owner: u64) -> Self {
        Self {
            record: EventRecord {
                kind: kind as u8,
                device,
                address,
                owner,
                ..EventRecord::default()
            },
        }
    }

    const fn verdict(&mut self, verdict: Verdict) {
        self.record.verdict = verdict as u8;
    }

    /// The instance that the event is about, where it is not the caller's own.
    const fn root(&mut self, address: u64, owner: u64) {
        self.record.address = address;
        if owner != self.record.owner {
            self.record.extra = owner;
            self.record.flags |= layout::EVENT_HAS_ROOT;
        }
    }

    const fn untracked_unless(&mut self, noted: bool) {
        if !noted {
            self.record.flags |= layout::EVENT_UNTRACKED;
        }
    }

    const fn judged(&mut self, judged: &Judged) {
        self.verdict(judged.outcome.verdict);
        self.record.step = judged.step;
        self.record.epoch = judged.epoch;
        if judged.outcome.late {
            self.record.flags |= layout::EVENT_LATE;
        }
        self.untracked_unless(!judged.untracked);
    }

    /// Takes the clock and the stack, and records the event.
    fn finish(&mut self, world: &World, state: &mut ThreadState, _at: CallSite) {
        let recorder = &world.recorder;
        let options = options::get();
        let is_excess = self.record.kind == EventKind::Deallocate as u8
            && Verdict::from_number(self.record.verdict).is_some_and(Verdict::is_excess);
        self.record.stack = if is_excess || options.all_stacks {
            let depth = if is_excess { MAX_FRAMES } else { options.depth };
            state.stack.capture(depth);
            state.stack.intern(recorder, &mut state.pen)
        } else {
            0
        };
        let innermost = state.scope_depth.min(MAX_SCOPES).checked_sub(1);
        self.record.scope = innermost.map_or(0, |index| state.scopes[index]);
        self.record.time = sys::monotonic_ns();
        if !state.pen.event(recorder, state.thread_id, &self.record) {
            recorder.lose(1);
        }
    }
}
