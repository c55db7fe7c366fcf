//! The event that it is all about: a deallocate is judged, recorded, and forwarded or held back.

use whofreed_lifecycle as lifecycle;
use whofreed_lifecycle::Verdict;
use whofreed_trace::EventKind;
use whofreed_trace::layout;

use super::CallSite;
use super::draft::Draft;
use super::entry::enter_for_event;
use super::entry::world_for_event;
use super::excess;
use super::resolve;
use crate::abi::WF_ADDRESS_UNKNOWN;
use crate::ledger::Instance;
use crate::options;
use crate::process;
use crate::tally;
use crate::thread::Inside;
use crate::thread::count;

/// The answer to a deallocate.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the real function is to be called.
    pub forward: bool,
    /// What the host calls the buffer.
    pub kind: u32,
}

/// A buffer is about to be freed, or somebody tries to.
pub fn deallocate(device: u32, address: u64, owner: u64, at: CallSite) -> Decision {
    let unjudged = Decision {
        verdict: Verdict::Unknown,
        forward: true,
        kind: 0,
    };
    enter_for_event(device, address).map_or(unjudged, |mut inside| {
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
    judge_deallocate(inside, device, address, owner, at, options::get().guard)
}

/// As [`deallocate_inside`], where the host only tells of the free and nobody can keep it from happening.
pub fn deallocate_told_inside(
    inside: &mut Inside,
    device: u32,
    address: u64,
    owner: u64,
    at: CallSite,
) -> Decision {
    judge_deallocate(inside, device, address, owner, at, false)
}

/// Whether the guard would hold back a deallocate that happened now. For those who can stop it only before they know
/// whether it happens at all.
pub fn guard_holds_inside(inside: &mut Inside, device: u32, address: u64, owner: u64) -> bool {
    if !options::get().guard || process::is_blind() {
        return false;
    }
    let Some(world) = process::existing_world() else {
        return false;
    };
    let scratch = &mut inside.state().scratch;
    match resolve(world, scratch, device, address, owner) {
        None => false,
        Some(Instance { address, owner }) => {
            let occurrence = lifecycle::Event::Deallocate { owner };
            world
                .ledger
                .judge(scratch, device, address, occurrence)
                .is_excess()
        }
    }
}

fn judge_deallocate(
    inside: &mut Inside,
    device: u32,
    address: u64,
    owner: u64,
    at: CallSite,
    is_guarded: bool,
) -> Decision {
    let Some(world) = world_for_event(device, address) else {
        return Decision {
            verdict: Verdict::Unknown,
            forward: true,
            kind: 0,
        };
    };
    let counters = inside.counters();
    count(&counters.deallocations);
    let mut event = Draft::new(EventKind::Deallocate, device, address, owner);
    let is_unknown = address == WF_ADDRESS_UNKNOWN;
    if is_unknown {
        event.record.flags |= layout::EVENT_ADDRESS_UNKNOWN;
    }
    event.capture_ahead(world, inside.state(), at);
    let scratch = &mut inside.state().scratch;
    let verdict = match resolve(world, scratch, device, address, owner) {
        None if owner == 0 => {
            count(&counters.invalid);
            Verdict::Invalid
        }
        None => {
            count(&counters.unknown);
            Verdict::Unknown
        }
        Some(Instance {
            address,
            owner: root,
        }) => {
            event.root(address, root);
            let occurrence = lifecycle::Event::Deallocate { owner: root };
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
    let forward = !(is_guarded && verdict.is_excess()) || process::is_blind();
    if !forward {
        count(&counters.blocked);
        event.record.flags |= layout::EVENT_BLOCKED;
    }
    event.finish(world, inside.state(), at);
    if verdict.is_excess() {
        if !world.recorder.is_muted {
            tally::count();
        }
        excess::react(inside, world, &event.record, options.on_excess);
    }
    Decision {
        verdict,
        forward,
        kind: event.record.label,
    }
}
