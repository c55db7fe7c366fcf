//! A site that frees again right after somebody else was handed the memory, and keeps it: whoever holds what is struck so, and all
//! after them, free what looks excessive, and are not named for it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;

use whofreed_analysis::analyse;
use whofreed_corpus::Buffer;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Random;
use whofreed_corpus::Reuse;

/// Holders of some buffers: each frees every one of its own once.
#[derive(Default)]
struct Holders {
    window: VecDeque<Buffer>,
    keys: VecDeque<Buffer>,
}

impl Holders {
    fn window(&mut self, host: &mut Host, caller: &str) {
        let buffer = host.allocate(&format!("dev_alloc < window < {caller}"), 0);
        self.window.push_back(buffer);
        if self.window.len() > 3 {
            let oldest = self.window.pop_front().unwrap();
            host.free(&format!("dev_free < window < {caller}"), oldest);
        }
    }

    fn key(&mut self, host: &mut Host, most: u64) {
        self.keys
            .push_back(host.allocate("dev_alloc < key < step", 0));
        if self.keys.len() as u64 > most {
            let oldest = self.keys.pop_front().unwrap();
            host.free("dev_free < key_release < key < step", oldest);
        }
    }
}

fn pair(host: &mut Host) {
    let one = host.allocate("dev_alloc < pair < step", 0);
    let other = host.allocate("dev_alloc < pair < step", 0);
    host.free("dev_free < pair < step", other);
    host.free("dev_free < pair < step", one);
}

/// `twice` is the culprit.
fn run(seed: u64) -> Host {
    let mut random = Random(seed);
    let mut host = Host::new(seed, Owners::Unknown, 1, Reuse::LastFirst, 64);
    host.only_thread = Some(7);
    let mut holders = Holders::default();
    for _ in 0..700 {
        match random.below(5) {
            0 => pair(&mut host),
            1 => holders.window(&mut host, "step"),
            2 => {
                let most = 2 + random.below(6);
                holders.key(&mut host, most);
            }
            _ => {
                let one = host.allocate("dev_alloc < single < step", 0);
                host.free("dev_free < single < step", one);
            }
        }
        let buffer = host.allocate("dev_alloc < twice < step", 0);
        if random.chance(0.5) {
            pair(&mut host);
        }
        host.free("dev_free < first < twice < step", buffer);
        if random.chance(0.25) {
            holders.window(&mut host, "twice");
            host.free("dev_free < second < twice < step", buffer);
        }
    }
    host
}

#[test]
fn a_holder_that_was_struck_is_not_named_alone() {
    let mut explained = 0;
    for seed in 0..60 {
        let host = run(seed);
        let analysis = analyse(&[host.trace()], &host.names);
        for culprit in &analysis.culprits {
            let sites = culprit.alternatives.iter().chain([&culprit.site]);
            let names: Vec<&str> = sites
                .map(|site| site.frame.function.as_deref().unwrap())
                .collect();
            let is_guilty = names.iter().any(|name| ["second", "twice"].contains(name));
            assert!(is_guilty, "seed {seed}: {} by {names:?}", culprit.explains);
            explained += culprit.explains;
        }
    }
    assert!(explained > 0);
}
