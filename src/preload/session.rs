//! One stay inside the shim: an adapter's expressions are evaluated, and the event goes to `hook`.

use whofreed_hooktable::Event;
use whofreed_hooktable::flags;
use whofreed_lifecycle::Verdict;

use super::Frame;
use super::devices;
use super::engine;
use super::expression::Call;
use super::expression::Expression;
use super::memory::Bound;
use super::memory::Memory;
use super::table::Hooked;
use super::told;
use crate::hook;
use crate::hook::CallSite;
use crate::hook::Decision;
use crate::thread::Inside;

/// `WF_ADDRESS_UNKNOWN`.
pub(super) const ADDRESS_UNKNOWN: u64 = u64::MAX;

/// The kinds of the first adapter begin here, those of the next one as much further.
const KINDS_OF_ADAPTER: u32 = 1000;

/// What each owner's buffer was, for those who only know the owner.
pub(super) static OWNERS: Memory = Memory::new();

/// The number that a kind of an adapter has in the record.
pub(super) fn kind_number(adapter_place: u32, kind: u64) -> u32 {
    let kind = u32::try_from(kind)
        .unwrap_or(u32::MAX)
        .min(KINDS_OF_ADAPTER - 1);
    adapter_place
        .wrapping_add(1)
        .wrapping_mul(KINDS_OF_ADAPTER)
        .wrapping_add(kind)
}

/// Whether the real function is to be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forward {
    Yes,
    No,
}

#[derive(Debug)]
pub(super) struct Session<'stay> {
    pub(super) hooked: &'stay Hooked,
    pub(super) inside: &'stay mut Inside,
}

impl<'stay> Session<'stay> {
    pub(super) fn new(hooked: &'stay Hooked, inside: &'stay mut Inside) -> Self {
        Self { hooked, inside }
    }

    /// Before the real function is called.
    pub(super) fn before(&mut self, frame: &mut Frame) -> Forward {
        self.leave_scopes(frame);
        self.begin_layer(frame);
        let forward = self.begin(frame);
        if forward == Forward::No {
            self.end_layer(frame);
        }
        forward
    }

    fn begin(&mut self, frame: &mut Frame) -> Forward {
        match self.hooked.event {
            Some(Event::Attempt) => return self.begin_attempt(frame),
            Some(Event::Realloc) => return self.begin_realloc(frame),
            Some(Event::Scope) => return self.begin_scope(frame),
            _ => {}
        }
        if self.hooked.has(flags::REPORT_AFTER) {
            frame.ticket |= engine::REPORT;
            return Forward::Yes;
        }
        self.report(&self.call(frame, false))
    }

    /// After the real function returned.
    pub(super) fn after(&mut self, frame: &Frame) {
        if self.hooked.event == Some(Event::Realloc) {
            self.end_realloc(frame);
        } else if self.hooked.event == Some(Event::Scope) {
            self.end_scope(frame);
        } else if frame.ticket & engine::ATTEMPT != 0 {
            self.end_attempt(frame);
        } else if frame.ticket & engine::REPORT != 0 {
            self.report(&self.call(frame, true));
        }
        self.end_layer(frame);
    }

    /// After the real function was left by an exception.
    pub(super) fn left(&mut self, frame: &Frame) {
        if self.hooked.event == Some(Event::Realloc) {
            self.undo_realloc(frame);
        } else if self.hooked.event == Some(Event::Scope) {
            self.end_scope(frame);
        }
        self.end_layer(frame);
    }

