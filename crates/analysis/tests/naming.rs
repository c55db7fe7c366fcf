//! Which frame of a stack names a culprit, where owners tell who is guilty.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use whofreed_analysis::Confidence;
use whofreed_analysis::analyse;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;

/// Runs a script with owners that are unique, and returns what each culprit explains.
fn named(script: impl Fn(&mut Host)) -> BTreeMap<String, u64> {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 8);
    script(&mut host);
    let analysis = analyse(&[host.trace()], &host.names);
    assert_eq!(analysis.totals.unexplained, 0);
    let culprits = analysis.culprits.iter();
    culprits
        .map(|culprit| {
            assert_eq!(culprit.confidence, Confidence::Proven);
            assert_eq!(culprit.observed, culprit.explains);
            (
                culprit.site.frame.function.clone().unwrap(),
                culprit.explains,
            )
        })
        .collect()
}

fn of<const N: usize>(culprits: [(&str, u64); N]) -> BTreeMap<String, u64> {
    culprits.map(|(site, n)| (site.to_owned(), n)).into()
}

/// Frees by `rightly`, then as often as told by each of the others.
fn freed_again(host: &mut Host, rightly: &str, again: &[(&str, u64)]) {
    let buffer = host.allocate("make", 0);
    host.free(rightly, buffer);
    for &(site, times) in again {
        for _ in 0..times {
            host.free(site, buffer);
        }
    }
}

#[test]
fn a_frame_that_no_innocent_shares_is_the_innermost() {
    let culprits = named(|host| {
        freed_again(host, "drop < owner", &[("evict < flush < main_loop", 3)]);
    });
    assert_eq!(culprits, of([("evict", 3)]));
}

#[test]
fn behind_a_helper_that_innocents_share_the_caller_is_named() {
    let culprits = named(|host| {
        let again = [("release < evict", 2), ("release < clear < reset", 1)];
        freed_again(host, "release < clear < owner", &again);
    });
    assert_eq!(culprits, of([("evict", 2), ("reset", 1)]));
}

#[test]
fn a_line_that_is_right_and_wrong_is_named_itself() {
    let culprits = named(|host| {
        freed_again(host, "release < owner", &[("release < owner", 2)]);
    });
    assert_eq!(culprits, of([("release", 2)]));
    // Nobody else is told from it by going outward: it is no innocent.
    let culprits = named(|host| {
        let again = [("release < owner", 2), ("release < other", 1)];
        freed_again(host, "release < owner", &again);
    });
    assert_eq!(culprits, of([("release", 3)]));
}

#[test]
fn only_frees_make_a_frame_innocent() {
    let culprits = named(|host| {
        let buffer = host.allocate("resize < grow", 0);
        host.free("drop", buffer);
        host.free("resize < shrink", buffer);
    });
    assert_eq!(culprits, of([("resize", 1)]));
}

#[test]
fn excess_frees_do_not_make_a_frame_innocent() {
    let culprits = named(|host| {
        freed_again(host, "drop", &[("evict < one", 1), ("evict < two", 1)]);
    });
    assert_eq!(culprits, of([("evict", 2)]));
}

/// Every stack is one frame, or none.
struct Only(Option<Frame>);

impl StackNames for Only {
    fn frames(&self, _trace: usize, _stack: StackId) -> Arc<[Frame]> {
        self.0.iter().cloned().collect()
    }
}

/// Whatever is known of a frame names a culprit; a stack of which nothing is known names nobody.
#[test]
fn a_culprit_needs_a_frame_of_which_something_is_known() {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 8);
    freed_again(&mut host, "drop", &[("evict", 1)]);
    let nothing = Frame {
        function: None,
        module: Arc::from(""),
        offset: 0,
        file: None,
        line: 0,
        inlined: false,
        tail_called: false,
        language: Language::Native,
    };
    let function = Frame {
        function: Some("evict".to_owned()),
        ..nothing.clone()
    };
    let module = Frame {
        module: Arc::from("/opt/host/plugin.so"),
        ..nothing.clone()
    };
    let offset = Frame {
        offset: 0x7f00_1234,
        ..nothing.clone()
    };
    let file = Frame {
        file: Some(Arc::from("cache.cpp")),
        ..nothing.clone()
    };
    for known in [function, module, offset, file] {
        let analysis = analyse(&[host.trace()], &Only(Some(known.clone())));
        assert_eq!(analysis.culprits[0].site.frame, known);
        assert_eq!(analysis.totals.unexplained, 0);
    }
    for unknown in [None, Some(nothing)] {
        let analysis = analyse(&[host.trace()], &Only(unknown));
        assert!(analysis.culprits.is_empty());
        assert_eq!(analysis.totals.unexplained, 1);
    }
}
