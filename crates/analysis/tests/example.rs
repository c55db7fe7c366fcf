//! The embedded example and its variants, simulated: operators on a pool that hands out what came back last, all
//! frees through one helper, and caches that free stale buffers again.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::collections::VecDeque;

use whofreed_analysis::Confidence;
use whofreed_analysis::analyse;
use whofreed_corpus::Buffer;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;

/// Which share of scratch buffers the two culprits free again, in percent, and what else differs.
#[derive(Clone, Copy, Debug)]
struct Variant {
    name: &'static str,
    cache: u64,
    capture: u64,
    threads: u64,
    devices: u32,
    /// `evict` also frees buffers of its own, rightly.
    cache_owns: bool,
}

const ONE: Variant = Variant {
    name: "one",
    cache: 12,
    capture: 0,
    threads: 1,
    devices: 1,
    cache_owns: false,
};

const VARIANTS: [Variant; 7] = [
    ONE,
    Variant {
        name: "two",
        capture: 6,
        ..ONE
    },
    Variant {
        name: "sparse",
        cache: 2,
        ..ONE
    },
    Variant {
        name: "heavy",
        cache: 50,
        ..ONE
    },
    Variant {
        name: "threads",
        threads: 4,
        ..ONE
    },
    Variant {
        name: "devices",
        devices: 2,
        ..ONE
    },
    Variant {
        name: "mixed",
        cache_owns: true,
        ..ONE
    },
];

/// One thread's program.
#[derive(Default)]
struct Model {
    waiting: VecDeque<Buffer>,
    cached: VecDeque<(Buffer, u64)>,
    recorded: VecDeque<(Buffer, u64)>,
    programs: VecDeque<(Buffer, u64)>,
}

fn take_due(entries: &mut VecDeque<(Buffer, u64)>, step: u64) -> Option<Buffer> {
    let is_due = entries.front().is_some_and(|entry| entry.1 <= step);
    is_due.then(|| entries.pop_front().unwrap().0)
}

impl Model {
    fn compile(&mut self, host: &mut Host, operator: &str, step: u64) {
        let through = format!("compile < {operator}");
        while let Some(buffer) = take_due(&mut self.cached, step) {
            host.free(
                &format!("Buffer::deallocate < ProgramCache::evict* < {through}"),
                buffer,
            );
        }
        while let Some(buffer) = take_due(&mut self.programs, step) {
            host.free(
                &format!("Buffer::deallocate < ProgramCache::evict* < {through}"),
                buffer,
            );
        }
        while let Some(buffer) = take_due(&mut self.recorded, step) {
            host.free(
                &format!("Buffer::deallocate < TraceCapture::finish* < {through}"),
                buffer,
            );
        }
    }

    fn step(&mut self, host: &mut Host, variant: Variant, step: u64) {
        let device = (step / 16 % u64::from(variant.devices)) as u32;
        let operator = host.random.below(5);
        let name = ["Matmul", "Conv2d", "Softmax", "LayerNorm", "Attention"][operator as usize];
        let scratches: u64 = if operator == 1 || operator == 3 { 2 } else { 1 };
        let mut scratch: Vec<Buffer> = (0..scratches)
            .map(|index| host.allocate(&format!("Buffer::Buffer < {name}::scratch{index}"), device))
            .collect();
        if operator != 3 {
            self.waiting
                .push_back(host.allocate(&format!("Buffer::Buffer < {name}::output"), device));
        }
        if variant.cache_owns && host.random.below(4) == 0 {
            let program = host.allocate("Buffer::Buffer < ProgramCache::insert", device);
            self.programs
                .push_back((program, step + host.random.within(3, 9)));
        }
        self.compile(host, name, step);
        let last = scratch[scratch.len() - 1];
        if host.random.below(2) == 0 {
            scratch.reverse();
        }
        for (index, buffer) in scratch.into_iter().enumerate() {
            host.free(&format!("Buffer::deallocate < {name}::run{index}"), buffer);
        }
        let dice = host.random.below(100);
        let due = step + 1 + host.random.below(2);
        if dice < variant.cache {
            self.cached.push_back((last, due));
        } else if dice < variant.cache + variant.capture {
            self.recorded.push_back((last, due));
        }
        while self.waiting.len() > 6 {
            let buffer = self.waiting.pop_front().unwrap();
            host.free("Buffer::deallocate < Activations::retire", buffer);
        }
    }
}

fn run(variant: Variant, seed: u64, steps: u64) -> Host {
    let mut host = Host::new(
        seed,
        Owners::Unknown,
        variant.devices as usize,
        Reuse::LastFirst,
        256,
    );
    host.threads = variant.threads;
    host.pool_checks = true;
    let mut models: Vec<Model> = Vec::new();
    models.resize_with(variant.threads as usize, Model::default);
    for step in 0..steps {
        let turn = host.random.below(variant.threads) as usize;
        models[turn].step(&mut host, variant, step);
    }
    host
}

/// More of both by `WHOFREED_CORPUS_SEEDS=from..to` and `WHOFREED_CORPUS_STEPS=n`.
fn seeds() -> std::ops::Range<u64> {
    let Ok(range) = std::env::var("WHOFREED_CORPUS_SEEDS") else {
        return 1..2;
    };
    let (from, to) = range.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

fn steps() -> u64 {
    let steps = std::env::var("WHOFREED_CORPUS_STEPS");
    steps.map_or(1_500, |steps| steps.parse().unwrap())
}

#[test]
fn the_culprits_are_exact_and_explain_everything() {
    for variant in VARIANTS {
        for seed in seeds() {
            let host = run(variant, seed, steps());
            let analysis = analyse(&[host.trace()], &host.names);
            let named: BTreeMap<String, u64> = analysis
                .culprits
                .iter()
                .map(|culprit| {
                    (
                        culprit.site.frame.function.clone().unwrap(),
                        culprit.explains,
                    )
                })
                .collect();
            let excess = analysis.totals.excess;
            println!(
                "{:8} seed {seed}: excess {excess:4}, truth {:?}, named {named:?}, a plain dump is right {:.0} %",
                variant.name,
                host.truth,
                100.0 * host.seen_at_culprits() as f64 / excess as f64
            );
            assert!(excess > 0);
            let sites: Vec<&String> = named.keys().collect();
            assert_eq!(
                sites,
                host.truth.keys().collect::<Vec<_>>(),
                "{variant:?} {seed}"
            );
            assert!(
                analysis
                    .culprits
                    .iter()
                    .all(|c| c.confidence == Confidence::Counterfactual)
            );
            assert_eq!(named.values().sum::<u64>(), excess, "{variant:?} {seed}");
            assert_eq!(analysis.totals.unexplained, 0);
        }
    }
}
