//! What an analysis says of what it does not know: excess frees without a culprit, frees without an owner, and stacks
//! that were cut.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use whofreed_analysis::Analysis;
use whofreed_analysis::ShortStacks;
use whofreed_analysis::analyse;
use whofreed_corpus::Buffer;
use whofreed_corpus::Host;
use whofreed_corpus::Names;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;
use whofreed_trace::Frame;
use whofreed_trace::NativeFrame;
use whofreed_trace::Stack;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

/// A host that lost an event, so that a free by somebody unheard of may have been right.
fn host_with_strays(strays: u64) -> Host {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 64);
    host.dropped = 100;
    for stray in 0..strays {
        for _ in 0..=stray {
            let buffer = host.allocate("alloc", 0);
            let foreign = Buffer {
                owner: 1_000_000,
                root: 1_000_000,
                ..buffer
            };
            host.pool_checks = true;
            host.free(&format!("dev_free < stray{stray} < step"), foreign);
            host.free("dev_free < pop < step", buffer);
        }
    }
    host
}

fn seen(analysis: &Analysis) -> Vec<(&str, u64)> {
    let sites = analysis.unexplained.sites.iter();
    sites
        .map(|seen| (seen.site.frame.function.as_deref().unwrap(), seen.observed))
        .collect()
}

#[test]
fn excess_frees_without_a_culprit_are_told_by_where_they_were_seen() {
    let host = host_with_strays(3);
    let analysis = analyse(&[host.trace()], &host.names);
    assert!(analysis.culprits.is_empty(), "{:?}", analysis.culprits);
    assert_eq!(analysis.totals.unexplained, 6);
    assert_eq!(
        seen(&analysis),
        [("stray2", 3), ("stray1", 2), ("stray0", 1)]
    );
    assert_eq!(analysis.unexplained.more_sites, 0);
    let stack = &analysis.unexplained.sites[0].stack;
    assert!(
        stack
            .iter()
            .any(|frame| frame.function.as_deref() == Some("stray2")),
        "{stack:?}"
    );
}

#[test]
fn of_many_sites_the_rest_is_summed() {
    let host = host_with_strays(23);
    let analysis = analyse(&[host.trace()], &host.names);
    let unexplained = &analysis.unexplained;
    assert_eq!(unexplained.sites.len(), 20);
    assert_eq!((unexplained.more_sites, unexplained.more_observed), (3, 6));
    assert_eq!(seen(&analysis)[0], ("stray22", 23));
}

/// Each site frees as it should and once as it should not, all through the same helpers.
fn seen_behind(helpers: &str, sites: &[&str]) -> Vec<(String, u64)> {
    let stack = |site: &&str| format!("{helpers} < {site} < step");
    seen_at(&sites.iter().map(stack).collect::<Vec<_>>())
}

/// Stacks that were not unwound to the end.
struct WithoutMain<'a>(&'a Names);

impl StackNames for WithoutMain<'_> {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        let frames = self.0.frames(trace, stack);
        let is_main = |frame: &Frame| frame.function.as_deref() == Some("main");
        frames
            .iter()
            .filter(|frame| !is_main(frame))
            .cloned()
            .collect()
    }
}

/// Each stack frees as it should and once as it should not.
fn seen_at(stacks: &[String]) -> Vec<(String, u64)> {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 64);
    host.dropped = 100;
    host.pool_checks = true;
    for stack in stacks {
        let buffer = host.allocate("alloc", 0);
        let owner = 1_000_000;
        host.free(
            stack,
            Buffer {
                owner,
                root: owner,
                ..buffer
            },
        );
        host.free(stack, buffer);
    }
    let analysis = analyse(&[host.trace()], &WithoutMain(&host.names));
    let seen = seen(&analysis).into_iter();
    seen.map(|(site, count)| (site.to_owned(), count)).collect()
}

#[test]
fn helpers_under_all_frees_are_not_where_they_were_seen() {
    for helpers in ["dev_free", "dev_free < inner_free"] {
        let expected = ["one", "two"].map(|site| (site.to_owned(), 1));
        assert_eq!(seen_behind(helpers, &["one", "two"]), expected);
    }
    // Where there is but one stack, nothing tells a helper.
    let alone = seen_behind("dev_free", &["one"]);
    assert_eq!(alone, [("dev_free".to_owned(), 1)]);
}

