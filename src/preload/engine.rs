//! What happens when a hooked function is called: its adapter's expressions are evaluated, and the event goes to
//! `hook`.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use whofreed_hooktable::Event;
use whofreed_hooktable::Table;
use whofreed_hooktable::flags;

use super::Frame;
use super::attempts::Attempt;
use super::devices;
use super::expression::Call;
use super::memory::Bound;
use super::memory::Memory;
use super::originals;
use super::originals::Original;
use super::table::Hooked;
use crate::hook;
use crate::hook::CallSite;
use crate::linkmap;
use crate::thread;
use crate::thread::Inside;

/// `WF_ADDRESS_UNKNOWN`.
const ADDRESS_UNKNOWN: u64 = u64::MAX;

/// The kinds of the first adapter begin here, those of the next one as much further.
const KINDS_OF_ADAPTER: u32 = 1000;

/// `leave` has to report the event.
const REPORT: u64 = 1;
/// `leave` has to see what came of the attempt.
const ATTEMPT: u64 = 2;

/// What each owner's buffer was, for those who only know the owner.
static OWNERS: Memory = Memory::new();
/// What each handle stood for at its last attempt, for handles that are dead.
static HANDLES: Memory = Memory::new();
static ANNOUNCED: AtomicBool = AtomicBool::new(false);

/// Called by a thunk before the real function: returns its address, or 0 when `frame.result` is to be returned
/// instead of calling it.
///
/// # Safety
/// `frame` is a thunk's, for the stub with this number.
pub unsafe extern "C" fn enter(number: u32, frame: *mut Frame) -> usize {
    // SAFETY: the thunk made the frame on its own stack, for us alone.
    let frame = unsafe { &mut *frame };
    let number = number as usize;
    let Some(hooked) = Hooked::find(number) else {
        return 0;
    };
    frame.stack_words = u64::from(hooked.hook.stack_words);
    let original = match originals::original(number, &hooked) {
        Original::Known(address) => address,
        Original::Found(address) => {
            tell_bound(&hooked, address);
            address
        }
        Original::Missing => {
            // A probe by a weak reference found our stub, and calls it: the host must not die of it.
            if originals::first_report(number) {
                hook::coverage_unobservable(
                    hooked.symbol(),
                    b"called, but no loaded library defines it",
                );
            }
            frame.result = hooked.hook.guard_value();
            return 0;
        }
    };
    let Some(mut session) = Session::begin(&hooked) else {
        return original;
    };
    match session.before(frame) {
        Forward::Yes => original,
        Forward::No => {
            frame.result = hooked.hook.guard_value();
            0
        }
    }
}

/// Called by the calling thunk after the real function returned.
///
/// # Safety
/// `frame` is a thunk's, for the stub with this number, and [`enter`] has returned an address for it.
pub unsafe extern "C" fn leave(number: u32, frame: *mut Frame) {
    // SAFETY: the thunk made the frame on its own stack, for us alone.
    let frame = unsafe { &mut *frame };
    if frame.ticket == 0 {
        return;
    }
    let Some(hooked) = Hooked::find(number as usize) else {
        return;
    };
    let Some(mut session) = Session::begin(&hooked) else {
        return;
    };
    if frame.ticket == ATTEMPT {
        session.end_attempt(frame);
    } else {
        session.report(&Call {
            hooked: &hooked,
            frame,
            has_returned: true,
        });
    }
}

fn tell_bound(hooked: &Hooked, address: usize) {
    let library = linkmap::object_of(address);
    let name = library
        .as_ref()
        .map_or(&b""[..], |library| library.name().to_bytes());
    hook::coverage_bound(
        hooked.table.text(hooked.adapter.name),
        hooked.symbol(),
        name,
    );
}

/// Says once which adapters are in force.
fn announce(table: &Table<'_>) {
    for place in 0..table.adapter_count() {
        let Some(adapter) = table.adapter(place) else {
            continue;
        };
        hook::adapter_in_force(table.text(adapter.name));
        if adapter.flags & flags::UNIQUE_OWNERS == 0 {
            hook::owners_are_pointers(true);
        }
        for kind in 0..adapter.kinds_count {
            let name = table.listed((adapter.kinds_first + kind) as usize);
            let adapter_place = u32::try_from(place).unwrap_or(0);
            hook::name_kind(
                kind_number(adapter_place, u64::from(kind)),
                name.unwrap_or_default(),
            );
        }
    }
}

fn kind_number(adapter_place: u32, kind: u64) -> u32 {
    let kind = u32::try_from(kind)
        .unwrap_or(u32::MAX)
        .min(KINDS_OF_ADAPTER - 1);
    adapter_place
        .wrapping_add(1)
        .wrapping_mul(KINDS_OF_ADAPTER)
        .wrapping_add(kind)
}

/// Whether the real function is to be called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forward {
    Yes,
    No,
}

