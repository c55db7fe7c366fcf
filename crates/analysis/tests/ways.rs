//! Suspects of whom any may be it, one of them a function that is right and wrong by turns: it is named itself, and not one
//! of its callers because it has only been right so far when called by another.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;

use whofreed_analysis::analyse;
use whofreed_corpus::Buffer;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Random;
use whofreed_corpus::Reuse;

/// What share of what is left in the end both of them free.
const IN_BOTH: f64 = 1.0;

/// A queue and a bulk free that are handed the same buffers at times: which of them comes last is wrong.
struct Pool {
    random: Random,
    held: Vec<Buffer>,
    queued: VecDeque<Buffer>,
}

impl Pool {
    fn step(&mut self, host: &mut Host, way: &str) {
        let buffer = host.allocate(&format!("dev_alloc < step < {way}"), 0);
        if self.random.chance(0.4) {
            self.queued.push_back(buffer);
        } else {
            self.held.push(buffer);
            if self.random.chance(0.2) {
                self.queued.push_back(buffer);
            }
        }
        if self.random.chance(0.8) {
            self.drain(host);
        }
        if self.held.len() > 5 {
            self.free_all(host, &format!("step < {way}"));
        }
    }

    fn drain(&mut self, host: &mut Host) {
        for buffer in self.queued.drain(..) {
            host.free("dev_free < drain < thread", buffer);
        }
    }

    fn free_all(&mut self, host: &mut Host, way: &str) {
        for buffer in self.held.drain(..) {
            host.free(&format!("dev_free < free_all < {way}"), buffer);
        }
    }
}

/// A program whose parts free what is theirs, and call the pool by the way.
fn run(seed: u64) -> Host {
    let mut random = Random(seed);
    let mut host = Host::new(seed, Owners::Pointers, 1, Reuse::LastFirst, 64);
    host.only_thread = Some(7);
    let mut pool = Pool {
        random: Random(seed + 1_000),
        held: Vec::new(),
        queued: VecDeque::new(),
    };
    let mut keys: VecDeque<Buffer> = VecDeque::new();
    for _ in 0..700 {
        let part = random.below(6);
        let own = host.allocate(&format!("dev_alloc < part{part} < run"), 0);
        if random.chance(0.2) {
            pool.step(&mut host, &format!("part{part} < run"));
        }
        if part < 5 {
            host.free(&format!("dev_free < part{part} < run"), own);
            continue;
        }
        keys.push_back(own);
        if keys.len() > 9 {
            let oldest = keys.pop_front().unwrap();
            host.free("dev_free < evict < run", oldest);
        }
    }
    // What is left in the end is in both; when the queue is done with it others get the memory.
    for _ in 0..5 {
        let buffer = host.allocate("dev_alloc < step < part0 < run", 0);
        pool.held.push(buffer);
        if random.chance(IN_BOTH) {
            pool.queued.push_back(buffer);
        }
    }
    pool.drain(&mut host);
    for _ in 0..random.below(6) {
        keys.push_back(host.allocate("dev_alloc < part5 < run", 0));
    }
    pool.free_all(&mut host, "finish < run");
    for key in keys {
        host.free("dev_free < wind_down < run", key);
    }
    host
}

/// Where a name stands alone there is no other suspect, and the way may be named: "Not known" in docs/blame.md.
#[test]
fn a_caller_is_not_named_for_what_it_calls_where_somebody_else_may_have_done_it() {
    let mut told = 0;
    for seed in 0..150 {
        let host = run(seed);
        let analysis = analyse(&[host.trace()], &host.names);
        for culprit in &analysis.culprits {
            if culprit.alternatives.is_empty() {
                continue;
            }
            let sites = culprit.alternatives.iter().chain([&culprit.site]);
            let names: Vec<&str> = sites
                .map(|site| site.frame.function.as_deref().unwrap())
                .collect();
            let is_guilty = |name: &&str| ["free_all", "drain"].contains(name);
            assert!(names.iter().any(is_guilty), "seed {seed}: {names:?}");
            told += 1;
        }
    }
    assert!(told > 0);
}
