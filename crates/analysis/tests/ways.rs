//! Suspects of whom any may be it, one of them a function that is right and wrong by turns: it is named itself, and not one
//! of its callers because it has only been right so far when called by another.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;

use whofreed_analysis::Culprit;
use whofreed_analysis::analyse;
use whofreed_corpus::Buffer;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Random;
use whofreed_corpus::Reuse;

/// A queue and a bulk free that are handed the same buffers at times: which of them comes last is wrong.
struct Pool {
    /// How often it holds and queues the same buffer.
    twice: f64,
    most_held: usize,
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
            if self.random.chance(self.twice) {
                self.queued.push_back(buffer);
            }
        }
        if self.random.chance(0.8) {
            self.drain(host);
        }
        if self.held.len() > self.most_held {
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

/// A program.
#[derive(Clone, Copy)]
struct Program {
    owners: Owners,
    reuse: Reuse,
    rounds: u64,
    /// How often the pool is called.
    steps: f64,
    twice: f64,
    most_held: usize,
    slots: u64,
    /// What share of what is left in the end both of them free.
    in_both: f64,
}

const PROGRAM: Program = Program {
    owners: Owners::Pointers,
    reuse: Reuse::LastFirst,
    rounds: 700,
    steps: 0.2,
    twice: 0.2,
    most_held: 5,
    slots: 64,
    in_both: 1.0,
};

/// Its parts free what is theirs, and call the pool by the way.
fn run(seed: u64, program: Program) -> Host {
    let mut random = Random(seed);
    let mut host = Host::new(seed, program.owners, 1, program.reuse, program.slots);
    host.only_thread = Some(7);
    let mut pool = Pool {
        twice: program.twice,
        most_held: program.most_held,
        random: Random(seed + 1_000),
        held: Vec::new(),
        queued: VecDeque::new(),
    };
    let mut keys: VecDeque<Buffer> = VecDeque::new();
    for _ in 0..program.rounds {
        let part = random.below(6);
        let own = host.allocate(&format!("dev_alloc < part{part} < run"), 0);
        if random.chance(program.steps) {
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
        if random.chance(program.in_both) {
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

/// For each culprit that is told, the names of all that may be it.
fn suspects(host: &Host) -> Vec<Vec<String>> {
    let analysis = analyse(&[host.trace()], &host.names);
    let names = |culprit: &Culprit| -> Vec<String> {
        let sites = culprit.alternatives.iter().chain([&culprit.site]);
        sites
            .map(|site| site.frame.function.clone().unwrap())
            .collect()
    };
    analysis.culprits.iter().map(names).collect()
}

fn is_guilty(name: &str) -> bool {
    ["free_all", "drain"].contains(&name)
}

/// Where a name stands alone there is no other suspect, and the way may be named: "Not known" in docs/blame.md.
#[test]
fn a_caller_is_not_named_for_what_it_calls_where_somebody_else_may_have_done_it() {
    let mut told = 0;
    for in_both in [0.2, 0.5, 0.8, 1.0] {
        for seed in 0..150 {
            let host = run(seed, Program { in_both, ..PROGRAM });
            for names in suspects(&host) {
                if names.len() > 1 {
                    assert!(
                        names.iter().any(|name| is_guilty(name)),
                        "{in_both} {seed}: {names:?}"
                    );
                    told += 1;
                }
            }
        }
    }
    assert!(told > 0);
}

#[test]
fn what_all_frees_come_through_is_not_named_for_the_few_that_are_wrong() {
    for in_both in [0.2, 0.5, 0.8, 1.0] {
        for seed in 0..150 {
            let owners = Owners::Unique;
            let host = run(
                seed,
                Program {
                    owners,
                    in_both,
                    ..PROGRAM
                },
            );
            let wrong = suspects(&host);
            let wrong: Vec<_> = wrong
                .iter()
                .flatten()
                .filter(|name| !is_guilty(name))
                .collect();
            assert!(wrong.is_empty(), "{in_both} {seed}: {wrong:?}");
        }
    }
}

/// `free_all` is wrong in the end and, as nobody finds out, in a few other places.
#[test]
fn who_called_what_may_be_at_fault_elsewhere_is_not_named_with_another_suspect() {
    let program = Program {
        reuse: Reuse::FirstFirst,
        rounds: 1_200,
        steps: 0.1,
        twice: 0.05,
        ..PROGRAM
    };
    assert_eq!(suspects(&run(7_102, program)), [["drain", "free_all"]]);
}

/// `free_all` is only called from two places, and wrong in one of them.
#[test]
fn who_called_what_is_hardly_called_by_others_is_not_named_without_it() {
    let program = Program {
        owners: Owners::Unknown,
        rounds: 2_000,
        steps: 0.05,
        twice: 0.0,
        most_held: 2,
        slots: 16,
        ..PROGRAM
    };
    let mut told = suspects(&run(1_986, program)).concat();
    told.sort();
    assert_eq!(told, ["evict", "finish", "free_all", "wind_down"]);
}
