//! What forked children inherit: the state in which their ancestors left an address.
//!
//! A child goes on counting the steps of the ledger that it inherited, so its first step at an address tells how
//! much of its ancestors' events there is its past. The clock is for a child whose count starts anew.

use whofreed_trace::Event;

use super::Map;
use super::Place;
use super::Walk;
use super::has_order;
use super::merge;
use crate::sources::Source;

/// Up to where the events of an ancestor are a child's past.
#[derive(Clone, Copy, Debug)]
enum Limit {
    Step(u64),
    Time(u64),
}

impl Limit {
    fn is_reached(self, event: &Event) -> bool {
        match self {
            Self::Step(step) => event.step >= step,
            Self::Time(time) => event.time_ns > time,
        }
    }
}

/// A child that is to have the state of an address.
#[derive(Clone, Copy, Debug)]
struct Want {
    child: u32,
    limit: Limit,
}

/// The forks among the traces.
#[derive(Debug, Default)]
pub(super) struct Forks {
    order: Vec<u32>,
    /// The first step of a forked child at each of its addresses.
    first_steps: Map<Place, u64>,
    /// By the address of the ancestor.
    wants: Map<Place, Vec<Want>>,
    /// By the address of the child. The nearest ancestor with events there comes last, and stays.
    handed_down: Map<Place, Walk>,
}

impl Forks {
    pub(super) fn new(sources: &[Source<'_>]) -> Self {
        let mut forks = Self::default();
        let parents: Vec<Option<u32>> = (0..sources.len())
            .map(|child| parent(sources, child))
            .collect();
        // Ancestors by their distance, each with the time at which the way to the child forked off; as many as
        // there are traces, since broken ones may be each other's children.
        let parents = &parents;
        let ancestors = |child: u32| {
            let mut at = child;
            std::iter::from_fn(move || {
                let time = sources[at as usize].process.fork?.time_ns;
                at = parents[at as usize]?;
                Some((at, time))
            })
            .take(sources.len())
        };
        let mut order: Vec<(usize, u32)> = (0..sources.len() as u32)
            .map(|trace| (ancestors(trace).count(), trace))
            .collect();
        order.sort_unstable();
        forks.order = order.into_iter().map(|(_, trace)| trace).collect();
        for (child, source) in (0..).zip(sources) {
            if source.process.fork.is_none() {
                continue;
            }
            let firsts = first_steps(child, source);
            for (&place, &first) in &firsts {
                for (ancestor, time) in ancestors(child) {
                    let limit = if first > 1 {
                        Limit::Step(first)
                    } else {
                        Limit::Time(time)
                    };
                    let of_ancestor = Place {
                        trace: ancestor,
                        ..place
                    };
                    let wants = forks.wants.entry(of_ancestor).or_default();
                    wants.push(Want { child, limit });
                }
            }
            forks.first_steps.extend(firsts);
        }
        forks
    }

    /// All traces, parents before their children.
    pub(super) fn order(&self) -> Vec<u32> {
        self.order.clone()
    }

    pub(super) fn first_step(&self, place: Place) -> Option<u64> {
        self.first_steps.get(&place).copied()
    }

    pub(super) fn inherited(&mut self, place: Place) -> Option<Walk> {
        self.handed_down.remove(&place)
    }

    pub(super) fn is_wanted(&self, place: Place) -> bool {
        self.wants.contains_key(&place)
    }

    /// Hands the state of an address to the children whose past ends before the event `next`, or at the end of the
    /// trace; where there is no state yet, they have that of the ancestors before. Returns whether there are more.
    pub(super) fn hand_down(
        &mut self,
        place: Place,
        walk: Option<&Walk>,
        next: Option<&Event>,
    ) -> bool {
        let Some(wants) = self.wants.get_mut(&place) else {
            return false;
        };
        wants.retain(|want| {
            if next.is_some_and(|next| !want.limit.is_reached(next)) {
                return true;
            }
            if let Some(walk) = walk {
                let of_child = Place {
                    trace: want.child,
                    ..place
                };
                self.handed_down.insert(of_child, walk.handed_down());
            }
            false
        });
        !wants.is_empty()
    }
}

fn parent(sources: &[Source<'_>], child: usize) -> Option<u32> {
    let fork = sources[child].process.fork?;
    let parent = sources.iter().position(|s| s.id == fork.parent_trace)?;
    (parent != child).then_some(parent as u32)
}

fn first_steps(trace: u32, source: &Source<'_>) -> Map<Place, u64> {
    let mut firsts: Map<Place, u64> = Map::default();
    merge::each_event(source.events, |_, event| {
        if has_order(event) {
            let place = Place {
                trace,
                device: event.device,
                address: event.address,
            };
            let first = firsts.entry(place).or_insert(event.step);
            *first = event.step.min(*first);
        }
    });
    firsts
}
