//! Which frame is named where a function is right and wrong by turns: the function itself, and neither the helper that it
//! frees by nor those of its callers that happened to be wrong more often.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use whofreed_analysis::Culprit;
use whofreed_analysis::analyse;
use whofreed_corpus::Buffer;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Random;
use whofreed_corpus::Reuse;

const CALLERS: u64 = 8;

/// A host with few cases, in which `clear` frees two buffers again that are gone, or three that are its own. All go through
/// a helper that others use rightly.
fn names(seed: u64) -> Vec<String> {
    let mut random = Random(seed);
    let mut host = Host::new(seed, Owners::Unique, 1, Reuse::LastFirst, 64);
    host.only_thread = Some(7);
    host.pool_checks = true;
    for case in 0..36 {
        let caller = random.below(CALLERS);
        let own: Vec<Buffer> = (0..3)
            .map(|_| host.allocate("alloc < fill < step", 0))
            .collect();
        let clear = format!("dev_free < release < clear < step < caller{caller}");
        // One of each at least, and the rest as it comes.
        if case == 0 || case > 1 && random.chance(0.5) {
            for &buffer in &own {
                host.free("dev_free < release < drop < step", buffer);
            }
            for &buffer in &own[1..] {
                host.free(&clear, buffer);
            }
        } else {
            for &buffer in &own {
                host.free(&clear, buffer);
            }
        }
    }
    let analysis = analyse(&[host.trace()], &host.names);
    analysis.culprits.iter().map(suspects).collect()
}

#[test]
fn a_function_that_is_right_and_wrong_by_turns_is_named_itself() {
    let wrong: Vec<(u64, Vec<String>)> = (0..400)
        .map(|seed| (seed, names(seed)))
        .filter(|(_, names)| names != &["clear"])
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// A host in which `caches` evict what is stale in some of their calls, and three others are never wrong. All free by one
/// helper, and some in rows.
fn names_behind_a_helper(caches: u64, owners: Owners) -> Vec<String> {
    let mut host = Host::new(1, owners, 1, Reuse::LastFirst, 64);
    host.only_thread = Some(7);
    for case in 0..300 {
        for right in 0..3 {
            let buffer = host.allocate(&format!("alloc < fill < right{right}"), 0);
            host.free(&format!("dev_free < release < right{right}"), buffer);
        }
        for cache in 0..caches {
            let evict = format!("dev_free < release < evict{cache} < step");
            let buffer = host.allocate(&format!("alloc < load{cache} < step"), 0);
            if case % (cache + 3) == 0 {
                host.free(&format!("dev_free < release < drop{cache}"), buffer);
                let next = host.allocate(&format!("alloc < next{cache}"), 0);
                host.free(&evict, buffer);
                host.free(&format!("dev_free < release < drop{cache}"), next);
            } else {
                host.free(&evict, buffer);
            }
        }
    }
    let analysis = analyse(&[host.trace()], &host.names);
    let mut names: Vec<String> = analysis.culprits.iter().map(suspects).collect();
    names.sort();
    names
}

/// The culprit's name, or `a|b` where either may be it.
fn suspects(culprit: &Culprit) -> String {
    let others = culprit.alternatives.iter();
    let sites = std::iter::once(&culprit.site).chain(others);
    let names: Vec<&str> = sites
        .map(|site| site.frame.function.as_deref().unwrap())
        .collect();
    names.join("|")
}

#[test]
fn a_helper_of_the_innocent_is_not_named_for_several_that_are_wrong_by_turns() {
    for caches in 1..=6 {
        let expected: Vec<String> = (0..caches).map(|cache| format!("evict{cache}")).collect();
        assert_eq!(names_behind_a_helper(caches, Owners::Unique), expected);
        for named in names_behind_a_helper(caches, Owners::Unknown) {
            let is_one = |name: &str| expected.iter().any(|one| one == name);
            assert!(named.split('|').any(is_one), "{named}");
        }
    }
}

/// Three parts free rightly by one function, and `finish` frees some of its buffers twice; one free in the program is none of it.
fn names_behind_a_deallocate(rounds: u64, bad: u64, is_one_beside: bool) -> Vec<String> {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 64);
    host.only_thread = Some(7);
    if is_one_beside {
        let buffer = host.allocate("scratch < main", 0);
        host.free("scratch < main", buffer);
    }
    for round in 0..rounds {
        for part in 0..3 {
            let buffer = host.allocate(&format!("create < part{part} < main"), 0);
            host.free(&format!("deallocate < part{part} < main"), buffer);
        }
        let buffer = host.allocate("create < finish < main", 0);
        host.free("deallocate < finish < main", buffer);
        if round % 10 < bad {
            host.free("deallocate < finish < main", buffer);
        }
    }
    let analysis = analyse(&[host.trace()], &host.names);
    analysis.culprits.iter().map(suspects).collect()
}

#[test]
fn what_several_free_by_is_not_named_for_the_one_of_them_that_is_wrong() {
    for rounds in [1, 3, 5, 10, 20, 100] {
        for bad in [1, 3, 5] {
            for is_one_beside in [false, true] {
                let names = names_behind_a_deallocate(rounds, bad, is_one_beside);
                assert_eq!(names, ["finish"], "{rounds} {bad} {is_one_beside}");
            }
        }
    }
}

/// A queue that is told of some buffers twice, and two others that are never wrong; there is no other way to free.
#[test]
fn the_one_function_that_frees_is_not_named_for_its_caller() {
    for steps in [10, 20, 40, 80] {
        for every in [3, 5, 10] {
            let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 64);
            host.only_thread = Some(7);
            let mut queue = Vec::new();
            for step in 0..steps {
                queue.push(host.allocate("dev_alloc < main", 0));
                let other = host.allocate("dev_alloc < step", 0);
                if step % every == 0 {
                    queue.push(other);
                }
                host.free(&format!("dev_free < step{} < main", step % 2), other);
                if step % 5 == 4 {
                    for buffer in queue.drain(..) {
                        host.free("dev_free < flush < main", buffer);
                    }
                }
            }
            let analysis = analyse(&[host.trace()], &host.names);
            let names: Vec<String> = analysis.culprits.iter().map(suspects).collect();
            assert_eq!(names, ["flush"], "{steps} {every}");
        }
    }
}
