//! The short way between a thunk and `hook`: for calls of which all is known but their values.
//!
//! Most calls of most hosts allocate or free one buffer of nobody's, on the only device that there is, and everything
//! that the trace has to be told of their hook was told long ago. They take the same steps as any other in `session`
//! and `engine`, without asking whether the others are needed. Whatever is out of the ordinary goes the long way.

use whofreed_hooktable::Event;
use whofreed_hooktable::Hook;
use whofreed_hooktable::flags;

use super::Frame;
use super::devices;
use super::engine;
use super::expression::Call;
use super::expression::Expression;
use super::expression::Expressions;
use super::expression::Operand;
use super::originals;
use super::session::Forward;
use super::session::Session;
use super::session::kind_number;
use super::session::site;
use super::table::Called;
use super::table::Hooked;
use super::told;
use crate::hook;
use crate::thread;

/// What is the same in all calls of such a hook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain {
    what: What,
    /// The place of the device, and its number.
    place: usize,
    device: u32,
    kind: u32,
    condition: Condition,
}

/// When a call is an event: when bits of an operand are a constant, or are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Condition {
    operand: Operand,
    mask: u64,
    constant: u64,
    is: bool,
}

impl Condition {
    /// No bits are 0.
    const ALWAYS: Self = Self {
        operand: Operand::Argument(0),
        mask: 0,
        constant: 0,
        is: true,
    };

    fn of(expression: Expression) -> Option<Self> {
        let (operand, half, constant, is) = match expression {
            Expression::Absent => return Some(Self::ALWAYS),
            Expression::Is {
                operand,
                half,
                constant,
            } => (operand, half, constant, true),
            Expression::IsNot {
                operand,
                half,
                constant,
            } => (operand, half, constant, false),
            _ => return None,
        };
        Some(Self {
            operand,
            mask: if half { u64::from(u32::MAX) } else { u64::MAX },
            constant: u64::from(constant),
            is,
        })
    }

    /// As [`Session::is_event`]; None where that has to say so.
    #[inline]
    fn holds(&self, call: &Call<'_>) -> Option<bool> {
        let value = call.operand(self.operand)?;
        Some((value & self.mask == self.constant) == self.is)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Reported when the real function has returned.
    Allocate,
    /// Reported before.
    Deallocate,
}

impl Plain {
    /// Of a hook on the device at this place, if it is such a hook.
    pub(super) fn of(
        event: Option<Event>,
        hook: &Hook,
        expressions: &Expressions,
        place: usize,
    ) -> Option<Self> {
        let is_after = hook.flags & flags::REPORT_AFTER != 0;
        let what = match event? {
            Event::Allocate if is_after => What::Allocate,
            Event::Deallocate | Event::Release if !is_after => What::Deallocate,
            _ => return None,
        };
        let kind = match expressions.kind {
            Expression::Absent => 0,
            Expression::Constant(kind) => u64::from(kind),
            _ => return None,
        };
        let condition = match (expressions.when, expressions.ok) {
            (Expression::Absent, condition) | (condition, Expression::Absent) => condition,
            _ => return None,
        };
        let condition = Condition::of(condition)?;
        let is_of_nobody = expressions.owner.is_absent() && expressions.group.is_absent();
        // Builds are told apart, and words of the stack are copied, on the long way.
        let is_short = is_of_nobody && hook.build_id == 0 && hook.stack_words == 0;
        is_short.then(|| Self {
            what,
            place,
            device: devices::number(place),
            kind: kind_number(hook.adapter, kind),
            condition,
        })
    }

    /// Whether the trace knows all that its events refer to.
    #[inline]
    fn is_told(&self, number: usize) -> bool {
        told::ALL.is_told(number) || self.is_told_now(number)
    }

