//! Hosts without a bug: nobody may be named.

use super::World;

pub(super) fn clean(world: &mut World) {
    world.go();
}

pub(super) fn with_leaks(world: &mut World) {
    world.leak(0.05);
    world.go();
}

pub(super) fn lossy(world: &mut World) {
    world.leak(0.02);
    world.host.drop = 0.001;
    world.go();
}

pub(super) fn late_start(world: &mut World) {
    for part in &mut world.traffic.parts {
        if world.host.random.chance(0.3) {
            part.life = 400;
        }
    }
    world.host.tracking = false;
    for _ in 0..500 {
        world.traffic.step(&mut world.host);
    }
    world.host.tracking = true;
    world.go();
}

/// The device is closed with buffers on it, whose holders free them afterwards, before anybody else gets the address.
pub(super) fn resets(world: &mut World) {
    let session = (world.steps / 20).max(1);
    let mut held = Vec::new();
    for step in 0..world.steps {
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.05) {
            held.push(world.host.allocate("Session::weights", 0));
        }
        if step % session == session - 1 {
            for device in 0..world.host.devices() {
                world.host.reset(device);
                world.traffic.forget(device);
            }
            for buffer in held.drain(..) {
                world.host.free("Session::~Session", buffer);
            }
        }
    }
}

/// References that nobody gives back.
pub(super) fn reference_too_seldom(world: &mut World) {
    for _ in 0..world.steps {
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.1) {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            let buffer = world.host.allocate("Image::Image", device);
            world.host.retain("Image::share", buffer);
            world.host.drop_reference("Image::~Image", buffer);
        }
    }
}

/// One part allocates by a function that is not hooked, from the same memory as all others, and is there first.
pub(super) fn unhooked(world: &mut World) {
    for step in 0..world.steps {
        if step >= 8 {
            world.traffic.step(&mut world.host);
        }
        if step < 8 || world.host.random.chance(0.1) {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            world.host.tracking = false;
            let buffer = world.host.allocate("Fast::allocate", device);
            world.host.tracking = true;
            let life = world.host.random.within(2, 30);
            world.traffic.later(life, "Fast::release", buffer);
        }
    }
}
