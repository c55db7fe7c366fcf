//! What one run says of each call site, by fingerprint, and what makes it doubtful.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_trace::Frame;

use super::Doubt;
use super::Fingerprint;
use super::Guard;
use super::Tally;
use super::fingerprint::fingerprint;
use crate::Analysis;
use crate::Confidence;
use crate::Rules;
use crate::Site;

/// All lines of one function that have the same part.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) fingerprint: Fingerprint,
    /// That of the line with most.
    pub(super) site: Site,
    pub(super) count: u64,
    observed: u64,
    bytes: u64,
    lines: u64,
    confidence: Option<Confidence>,
    /// Others of whom any may be it.
    pub(super) suspects: BTreeSet<Fingerprint>,
    /// The call sites of the shown case, innermost first; of culprits.
    pub(super) chains: Vec<Vec<Fingerprint>>,
}

impl Group {
    fn new(site: &Site, count: u64) -> Self {
        Self {
            fingerprint: site.fingerprint(),
            site: site.clone(),
            count,
            observed: 0,
            bytes: 0,
            lines: 1,
            confidence: None,
            suspects: BTreeSet::new(),
            chains: Vec::new(),
        }
    }

    /// The group as a report shows it.
    pub(super) fn tally(&self, per_million: Option<f64>) -> Tally {
        Tally {
            count: self.count,
            per_million,
            observed: self.observed,
            bytes: self.bytes,
            lines: self.lines,
            confidence: self.confidence,
        }
    }
}

pub(super) fn culprits(run: &Analysis) -> Vec<Group> {
    gather(run.culprits.iter().map(|culprit| Group {
        observed: culprit.observed,
        confidence: Some(culprit.confidence),
        suspects: culprit.alternatives.iter().map(Site::fingerprint).collect(),
        chains: vec![chain(&culprit.example.excess)],
        ..Group::new(&culprit.site, culprit.explains)
    }))
}

pub(super) fn victims(run: &Analysis) -> Vec<Group> {
    gather(run.victims.iter().map(|victim| Group {
        observed: victim.observed,
        ..Group::new(&victim.site, victim.observed)
    }))
}

pub(super) fn leaks(run: &Analysis) -> Vec<Group> {
    gather(run.leaks.iter().map(|leak| Group {
        bytes: leak.bytes,
        ..Group::new(&leak.site, leak.count)
    }))
}

/// One for each fingerprint. They come with the largest first, whose site is kept.
fn gather(groups: impl Iterator<Item = Group>) -> Vec<Group> {
    let mut gathered: BTreeMap<Fingerprint, Group> = BTreeMap::new();
    for mut group in groups {
        let Some(known) = gathered.get_mut(&group.fingerprint) else {
            gathered.insert(group.fingerprint, group);
            continue;
        };
        // Figures from a file may be anything.
        known.count = known.count.saturating_add(group.count);
        known.observed = known.observed.saturating_add(group.observed);
        known.bytes = known.bytes.saturating_add(group.bytes);
        known.lines += 1;
        known.confidence = known.confidence.max(group.confidence);
        known.suspects.append(&mut group.suspects);
        known.chains.append(&mut group.chains);
    }
    gathered.into_values().collect()
}

/// The call sites of a stack, innermost first.
fn chain(stack: &[Frame]) -> Vec<Fingerprint> {
    let rules = Rules::shipped();
    let own = stack.iter().filter(|frame| !rules.is_machinery(frame));
    own.map(fingerprint).collect()
}

/// What the guard did in a run.
pub(super) const fn guard(run: &Analysis) -> Guard {
    if run.totals.blocked == 0 {
        Guard::Nothing
    } else if run.totals.blocked < run.totals.excess {
        Guard::Some
    } else {
        Guard::All
    }
}

/// Why something that a run does not show may be there all the same.
pub(super) fn doubts(run: &Analysis) -> Vec<Doubt> {
    let totals = &run.totals;
    let mut doubts = Vec::new();
    if totals.events == 0 {
        doubts.push(Doubt::Empty);
    }
    for (count, doubt) in [
        (totals.dropped_events, Doubt::Lost as fn(u64) -> Doubt),
        (totals.untracked, Doubt::Untracked),
        (run.damage.len() as u64, Doubt::Damaged),
    ] {
        if count > 0 {
            doubts.push(doubt(count));
        }
    }
    let exits = run.processes.iter().filter_map(|process| process.exit);
    if let Some(signal) = exits.filter_map(|exit| exit.signal).next() {
        doubts.push(Doubt::Killed(signal));
    }
    if totals.unexplained > 0 {
        doubts.push(Doubt::Unexplained(totals.unexplained));
    }
    doubts
}