    #[cold]
    #[inline(never)]
    fn is_told_now(&self, number: usize) -> bool {
        let is_told = told::BOUND.is_told(number) && told::DEVICES.is_told(self.place);
        if is_told {
            told::ALL.is_first(number);
        }
        is_told
    }
}

/// Before the real function is called: its address, or 0 when `frame.result` is to be returned instead. None where the
/// call is to go the long way; then nothing has happened.
#[inline]
pub(super) fn before(called: Called<'_>, frame: &mut Frame) -> Option<usize> {
    let hooked = called.hooked;
    let plain = hooked.plain.as_ref()?;
    let original = originals::known(called)?;
    if !plain.is_told(hooked.number) {
        return None;
    }
    match plain.what {
        What::Allocate => begin_allocate(hooked, frame).map(|()| original),
        What::Deallocate => deallocate(hooked, plain, frame, original),
    }
}

/// After the real function returned; false where the call is to go the long way.
#[inline]
pub(super) fn after(hooked: &Hooked, frame: &Frame) -> bool {
    let Some(plain) = &hooked.plain else {
        return false;
    };
    match plain.what {
        What::Allocate => allocate(hooked, plain, frame),
        What::Deallocate => end_deallocate(hooked, frame),
    }
    .is_some()
}

#[inline]
fn begin_allocate(hooked: &Hooked, frame: &mut Frame) -> Option<()> {
    let (layer, slot) = (hooked.hook.layer, frame.return_address_slot);
    thread::briefly(slot, |state| {
        let preload = &mut state.preload;
        if layer != 0 {
            preload.layers.begin(layer, slot);
        }
        // Scopes that were left come to their end on the long way, which begins the call anew.
        preload.is_plain().then_some(())
    })?;
    let of_layer = if layer == 0 { 0 } else { engine::LAYER };
    frame.ticket = engine::REPORT | of_layer;
    Some(())
}

#[inline]
fn allocate(hooked: &Hooked, plain: &Plain, frame: &Frame) -> Option<()> {
    if frame.ticket & engine::REPORT == 0 {
        return None;
    }
    let inside = &mut thread::try_enter(frame.return_address_slot).ok()?;
    let mut session = Session::new(hooked, inside);
    let call = session.call(frame, true);
    if session.is_plain_event(plain, &call) {
        session.allocate_plain(plain, &call);
    }
    session.end_layer(frame);
    Some(())
}

#[inline]
fn deallocate(hooked: &Hooked, plain: &Plain, frame: &mut Frame, original: usize) -> Option<usize> {
    let inside = &mut thread::try_enter(frame.return_address_slot).ok()?;
    if !inside.state().preload.is_plain() {
        return None;
    }
    let mut session = Session::new(hooked, inside);
    session.begin_layer(frame);
    let call = session.call(frame, false);
    let is_event = session.is_plain_event(plain, &call);
    if is_event && session.deallocate_plain(plain, &call) == Forward::No {
        session.end_layer(frame);
        frame.result = hooked.hook.guard_value();
        return Some(0);
    }
    Some(original)
}

/// All that is left is the end of the layer's call.
#[inline]
fn end_deallocate(hooked: &Hooked, frame: &Frame) -> Option<()> {
    if frame.ticket != engine::LAYER {
        return None;
    }
    let (layer, slot) = (hooked.hook.layer, frame.return_address_slot);
    thread::briefly(slot, |state| {
        state.preload.layers.end(layer, slot);
        Some(())
    })
}

impl Session<'_> {
    #[inline]
    fn is_plain_event(&mut self, plain: &Plain, call: &Call<'_>) -> bool {
        match plain.condition.holds(call) {
            Some(holds) => holds,
            None => self.is_event(call),
        }
    }

    #[inline]
    fn allocate_plain(&mut self, plain: &Plain, call: &Call<'_>) {
        let expressions = &self.hooked.expressions;
        let Some(address) = call.value(expressions.address) else {
            return self.unreadable();
        };
        let device = plain.device;
        if self.is_told(call.frame, Event::Allocate, device, address) {
            return;
        }
        let size = call.value_or_zero(expressions.size);
        let at = site(call.frame);
        hook::allocate_inside(self.inside, device, address, size, plain.kind, 0, at);
    }

    #[inline]
    fn deallocate_plain(&mut self, plain: &Plain, call: &Call<'_>) -> Forward {
        let Some(address) = call.value(self.hooked.expressions.address) else {
            self.unreadable();
            return Forward::Yes;
        };
        let device = plain.device;
        if self.is_told(call.frame, Event::Deallocate, device, address) {
            return Forward::Yes;
        }
        let at = site(call.frame);
        let can_guard = self.hooked.has(flags::CAN_GUARD);
        let forward = if can_guard {
            hook::deallocate_inside(self.inside, device, address, 0, at).forward
        } else {
            hook::deallocate_told_inside(self.inside, device, address, 0, at).forward
        };
        if forward { Forward::Yes } else { Forward::No }
    }
}
