//! What the blame says of small hosts, in a line for each.

use std::fmt::Write as _;

use whofreed_analysis::Analysis;
use whofreed_analysis::Culprit;
use whofreed_analysis::Site;
use whofreed_analysis::analyse;
use whofreed_corpus::Owners;
use whofreed_corpus::patterns;
use whofreed_corpus::patterns::PATTERNS;
use whofreed_corpus::patterns::Pattern;

use crate::mark::Mark;
use crate::mark::mark;
use crate::mark::name;

/// A host: its pattern, whether it tells owners, its seed and its steps.
pub type Told = (Pattern, Owners, u64, u64);

/// A host of every pattern.
pub fn of_all(owners: Owners, seed: u64, steps: u64) -> impl Iterator<Item = Told> {
    let told = move |pattern: &Pattern| (*pattern, owners, seed, steps);
    PATTERNS.iter().map(told)
}

/// One culprit: who, how sure, how many excess frees are its doing and were seen there, of how many buffers; what it costs
/// to call it innocent; what its frees hit; and of the example how many lives there were.
fn culprit(culprit: &Culprit) -> String {
    let evidence = &culprit.evidence;
    let mut line = format!(
        "{} {} {}/{} of {}",
        name(&culprit.site),
        culprit.confidence.name(),
        culprit.explains,
        culprit.observed,
        culprit.buffers,
    );
    let mut others: Vec<String> = culprit.alternatives.iter().map(name).collect();
    others.sort();
    if !others.is_empty() {
        // Writing to a string cannot fail.
        let _ = write!(line, " or {}", others.join(" or "));
    }
    if let Some(nats) = evidence.innocence_costs {
        let _ = write!(line, " {nats:.1} nats");
    }
    line.push_str(" hits");
    for hits in &evidence.hits {
        let _ = write!(line, " {} {}", name(&hits.site), hits.frees);
    }
    let _ = write!(line, " ? {}", evidence.hits_unknown);
    let reuse = &culprit.example.reuse;
    let known = |life: Option<u64>| life.map_or_else(|| "?".to_owned(), |life| life.to_string());
    let _ = write!(
        line,
        " life {} hit {} of {}",
        known(reuse.life),
        known(reuse.hit_life),
        reuse.lives
    );
    line
}

fn seen<'a>(what: &str, sites: impl Iterator<Item = (&'a Site, u64)>) -> String {
    let sites: Vec<String> = sites
        .map(|(site, count)| format!("{} {count}", name(site)))
        .collect();
    match sites.is_empty() {
        true => String::new(),
        false => format!("; {what} {}", sites.join(", ")),
    }
}

/// What is said of one host.
pub fn line((pattern, owners, seed, steps): Told) -> String {
    let run = patterns::run(pattern, seed, owners, steps);
    let host = &run.host;
    let said: Analysis = analyse(&host.traces(), host);
    let mark = mark(&host.all_truth(), &said);
    assert_ne!(
        mark,
        Mark::Bad,
        "{} {owners:?} {seed} {steps}",
        pattern.name
    );
    let culprits: Vec<String> = said.culprits.iter().map(culprit).collect();
    let victims = said
        .victims
        .iter()
        .map(|victim| (&victim.site, victim.observed));
    let left = said
        .unexplained
        .sites
        .iter()
        .map(|seen| (&seen.site, seen.observed));
    format!(
        "{} {owners:?} {seed} {steps}: {mark:?} of {}: {}{}{}",
        pattern.name,
        said.totals.excess,
        culprits.join("; "),
        seen("victims", victims),
        seen("unexplained", left),
    )
}
