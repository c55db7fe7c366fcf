//! What is wrong when things come to their end.

use crate::host::Buffer;

use super::World;

/// Sessions in which every part of a program holds some buffers when it is torn down.
fn sessions(world: &mut World, mut tear_down: impl FnMut(&mut World, &[Buffer])) {
    let session = 200;
    let mut held: Vec<Buffer> = Vec::new();
    for step in 0..world.steps {
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.2) {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            held.push(world.host.allocate("Session::weights", device));
        }
        if step % session == session - 1 {
            tear_down(world, &std::mem::take(&mut held));
        }
    }
}

/// The mesh frees what its devices free as well.
pub(super) fn two_level(world: &mut World) {
    sessions(world, |world, held| {
        held.iter()
            .for_each(|&buffer| world.host.free("Device::close", buffer));
        held.iter()
            .for_each(|&buffer| world.host.free("Mesh::close", buffer));
    });
}

pub(super) fn twice(world: &mut World) {
    let rate = world.rate;
    sessions(world, |world, held| {
        held.iter()
            .for_each(|&buffer| world.host.free("Session::close", buffer));
        if world.host.random.chance(rate.max(0.3)) {
            held.iter()
                .for_each(|&buffer| world.host.free("Session::close", buffer));
        }
    });
}

/// Once, at the end: what a static object remembers, freed long ago by its users.
pub(super) fn static_destructors(world: &mut World) {
    let mut remembered: Vec<Buffer> = Vec::new();
    for _ in 0..world.steps {
        let born = world.traffic.step(&mut world.host);
        if born.part == 2 && born.life.is_some() && world.host.random.chance(0.2) {
            remembered.push(born.buffer);
        }
    }
    for buffer in remembered {
        world
            .host
            .free("Registry::~Registry < __run_exit_handlers", buffer);
    }
}

/// A child frees what it inherited, twice.
pub(super) fn forked_child(world: &mut World) {
    let mut held: Vec<Buffer> = Vec::new();
    for step in 0..world.steps {
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.05) && held.len() < 60 {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            held.push(world.host.allocate("Dataset::load", device));
        }
        if step == world.steps / 2 {
            let mut child = world.host.fork();
            for &buffer in &held {
                child.free("Dataset::unload", buffer);
            }
            for &buffer in &held {
                child.free("Worker::exit", buffer);
            }
            world.host.children.push(child);
        }
    }
    for buffer in held {
        world.host.free("Dataset::unload", buffer);
    }
}
