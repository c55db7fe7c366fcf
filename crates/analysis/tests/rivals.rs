//! Hosts in which always the same innocents stand next to the culprit: no entry may consist of innocents only.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use whofreed_analysis::Analysis;
use whofreed_analysis::analyse;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;

/// Runs `rounds` of a host on a last-in-first-out pool.
fn run(rounds: u64, round: impl Fn(&mut Host, u64)) -> Host {
    let mut host = Host::new(1, Owners::Unknown, 1, Reuse::LastFirst, 64);
    for index in 0..rounds {
        round(&mut host, index);
    }
    host
}

/// What every entry names.
fn named(analysis: &Analysis) -> Vec<BTreeSet<String>> {
    let names = analysis.culprits.iter().map(|culprit| {
        let sites = culprit.alternatives.iter().chain([&culprit.site]);
        sites
            .map(|site| site.frame.function.clone().unwrap())
            .collect()
    });
    names.collect()
}

/// Whoever could have done it is not called innocent as well.
fn check_victims(name: &str, analysis: &Analysis) {
    let suspects: BTreeSet<String> = named(analysis).into_iter().flatten().collect();
    for victim in &analysis.victims {
        let function = victim.site.frame.function.as_deref().unwrap();
        assert!(!suspects.contains(function), "{name}: {function}");
    }
}

/// The excess frees that entries with the culprit account for.
fn check(name: &str, host: &Host, guilty: &str) -> u64 {
    let analysis = analyse(&[host.trace()], &host.names);
    assert!(analysis.totals.excess > 0, "{name}");
    check_victims(name, &analysis);
    for entry in named(&analysis) {
        assert!(entry.contains(guilty), "{name}: {entry:?}");
        assert!(entry.len() <= 4, "{name}: {entry:?}");
        assert!(!entry.contains("dev_free"), "{name}: {entry:?}");
    }
    analysis.totals.excess - analysis.totals.unexplained
}

/// `release` through the free function of the pool, by one line of the program.
fn through(site: &str) -> String {
    format!("dev_free < {site} < step")
}

/// The stale free strikes the holder, whose own free strikes the next one.
fn chain_of_three(host: &mut Host, is_stale: bool) {
    let layer = host.allocate("layer_alloc", 0);
    host.free(&through("layer_free"), layer);
    let softmax = host.allocate("softmax_alloc", 0);
    if is_stale {
        host.free(&through("evict"), layer);
    }
    let matmul = host.allocate("matmul_alloc", 0);
    host.free(&through("softmax_free"), softmax);
    host.free(&through("matmul_free"), matmul);
}

#[test]
fn a_chain_that_always_hits_the_same_two() {
    let often = run(2_000, |host, index| chain_of_three(host, index % 5 == 0));
    assert_eq!(check("every fifth", &often, "evict"), 400);
    let always = run(500, |host, _| chain_of_three(host, true));
    check("always", &always, "evict");
    let rarely = run(2_000, |host, _| {
        let is_stale = host.random.chance(0.02);
        chain_of_three(host, is_stale);
    });
    check("rarely", &rarely, "evict");
    let once_in_a_while = run(2_000, |host, index| {
        if index % 500 == 0 {
            chain_of_three(host, true);
        } else {
            let layer = host.allocate("layer_alloc", 0);
            host.free(&through("layer_free"), layer);
        }
    });
    check("once in a while", &once_in_a_while, "evict");
}

#[test]
fn a_chain_whose_last_victim_is_of_the_first_kind() {
    let host = run(200, |host, _| {
        let first = host.allocate("alloc_a", 0);
        host.free(&through("free_a"), first);
        let second = host.allocate("alloc_b", 0);
        host.free(&through("guilty"), first);
        let third = host.allocate("alloc_a", 0);
        host.free(&through("free_b"), second);
        host.free(&through("free_a"), third);
    });
    check("a b a", &host, "guilty");
}

#[test]
fn a_destructor_that_runs_again_in_the_only_life_of_its_kind() {
    let host = run(2_000, |host, _| {
        let layer = host.allocate("layer_alloc", 0);
        host.free(&through("destructor"), layer);
        if host.random.chance(0.2) {
            let softmax = host.allocate("softmax_alloc", 0);
            host.free(&through("destructor"), layer);
            host.free(&through("softmax_free"), softmax);
        }
    });
    check("destructor", &host, "destructor");
}

#[test]
fn a_site_that_is_right_for_the_kind_that_it_strikes() {
    let host = run(200, |host, index| {
        let own = host.allocate("alloc_b", 0);
        host.free(&through("guilty"), own);
        if index % 3 == 0 {
            let stale = host.allocate("alloc_a", 0);
            host.free(&through("free_a"), stale);
            let struck = host.allocate("alloc_b", 0);
            host.free(&through("guilty"), stale);
            host.free(&through("free_b"), struck);
        }
    });
    check("right and wrong", &host, "guilty");
}

