//! Whose innocent frees look excessive, how often that was seen, and because of whom.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::cmp::Reverse;
use std::collections::BTreeMap;

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Site;
use whofreed_analysis::Victim;
use whofreed_analysis::analyse;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;
use whofreed_corpus::patterns;

fn name(site: &Site) -> String {
    site.frame.function.clone().unwrap()
}

/// Where everything is explained and the right ones are named, every excess free was seen either at a culprit or at a
/// victim: as often as the host knows it.
fn check(host: &Host, analysis: &Analysis) {
    let culprits = analysis.culprits.iter();
    let victims = analysis.victims.iter();
    let observed: BTreeMap<String, u64> = culprits
        .map(|culprit| (name(&culprit.site), culprit.observed))
        .chain(victims.map(|victim| (name(&victim.site), victim.observed)))
        .filter(|seen| seen.1 > 0)
        .collect();
    assert_eq!(observed, host.seen);
    let order = |victim: &Victim| (Reverse(victim.observed), victim.site.clone());
    assert!(analysis.victims.is_sorted_by_key(order));
    for victim in &analysis.victims {
        assert!(victim.culprit.unwrap() < analysis.culprits.len());
    }
}

#[test]
fn every_excess_free_is_seen_at_a_culprit_or_at_a_victim() {
    let mut checked = 0;
    for pattern_name in ["stale", "live_only", "mixed_release", "same_site_twice"] {
        for seed in 0..4 {
            let pattern = patterns::find(pattern_name).unwrap();
            let host = patterns::run(pattern, seed, Owners::Unknown, 1_200).host;
            let analysis = analyse(&[host.trace()], &host.names);
            let named: BTreeMap<String, Confidence> = analysis
                .culprits
                .iter()
                .map(|culprit| (name(&culprit.site), culprit.confidence))
                .collect();
            let is_exact = named.keys().eq(host.truth.keys())
                && named.values().all(|&c| c == Confidence::Counterfactual);
            if is_exact && analysis.totals.unexplained == 0 {
                check(&host, &analysis);
                checked += u32::from(!analysis.victims.is_empty());
            }
        }
    }
    assert!(checked > 3);
}

/// A culprit on each of two devices: the one that strikes less is the one that strikes `shared`.
#[test]
fn a_victim_points_to_whoever_struck_it_most() {
    let mut host = Host::new(1, Owners::Unknown, 2, Reuse::LastFirst, 64);
    for round in 0..3_000 {
        let device = round % 2;
        let layer = host.allocate("layer_alloc", device);
        host.free("layer_free", layer);
        let is_shared = host.random.chance(if device == 0 { 0.05 } else { 0.6 });
        let kind = if is_shared {
            "shared".to_owned()
        } else {
            format!("own{device}{}", host.random.below(4))
        };
        let struck = host.allocate(&format!("{kind}_alloc"), device);
        let (guilty, often) = if device == 0 {
            ("often", 0.3)
        } else {
            ("seldom", 0.15)
        };
        let strikes = host.random.chance(often);
        if strikes && host.random.chance(0.7) {
            host.free(guilty, layer);
            host.free(&kind, struck);
        } else {
            host.free(&kind, struck);
            if strikes {
                host.free(guilty, layer);
            }
        }
    }
    let analysis = analyse(&[host.trace()], &host.names);
    check(&host, &analysis);
    let guilty: Vec<String> = analysis
        .culprits
        .iter()
        .map(|one| name(&one.site))
        .collect();
    assert_eq!(guilty, ["often", "seldom"]);
    for victim in &analysis.victims {
        let site = name(&victim.site);
        let guilty = usize::from(site == "shared" || site.starts_with("own1"));
        assert_eq!(victim.culprit, Some(guilty), "{site}");
    }
}
