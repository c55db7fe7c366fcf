//! Functions through which the guilty and the innocent free alike.

use crate::traffic::When;

use super::World;

/// Half of all frees through one function; its caller is what differs.
pub(super) fn behind_helper(world: &mut World) {
    for culprit in 0..world.culprits {
        let site = format!("release < C{culprit}*");
        world.plant(&site, world.rate, When::Within(world.reach));
    }
    for site in world
        .traffic
        .parts
        .iter_mut()
        .flat_map(|part| &mut part.frees)
        .step_by(2)
    {
        *site = format!("release < {site}*");
    }
    world.go();
}

pub(super) fn helper_everywhere(world: &mut World) {
    world.plant(
        "release < finish < C0*",
        world.rate,
        When::Within(world.reach),
    );
    for site in world
        .traffic
        .parts
        .iter_mut()
        .flat_map(|part| &mut part.frees)
    {
        *site = format!("release < finish < {site}*");
    }
    world.go();
}

/// One culprit, called from many places.
pub(super) fn many_outer(world: &mut World) {
    for culprit in 0..world.culprits {
        for outer in 0..4 {
            let site = format!("C{culprit} < outer{outer}");
            let part = world.host.random.below(8) as usize;
            world.plant_in(part, &site, world.rate / 3.0, When::Within(world.reach));
        }
    }
    world.go();
}

/// The same leaf for all of one part's frees and for the culprit; only the outermost caller differs.
pub(super) fn same_leaf(world: &mut World) {
    for part in 0..3 {
        let site = format!("Tensor::~Tensor < clear < Layer{part}::forward*");
        world.traffic.parts[part].frees = vec![site];
    }
    for part in 0..3 {
        world.plant_in(
            part,
            "Tensor::~Tensor < clear < Hook::remove*",
            world.rate,
            When::Within(world.reach),
        );
    }
    world.go();
}

/// A tree that frees its nodes, at any depth.
pub(super) fn recursion(world: &mut World) {
    for depth in 1..5 {
        let mut site = "Node::destroy".to_owned();
        for _ in 1..depth {
            site.push_str(" < Node::destroy");
        }
        world.plant(&site, world.rate / 3.0, When::Within(world.reach));
    }
    world.go();
}

/// One release function for five parts, wrong for one of them.
pub(super) fn mixed_release(world: &mut World) {
    for part in &mut world.traffic.parts[..5] {
        part.frees = vec!["R".to_owned()];
    }
    world.plant_in(2, "R", world.rate, When::Within(60));
    world.go();
}

/// A site that is right for its own buffers, and frees those of another part again.
pub(super) fn right_for_others(world: &mut World) {
    world.traffic.parts[6].frees = vec!["Scheduler::reap".to_owned()];
    for part in [0, 3] {
        world.plant_in(
            part,
            "Scheduler::reap",
            world.rate,
            When::Within(world.reach),
        );
    }
    world.go();
}

/// The very line that frees does it twice in a row.
pub(super) fn same_site_twice(world: &mut World) {
    let site = world.traffic.parts[1].frees[0].clone();
    world.traffic.parts[1].frees.truncate(1);
    world.plant_in(1, &site, world.rate, When::Within(0));
    world.go();
}
