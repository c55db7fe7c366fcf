//! How a person is told what was wrong with an excess free: no verdict is worded as another.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::page::page;
use whofreed_analysis::Analysis;
use whofreed_analysis::analyse;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;
use whofreed_report::to_text;
use whofreed_trace::Verdict;

fn text(analysis: &Analysis) -> String {
    to_text(analysis, &page(200))
}

/// The lines over the stacks of each culprit.
fn leads(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '))
        .filter(|line| !line.starts_with("whofreed: "))
        .collect()
}

fn host() -> Host {
    let mut host = Host::new(1, Owners::Unique, 1, Reuse::LastFirst, 64);
    host.pool_checks = true;
    host.only_thread = Some(4243);
    host
}

fn analysed(host: &Host) -> Analysis {
    analyse(&[host.trace()], &host.names)
}

/// Frees at `site` what its owner has freed.
fn free_again(host: &mut Host, site: &str) {
    let buffer = host.allocate("dev_alloc < load < step", 0);
    host.free("dev_free < finish < step", buffer);
    host.free(site, buffer);
}

/// Frees at `site` what its owner has freed, from under whoever got the address next.
fn free_stale(host: &mut Host, site: &str) {
    let buffer = host.allocate("dev_alloc < load < step", 0);
    host.free("dev_free < finish < step", buffer);
    let next = host.allocate("dev_alloc < load < step", 0);
    assert_eq!(buffer.address, next.address);
    host.free(site, buffer);
    host.free("dev_free < finish < step", next);
}

/// Frees at `site` what somebody else holds and was never its own.
fn free_foreign(host: &mut Host, site: &str) {
    let buffer = host.allocate("dev_alloc < load < step", 0);
    let stranger = host.alias(buffer);
    host.free(site, stranger);
    host.free("dev_free < finish < step", buffer);
}

#[test]
fn what_was_freed_before_is_freed_again() {
    let mut host = host();
    free_again(&mut host, "dev_free < evict < step");
    let analysis = analysed(&host);
    assert_eq!(analysis.verdicts.already_freed, 1);
    assert_eq!(
        leads(&text(&analysis)),
        [
            "freed again by thread T4243; life 1 had ended:",
            "first freed here by thread T4243; the pointer is from life 1 of this address:",
            "allocated here:"
        ]
    );
}

#[test]
fn what_another_owner_has_by_now_is_told_as_such() {
    let mut host = host();
    free_stale(&mut host, "dev_free < evict < step");
    let analysis = analysed(&host);
    assert_eq!(analysis.verdicts.stale_owner, 1);
    assert_eq!(
        leads(&text(&analysis)),
        [
            "freed again by thread T4243; hits life 2 of another owner, allocated at dev_alloc (host.cpp:10):",
            "first freed here by thread T4243; the pointer is from life 1 of this address:",
            "allocated here:"
        ]
    );
}

#[test]
fn what_a_stranger_frees_is_not_freed_again() {
    let mut host = host();
    free_foreign(&mut host, "dev_free < evict < step");
    let analysis = analysed(&host);
    assert_eq!(analysis.verdicts.foreign_owner, 1);
    let text = text(&analysis);
    assert_eq!(
        leads(&text),
        [
            "freed by thread T4243, for an owner that never held it; hits life 1, allocated at dev_alloc (host.cpp:10):",
            "its holder got it here:"
        ]
    );
    let (_, holder) = text.split_once("its holder got it here:\n").unwrap();
    assert!(
        holder.lines().any(|line| line.contains(" in load")),
        "{text}"
    );
    assert!(!text.contains("no stack was recorded"), "{text}");
}

#[test]
fn each_culprit_is_told_by_its_own_verdict() {
    let mut host = host();
    for _ in 0..2 {
        free_again(&mut host, "dev_free < evict < step");
    }
    free_foreign(&mut host, "dev_free < drop_view < step");
    let analysis = analysed(&host);
    assert_eq!(
        leads(&text(&analysis)),
        [
            "freed again by thread T4243; life 1 had ended:",
            "first freed here by thread T4243; the pointer is from life 1 of this address:",
            "allocated here:",
            "freed by thread T4243, for an owner that never held it; hits life 3, allocated at dev_alloc (host.cpp:10):",
            "its holder got it here:"
        ]
    );
}

#[test]
fn what_no_owner_proves_is_not_told_by_the_verdict() {
    let mut analysis = common::usual();
    analysis.culprits.truncate(1);
    for verdict in [
        None,
        Some(Verdict::Ok),
        Some(Verdict::StaleOwner),
        Some(Verdict::ForeignOwner),
    ] {
        analysis.culprits[0].example.verdict = verdict;
        assert_eq!(
            leads(&text(&analysis)),
            [
                "freed again by thread T4243; would hit life 7, allocated at Tensor::Tensor (tensor.cpp:9):",
                "first freed here by thread T4242; the pointer would be from life 3 of this address:",
                "allocated here:",
            ]
        );
    }
}
