//! Frees that come too late, at any time after the buffer's end.

use crate::traffic::Part;
use crate::traffic::When;

use super::World;

pub(super) fn stale(world: &mut World) {
    for culprit in 0..world.culprits {
        world.plant(
            &format!("C{culprit}"),
            world.rate,
            When::Within(world.reach),
        );
    }
    world.go();
}

/// Only ever while the address belongs to somebody else: no excess is ever seen at the culprit.
pub(super) fn live_only(world: &mut World) {
    for culprit in 0..world.culprits {
        world.plant(
            &format!("C{culprit}"),
            world.rate / 2.0,
            When::Stale(world.reach),
        );
    }
    world.go();
}

pub(super) fn before_victim(world: &mut World) {
    for culprit in 0..world.culprits {
        world.plant(&format!("C{culprit}"), world.rate / 2.0, When::BeforeVictim);
    }
    world.go();
}

/// One in 10,000 under one in three.
pub(super) fn rare_under_frequent(world: &mut World) {
    world.steps *= 2;
    for part in 0..3 {
        world.plant_in(part, "C0", 0.3, When::Within(100));
    }
    // About a dozen, whatever the size of the run.
    let rate = 12.0 * 8.0 / world.steps as f64;
    world.plant_in(4, "C1", rate, When::Within(100));
    world.go();
}

/// Each strikes buffers that nobody would have freed, of the other's kind, and makes up for it.
pub(super) fn two_masking(world: &mut World) {
    let rate = world.rate.min(0.3);
    for (part, culprit) in [(0, "C0"), (1, "C1")] {
        world.plant_in(part, culprit, rate / 2.0, When::Stale(60));
        world.plant_in(part, culprit, rate / 2.0, When::Within(60));
        world.traffic.parts[1 - part].leak = rate / 2.0;
    }
    world.go();
}

pub(super) fn with_leaks(world: &mut World) {
    world.leak(0.03);
    stale(world);
}

/// One event of a thousand is lost.
pub(super) fn lossy(world: &mut World) {
    world.host.drop = 0.001;
    stale(world);
}

/// The recorder starts late, when buffers with long lives are there already.
pub(super) fn late_start(world: &mut World) {
    for part in &mut world.traffic.parts {
        if world.host.random.chance(0.3) {
            part.life = 400;
        }
    }
    for culprit in 0..world.culprits {
        world.plant(
            &format!("C{culprit}"),
            world.rate,
            When::Within(world.reach),
        );
    }
    world.host.tracking = false;
    for _ in 0..500 {
        world.traffic.step(&mut world.host);
    }
    world.host.tracking = true;
    world.go();
}

/// The culprit works on a thread of its own.
pub(super) fn one_thread(world: &mut World) {
    world.host.threads = 4;
    let mut stale = Vec::new();
    for step in 0..world.steps {
        let born = world.traffic.step(&mut world.host);
        if let Some(life) = born.life
            && born.part < 3
            && world.host.random.chance(world.rate)
        {
            let delay = world.host.random.below(world.reach);
            stale.push((step + life + delay, born.buffer));
        }
        world.host.only_thread = Some(200);
        stale.retain(|&(at, buffer)| {
            if at <= step {
                world.host.free("Janitor::sweep", buffer);
            }
            at > step
        });
        world.host.only_thread = None;
    }
}

/// Only one of ten tests is wrong.
pub(super) fn one_scope(world: &mut World) {
    for part in 0..8 {
        world.plant_in(part, "C0", 0.0, When::Within(world.reach));
    }
    for step in 0..world.steps {
        let test = step * 10 / world.steps;
        world.host.scope = test as u32 + 1;
        let rate = if test == 6 { 0.5 } else { 0.0 };
        world
            .traffic
            .parts
            .iter_mut()
            .flat_map(|part| &mut part.bugs)
            .for_each(|bug| bug.rate = rate);
        world.traffic.step(&mut world.host);
    }
}

/// Hundreds of stacks, a few of them frequent.
pub(super) fn many_stacks(world: &mut World) {
    let random = &mut world.host.random;
    let mut parts: Vec<Part> = Vec::new();
    for part in 0..40_u64 {
        // Frequent parts come several times.
        for _ in 0..=(12 / (part + 1)) {
            let variant = random.below(3);
            parts.push(Part {
                alloc: format!("A{part} < caller{variant}"),
                frees: (0..4)
                    .map(|outer| format!("F{} < outer{}", part * 2 / 3, outer))
                    .collect(),
                sizes: vec![256, 512, 1024],
                life: 40,
                leak: 0.0,
                bugs: Vec::new(),
            });
        }
    }
    world.traffic.parts = parts;
    for culprit in 0..world.culprits {
        for outer in 0..world.host.random.within(1, 4) {
            world.plant(
                &format!("C{culprit} < outer{outer}"),
                0.15,
                When::Within(world.reach),
            );
        }
    }
    world.go();
}

/// Two culprits free again what the same part frees.
pub(super) fn same_victims(world: &mut World) {
    let rate = world.rate.min(0.3);
    for culprit in ["C0", "C1"] {
        for part in [2, 5] {
            world.plant_in(part, culprit, rate, When::Within(world.reach));
        }
    }
    world.go();
}

/// Whether the culprit takes the buffer, or its holder frees it twice, shows nowhere.
pub(super) fn one_victim(world: &mut World) {
    world.traffic.parts.truncate(1);
    world.traffic.parts[0].frees.truncate(1);
    world.plant_in(0, "C0", 0.1, When::Stale(60));
    world.go();
}