    pub(super) fn call<'call>(&self, frame: &'call Frame, has_returned: bool) -> Call<'call>
    where
        'stay: 'call,
    {
        Call {
            hooked: self.hooked,
            frame,
            has_returned,
        }
    }

    fn report(&mut self, call: &Call<'_>) -> Forward {
        let expressions = &self.hooked.expressions;
        if !self.is_event(call) {
            return Forward::Yes;
        }
        match self.hooked.event {
            Some(Event::Allocate) => self.allocate(call),
            Some(Event::Deallocate | Event::Release) => return self.deallocate(call),
            Some(event @ (Event::Retain | Event::View)) => self.refer(call, event),
            Some(Event::DeviceOpen) => {
                if let Some(device) = self.device(call) {
                    devices::join(call.value_or_zero(expressions.group), device);
                }
            }
            Some(event @ (Event::DeviceReset | Event::DeviceClose)) => {
                self.release_all(call, event);
            }
            Some(
                Event::Attempt
                | Event::Realloc
                | Event::Scope
                | Event::LibraryClose
                | Event::Resolver
                | Event::SymbolLookup
                | Event::Credentials,
            )
            | None => {}
        }
        Forward::Yes
    }

    /// Whether the adapter's conditions hold.
    #[inline(never)]
    pub(super) fn is_event(&mut self, call: &Call<'_>) -> bool {
        let expressions = &self.hooked.expressions;
        self.holds(call, expressions.when) && self.holds(call, expressions.ok)
    }

    #[inline]
    fn holds(&mut self, call: &Call<'_>, condition: Expression) -> bool {
        let holds = call.holds(condition);
        if holds.is_none() {
            self.unreadable();
        }
        holds == Some(true)
    }

    pub(super) fn allocate(&mut self, call: &Call<'_>) {
        let expressions = &self.hooked.expressions;
        let (Some(address), Some(device)) = (call.value(expressions.address), self.device(call))
        else {
            return self.unreadable();
        };
        if self.is_told(call.frame, Event::Allocate, device, address) {
            return;
        }
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
        let at = site(call.frame);
        hook::allocate_inside(self.inside, device, address, size, kind, owner, at);
    }

    fn deallocate(&mut self, call: &Call<'_>) -> Forward {
        let expressions = &self.hooked.expressions;
        let owner = call.value_or_zero(expressions.owner);
        let remembered = || OWNERS.recall(owner).map(|bound| bound.device);
        let device = self.device(call).or_else(remembered);
        let (Some(address), Some(device)) = (call.value(expressions.address), device) else {
            self.unreadable();
            return Forward::Yes;
        };
        let bound = Bound {
            owner,
            address,
            device,
        };
        self.freed(call.frame, bound, true)
    }

    /// A deallocate, wherever it was seen; where the real function has run already, nothing can be blocked.
    pub(super) fn freed(&mut self, frame: &Frame, bound: Bound, can_block: bool) -> Forward {
        if self.decided(frame, bound, can_block).forward {
            Forward::Yes
        } else {
            Forward::No
        }
    }

    /// As [`Session::freed`], with the whole answer.
    pub(super) fn decided(&mut self, frame: &Frame, bound: Bound, can_block: bool) -> Decision {
        let Bound {
            owner,
            address,
            device,
        } = bound;
        if self.is_told(frame, Event::Deallocate, device, address) {
            return Decision {
                verdict: Verdict::Unknown,
                forward: true,
                kind: 0,
            };
        }
        OWNERS.retire(owner);
        self.inside
            .state()
            .preload
            .answer(frame.return_address_slot, owner);
        let at = site(frame);
        if !self.hooked.has(flags::CAN_GUARD) || !can_block {
            return hook::deallocate_told_inside(self.inside, device, address, owner, at);
        }
        hook::deallocate_inside(self.inside, device, address, owner, at)
    }

    fn refer(&mut self, call: &Call<'_>, event: Event) {
        let expressions = &self.hooked.expressions;
        let owner = call.value_or_zero(expressions.owner);
        let (Some(address), Some(device)) = (call.value(expressions.address), self.device(call))
        else {
            return self.unreadable();
        };
        if self.is_told(call.frame, event, device, address) {
            return;
        }
        let at = site(call.frame);
        if event == Event::Retain {
            hook::retain_inside(self.inside, device, address, owner, at);
        } else {
            let parent = call.value_or_zero(expressions.parent);
            hook::view_inside(self.inside, device, address, owner, parent, at);
        }
    }

    fn release_all(&mut self, call: &Call<'_>, event: Event) {
        let group = call.value_or_zero(self.hooked.expressions.group);
        let alone = if self.hooked.expressions.group.is_absent() {
            self.device(call)
        } else {
            None
        };
        for device in devices::members(group).chain(alone) {
            if self.is_told(call.frame, event, device, 0) {
                continue;
            }
            match event {
                Event::DeviceClose => hook::device_close_inside(self.inside, device),
                _ => hook::device_reset_inside(self.inside, device),
            }
        }
    }

    /// The number of the device that a call is about; a device that is seen for the first time is named.
    #[inline]
    pub(super) fn device(&mut self, call: &Call<'_>) -> Option<u32> {
        match self.hooked.only_device {
            Some(place) if told::DEVICES.is_told(place) => Some(devices::number(place)),
            _ => self.device_anew(call),
        }
    }

    #[inline(never)]
    fn device_anew(&mut self, call: &Call<'_>) -> Option<u32> {
        let mut parts = devices::Parts::default();
        let place = match self.hooked.only_device {
            Some(place) => place,
            None => self.device_by_parts(call, &mut parts)?,
        };
        if told::DEVICES.is_first(place) {
            self.name_device(call, place, &parts);
        }
        Some(devices::number(place))
    }

    fn device_by_parts(&self, call: &Call<'_>, parts: &mut devices::Parts) -> Option<usize> {
        let expressions = self.hooked.expressions.device;
        let has_parts = self.hooked.adapter.parts_count > 0;
        if has_parts && expressions[0].is_absent() {
            return None;
        }
        for (part, expression) in parts.iter_mut().zip(expressions) {
            if !expression.is_absent() {
                *part = call.value(expression)?;
            }
        }
        devices::place(self.hooked.device_seed, parts)
    }

    #[cold]
    fn name_device(&mut self, call: &Call<'_>, place: usize, parts: &devices::Parts) {
        let name = devices::name(self.hooked, parts);
        let capacity = match self.hooked.event {
            Some(Event::DeviceOpen) => call.value_or_zero(self.hooked.expressions.size),
            _ => 0,
        };
        let device = devices::number(place);
        hook::device_open_inside(self.inside, device, name.as_bytes(), capacity);
    }

    /// A call was seen, but what it is about could not be read: said once per hook, never silently.
    #[cold]
    #[inline(never)]
    pub(super) fn unreadable(&mut self) {
        if told::UNOBSERVABLE.is_first(self.hooked.number) {
            let why = b"called, but the adapter's expressions have no value";
            hook::coverage_unobservable_inside(self.inside, self.hooked.symbol(), why, b"", true);
        }
    }
}

pub(super) fn site(frame: &Frame) -> CallSite {
    CallSite {
        return_address_slot: frame.return_address_slot,
        frame_pointer: frame.frame_pointer,
    }
}