/// One stay inside the shim.
struct Session<'hooked> {
    hooked: &'hooked Hooked,
    /// None only after a failed way back in, which ends the session.
    inside: Option<Inside>,
}

impl<'hooked> Session<'hooked> {
    /// None when this thread is inside already: what the shim's own getters cause are no events.
    fn begin(hooked: &'hooked Hooked) -> Option<Self> {
        let mut session = Self {
            hooked,
            inside: Some(thread::enter()?),
        };
        if !ANNOUNCED.load(Ordering::Relaxed) && !ANNOUNCED.swap(true, Ordering::Relaxed) {
            session.outside(|| announce(&hooked.table));
        }
        Some(session)
    }

    /// Runs what goes inside by itself.
    fn outside(&mut self, action: impl FnOnce()) {
        self.inside = None;
        action();
        self.inside = thread::enter();
    }

    fn before(&mut self, frame: &mut Frame) -> Forward {
        if self.hooked.hook.event == Event::Attempt as u32 {
            return self.begin_attempt(frame);
        }
        if self.hooked.has(flags::CALL_THROUGH) {
            frame.ticket = REPORT;
            return Forward::Yes;
        }
        self.report(&Call {
            hooked: self.hooked,
            frame,
            has_returned: false,
        })
    }

    fn report(&mut self, call: &Call<'_>) -> Forward {
        let expressions = &self.hooked.hook;
        if !call.holds(expressions.when) || !call.holds(expressions.ok) {
            return Forward::Yes;
        }
        match Event::from_number(expressions.event) {
            Some(Event::Allocate) => self.allocate(call),
            Some(Event::Deallocate) => return self.deallocate(call),
            Some(event @ (Event::Retain | Event::View)) => self.refer(call, event),
            Some(Event::DeviceOpen) => {
                if let Some(device) = self.device(call) {
                    devices::join(call.value_or_zero(expressions.group), device);
                }
            }
            Some(event @ (Event::DeviceReset | Event::DeviceClose)) => {
                self.release_all(call, event)
            }
            Some(Event::Attempt) | None => {}
        }
        Forward::Yes
    }

    fn allocate(&mut self, call: &Call<'_>) {
        let expressions = &self.hooked.hook;
        let (Some(address), Some(device)) = (call.value(expressions.address), self.device(call))
        else {
            return self.unreadable(call);
        };
        let owner = call.value_or_zero(expressions.owner);
        let size = call.value_or_zero(expressions.size);
        let kind = kind_number(
            self.hooked.adapter_place,
            call.value_or_zero(expressions.kind),
        );
        devices::join(call.value_or_zero(expressions.group), device);
        OWNERS.remember(
            owner,
            Bound {
                owner,
                address,
                device,
            },
        );
        if let Some(inside) = &mut self.inside {
            hook::allocate_inside(inside, device, address, size, kind, owner, site(call.frame));
        }
    }

    fn deallocate(&mut self, call: &Call<'_>) -> Forward {
        let expressions = &self.hooked.hook;
        let owner = call.value_or_zero(expressions.owner);
        let device = self
            .device(call)
            .or_else(|| OWNERS.recall(owner).map(|bound| bound.device));
        let (Some(address), Some(device)) = (call.value(expressions.address), device) else {
            self.unreadable(call);
            return Forward::Yes;
        };
        self.freed(
            call.frame,
            Bound {
                owner,
                address,
                device,
            },
        )
    }

    /// A deallocate, wherever it was seen.
    fn freed(&mut self, frame: &Frame, bound: Bound) -> Forward {
        OWNERS.retire(bound.owner);
        let Some(inside) = &mut self.inside else {
            return Forward::Yes;
        };
        inside
            .state()
            .preload
            .answer(frame.return_address_slot, bound.owner);
        let decision = hook::deallocate_inside(
            inside,
            bound.device,
            bound.address,
            bound.owner,
            site(frame),
        );
        if decision.forward || !self.hooked.has(flags::CAN_GUARD) {
            Forward::Yes
        } else {
            Forward::No
        }
    }

    fn refer(&mut self, call: &Call<'_>, event: Event) {
        let expressions = &self.hooked.hook;
        let owner = call.value_or_zero(expressions.owner);
        let (Some(address), Some(device)) = (call.value(expressions.address), self.device(call))
        else {
            return self.unreadable(call);
        };
        let Some(inside) = &mut self.inside else {
            return;
        };
        if event == Event::Retain {
            hook::retain_inside(inside, device, address, owner, site(call.frame));
        } else {
            let parent = call.value_or_zero(expressions.parent);
            hook::view_inside(inside, device, address, owner, parent, site(call.frame));
        }
    }

    fn release_all(&mut self, call: &Call<'_>, event: Event) {
        let released = |device| match event {
            Event::DeviceClose => hook::device_close(device),
            _ => hook::device_reset(device),
        };
        let group = call.value_or_zero(self.hooked.hook.group);
        let device = if self.hooked.hook.group == 0 {
            self.device(call)
        } else {
            None
        };
        self.outside(|| {
            devices::members(group).for_each(released);
            device.into_iter().for_each(released);
        });
    }

