//! Several objects that hold one buffer.

use crate::traffic::When;

use super::World;

/// Eight more objects at each address of one part, of which each frees, one after the other.
pub(super) fn alias_objects(world: &mut World) {
    world.go_with(1, 0.3, |world, buffer, life| {
        for _ in 0..8 {
            let alias = world.host.alias(buffer);
            let after = life + world.host.random.within(0, 50);
            world
                .traffic
                .again(after, "Shard::~Shard", alias, When::Within(0));
        }
    });
}

/// The same, all at once.
pub(super) fn alias_at_once(world: &mut World) {
    world.go_with(1, 0.3, |world, buffer, life| {
        for _ in 0..8 {
            let alias = world.host.alias(buffer);
            world
                .traffic
                .again(life, "Shard::~Shard", alias, When::Within(0));
        }
    });
}

/// The root is freed, then the view.
pub(super) fn view_after_root(world: &mut World) {
    world.go_with(3, world.rate, |world, buffer, life| {
        let view = world.host.view("Tensor::reshape", buffer);
        world
            .traffic
            .again(life, "View::release", view, When::Within(0));
    });
}

/// The view frees what the root holds; the root's own free comes later.
pub(super) fn root_under_view(world: &mut World) {
    world.go_with(3, world.rate, |world, buffer, life| {
        let view = world.host.view("Tensor::reshape", buffer);
        let before = life - 1;
        world
            .traffic
            .again(before, "View::release", view, When::Within(0));
    });
}

pub(super) fn view_of_view(world: &mut World) {
    world.go_with(3, world.rate, |world, buffer, life| {
        let view = world.host.view("Tensor::reshape", buffer);
        let inner = world.host.view("Tensor::squeeze", view);
        world
            .traffic
            .again(life, "View::release", inner, When::Within(0));
    });
}

/// Two control blocks for one pointer: the same destructor, once for each.
pub(super) fn shared_twice(world: &mut World) {
    let site = "Handle::~Handle";
    world.traffic.parts[1].frees = vec![site.to_owned()];
    world.go_with(1, world.rate, |world, buffer, life| {
        let after = life + world.host.random.within(0, world.reach);
        world.traffic.again(after, site, buffer, When::Within(0));
    });
}

/// The object that was moved from still believes to hold the buffer.
pub(super) fn armed_after_move(world: &mut World) {
    for part in 0..4 {
        let site = format!("Handle::~Handle < consumer{part}*");
        world.traffic.parts[part].frees = vec![site];
    }
    for _ in 0..world.steps {
        let born = world.traffic.step(&mut world.host);
        if born.part < 4 && born.life.is_some() && world.host.random.chance(world.rate) {
            let life = born.life.unwrap_or(0) + world.host.random.within(0, world.reach);
            let site = "Handle::~Handle < Builder::finish*";
            world
                .traffic
                .again(life, site, born.buffer, When::Within(0));
        }
    }
}

/// A handle with references, of which one is given back once too often.
pub(super) fn reference_too_often(world: &mut World) {
    for _ in 0..world.steps {
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.1) {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            let buffer = world.host.allocate("Image::Image", device);
            let references = world.host.random.within(1, 3);
            for _ in 0..references {
                world.host.retain("Image::share", buffer);
            }
            for _ in 0..references {
                world.host.drop_reference("Image::unshare", buffer);
            }
            world.host.free("Image::~Image", buffer);
            if world.host.random.chance(world.rate) {
                let after = world.host.random.within(0, world.reach);
                world
                    .traffic
                    .again(after, "Decoder::abort", buffer, When::Within(0));
            }
        }
    }
}

/// A buffer that grows moves; somebody keeps the old place.
pub(super) fn realloc_moved(world: &mut World) {
    for _ in 0..world.steps {
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.1) {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            let old = world.host.allocate_sized("Vector::reserve", device, 512);
            let new = world.host.allocate_sized("Vector::grow", device, 1024);
            world.host.free("Vector::grow", old);
            let life = world.host.random.within(5, 40);
            world.traffic.later(life, "Vector::~Vector", new);
            if world.host.random.chance(world.rate) {
                let after = world.host.random.within(1, world.reach);
                world
                    .traffic
                    .again(after, "Iterator::~Iterator", old, When::Within(0));
            }
        }
    }
}
