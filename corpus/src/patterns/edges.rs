//! Two ends of one buffer, and addresses that are not what they seem.

use crate::host::Buffer;
use crate::traffic::When;

use super::World;

/// An explicit free, and the destructor does not know.
pub(super) fn explicit_then_destructor(world: &mut World) {
    world.traffic.parts[1].life = 40;
    world.plant_in(1, "X", world.rate, When::Early);
    world.go();
}

/// The handler of an exception cleans up; the destructors that run next do too.
pub(super) fn exception_cleanup(world: &mut World) {
    for part in [1, 4] {
        world.traffic.parts[part].life = 40;
        world.plant_in(part, "Loader::rollback", world.rate / 2.0, When::Early);
    }
    world.go();
}

/// Two threads that both believe to be the last.
pub(super) fn across_threads(world: &mut World) {
    world.traffic.parts[1].frees = vec!["Worker::finish".to_owned(), "Owner::finish".to_owned()];
    world.plant_in(1, "Worker::finish", world.rate / 2.0, When::Within(1));
    world.go();
}

/// The right address on the wrong device.
pub(super) fn wrong_device(world: &mut World) {
    if world.host.devices() < 2 {
        return super::stale::stale(world);
    }
    world.go_with(1, world.rate, |world, buffer, life| {
        let other = Buffer {
            device: 1 - buffer.device,
            ..buffer
        };
        let after = world.host.random.below(life + 1);
        world
            .traffic
            .again(after, "Copy::finish", other, When::Within(0));
    });
}

/// Frees inside of buffers: of addresses that were handed out before with another size.
pub(super) fn interior(world: &mut World) {
    for _ in 0..world.steps {
        let born = world.traffic.step(&mut world.host);
        if born.part < 3
            && let Some(life) = born.life
            && world.host.random.chance(world.rate)
        {
            let inside = Buffer {
                address: born.buffer.address + 256,
                ..born.buffer
            };
            world
                .traffic
                .again(life, "Slice::release", inside, When::Within(0));
        }
    }
}

/// The pool refuses a block from anybody but its owner.
pub(super) fn checked_pool(world: &mut World) {
    world.host.pool_checks = true;
    super::stale::stale(world);
}

/// The log of [`explicit_then_destructor`], but whoever frees first never held the buffer.
pub(super) fn premature(world: &mut World) {
    world.traffic.parts[1].life = 40;
    world.plant_in(1, "X", world.rate, When::Premature);
    world.go();
}

/// The log of [`exception_cleanup`], but the handler never held the buffers.
pub(super) fn premature_cleanup(world: &mut World) {
    for part in [1, 4] {
        world.traffic.parts[part].life = 40;
        world.plant_in(part, "Loader::rollback", world.rate / 2.0, When::Premature);
    }
    world.go();
}
