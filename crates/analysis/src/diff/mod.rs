//! Two runs held against each other: which culprits, victims and leaks went, came, or stayed. `fingerprint` and
//! `stable_name` tell a call site again, `sides` gathers what a run says of each, `pairs` finds the partners,
//! `weigh` says what is clearly more, and this module what became of whom.
//!
//! A culprit counts as gone only where the second run could not have hidden it: not behind the guard, not among
//! what was lost, and not among what nobody explains.

mod fingerprint;
mod model;
mod pairs;
mod sides;
mod stable_name;
mod weigh;

pub use fingerprint::Fingerprint;
pub use model::*;

use std::cmp::Reverse;

use crate::Analysis;
use crate::Culprit;

use pairs::Pair;
use sides::Group;
use weigh::Scale;
use weigh::Weight;

/// What changed from one run to the other.
#[must_use]
pub fn compare(before: &Analysis, after: &Analysis) -> Diff {
    let scale = Scale::new(before.totals.allocations, after.totals.allocations);
    let sides = (sides::doubts(before), sides::doubts(after));
    let guard = sides::guard(after);
    let judge = Judge {
        scale,
        before,
        after,
        doubts: &sides.1,
        newly_guarded: guard == Guard::All && sides::guard(before) != Guard::All,
    };
    let culprits = judge.all(
        pairs::of_culprits(sides::culprits(before), sides::culprits(after)),
        Of::Culprits,
    );
    let victims = judge.all(
        pairs::by_fingerprint(sides::victims(before), sides::victims(after)),
        Of::Victims,
    );
    let leaks = judge.all(
        pairs::by_fingerprint(sides::leaks(before), sides::leaks(after)),
        Of::Leaks,
    );
    let counts = Counts::new(&culprits);
    let excess = scale.weigh(before.totals.excess, after.totals.excess);
    let is_nameless = |change: &&Change| change.doubts.contains(&Doubt::Nameless);
    let nameless = culprits.iter().filter(is_nameless).count() as u64;
    // As many as only lack a name in one of the runs may not be new at all.
    let is_worse = counts.new > nameless || counts.more > 0 || excess == Weight::More;
    Diff {
        answer: answer(&counts, excess, is_worse),
        is_worse,
        counts,
        before: Run {
            totals: before.totals,
            guard: sides::guard(before),
            doubts: sides.0,
        },
        after: Run {
            totals: after.totals,
            guard,
            doubts: sides.1,
        },
        ratio: scale.noticeable(),
        culprits,
        victims,
        leaks,
    }
}

/// Which list is being judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Culprits,
    Victims,
    Leaks,
}

/// What the changes are judged by.
struct Judge<'a> {
    scale: Scale,
    before: &'a Analysis,
    after: &'a Analysis,
    /// Those of the second run as a whole.
    doubts: &'a [Doubt],
    /// The guard held back everything in the second run alone.
    newly_guarded: bool,
}