#[test]
fn a_helper_that_also_frees_on_its_own_is_where_that_was_seen() {
    let stacks = ["dev_free < one < step", "dev_free"].map(str::to_owned);
    let expected = ["dev_free", "one"].map(|site| (site.to_owned(), 1));
    assert_eq!(seen_at(&stacks), expected);
}

#[test]
fn what_was_seen_at_a_site_on_several_ways_is_one_sum() {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 64);
    host.dropped = 100;
    for way in ["load", "step", "step", "step"] {
        let buffer = host.allocate("alloc", 0);
        host.free("pop", buffer);
        host.free(&format!("stray < {way}"), buffer);
    }
    let analysis = analyse(&[host.trace()], &host.names);
    assert_eq!(seen(&analysis), [("stray", 4)]);
}

#[test]
fn only_what_is_left_of_a_run_with_culprits_is_told() {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 64);
    host.dropped = 1;
    host.pool_checks = true;
    for _ in 0..4 {
        let buffer = host.allocate("alloc", 0);
        host.free("pop", buffer);
        host.free("evict", buffer);
    }
    let buffer = host.allocate("alloc", 0);
    let (owner, root) = (1_000_000, 1_000_000);
    let foreign = Buffer {
        owner,
        root,
        ..buffer
    };
    host.free("stray", foreign);
    host.free("pop", buffer);
    let analysis = analyse(&[host.trace()], &host.names);
    assert_eq!(analysis.culprits[0].explains, 4);
    assert_eq!(seen(&analysis), [("stray", 1)]);
}

#[test]
fn what_a_culprit_explains_is_not_told_again() {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 64);
    let buffer = host.allocate("alloc", 0);
    host.free("pop", buffer);
    host.free("evict", buffer);
    let analysis = analyse(&[host.trace()], &host.names);
    assert_eq!(analysis.culprits.len(), 1);
    assert!(seen(&analysis).is_empty());
}

#[test]
fn frees_that_tell_no_owner_are_counted() {
    for (owners, ownerless) in [(Owners::Unknown, 2), (Owners::Unique, 0)] {
        let mut host = Host::new(1, owners, 1, Reuse::LastFirst, 64);
        for _ in 0..2 {
            let buffer = host.allocate("alloc", 0);
            host.free("pop", buffer);
        }
        let totals = analyse(&[host.trace()], &host.names).totals;
        assert_eq!((totals.deallocations, totals.ownerless), (2, ownerless));
    }
}

fn stack(frames: usize, truncated: bool) -> Stack {
    let frame = NativeFrame {
        module: None,
        offset: 16,
    };
    Stack {
        native: vec![frame; frames],
        python: Vec::new(),
        truncated,
    }
}

fn short_stacks(stacks: Vec<Stack>) -> ShortStacks {
    let trace: Trace = Trace {
        stacks,
        ..Trace::default()
    };
    analyse(&[trace], &whofreed_corpus::Names::default()).short_stacks
}

#[test]
fn stacks_cut_by_a_low_depth_are_counted_among_those_it_held_for() {
    let stacks = vec![
        Stack::default(),
        stack(3, true),
        stack(3, true),
        stack(2, false),
        // Those of excess frees.
        stack(9, false),
        stack(12, false),
    ];
    let expected = ShortStacks {
        cut: 2,
        of: 3,
        depth: 3,
    };
    assert_eq!(short_stacks(stacks), expected);
}

#[test]
fn whole_stacks_and_long_ones_are_not_called_short() {
    let none = ShortStacks::default();
    assert_eq!(short_stacks(vec![stack(3, false), stack(9, false)]), none);
    assert_eq!(short_stacks(vec![stack(64, true), stack(64, true)]), none);
    assert_eq!(short_stacks(vec![stack(16, true)]), none);
    assert_eq!(short_stacks(vec![stack(15, true)]).depth, 15);
}
