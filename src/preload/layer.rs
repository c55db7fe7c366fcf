//! The calls that a thread is in the middle of, by layer: where a runtime stands upon its driver, and both are hooked,
//! one call of the host is two, and they are one event.
//!
//! They are about the same buffer, and the first that knows which buffer it is makes the event. Whatever else a runtime
//! takes and gives back on its own account within a call are events of their own.

use whofreed_hooktable::Event;

use super::Frame;
use super::engine;
use super::session::ADDRESS_UNKNOWN;
use super::session::Session;
use crate::stack;

/// How many calls of different layers, or on different stacks, are followed at once.
const MAX_CALLS: usize = 8;
/// How many events of one call are remembered.
const MAX_TOLD: usize = 8;
/// Stacks grow downwards: a call is nested in another one when it lies below it, within this distance.
const STACK_REACH: usize = 64 << 20;

/// An event within a call: what it was, and about which buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    event: u32,
    device: u32,
    address: u64,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Running {
    /// Where its return address lies: its identity while it lasts.
    slot: usize,
    layer: u32,
    count: usize,
    told: [Told; MAX_TOLD],
}

/// The outermost calls that are under way.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Layers {
    count: usize,
    calls: [Running; MAX_CALLS],
}

impl Running {
    const NONE: Self = Self {
        slot: 0,
        layer: 0,
        told: [Told {
            event: 0,
            device: 0,
            address: 0,
        }; MAX_TOLD],
        count: 0,
    };

    /// Whether it is the call of a layer whose return address lies at `slot`.
    #[inline]
    const fn is(&self, layer: u32, slot: usize) -> bool {
        self.slot == slot && self.layer == layer
    }

    /// Notes an event; false when it was there before.
    fn is_new(&mut self, event: Told) -> bool {
        let known = &mut self.told[..self.count.min(MAX_TOLD)];
        if known.contains(&event) {
            return false;
        }
        // What was given back may be taken again, and the other way round.
        let is_same =
            |told: &&mut Told| (told.device, told.address) == (event.device, event.address);
        if let Some(other) = known.iter_mut().find(is_same) {
            *other = event;
        } else {
            self.told[self.count % MAX_TOLD] = event;
            self.count += 1;
        }
        true
    }
}

impl Layers {
    /// No call is under way.
    #[cfg(test)]
    pub(super) const NONE: Self = Self {
        calls: [Running::NONE; MAX_CALLS],
        count: 0,
    };

    pub(super) const fn forget_all(&mut self) {
        self.count = 0;
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.count == 0
    }

    /// The call of a layer that one whose return address lies at `slot` is nested in, or is itself.
    fn around(&mut self, layer: u32, slot: usize) -> Option<&mut Running> {
        let running = self.calls.iter_mut().take(self.count).rev();
        let mut around = running.filter(|call| call.slot.wrapping_sub(slot) <= STACK_REACH);
        around.find(|call| call.layer == layer)
    }

    /// Begins a call; one that is nested in another of its layer is a part of that.
    #[inline]
    pub(super) fn begin(&mut self, layer: u32, slot: usize) {
        if self.count == 0 {
            self.push(layer, slot);
        } else {
            self.begin_beside(layer, slot);
        }
    }

    /// Begins a call, where others are under way or were left.
    #[inline(never)]
    fn begin_beside(&mut self, layer: u32, slot: usize) {
        // Frames that do not lie above this one are gone: they were left by a longjmp.
        self.forget(|call| slot.wrapping_sub(call.slot) <= STACK_REACH);
        if self.around(layer, slot).is_some() {
            return;
        }
        if self.count == MAX_CALLS {
            // The oldest is most likely on a stack that is no more.
            self.calls.rotate_left(1);
            self.count -= 1;
        }
        self.push(layer, slot);
    }

    #[inline]
    fn push(&mut self, layer: u32, slot: usize) {
        // What was told of another call before is not looked at.
        let call = &mut self.calls[self.count];
        call.slot = slot;
        call.layer = layer;
        call.count = 0;
        self.count += 1;
    }

    /// Whether this is the only call, and nothing was told of it yet.
    #[inline]
    const fn is_first_of_only(&self, layer: u32, slot: usize) -> bool {
        self.count == 1 && self.calls[0].is(layer, slot) && self.calls[0].count == 0
    }

    /// Ends a call.
    #[inline]
    pub(super) fn end(&mut self, layer: u32, slot: usize) {
        if self.count == 1 && self.calls[0].is(layer, slot) {
            self.count = 0;
        } else {
            self.end_beside(layer, slot);
        }
    }

