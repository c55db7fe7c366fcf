//! The kinds of hosts that the blame is measured on.

use std::collections::BTreeMap;

use super::Buffer;
use super::Host;
use super::Owners;
use super::Reuse;

/// When a planted bug frees again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Up to so many steps after the buffer's end.
    Within(u64),
    /// As soon as the address lives under another owner.
    Stale(u64),
    /// Before the end, so that the owner's own free is the surplus one.
    Early,
}

/// A part of the program.
#[derive(Clone, Debug)]
struct Part {
    alloc: String,
    frees: Vec<String>,
    life: u64,
    leak: f64,
    bugs: Vec<(f64, String, When)>,
}

/// A pending free.
#[derive(Clone, Debug)]
struct Pending {
    buffer: Buffer,
    site: String,
    must_be_live: bool,
    tries: u32,
}

fn run(host: &mut Host, parts: &[Part], steps: u64, devices: u64) {
    let mut pending: BTreeMap<(u64, u64), Pending> = BTreeMap::new();
    let mut serial = 0;
    let mut current: BTreeMap<(u32, u64), u64> = BTreeMap::new();
    for step in 0..steps {
        let part = host.random.pick(parts);
        let device = host.random.below(devices) as u32;
        let buffer = host.allocate(&part.alloc, device);
        current.insert((device, buffer.address), buffer.owner);
        let life = host.random.within(2, part.life);
        let mut plan = |at: u64, pend: Pending| {
            serial += 1;
            pending.insert((at, serial), pend);
        };
        if !host.random.chance(part.leak) {
            let site = host.random.pick(&part.frees);
            plan(
                step + life,
                Pending {
                    buffer,
                    site,
                    must_be_live: false,
                    tries: 0,
                },
            );
        }
        for (rate, site, when) in &part.bugs {
            if host.random.chance(*rate) {
                let (at, must_be_live) = match *when {
                    When::Within(most) => (life + host.random.within(0, most), false),
                    When::Stale(most) => (life + host.random.within(0, most), true),
                    When::Early => (life - 1, false),
                };
                let site = site.clone();
                plan(
                    step + at,
                    Pending {
                        buffer,
                        site,
                        must_be_live,
                        tries: 0,
                    },
                );
            }
        }
        while let Some(entry) = pending.first_entry() {
            if entry.key().0 > step {
                break;
            }
            let mut next = entry.remove();
            let place = (next.buffer.device, next.buffer.address);
            let holder = current.get(&place).copied();
            if next.must_be_live
                && (!host.is_live(place.0, place.1) || holder == Some(next.buffer.owner))
            {
                next.tries += 1;
                if next.tries < 500 {
                    serial += 1;
                    pending.insert((step + 1, serial), next);
                }
                continue;
            }
            host.free(&next.site, next.buffer);
        }
    }
}

/// Eight parts with five free sites and a shared one.
fn ordinary_parts(host: &mut Host) -> Vec<Part> {
    (0..8)
        .map(|index| {
            let mut frees = vec![format!("F{}", index % 5)];
            if host.random.chance(0.5) {
                frees.extend([format!("F{}", index % 5), "G".to_owned()]);
            }
            Part {
                alloc: format!("A{index}"),
                frees,
                life: host.random.within(5, 60),
                leak: 0.0,
                bugs: Vec::new(),
            }
        })
        .collect()
}

/// What the log of a pattern allows to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// The culprits can be named.
    Names,
    /// At best "one or the other".
    Pairs,
    /// There is nobody to name.
    Nobody,
}

pub const PATTERNS: &[(&str, Tells)] = &[
    ("stale", Tells::Names),
    ("live_only", Tells::Names),
    ("behind_helper", Tells::Names),
    ("helper_everywhere", Tells::Names),
    ("many_outer", Tells::Names),
    ("mixed_release", Tells::Names),
    ("same_site_twice", Tells::Names),
    ("with_leaks", Tells::Names),
    ("lossy", Tells::Names),
    ("clean_with_leaks", Tells::Nobody),
    ("clean_lossy", Tells::Nobody),
    ("one_victim", Tells::Pairs),
    ("explicit_then_destructor", Tells::Pairs),
];