    fn begin_attempt(&mut self, frame: &mut Frame) -> Forward {
        let expressions = &self.hooked.hook;
        let call = Call {
            hooked: self.hooked,
            frame,
            has_returned: false,
        };
        if !call.holds(expressions.when) {
            return Forward::Yes;
        }
        let (Some(handle), Some(live)) =
            (call.value(expressions.handle), call.value(expressions.live))
        else {
            self.unreadable(&call);
            return Forward::Yes;
        };
        if live == 0 {
            // Nothing of the buffer can be read any more; what the handle stood for is remembered.
            let bound = HANDLES.recall(handle).or_else(|| {
                let device = self.device(&call).unwrap_or(0);
                Some(Bound {
                    owner: 0,
                    address: ADDRESS_UNKNOWN,
                    device,
                })
            });
            return bound.map_or(Forward::Yes, |bound| self.freed(frame, dead(bound)));
        }
        let owner = call.value_or_zero(expressions.owner);
        let remembered = OWNERS.recall(owner);
        let device = match remembered {
            Some(bound) => Some(bound.device),
            None => self.device(&call),
        };
        let address = match call.value(expressions.address) {
            Some(address) => Some(address),
            None => remembered.map(|bound| bound.address),
        };
        let (Some(device), Some(address)) = (device, address) else {
            // A buffer from before we were there: its deallocate will tell, but nothing is known of the handle.
            return Forward::Yes;
        };
        HANDLES.remember(
            handle,
            Bound {
                owner,
                address,
                device,
            },
        );
        let slot = frame.return_address_slot;
        let attempt = Attempt {
            slot,
            owner,
            address,
            device,
            answered: false,
        };
        let begun = self
            .inside
            .as_mut()
            .is_some_and(|inside| inside.state().preload.push(attempt));
        if begun {
            frame.ticket = ATTEMPT;
        }
        Forward::Yes
    }

    /// What came of an attempt on a live handle: a nested deallocate was it; else the handle may have died all the
    /// same (of a closed device, say), or the host declined.
    fn end_attempt(&mut self, frame: &mut Frame) {
        let slot = frame.return_address_slot;
        let Some(inside) = &mut self.inside else {
            return;
        };
        let Some(attempt) = inside
            .state()
            .preload
            .pop(slot)
            .filter(|attempt| !attempt.answered)
        else {
            return;
        };
        let Attempt {
            owner,
            address,
            device,
            ..
        } = attempt;
        let call = Call {
            hooked: self.hooked,
            frame,
            has_returned: true,
        };
        match call.value(self.hooked.hook.live) {
            Some(0) => {
                self.freed(
                    frame,
                    dead(Bound {
                        owner,
                        address,
                        device,
                    }),
                );
            }
            Some(_) => {
                inside.state().preload.answer(slot, owner);
                hook::declined_inside(inside, device, address, owner, site(frame));
            }
            None => self.unreadable(&call),
        }
    }

    /// The number of the device that a call is about; a device that is seen for the first time is named.
    fn device(&mut self, call: &Call<'_>) -> Option<u32> {
        let expressions = self.hooked.hook.device();
        let has_parts = self.hooked.adapter.parts_count > 0;
        if has_parts && expressions[0] == 0 {
            return None;
        }
        let mut parts = devices::Parts::default();
        for (part, expression) in parts.iter_mut().zip(expressions) {
            if expression != 0 {
                *part = call.value(expression)?;
            }
        }
        let (device, is_new) = devices::number(self.hooked, &parts)?;
        if is_new {
            let name = devices::name(self.hooked, &parts);
            let is_opened = self.hooked.hook.event == Event::DeviceOpen as u32;
            let capacity = if is_opened {
                call.value_or_zero(self.hooked.hook.size)
            } else {
                0
            };
            self.outside(|| hook::device_open(device, name.as_bytes(), capacity));
        }
        Some(device)
    }

    /// A call was seen, but what it is about could not be read: said once per hook, never silently.
    fn unreadable(&mut self, call: &Call<'_>) {
        let symbol = call.hooked.symbol();
        if originals::first_report(call.hooked.number) {
            self.outside(|| {
                hook::coverage_unobservable(
                    symbol,
                    b"called, but the adapter's expressions have no value",
                );
            });
        }
    }
}

/// How a handle that no longer tells its address is freed: by its owner, where there is one.
fn dead(bound: Bound) -> Bound {
    let address = if bound.owner == 0 {
        bound.address
    } else {
        ADDRESS_UNKNOWN
    };
    Bound { address, ..bound }
}

fn site(frame: &Frame) -> CallSite {
    CallSite {
        return_address_slot: frame.return_address_slot,
        frame_pointer: frame.frame_pointer,
    }
}
