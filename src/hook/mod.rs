//! One event, stop by stop: re-entrancy guard, ledger, clock, stack, record.
//!
//! These functions are what the C ABI and the hooks of adapters call. Each comes twice: once for callers from
//! outside, and once, with `_inside`, for those that have entered already because they had to look at the host's
//! objects first.
//!
//! **Architecture Invariant:** on the way of an event there is no lock that another thread can hold, no allocation
//! from the host's heap, no symbol lookup, and no system call but in the chunk that a thread makes when the
//! writer has none ready.

mod deallocation;
mod devices;
mod draft;
mod entry;
mod excess;
mod listener;
mod names;
mod totals;

use whofreed_lifecycle as lifecycle;
use whofreed_lifecycle::Verdict;
use whofreed_trace::EventKind;

use self::draft::Draft;
use self::entry::enter_for_event;
use self::entry::world_for_event;
use crate::abi::WF_ADDRESS_UNKNOWN;
use crate::ledger::Instance;
use crate::ledger::Scratch;
use crate::process::World;
use crate::thread::Inside;
use crate::thread::count;

pub use self::deallocation::*;
pub use self::devices::*;
pub use self::entry::enter_for_hook;
pub use self::entry::enter_for_hook_of;
pub use self::excess::on_excess;
pub use self::excess::set_stop;
pub use self::names::*;
pub use self::totals::*;

/// The longest name of a device, a kind or a scope, in bytes.
const MAX_NAME: usize = 4096;

/// Where the host called from. A fast unwinder starts here; zeros where it is not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallSite {
    /// Where the caller's return address lies.
    pub return_address_slot: usize,
    /// The caller's frame pointer register.
    pub frame_pointer: usize,
}

/// An event that names no address: recorded, and answered so.
fn refuse(inside: &mut Inside, world: &World, mut event: Draft, at: CallSite) -> Verdict {
    count(&inside.counters().invalid);
    event.verdict(Verdict::Invalid);
    event.finish(world, inside.state(), at);
    Verdict::Invalid
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
    enter_for_event(device, address).map_or(Verdict::Ok, |mut inside| {
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
    let Some(world) = world_for_event(device, address) else {
        return Verdict::Ok;
    };
    let counters = inside.counters();
    let mut event = Draft::new(EventKind::Allocate, device, address, owner);
    event.record.extra = size;
    event.record.label = kind;
    if address == WF_ADDRESS_UNKNOWN {
        return refuse(inside, world, event, at);
    }
    let state = inside.state();
    event.capture_ahead(world, state, at);
    let occurrence = lifecycle::Event::Allocate { owner };
    let judged = world
        .ledger
        .apply(&mut state.scratch, device, address, Some(kind), occurrence);
    if owner != 0 {
        event.untracked_unless(
            world
                .ledger
                .hold(&mut state.scratch, device, address, owner),
        );
    }
    count(&counters.allocations);
    event.judged(&judged);
    event.finish(world, state, at);
    Verdict::Ok
}

/// Which instance a call is about, if it tells.
fn resolve(
    world: &World,
    scratch: &mut Scratch,
    device: u32,
    address: u64,
    owner: u64,
) -> Option<Instance> {
    let is_unknown = address == WF_ADDRESS_UNKNOWN;
    if owner == 0 {
        (!is_unknown).then_some(Instance { address, owner })
    } else if is_unknown {
        world.ledger.last_held(scratch, device, owner)
    } else {
        let owner = world.ledger.root(scratch, device, address, owner);
        Some(Instance { address, owner })
    }
}

/// A reference to a live buffer was added.
pub fn retain(device: u32, address: u64, owner: u64, at: CallSite) -> Verdict {
    enter_for_event(device, address).map_or(Verdict::Ok, |mut inside| {
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
    let Some(world) = world_for_event(device, address) else {
        return Verdict::Ok;
    };
    let counters = inside.counters();
    let mut event = Draft::new(EventKind::Retain, device, address, owner);
    let state = inside.state();
    if address == WF_ADDRESS_UNKNOWN {
        return refuse(inside, world, event, at);
    }
    let scratch = &mut state.scratch;
    let root = world.ledger.root(scratch, device, address, owner);
    event.root(address, root);
    let occurrence = lifecycle::Event::Retain { owner: root };
    let judged = world
        .ledger
        .apply(scratch, device, address, None, occurrence);
    event.judged(&judged);
    event.record.label = judged.label;
    let verdict = judged.outcome.verdict;
    if verdict == Verdict::Ok {
        count(&counters.retains);
        if owner != 0 && owner == root {
            event.untracked_unless(world.ledger.hold(scratch, device, address, owner));
        }
    }
    event.finish(world, state, at);
    verdict
}

/// An object begins to share the buffer of `parent_owner`.
pub fn view(device: u32, address: u64, owner: u64, parent_owner: u64, at: CallSite) -> Verdict {
    enter_for_event(device, address).map_or(Verdict::Ok, |mut inside| {
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
    let Some(world) = world_for_event(device, address) else {
        return Verdict::Ok;
    };
    let mut event = Draft::new(EventKind::View, device, address, owner);
    let state = inside.state();
    if address == WF_ADDRESS_UNKNOWN {
        return refuse(inside, world, event, at);
    }
    // The root of a view of a view is the first one's; a parent without a view here is its own.
    let scratch = &mut state.scratch;
    let root = world.ledger.root(scratch, device, address, parent_owner);
    event.root(address, root);
    let occurrence = lifecycle::Event::View { root };
    let judged = world
        .ledger
        .apply(scratch, device, address, None, occurrence);
    event.judged(&judged);
    event.record.label = judged.label;
    let verdict = judged.outcome.verdict;
    if verdict == Verdict::Ok && owner != 0 {
        let instance = Instance {
            address,
            owner: root,
        };
        event.untracked_unless(world.ledger.share(scratch, device, instance, owner));
    }
    event.finish(world, state, at);
    verdict
}

/// An attempt on a live handle that the host did not carry out.
pub fn declined(device: u32, address: u64, owner: u64, at: CallSite) {
    if let Some(mut inside) = enter_for_event(device, address) {
        declined_inside(&mut inside, device, address, owner, at);
    }
}

/// See [`declined`].
pub fn declined_inside(inside: &mut Inside, device: u32, address: u64, owner: u64, at: CallSite) {
    let Some(world) = world_for_event(device, address) else {
        return;
    };
    count(&inside.counters().declined);
    let mut event = Draft::new(EventKind::Declined, device, address, owner);
    event.finish(world, inside.state(), at);
}
