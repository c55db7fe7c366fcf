//! Events of a whole device.

use whofreed_trace::EventKind;
use whofreed_trace::blob::blob_kind;
use whofreed_trace::layout;

use super::CallSite;
use super::Draft;
use super::MAX_NAME;
use super::entry::enter;
use super::entry::world;
use crate::thread::Inside;

/// A device came up.
pub fn device_open(device: u32, name: &[u8], capacity: u64) {
    if let Some(mut inside) = enter() {
        device_open_inside(&mut inside, device, name, capacity);
    }
}

/// See [`device_open`].
pub fn device_open_inside(inside: &mut Inside, device: u32, name: &[u8], capacity: u64) {
    let Some(world) = world() else {
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
    if let Some(mut inside) = enter() {
        end_device(&mut inside, EventKind::DeviceReset, device);
    }
}

/// See [`device_reset`].
pub fn device_reset_inside(inside: &mut Inside, device: u32) {
    end_device(inside, EventKind::DeviceReset, device);
}

/// The device went away, and everything on it.
pub fn device_close(device: u32) {
    if let Some(mut inside) = enter() {
        end_device(&mut inside, EventKind::DeviceClose, device);
    }
}

/// See [`device_close`].
pub fn device_close_inside(inside: &mut Inside, device: u32) {
    end_device(inside, EventKind::DeviceClose, device);
}

fn end_device(inside: &mut Inside, kind: EventKind, device: u32) {
    let Some(world) = world() else {
        return;
    };
    let mut event = Draft::new(kind, device, 0, 0);
    match world.ledger.reset(device) {
        Some(epoch) => event.record.epoch = epoch,
        None => event.record.flags |= layout::EVENT_UNTRACKED,
    }
    event.finish(world, inside.state(), CallSite::default());
}
