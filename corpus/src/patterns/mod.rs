//! The kinds of hosts, by what is wrong with them.

mod aliases;
mod caches;
mod clean;
mod edges;
mod helpers;
mod stale;
mod teardown;

use crate::host::Buffer;
use crate::host::Hits;
use crate::host::Host;
use crate::host::Owners;
use crate::pool::Reuse;
use crate::traffic::Bug;
use crate::traffic::Traffic;
use crate::traffic::When;

/// What the log of a pattern allows to say without owners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// The culprits can be named.
    Names,
    /// By construction the log fits two stories: at best "one or the other".
    Pairs,
    /// There is nobody to name.
    Nobody,
}

/// A kind of host.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// Its name.
    pub name: &'static str,
    /// What its log allows to say.
    pub tells: Tells,
    /// Without owners its log is that of this pattern.
    log: &'static str,
    make: fn(&mut World),
}

/// A pattern whose log fits another story as well, which is `of`: who is right for one of them is wrong for the other.
const fn twin(name: &'static str, of: &'static str, make: fn(&mut World)) -> Pattern {
    Pattern {
        name,
        tells: Tells::Pairs,
        log: of,
        make,
    }
}

const fn names(name: &'static str, make: fn(&mut World)) -> Pattern {
    Pattern {
        name,
        tells: Tells::Names,
        log: name,
        make,
    }
}

const fn pairs(name: &'static str, make: fn(&mut World)) -> Pattern {
    Pattern {
        name,
        tells: Tells::Pairs,
        log: name,
        make,
    }
}

const fn nobody(name: &'static str, make: fn(&mut World)) -> Pattern {
    Pattern {
        name,
        tells: Tells::Nobody,
        log: name,
        make,
    }
}

/// All of them.
pub const PATTERNS: &[Pattern] = &[
    names("stale", stale::stale),
    names("live_only", stale::live_only),
    names("before_victim", stale::before_victim),
    names("rare_under_frequent", stale::rare_under_frequent),
    names("two_masking", stale::two_masking),
    names("with_leaks", stale::with_leaks),
    names("lossy", stale::lossy),
    names("late_start", stale::late_start),
    names("one_thread", stale::one_thread),
    names("one_scope", stale::one_scope),
    names("many_stacks", stale::many_stacks),
    names("same_victims", stale::same_victims),
    pairs("one_victim", stale::one_victim),
    names("cache_not_cleared", caches::not_cleared),
    names("cache_cleared_twice", caches::cleared_twice),
    names("cache_evicted_late", caches::evicted_late),
    names("cache_flush", caches::flush),
    names("program_cache_outlives_device", caches::outlives_device),
    names("pool_returns_twice", caches::pool_returns_twice),
    names("async_queue_after_bulk", caches::async_queue_after_bulk),
    pairs("two_level_teardown", teardown::two_level),
    names("teardown_twice", teardown::twice),
    names("static_destructors", teardown::static_destructors),
    pairs("forked_child", teardown::forked_child),
    names("alias_objects", aliases::alias_objects),
    names("alias_at_once", aliases::alias_at_once),
    pairs("view_after_root", aliases::view_after_root),
    pairs("root_under_view", aliases::root_under_view),
    pairs("view_of_view", aliases::view_of_view),
    names("shared_twice", aliases::shared_twice),
    names("armed_after_move", aliases::armed_after_move),
    pairs("reference_too_often", aliases::reference_too_often),
    names("realloc_moved", aliases::realloc_moved),
    names("behind_helper", helpers::behind_helper),
    names("helper_everywhere", helpers::helper_everywhere),
    names("many_outer", helpers::many_outer),
    names("same_leaf", helpers::same_leaf),
    names("recursion", helpers::recursion),
    names("mixed_release", helpers::mixed_release),
    names("right_for_others", helpers::right_for_others),
    names("same_site_twice", helpers::same_site_twice),
    pairs("explicit_then_destructor", edges::explicit_then_destructor),
    pairs("exception_cleanup", edges::exception_cleanup),
    pairs("across_threads", edges::across_threads),
    twin("premature", "explicit_then_destructor", edges::premature),
    twin(
        "premature_cleanup",
        "exception_cleanup",
        edges::premature_cleanup,
    ),
    names("wrong_device", edges::wrong_device),
    pairs("interior", edges::interior),
    names("checked_pool", edges::checked_pool),
    nobody("clean", clean::clean),
    nobody("clean_with_leaks", clean::with_leaks),
    nobody("clean_lossy", clean::lossy),
    nobody("clean_late_start", clean::late_start),
    nobody("clean_unhooked", clean::unhooked),
    nobody("clean_resets", clean::resets),
    nobody("reference_too_seldom", clean::reference_too_seldom),
];

