//! In which scopes a culprit's frees were: with a scope for each test of a suite, which tests are at fault.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::analyse;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;

/// A process with one block, whose scopes 1 and 2 have names.
fn host(owners: Owners) -> Host {
    Host::new(1, owners, 1, Reuse::LastFirst, 1)
}

fn only_culprit(host: &Host) -> Culprit {
    let mut traces = host.traces();
    traces[0].scopes.insert(1, "test one".to_owned());
    traces[0].scopes.insert(2, "test two".to_owned());
    let mut analysis = analyse(&traces, &host.names);
    assert_eq!(analysis.culprits.len(), 1);
    analysis.culprits.remove(0)
}

/// Scope, scope of the other story, and frees.
fn told(culprit: &Culprit) -> Vec<(&str, Option<&str>, u64)> {
    let scopes = culprit.evidence.scopes.iter();
    scopes
        .map(|of| (of.scope.as_str(), of.or_scope.as_deref(), of.frees))
        .collect()
}

#[test]
fn frees_are_told_by_the_scope_of_who_did_it_not_of_who_suffered() {
    let mut host = host(Owners::Unique);
    for scope in [1, 2, 2, 0] {
        host.scope = scope;
        let stale = host.allocate("alloc", 0);
        host.free("free", stale);
        let struck = host.allocate("struck", 0);
        host.free("stale", stale);
        host.scope = 7;
        host.free("rightful", struck);
    }
    let culprit = only_culprit(&host);
    assert_eq!(
        told(&culprit),
        [("test two", None, 2), ("", None, 1), ("test one", None, 1)]
    );
    let scopes = &culprit.evidence.scopes;
    assert!(scopes[0].first_ns < scopes[0].last_ns);
    assert_eq!(scopes[1].first_ns, scopes[1].last_ns);
    assert_eq!(scopes[0].pid, culprit.example.pid);
}

#[test]
fn where_the_log_does_not_decide_both_frees_have_their_scope() {
    for (first, again, other) in [(1, 1, "test one"), (2, 1, "test two"), (0, 1, "")] {
        let mut host = host(Owners::Unknown);
        let buffer = host.allocate("alloc", 0);
        host.scope = first;
        host.free("free", buffer);
        host.scope = again;
        host.free("again", buffer);
        let culprit = only_culprit(&host);
        assert_eq!(culprit.confidence, Confidence::Undecided);
        assert_eq!(told(&culprit), [("test one", Some(other), 1)]);
    }
}

#[test]
fn a_rival_that_took_the_address_from_its_owner_has_the_other_scope() {
    let mut host = host(Owners::Unknown);
    for _ in 0..40 {
        let stale = host.allocate("alloc", 0);
        host.free("free", stale);
        let struck = host.allocate("struck", 0);
        host.scope = 2;
        host.free("stale", stale);
        host.scope = 1;
        host.free("struck_free", struck);
    }
    let mut traces = host.traces();
    traces[0].scopes.insert(1, "test one".to_owned());
    traces[0].scopes.insert(2, "test two".to_owned());
    let analysis = analyse(&traces, &host.names);
    for culprit in &analysis.culprits {
        let [(scope, other, 40)] = told(culprit)[..] else {
            panic!("{:?}", culprit.evidence.scopes);
        };
        let sides = match culprit.confidence {
            Confidence::Undecided => [Some(scope), other],
            _ => [Some("test two"), Some("test one")],
        };
        let name = culprit.site.frame.function.as_deref().unwrap();
        assert!(sides.contains(&Some("test two")) && sides.contains(&Some("test one")));
        assert_eq!(scope == "test two", name == "stale", "{name} {scope}");
    }
    assert!(!analysis.culprits.is_empty());
}
