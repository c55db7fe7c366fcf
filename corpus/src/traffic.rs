//! The innocent part of a host: parts of a program that allocate buffers, keep them for a while and free them, and
//! bugs that free them again.

use std::collections::BTreeMap;

use crate::host::Buffer;
use crate::host::Host;

/// When a planted bug frees again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Up to so many steps after the buffer's end.
    Within(u64),
    /// As soon as the address lives under another owner.
    Stale(u64),
    /// Before the end, so that the owner's own free is the surplus one.
    Early,
    /// The same by an object that never held the buffer.
    Premature,
    /// Right before the free of whoever holds the address by then.
    BeforeVictim,
}

/// A bug: how often, where, when.
#[derive(Clone, Debug)]
pub(crate) struct Bug {
    pub(crate) rate: f64,
    pub(crate) site: String,
    pub(crate) when: When,
}

/// A part of the program.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) alloc: String,
    pub(crate) frees: Vec<String>,
    pub(crate) sizes: Vec<u64>,
    pub(crate) life: u64,
    pub(crate) leak: f64,
    pub(crate) bugs: Vec<Bug>,
}

/// A free that is to come.
#[derive(Clone, Debug)]
struct Pending {
    buffer: Buffer,
    site: String,
    when: When,
    is_bug: bool,
    tries: u32,
}

/// A buffer that has just been allocated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Born {
    pub(crate) part: usize,
    pub(crate) buffer: Buffer,
    /// How many steps it lives; `None` when nobody will free it.
    pub(crate) life: Option<u64>,
}

/// All parts together.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) parts: Vec<Part>,
    pub(crate) step: u64,
    pending: BTreeMap<(u64, u64), Pending>,
    serial: u64,
    /// Who holds an address.
    current: BTreeMap<(u32, u64), u64>,
    /// Surplus frees that wait for the next holder's own.
    ambush: BTreeMap<(u32, u64), Vec<Pending>>,
}

impl Traffic {
    /// Eight parts with five free sites and a shared one.
    pub(crate) fn ordinary(host: &mut Host) -> Self {
        let part = |index: u64| {
            let mut frees = vec![format!("F{}", index % 5)];
            if host.random.chance(0.5) {
                frees.extend([format!("F{}", index % 5), "G".to_owned()]);
            }
            let sizes = host.random.within(1, 3);
            Part {
                alloc: format!("A{index}"),
                frees,
                sizes: (0..sizes)
                    .map(|_| 256 * host.random.within(1, 16))
                    .collect(),
                life: host.random.within(5, 60),
                leak: 0.0,
                bugs: Vec::new(),
            }
        };
        Self {
            parts: (0..8).map(part).collect(),
            step: 0,
            pending: BTreeMap::new(),
            serial: 0,
            current: BTreeMap::new(),
            ambush: BTreeMap::new(),
        }
    }

    /// One buffer more, and every free that is due.
    pub(crate) fn step(&mut self, host: &mut Host) -> Born {
        let part = host.random.below(self.parts.len() as u64) as usize;
        let device = host.random.below(u64::from(host.devices())) as u32;
        self.step_as(host, part, device)
    }

    /// The same for one part on one device.
    pub(crate) fn step_as(&mut self, host: &mut Host, part: usize, device: u32) -> Born {
        let spec = self.parts[part].clone();
        let size = host.random.pick(&spec.sizes);
        let buffer = host.allocate_sized(&spec.alloc, device, size);
        self.current.insert((device, buffer.address), buffer.owner);
        let life = host.random.within(2, spec.life.max(2));
        let leaks = host.random.chance(spec.leak);
        if !leaks {
            let site = host.random.pick(&spec.frees);
            self.later(life, &site, buffer);
        }
        for bug in &spec.bugs {
            if host.random.chance(bug.rate) {
                let after = match bug.when {
                    When::Within(most) | When::Stale(most) => life + host.random.within(0, most),
                    When::Early | When::Premature => life - 1,
                    When::BeforeVictim => life,
                };
                let held = match bug.when {
                    When::Premature => host.alias(buffer),
                    _ => buffer,
                };
                self.again(after, &bug.site, held, bug.when);
            }
        }
        self.free_due(host);
        self.step += 1;
        Born {
            part,
            buffer,
            life: (!leaks).then_some(life),
        }
    }

    /// The rightful free, after so many steps.
    pub(crate) fn later(&mut self, after: u64, site: &str, buffer: Buffer) {
        self.plan(after, site, buffer, When::Within(0), false);
    }

    /// A free that a bug makes, after so many steps at the earliest.
    pub(crate) fn again(&mut self, after: u64, site: &str, buffer: Buffer, when: When) {
        self.plan(after, site, buffer, when, true);
    }

    fn plan(&mut self, after: u64, site: &str, buffer: Buffer, when: When, is_bug: bool) {
        self.serial += 1;
        let pending = Pending {
            buffer,
            site: site.to_owned(),
            when,
            is_bug,
            tries: 0,
        };
        self.pending
            .insert((self.step + after, self.serial), pending);
    }

    /// Forgets what was to come on a device, whose memory is gone.
    pub(crate) fn forget(&mut self, device: u32) {
        self.pending.retain(|_, next| next.buffer.device != device);
        self.ambush.retain(|place, _| place.0 != device);
    }

    fn free_due(&mut self, host: &mut Host) {
        while let Some(entry) = self.pending.first_entry() {
            if entry.key().0 > self.step {
                break;
            }
            let mut next = entry.remove();
            let place = (next.buffer.device, next.buffer.address);
            let holder = self.current.get(&place).copied();
            if next.is_bug && matches!(next.when, When::Stale(_)) {
                let is_others = host.is_live(place.0, place.1) && holder != Some(next.buffer.owner);
                if !is_others {
                    next.tries += 1;
                    if next.tries < 500 {
                        self.serial += 1;
                        self.pending.insert((self.step + 1, self.serial), next);
                    }
                    continue;
                }
            }
            if next.is_bug && next.when == When::BeforeVictim {
                self.ambush.entry(place).or_default().push(next);
                continue;
            }
            if !next.is_bug
                && holder == Some(next.buffer.owner)
                && let Some(first) = self
                    .ambush
                    .remove(&place)
                    .and_then(|all| all.into_iter().next())
            {
                host.free(&first.site, first.buffer);
            }
            host.free(&next.site, next.buffer);
        }
    }
}
