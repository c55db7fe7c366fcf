//! The report of an earlier run: what it names already is no news.

use std::collections::BTreeSet;

use super::Mark;
use crate::Analysis;
use crate::Confidence;
use crate::Culprit;
use crate::Site;
use crate::diff::Fingerprint;

impl Analysis {
    /// Marks what `baseline` knows already, by the fingerprints of call sites. Whom that run named as one of several that may
    /// have done it, it knows too: which of them comes first changes from run to run.
    pub fn hold_against(&mut self, baseline: &Self) {
        let suspects: BTreeSet<Fingerprint> = baseline.culprits.iter().flat_map(suspects).collect();
        let seen = baseline.unexplained.sites.iter();
        let victims = baseline.victims.iter().map(|victim| &victim.site);
        let mut places: BTreeSet<Fingerprint> = seen
            .map(|seen| &seen.site)
            .chain(victims)
            .map(Site::fingerprint)
            .collect();
        places.extend(&suspects);
        let culprits = self
            .culprits
            .iter()
            .map(|culprit| match culprit.confidence {
                Confidence::Undecided => self::suspects(culprit).any(|one| suspects.contains(&one)),
                Confidence::Proven | Confidence::Counterfactual => {
                    suspects.contains(&culprit.site.fingerprint())
                }
            });
        let seen = self.unexplained.sites.iter();
        let seen = seen.map(|seen| places.contains(&seen.site.fingerprint()));
        let standing = &mut self.standing;
        mark(culprits, &mut standing.culprits);
        mark(seen, &mut standing.unexplained);
        standing.has_baseline = true;
        standing.knows_the_rest = baseline.unexplained.more_observed > 0;
    }
}

/// A culprit and who may have been it instead.
fn suspects(culprit: &Culprit) -> impl Iterator<Item = Fingerprint> + '_ {
    std::iter::once(&culprit.site)
        .chain(&culprit.alternatives)
        .map(Site::fingerprint)
}

fn mark(known: impl Iterator<Item = bool>, marks: &mut Vec<Mark>) {
    for (at, known) in known.enumerate() {
        if marks.len() == at {
            marks.push(Mark::default());
        }
        marks[at].known = known;
    }
}
