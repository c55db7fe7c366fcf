//! In which scopes the frees were that are charged to somebody: with a scope for each test, whose doing they are.
//!
//! Where the log does not decide between two frees, the scope of the other one is told too: if both are in one test, it is
//! that test's doing, whichever of them is one too many.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use whofreed_trace::Event;

use super::ScopeFrees;
use super::each_event;
use crate::blame::Accused;
use crate::replay::Map;
use crate::sources::EventRef;
use crate::sources::Source;

/// The frees of other stories, by those that are charged, and the scopes they were in.
#[derive(Debug, Default)]
pub(super) struct Others {
    of: Map<EventRef, EventRef>,
    scopes: Map<EventRef, u32>,
}

impl Others {
    pub(super) fn new(sources: &[Source<'_>], accused: &[Accused]) -> Self {
        let mut others = Self::default();
        for charge in accused.iter().flat_map(|accused| &accused.charges) {
            let pairs = charge.frees.iter().zip(&charge.others);
            others
                .of
                .extend(pairs.filter_map(|(&free, &other)| Some((free, other?))));
        }
        let mut wanted: Vec<(EventRef, u32)> =
            others.of.values().map(|&other| (other, 0)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        each_event(sources, &wanted, |other, event, _| {
            others.scopes.insert(other, event.scope);
        });
        others
    }

    /// The scope of the free that may be one too many instead of `free`.
    pub(super) fn scope(&self, free: EventRef) -> Option<u32> {
        self.scopes.get(self.of.get(&free)?).copied()
    }
}

/// Frees by trace, scope, and the scope of the other story.
#[derive(Debug, Default)]
pub(super) struct Scopes(Map<(u32, u32, Option<u32>), Frees>);

#[derive(Clone, Copy, Debug)]
struct Frees {
    count: u64,
    first_ns: u64,
    last_ns: u64,
}

impl Frees {
    const NONE: Self = Self {
        count: 0,
        first_ns: u64::MAX,
        last_ns: 0,
    };

    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            first_ns: self.first_ns.min(other.first_ns),
            last_ns: self.last_ns.max(other.last_ns),
        }
    }
}

impl Scopes {
    pub(super) fn add(&mut self, trace: u32, event: &Event, other: Option<u32>) {
        let frees = self.0.entry((trace, event.scope, other));
        let frees = frees.or_insert(Frees::NONE);
        *frees = frees.and(Frees {
            count: 1,
            first_ns: event.time_ns,
            last_ns: event.time_ns,
        });
    }

    /// By their labels: several numbers may have the same one.
    pub(super) fn told(self, sources: &[Source<'_>]) -> Vec<ScopeFrees> {
        let mut by_label: BTreeMap<(u32, &str, Option<&str>), Frees> = BTreeMap::new();
        for ((trace, scope, other), frees) in self.0 {
            let source = &sources[trace as usize];
            let label = |scope: u32| source.scopes.get(&scope).map_or("", String::as_str);
            let key = (source.process.pid, label(scope), other.map(label));
            let entry = by_label.entry(key).or_insert(Frees::NONE);
            *entry = entry.and(frees);
        }
        let told = by_label.into_iter();
        let mut told: Vec<ScopeFrees> = told
            .map(|((pid, scope, other), frees)| ScopeFrees {
                pid,
                scope: scope.to_owned(),
                or_scope: other.map(str::to_owned),
                frees: frees.count,
                first_ns: frees.first_ns,
                last_ns: frees.last_ns,
            })
            .collect();
        // The sort is stable: of as many, by process and name.
        told.sort_by_key(|of| Reverse(of.frees));
        told
    }
}
