//! Logs that began when there were buffers already.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use whofreed_analysis::Analysis;
use whofreed_analysis::analyse;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;

/// The one address of a log without owners: a buffer from before is freed there by somebody, then each free of `evict`
/// is one too many.
fn one_address(frees_what_was_there: &str) -> Analysis {
    let mut host = Host::new(1, Owners::Unknown, 1, Reuse::LastFirst, 1);
    host.tracking = false;
    let old = host.allocate("load", 0);
    host.tracking = true;
    host.free(frees_what_was_there, old);
    for life in 0..30 {
        let buffer = host.allocate("load", 0);
        host.free("pop", buffer);
        if life % 6 == 5 {
            host.free("evict", buffer);
        }
    }
    analyse(&[host.trace()], &host.names)
}

#[test]
fn where_usual_frees_are_of_older_buffers_their_addresses_tell_all_the_same() {
    let analysis = one_address("pop");
    assert_eq!((analysis.totals.excess, analysis.totals.unknown), (5, 1));
    let named = analysis.culprits.iter();
    let named: Vec<(&str, u64)> = named
        .map(|one| (one.site.frame.function.as_deref().unwrap(), one.explains))
        .collect();
    assert_eq!(named, [("evict", 5)]);
}

#[test]
fn where_somebody_else_frees_what_was_there_nothing_is_known_of_the_address() {
    let analysis = one_address("close");
    assert_eq!((analysis.totals.excess, analysis.totals.unknown), (5, 1));
    assert!(analysis.culprits.is_empty(), "{:?}", analysis.culprits);
    assert_eq!(analysis.totals.unexplained, 5);
}
