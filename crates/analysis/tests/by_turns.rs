//! Which frame is named where a function is right and wrong by turns: the function itself, and neither the helper that it
//! frees by nor those of its callers that happened to be wrong more often.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

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
    let names = analysis.culprits.iter();
    names
        .map(|culprit| culprit.site.frame.function.clone().unwrap())
        .collect()
}

#[test]
fn a_function_that_is_right_and_wrong_by_turns_is_named_itself() {
    let wrong: Vec<(u64, Vec<String>)> = (0..400)
        .map(|seed| (seed, names(seed)))
        .filter(|(_, names)| names != &["clear"])
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
