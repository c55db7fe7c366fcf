//! Measures the blame on simulated hosts: to name an innocent is the one thing that must not happen.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod host;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;

use host::Host;
use host::Owners;
use host::patterns::PATTERNS;
use host::patterns::Tells;
use host::patterns::pattern;
use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::analyse;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Exact,
    Undecided,
    Missed,
    Bad,
}

fn name(frame: &whofreed_trace::Frame) -> String {
    frame.function.clone().unwrap()
}

fn mark(host: &Host, analysis: &Analysis) -> Mark {
    let mut named = BTreeSet::new();
    let mut hinted = BTreeSet::new();
    for culprit in &analysis.culprits {
        let site = name(&culprit.site.frame);
        if culprit.confidence == Confidence::Undecided {
            let mut all: BTreeSet<String> = culprit
                .alternatives
                .iter()
                .map(|site| name(&site.frame))
                .collect();
            all.insert(site);
            if !all.iter().any(|site| host.truth.contains_key(site)) {
                return Mark::Bad;
            }
            hinted.extend(all);
        } else {
            if !host.truth.contains_key(&site) {
                return Mark::Bad;
            }
            named.insert(site);
        }
    }
    let truth: BTreeSet<String> = host.truth.keys().cloned().collect();
    if named == truth {
        Mark::Exact
    } else if truth
        .iter()
        .all(|site| named.contains(site) || hinted.contains(site))
    {
        Mark::Undecided
    } else {
        Mark::Missed
    }
}

fn check_sums(analysis: &Analysis) {
    let explained: u64 = analysis
        .culprits
        .iter()
        .map(|culprit| culprit.explains)
        .sum();
    let totals = &analysis.totals;
    assert_eq!(explained + totals.unexplained, totals.excess);
    assert_eq!(
        totals.deallocations,
        totals.ok + totals.excess + totals.unknown + totals.invalid
    );
    assert_eq!(totals.deallocations, totals.forwarded + totals.blocked);
    let victims: u64 = analysis.victims.iter().map(|victim| victim.observed).sum();
    let observed: u64 = analysis
        .culprits
        .iter()
        .map(|culprit| culprit.observed)
        .sum();
    assert!(victims + observed <= totals.excess);
    let unexplained = &analysis.unexplained;
    let seen: u64 = unexplained.sites.iter().map(|seen| seen.observed).sum();
    assert_eq!(seen + unexplained.more_observed, totals.unexplained);
}

/// Another size by `WHOFREED_BLAME_STEPS=n`, other seeds by `WHOFREED_BLAME_SEEDS=from..to`.
fn steps() -> u64 {
    host::steps().unwrap_or(1_200)
}

#[test]
fn no_innocent_is_named() {
    measure(Owners::Unknown, 0..2);
}

#[test]
fn pointers_prove_nothing_and_mislead_nobody() {
    measure(Owners::Pointers, 2..3);
}

fn measure(owners: Owners, seeds: Range<u64>) {
    let seeds = host::seeds().unwrap_or(seeds);
    let mut table: BTreeMap<&str, BTreeMap<Mark, u32>> = BTreeMap::new();
    let mut bad = Vec::new();
    let only = std::env::var("WHOFREED_BLAME_ONLY").ok();
    for &(pattern_name, tells) in PATTERNS {
        if only.as_deref().is_some_and(|only| only != pattern_name) {
            continue;
        }
        let (mut seen, mut excess, mut explained) = (0, 0, 0);
        for seed in seeds.clone() {
            let host = pattern(pattern_name, seed, owners, steps());
            let analysis = analyse(&[host.trace()], &host.names);
            check_sums(&analysis);
            let mark = mark(&host, &analysis);
            *table
                .entry(pattern_name)
                .or_default()
                .entry(mark)
                .or_default() += 1;
            if mark == Mark::Bad || tells == Tells::Nobody && !analysis.culprits.is_empty() {
                bad.push((pattern_name, seed));
            }
            if mark != Mark::Exact || mark == Mark::Bad {
                let named: Vec<_> = analysis
                    .culprits
                    .iter()
                    .map(|c| {
                        (
                            name(&c.site.frame),
                            c.confidence.name(),
                            c.explains,
                            c.alternatives.len(),
                        )
                    })
                    .collect();
                println!(
                    "{owners:?} {pattern_name} {seed} {mark:?}: truth {:?} said {named:?}",
                    host.truth
                );
            }
            seen += host.seen_at_culprits();
            excess += host.excess;
            explained += analysis.totals.excess - analysis.totals.unexplained;
        }
        let counts = &table[pattern_name];
        let count = |mark| counts.get(&mark).copied().unwrap_or(0);
        println!(
            "{owners:?} {pattern_name:26} exact {:3} undecided {:3} missed {:3} bad {:3}   explained {:5.1} %  plain dump right {:5.1} %",
            count(Mark::Exact),
            count(Mark::Undecided),
            count(Mark::Missed),
            count(Mark::Bad),
            100.0 * explained as f64 / f64::max(excess as f64, 1.0),
            100.0 * seen as f64 / f64::max(excess as f64, 1.0),
        );
    }
    assert!(bad.is_empty(), "innocents named: {bad:?}");
}