impl Judge<'_> {
    /// What became of each, in the order in which a reader wants to know.
    fn all(&self, pairs: Vec<Pair>, of: Of) -> Vec<Change> {
        let mut changes: Vec<Change> = pairs.into_iter().map(|pair| self.one(pair, of)).collect();
        changes.sort_by_cached_key(|change| {
            let count = |side: &Option<Tally>| side.as_ref().map_or(0, |tally| tally.count);
            let most = count(&change.before).max(count(&change.after));
            (change.status, Reverse(most), change.site.clone())
        });
        changes
    }

    fn one(&self, pair: Pair, of: Of) -> Change {
        let before_of = |group: &Group| group.tally(self.scale.per_million_before(group.count));
        let after_of = |group: &Group| group.tally(self.scale.per_million_after(group.count));
        let mut change = Change {
            status: Status::New,
            fingerprint: Fingerprint(0),
            site: match &pair {
                // The lines of the second run are those of today.
                Pair::Before(group) | Pair::After(group) | Pair::Both { after: group, .. } => {
                    group.site.clone()
                }
            },
            named_before: None,
            before: None,
            after: None,
            doubts: Vec::new(),
        };
        change.fingerprint = change.site.fingerprint();
        match &pair {
            Pair::Before(before) => {
                change.before = Some(before_of(before));
                change.doubts = self.doubts_about(before, of);
                change.status = if change.doubts.is_empty() {
                    Status::Gone
                } else {
                    Status::Uncertain
                };
            }
            Pair::Both { before, after } => {
                change.before = Some(before_of(before));
                change.after = Some(after_of(after));
                change.status = self.of_both(before.count, after.count, of);
                change.named_before =
                    (before.fingerprint != after.fingerprint).then(|| before.site.clone());
            }
            Pair::After(after) => change.after = Some(after_of(after)),
        }
        change
    }

    fn of_both(&self, before: u64, after: u64, of: Of) -> Status {
        let weight = match of {
            // What is held for the whole run does not grow with it.
            Of::Leaks => self.scale.weigh_either(before, after),
            Of::Culprits | Of::Victims => self.scale.weigh(before, after),
        };
        match weight {
            Weight::More => Status::More,
            _ if of == Of::Culprits && self.newly_guarded => Status::Hidden,
            Weight::Fewer => Status::Fewer,
            Weight::Alike => Status::Unchanged,
        }
    }

    /// Why somebody who is not seen in the second run may be there all the same.
    fn doubts_about(&self, group: &Group, of: Of) -> Vec<Doubt> {
        let mut doubts: Vec<Doubt> = self
            .doubts
            .iter()
            .filter(|doubt| of != Of::Leaks || !matches!(doubt, Doubt::Unexplained(_)))
            .copied()
            .collect();
        if of == Of::Culprits {
            doubts.extend(self.is_suspect(group.fingerprint).then_some(Doubt::Suspect));
            doubts.extend(self.is_relieved(group.fingerprint).then_some(Doubt::Victim));
            doubts.extend(self.may_be_nameless(group).then_some(Doubt::Nameless));
        }
        if self.scale.is_too_short_for(group.count) && !doubts.contains(&Doubt::Empty) {
            doubts.push(Doubt::Short);
        }
        doubts
    }

    /// Whether it is one of those that fit the excess frees of somebody else as well.
    fn is_suspect(&self, fingerprint: Fingerprint) -> bool {
        let mut suspects = self.after.culprits.iter().flat_map(|c| &c.alternatives);
        suspects.any(|site| site.fingerprint() == fingerprint)
    }

    /// Whether it is seen in the second run as a victim of somebody whom the first run did not name: then the two
    /// tell one story in two ways, perhaps.
    fn is_relieved(&self, fingerprint: Fingerprint) -> bool {
        self.after.victims.iter().any(|victim| {
            let culprit = victim.culprit.and_then(|at| self.after.culprits.get(at));
            victim.site.fingerprint() == fingerprint && culprit.is_some_and(|c| self.is_new(c))
        })
    }

    /// Whether it may be one of those that are new, and only has no name there, or had none.
    fn may_be_nameless(&self, group: &Group) -> bool {
        let had_none = group.site.frame.function.is_none();
        self.after.culprits.iter().any(|culprit| {
            (had_none || culprit.site.frame.function.is_none()) && self.is_new(culprit)
        })
    }

    /// Whether the first run did not name it.
    fn is_new(&self, culprit: &Culprit) -> bool {
        let fingerprint = culprit.site.fingerprint();
        let mut known = self.before.culprits.iter();
        known.all(|culprit| culprit.site.fingerprint() != fingerprint)
    }
}

fn answer(counts: &Counts, excess: Weight, is_worse: bool) -> Answer {
    let of_before = counts.of_before();
    if counts.gone > 0 && counts.gone == of_before && !is_worse {
        Answer::Fixed
    } else if counts.gone > 0 && (!is_worse || excess == Weight::Fewer) {
        Answer::PartlyFixed
    } else if is_worse {
        Answer::Worse
    } else if of_before == 0 {
        Answer::NobodyNamed
    } else if counts.uncertain == of_before {
        Answer::Uncertain
    } else {
        Answer::NotFixed
    }
}