/// A run of a pattern.
#[derive(Clone, Debug)]
pub struct Run {
    /// The process, its trace and the truth.
    pub host: Host,
    /// What the log allows to say without owners.
    pub tells: Tells,
}

/// So many surplus frees of every culprit have to be in the log, or it is not held against anybody that one of them is
/// missed.
pub const ENOUGH: u64 = 10;

impl Run {
    /// Whether the log can tell every culprit: each left enough in it, and for none there is a twin, the same log with
    /// somebody else at fault.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        let truth = self.host.all_truth();
        let has_twin = |site: &String| {
            let hits = self.host.hits.get(site);
            hits.is_some_and(|hits| self.has_twin(hits))
        };
        self.tells == Tells::Names
            && truth.values().all(|&count| count >= ENOUGH)
            && !truth.keys().any(has_twin)
    }

    /// The twins: somebody else comes too early, and this one frees what is its own. That needs that it always comes
    /// right after the same one, or always takes what comes from a few places, of which the others then free again.
    fn has_twin(&self, hits: &Hits) -> bool {
        let after: u64 = hits.after.values().sum();
        let struck: u64 = hits.struck.values().sum();
        let most = hits.after.values().max().copied().unwrap_or(0);
        let all = (after + struck) as f64;
        if most as f64 >= 0.85 * all && hits.repeated < 3 {
            return true;
        }
        let often = hits
            .struck
            .iter()
            .filter(|(_, count)| **count as f64 >= 0.03 * struck as f64)
            .map(|(site, _)| site);
        struck as f64 >= 0.85 * all && self.host.share_of(often) < 0.6
    }
}

/// The pattern of this name.
#[must_use]
pub fn find(name: &str) -> Option<Pattern> {
    PATTERNS
        .iter()
        .find(|pattern| pattern.name == name)
        .copied()
}

/// Makes a host of `steps` allocations or more. Equal arguments give equal hosts.
#[must_use]
pub fn run(pattern: Pattern, seed: u64, owners: Owners, steps: u64) -> Run {
    let mut salted = seed.wrapping_mul(0x0123_4567);
    for byte in pattern.log.bytes() {
        salted = salted.wrapping_mul(131).wrapping_add(byte.into());
    }
    let reuse = [Reuse::LastFirst, Reuse::FirstFirst, Reuse::BestFit][(seed % 3) as usize];
    let devices = 1 + (seed / 3 % 2) as usize;
    let mut host = Host::new(salted, owners, devices, reuse, 24 + seed % 40);
    host.threads = 1 + seed / 2 % 4;
    let traffic = Traffic::ordinary(&mut host);
    let rate = [0.02, 0.08, 0.3, 0.6][host.random.below(4) as usize];
    let culprits = 1 + host.random.below(3);
    let reach = [30, 60, 300][host.random.below(3) as usize];
    let mut world = World {
        host,
        traffic,
        steps,
        rate,
        culprits,
        reach,
    };
    (pattern.make)(&mut world);
    let tells = if world.host.all_truth().is_empty() {
        Tells::Nobody
    } else {
        pattern.tells
    };
    Run {
        host: world.host,
        tells,
    }
}

/// What a pattern is made of.
struct World {
    host: Host,
    traffic: Traffic,
    steps: u64,
    /// How often the bug strikes.
    rate: f64,
    /// How many culprits there are, where a pattern can have several.
    culprits: u64,
    /// How many steps later the bug strikes at the most.
    reach: u64,
}

impl World {
    /// Nothing but the parts and their bugs.
    fn go(&mut self) {
        for _ in 0..self.steps {
            self.traffic.step(&mut self.host);
        }
    }

    /// The traffic; `act` is told of that share of the buffers of one part that will be freed, and when that is.
    fn go_with(&mut self, part: usize, rate: f64, mut act: impl FnMut(&mut Self, Buffer, u64)) {
        for _ in 0..self.steps {
            let born = self.traffic.step(&mut self.host);
            if born.part == part
                && let Some(life) = born.life
                && self.host.random.chance(rate)
            {
                act(self, born.buffer, life);
            }
        }
    }

    /// Lets `site` free again what one to three parts of the program free.
    fn plant(&mut self, site: &str, rate: f64, when: When) {
        for _ in 0..self.host.random.within(1, 3) {
            let part = self.host.random.below(self.traffic.parts.len() as u64) as usize;
            self.plant_in(part, site, rate, when);
        }
    }

    fn plant_in(&mut self, part: usize, site: &str, rate: f64, when: When) {
        self.traffic.parts[part].bugs.push(Bug {
            rate,
            site: site.to_owned(),
            when,
        });
    }

    fn leak(&mut self, share: f64) {
        self.traffic
            .parts
            .iter_mut()
            .for_each(|part| part.leak = share);
    }
}