/// Runs one pattern.
pub fn pattern(name: &str, seed: u64, owners: Owners, steps: u64) -> Host {
    let mut salted = seed.wrapping_mul(0x0123_4567);
    for byte in name.bytes() {
        salted = salted.wrapping_mul(131).wrapping_add(byte.into());
    }
    let reuse = if seed % 3 == 2 {
        Reuse::FirstFirst
    } else {
        Reuse::LastFirst
    };
    let devices = 1 + seed % 2;
    let mut host = Host::new(salted, owners, devices as usize, reuse, 24 + seed % 40);
    host.threads = 1 + seed % 4;
    let mut parts = ordinary_parts(&mut host);
    let rate = [0.02, 0.08, 0.3, 0.6][(seed / 2 % 4) as usize];
    let culprits = 1 + host.random.below(3);
    let reach = [30, 60, 300][(seed % 3) as usize];
    let plant = |host: &mut Host, parts: &mut [Part], rate: f64, site: &str, when: When| {
        for _ in 0..host.random.within(1, 3) {
            let index = host.random.below(parts.len() as u64) as usize;
            parts[index].bugs.push((rate, site.to_owned(), when));
        }
    };
    match name {
        "stale" | "with_leaks" | "lossy" => {
            for culprit in 0..culprits {
                plant(
                    &mut host,
                    &mut parts,
                    rate,
                    &format!("C{culprit}"),
                    When::Within(reach),
                );
            }
            if name == "with_leaks" {
                parts.iter_mut().for_each(|part| part.leak = 0.03);
            }
        }
        "live_only" => {
            for culprit in 0..culprits {
                plant(
                    &mut host,
                    &mut parts,
                    rate / 2.0,
                    &format!("C{culprit}"),
                    When::Stale(reach),
                );
            }
        }
        // All frees through one function; its caller is what differs.
        "behind_helper" => {
            for culprit in 0..culprits {
                let site = format!("release < C{culprit}*");
                plant(&mut host, &mut parts, rate, &site, When::Within(reach));
            }
            for site in parts.iter_mut().flat_map(|part| &mut part.frees).step_by(2) {
                *site = format!("release < {site}*");
            }
        }
        "helper_everywhere" => {
            plant(
                &mut host,
                &mut parts,
                rate,
                "release < finish < C0*",
                When::Within(reach),
            );
            for site in parts.iter_mut().flat_map(|part| &mut part.frees) {
                *site = format!("release < finish < {site}*");
            }
        }
        "many_outer" => {
            for culprit in 0..culprits {
                for outer in 0..4 {
                    let site = format!("C{culprit} < outer{outer}");
                    let index = host.random.below(parts.len() as u64) as usize;
                    parts[index]
                        .bugs
                        .push((rate / 3.0, site, When::Within(reach)));
                }
            }
        }
        "mixed_release" => {
            for part in &mut parts[..5] {
                part.frees = vec!["R".to_owned()];
            }
            parts[2].bugs.push((rate, "R".to_owned(), When::Within(60)));
        }
        "same_site_twice" => {
            let site = parts[1].frees[0].clone();
            parts[1].frees.truncate(1);
            parts[1].bugs.push((rate, site, When::Within(0)));
        }
        "clean_with_leaks" | "clean_lossy" => {
            parts.iter_mut().for_each(|part| part.leak = 0.05);
        }
        "one_victim" => {
            parts.truncate(1);
            parts[0].frees.truncate(1);
            parts[0].bugs.push((0.1, "C0".to_owned(), When::Stale(60)));
        }
        "explicit_then_destructor" => {
            parts[1].bugs.push((rate, "X".to_owned(), When::Early));
            parts[1].life = 40;
        }
        _ => panic!("no pattern {name}"),
    }
    if name.ends_with("lossy") {
        host.drop = 0.001;
    }
    run(&mut host, &parts, steps, devices);
    host
}
