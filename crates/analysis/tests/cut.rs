//! A long log, of which only what is around something unusual is looked at: it names whom the whole log names, and no
//! innocent.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::analyse_cut;
use whofreed_corpus::Owners;
use whofreed_corpus::patterns;
use whofreed_corpus::patterns::PATTERNS;

/// Those who are named alone, and those who may be it as well as others.
fn named(analysis: &Analysis) -> (BTreeSet<String>, Vec<BTreeSet<String>>) {
    let (mut named, mut hinted) = (BTreeSet::new(), Vec::new());
    for culprit in &analysis.culprits {
        let name = |site: &whofreed_analysis::Site| site.frame.function.clone().unwrap();
        let mut all: BTreeSet<String> = culprit.alternatives.iter().map(name).collect();
        all.insert(name(&culprit.site));
        if culprit.confidence == Confidence::Undecided {
            hinted.push(all);
        } else {
            named.insert(name(&culprit.site));
        }
    }
    (named, hinted)
}

/// Whether everybody who is named did it, and of those who may be it somebody did.
fn is_right(truth: &BTreeMap<String, u64>, analysis: &Analysis) -> bool {
    let (named, hinted) = named(analysis);
    let did_it = |site: &String| truth.contains_key(site);
    named.iter().all(did_it) && hinted.iter().all(|all| all.iter().any(did_it))
}

#[test]
fn a_cut_log_names_whom_the_whole_log_names() {
    let seeds = 0..1;
    let steps = 4_000;
    let (mut bad, mut same, mut more, mut fewer) = (Vec::new(), 0, 0, 0);
    for &pattern in PATTERNS {
        let name = pattern.name;
        let (mut whole, mut cut) = ((0, 0), (0, 0));
        for seed in seeds.clone() {
            let host = patterns::run(pattern, seed, Owners::Unknown, steps).host;
            let (traces, truth) = (host.traces(), host.all_truth());
            let of = |most_whole: usize, sum: &mut (u64, usize)| {
                let analysis = analyse_cut(&traces, &host, most_whole);
                sum.0 += analysis.totals.excess - analysis.totals.unexplained;
                let named = named(&analysis).0;
                sum.1 += named.len();
                (is_right(&truth, &analysis), named)
            };
            let (_, by_whole) = of(usize::MAX, &mut whole);
            let (right, by_cut) = of(0, &mut cut);
            if !right {
                bad.push((name, seed));
            }
            same += by_whole.intersection(&by_cut).count();
            more += by_cut.difference(&by_whole).count();
            fewer += by_whole.difference(&by_cut).count();
            if by_whole != by_cut {
                println!("{name} {seed}: whole {by_whole:?}, cut {by_cut:?}, truth {truth:?}");
            }
        }
        println!("{name:26} explained {whole:?} whole, {cut:?} cut");
    }
    println!("{same} named by both, {more} only when cut, {fewer} only when whole");
    assert!(bad.is_empty(), "innocents named: {bad:?}");
    assert!(same > 0, "nobody is named");
    // What shows only much later is lost.
    assert!(fewer * 6 <= same, "{fewer} of {same} are missed");
}
