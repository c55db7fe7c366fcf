//! Caches, pools and queues that keep what they no longer own.

use std::collections::VecDeque;

use crate::host::Buffer;
use crate::traffic::When;

use super::World;

/// The cache is not told when an operator frees its buffer, and frees it again when the entry goes.
pub(super) fn not_cleared(world: &mut World) {
    let mut entries: VecDeque<Buffer> = VecDeque::new();
    for _ in 0..world.steps {
        let born = world.traffic.step(&mut world.host);
        if born.part < 4 && born.life.is_some() && world.host.random.chance(world.rate) {
            entries.push_back(born.buffer);
        }
        if entries.len() > 64 {
            let oldest = entries.pop_front().expect("there are some");
            world.host.free("Cache::evict", oldest);
        }
    }
}

/// The cache owns its buffers, and clears itself once too often.
pub(super) fn cleared_twice(world: &mut World) {
    let mut entries: Vec<Buffer> = Vec::new();
    for step in 0..world.steps {
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.2) {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            entries.push(world.host.allocate("Cache::insert", device));
        }
        if step % 100 == 99 {
            for &entry in &entries {
                world.host.free("Cache::clear", entry);
            }
            if !world.host.random.chance(world.rate) {
                entries.clear();
            }
        }
    }
}

/// Entries go long after their address has another holder.
pub(super) fn evicted_late(world: &mut World) {
    for part in 0..4 {
        world.plant_in(part, "Cache::evict", world.rate, When::Stale(world.reach));
    }
    world.go();
}

/// Now and then everything goes at once that the cache should have forgotten.
pub(super) fn flush(world: &mut World) {
    let mut entries: Vec<(u64, Buffer)> = Vec::new();
    for step in 0..world.steps {
        let born = world.traffic.step(&mut world.host);
        if born.part.is_multiple_of(3)
            && let Some(life) = born.life
            && world.host.random.chance(world.rate)
        {
            entries.push((step + life, born.buffer));
        }
        if step % 200 == 199 {
            entries.retain(|&(ends, buffer)| {
                if ends < step {
                    world.host.free("Cache::flush", buffer);
                }
                ends >= step
            });
        }
    }
}

/// Programs keep buffers of a device that was closed and opened again.
pub(super) fn outlives_device(world: &mut World) {
    let mut programs: Vec<Buffer> = Vec::new();
    let session = (world.steps / 10).max(1);
    for step in 0..world.steps {
        if step % session == session - 1 {
            for device in 0..world.host.devices() {
                world.host.reset(device);
                world.traffic.forget(device);
            }
        }
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.1) {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            programs.push(world.host.allocate("Program::compile", device));
        }
        if step % session == session / 2 {
            for program in programs.drain(..) {
                world.host.free("ProgramCache::clear", program);
            }
        }
    }
}

/// A buffer is given back to the pool twice; the pool frees its idle buffers from time to time.
pub(super) fn pool_returns_twice(world: &mut World) {
    let mut idle: Vec<Buffer> = Vec::new();
    let mut lent: VecDeque<Buffer> = VecDeque::new();
    for step in 0..world.steps {
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.3) {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            lent.push_back(world.host.allocate("BufferPool::take", device));
        }
        if lent.len() > 8 {
            let back = lent.pop_front().expect("there are some");
            idle.push(back);
            if world.host.random.chance(world.rate / 2.0) {
                idle.push(back);
            }
        }
        if step % 25 == 24 {
            for buffer in idle.drain(..) {
                world.host.free("BufferPool::trim", buffer);
            }
        }
    }
}

/// Everything is freed in bulk, then the queue of deferred frees is worked off.
pub(super) fn async_queue_after_bulk(world: &mut World) {
    let mut queue: VecDeque<(u64, Buffer)> = VecDeque::new();
    let mut held: Vec<Buffer> = Vec::new();
    for step in 0..world.steps {
        world.traffic.step(&mut world.host);
        if world.host.random.chance(0.4) {
            let device = world.host.random.below(u64::from(world.host.devices())) as u32;
            held.push(world.host.allocate("Stream::stage", device));
        }
        if step % 20 == 19 {
            for buffer in std::mem::take(&mut held) {
                if world.host.random.chance(0.5) {
                    world.host.free("Stream::synchronize", buffer);
                    if world.host.random.chance(world.rate) {
                        queue.push_back((step + world.host.random.within(1, 30), buffer));
                    }
                } else {
                    queue.push_back((step + world.host.random.within(1, 30), buffer));
                }
            }
        }
        while queue.front().is_some_and(|&(at, _)| at <= step) {
            let (_, buffer) = queue.pop_front().expect("there is one");
            world.host.free("FreeQueue::drain", buffer);
        }
    }
}