    #[inline(never)]
    fn end_beside(&mut self, layer: u32, slot: usize) {
        self.forget(|call| call.is(layer, slot));
    }

    fn forget(&mut self, is_gone: impl Fn(&Running) -> bool) {
        let mut kept = 0;
        for place in 0..self.count {
            if !is_gone(&self.calls[place]) {
                self.calls[kept] = self.calls[place];
                kept += 1;
            }
        }
        self.count = kept;
    }
}

impl Session<'_> {
    /// The call begins; [`Session::end_layer`] has to follow.
    pub(super) fn begin_layer(&mut self, frame: &mut Frame) {
        let layer = self.hooked.hook.layer;
        if layer != 0 {
            let layers = &mut self.inside.state().preload.layers;
            layers.begin(layer, frame.return_address_slot);
            frame.ticket |= engine::LAYER;
        }
    }

    /// The call is over, in whatever way.
    pub(super) fn end_layer(&mut self, frame: &Frame) {
        if frame.ticket & engine::LAYER != 0 {
            let layers = &mut self.inside.state().preload.layers;
            layers.end(self.hooked.hook.layer, frame.return_address_slot);
        }
    }

    /// Whether another hook of the layer has told of this event already, within the same call of the host.
    #[inline]
    pub(super) fn is_told(
        &mut self,
        frame: &Frame,
        event: Event,
        device: u32,
        address: u64,
    ) -> bool {
        let layer = self.hooked.hook.layer;
        if layer == 0 || address == ADDRESS_UNKNOWN {
            return false;
        }
        let event = event as u32;
        let slot = frame.return_address_slot;
        let layers = &mut self.inside.state().preload.layers;
        if layers.is_first_of_only(layer, slot) {
            let call = &mut layers.calls[0];
            call.told[0].event = event;
            call.told[0].device = device;
            call.told[0].address = address;
            call.count = 1;
            return false;
        }
        Self::is_told_beside(layers, layer, slot, event, device, address)
    }

    #[inline(never)]
    fn is_told_beside(
        layers: &mut Layers,
        layer: u32,
        slot: usize,
        event: u32,
        device: u32,
        address: u64,
    ) -> bool {
        let event = Told {
            event,
            device,
            address,
        };
        let Some(call) = layers.around(layer, slot) else {
            return false;
        };
        if call.is_new(event) {
            return false;
        }
        if call.slot == slot || stack::is_running(call.slot) {
            return true;
        }
        // The call around this one was left by a longjmp: this one is the outermost.
        *call = Running {
            slot,
            layer,
            ..Running::NONE
        };
        !call.is_new(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(event: u32, address: u64) -> Told {
        Told {
            event,
            device: 0,
            address,
        }
    }

    #[test]
    fn nested_calls_of_a_layer_share_what_was_told() {
        let mut layers = Layers::NONE;
        layers.begin(1, 1000);
        layers.begin(1, 900);
        assert_eq!(layers.count, 1, "it is nested");
        layers.begin(2, 800);
        let outer = layers.around(1, 900).expect("the outer one");
        assert!(outer.is_new(told(1, 7)));
        assert!(!outer.is_new(told(1, 7)));
        assert!(outer.is_new(told(1, 8)), "another buffer");
        assert!(outer.is_new(told(2, 7)), "given back");
        assert!(outer.is_new(told(1, 7)), "and taken again");
        assert_eq!(layers.around(1, 1000).map(|call| call.slot), Some(1000));
        layers.end(2, 800);
        layers.end(1, 1000);
        assert!(layers.is_idle());
    }

    #[test]
    fn a_call_left_by_longjmp_is_forgotten() {
        let mut layers = Layers::NONE;
        layers.begin(1, 1000);
        // The same frame again, and one above it.
        layers.begin(1, 1000);
        layers.begin(1, 2000);
        assert_eq!(layers.count, 1);
    }

    #[test]
    fn a_call_on_another_stack_is_not_around() {
        let mut layers = Layers::NONE;
        let far = 10 * STACK_REACH;
        layers.begin(1, far);
        layers.begin(1, 1000);
        assert_eq!(layers.around(1, 900).map(|call| call.slot), Some(1000));
        layers.end(1, 1000);
        assert_eq!(layers.around(1, far - 8).map(|call| call.slot), Some(far));
        // Many stacks that never come back do not keep new calls from being followed.
        for stack in 20..40 {
            layers.begin(1, stack * 2 * STACK_REACH);
        }
        assert_eq!(layers.count, MAX_CALLS);
    }
}