#[test]
fn once_only_the_helper_is_not_named() {
    let host = run(1, |host, _| {
        let buffer = host.allocate("alloc_a", 0);
        host.free(&through("free_a"), buffer);
        host.free(&through("guilty"), buffer);
    });
    assert_eq!(check("once", &host, "guilty"), 1);
}

#[test]
fn a_helper_under_both_sites_of_a_pair_is_not_named() {
    let host = run(100, |host, index| {
        let buffer = host.allocate("alloc_a", 0);
        if index % 4 == 0 {
            host.free(&through("explicit"), buffer);
        }
        host.free(&through("destructor"), buffer);
    });
    assert_eq!(check("explicit, then destructor", &host, "destructor"), 25);
}

/// The stale free strikes the first of four, each of which strikes the next with its own free.
#[test]
fn a_chain_of_five_sites() {
    for often in [1, 4] {
        let host = run(1_000, |host, index| {
            let layer = host.allocate("alloc0", 0);
            host.free(&through("free0"), layer);
            let mut holder = host.allocate("alloc1", 0);
            if index % often == 0 {
                host.free(&through("guilty"), layer);
            }
            for next in 2..5 {
                let following = host.allocate(&format!("alloc{next}"), 0);
                host.free(&through(&format!("free{}", next - 1)), holder);
                holder = following;
            }
            host.free(&through("free4"), holder);
        });
        check("a long chain", &host, "guilty");
    }
}

/// Two culprits that strike the same two victims.
#[test]
fn two_culprits_and_the_same_two_victims() {
    let host = run(2_000, |host, index| {
        let layer = host.allocate("layer_alloc", 0);
        host.free(&through("layer_free"), layer);
        let softmax = host.allocate("softmax_alloc", 0);
        if index % 7 == 0 {
            host.free(&through("stale0"), layer);
        } else if index % 5 == 0 {
            host.free(&through("stale1"), layer);
        }
        let matmul = host.allocate("matmul_alloc", 0);
        host.free(&through("softmax_free"), softmax);
        host.free(&through("matmul_free"), matmul);
    });
    let analysis = analyse(&[host.trace()], &host.names);
    check_victims("two culprits", &analysis);
    for entry in named(&analysis) {
        let guilty = entry.iter().any(|site| site.starts_with("stale"));
        assert!(guilty, "{entry:?}");
    }
}

/// Several stale sites, one victim: the victim's own free is in every chain, and yet it may be innocent.
#[test]
fn one_victim_of_many_culprits() {
    let host = run(2_000, |host, index| {
        let layer = host.allocate("layer_alloc", 0);
        host.free(&through("layer_free"), layer);
        let softmax = host.allocate("softmax_alloc", 0);
        if host.random.chance(0.3) {
            host.free(&through(&format!("stale{}", index % 5)), layer);
        }
        host.free(&through("softmax_free"), softmax);
    });
    let analysis = analyse(&[host.trace()], &host.names);
    assert!(analysis.totals.excess > 0);
    check_victims("one victim", &analysis);
    for entry in named(&analysis) {
        let guilty = entry.iter().any(|site| site.starts_with("stale"));
        assert!(guilty, "{entry:?}");
    }
}

#[test]
fn a_site_that_is_right_and_wrong_wherever_it_is_called_from_is_named_itself() {
    for seed in 0..20 {
        let mut host = Host::new(seed, Owners::Unique, 1, Reuse::LastFirst, 64);
        let clear = |host: &mut Host, buffer| {
            let part = host.random.below(9);
            host.free(
                &format!("dev_free < clear < step < part{part} < run"),
                buffer,
            );
        };
        for _ in 0..80 {
            let buffer = host.allocate("slot_alloc", 0);
            clear(&mut host, buffer);
            if host.random.chance(0.3) {
                clear(&mut host, buffer);
            }
            let other = host.allocate("part_alloc", 0);
            host.free("dev_free < part < run", other);
        }
        let analysis = analyse(&[host.trace()], &host.names);
        assert_eq!(analysis.totals.unexplained, 0);
        let clear = BTreeSet::from(["clear".to_owned()]);
        assert_eq!(named(&analysis), [clear], "seed {seed}");
    }
}

#[test]
fn a_helper_is_not_named_for_one_of_its_callers_that_is_right_and_wrong() {
    let mut host = Host::new(6, Owners::Unique, 1, Reuse::LastFirst, 64);
    for index in 0..200 {
        let buffer = host.allocate("alloc", 0);
        let part = host.random.below(20);
        host.free(&format!("dev_free < release < part{part} < run"), buffer);
        let own = host.allocate("alloc", 0);
        host.free("dev_free < release < mixed < run", own);
        if index % 10 == 0 {
            host.free("dev_free < release < mixed < run", own);
        }
        if index == 100 {
            host.free("dev_free < release < evict < run", own);
        }
    }
    let analysis = analyse(&[host.trace()], &host.names);
    let all: BTreeSet<String> = named(&analysis).into_iter().flatten().collect();
    let expected = ["evict", "mixed"].map(str::to_owned);
    assert_eq!(all, BTreeSet::from(expected));
}
