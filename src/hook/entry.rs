//! The first stop of an event: the guard against re-entrancy, and the process's world. Who is refused is counted.

use crate::abi::WF_ADDRESS_UNKNOWN;
use crate::process;
use crate::process::World;
use crate::thread;
use crate::thread::Inside;
use crate::thread::Refused;

/// Goes inside for an event at an address of a device; one that cannot be had is counted.
pub(super) fn enter_for_event(device: u32, address: u64) -> Option<Inside> {
    enter_or(|| lose(device, address))
}

/// Goes inside for a hook, which has to look at the host's objects before it knows what the event is.
/// `slot` is where the return address of the call lies.
#[inline]
pub fn enter_for_hook(slot: usize) -> Option<Inside> {
    enter_for_hook_of(slot, || false)
}

/// As [`enter_for_hook`], at the beginning of a call; `is_hosts` tells it from one of our own while ledger and trace
/// are being made.
#[inline]
pub fn enter_for_hook_of(slot: usize, is_hosts: impl FnOnce() -> bool) -> Option<Inside> {
    match thread::try_enter(slot) {
        Ok(inside) => Some(inside),
        Err(why) => {
            refused(why, is_hosts);
            None
        }
    }
}

#[cold]
#[inline(never)]
fn refused(why: Refused, is_hosts: impl FnOnce() -> bool) {
    let is_lost = match why {
        Refused::Silent | Refused::Asking => false,
        Refused::SettingUp => is_hosts(),
        Refused::Interrupted | Refused::NoMemory => true,
    };
    if is_lost {
        process::lose_blindly();
    }
    if why == Refused::NoMemory {
        process::tell_no_memory();
    }
}

/// Goes inside for what concerns no address; what cannot be had is counted.
pub(super) fn enter() -> Option<Inside> {
    enter_or(|| process::lose_unjudged(None))
}

fn enter_or(lose: impl FnOnce()) -> Option<Inside> {
    match thread::try_enter(0) {
        Ok(inside) => Some(inside),
        Err(Refused::Silent) => None,
        Err(why) => {
            lose();
            if why == Refused::NoMemory {
                process::tell_no_memory();
            }
            None
        }
    }
}

/// An event is lost before it is judged.
fn lose(device: u32, address: u64) {
    let is_known = address != WF_ADDRESS_UNKNOWN;
    process::lose_unjudged(is_known.then_some((device, address)));
}

/// The world for an event at an address of a device; one that cannot be had is counted.
pub(super) fn world_for_event(device: u32, address: u64) -> Option<&'static World> {
    let world = process::world();
    if world.is_none() {
        lose(device, address);
    }
    world
}

/// The world for what concerns no address.
pub(super) fn world() -> Option<&'static World> {
    let world = process::world();
    if world.is_none() {
        process::lose_unjudged(None);
    }
    world
}
