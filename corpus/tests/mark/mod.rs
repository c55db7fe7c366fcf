//! How a run went: whom the analysis named, held against the truth.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Site;

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// The culprits, all of them, and nobody else.
    Exact,
    /// All of them, some as "one or the other".
    Either,
    /// Some are missing, nobody innocent is named.
    Missed,
    /// An innocent is named.
    Bad,
}

/// The function that a site is in.
pub fn name(site: &Site) -> String {
    site.frame.function.clone().unwrap()
}

/// How this one went.
pub fn mark(truth: &BTreeMap<String, u64>, analysis: &Analysis) -> Mark {
    let mut named = BTreeSet::new();
    let mut hinted = BTreeSet::new();
    for culprit in &analysis.culprits {
        let site = name(&culprit.site);
        if culprit.confidence == Confidence::Undecided {
            let mut all: BTreeSet<String> = culprit.alternatives.iter().map(name).collect();
            all.insert(site);
            if !all.iter().any(|site| truth.contains_key(site)) {
                return Mark::Bad;
            }
            hinted.extend(all);
        } else {
            if !truth.contains_key(&site) {
                return Mark::Bad;
            }
            named.insert(site);
        }
    }
    let found = |site: &String| named.contains(site) || hinted.contains(site);
    let is_innocent = |site: &String| !truth.contains_key(site);
    if !truth.keys().all(found) {
        Mark::Missed
    } else if truth.keys().all(|site| named.contains(site)) && !hinted.iter().any(is_innocent) {
        Mark::Exact
    } else {
        Mark::Either
    }
}
