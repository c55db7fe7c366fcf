//! What a labelling of the frees says about the groups, and what it costs to write the log down with it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::problem::Problem;

/// Distances between a life and the surplus free that frees it again, in lives at the address: upper bounds.
const GAPS: [usize; 8] = [0, 1, 2, 4, 8, 16, 32, usize::MAX];
/// How many lives fall into each distance; the last one is a guess.
const GAP_WIDTHS: [f64; 8] = [1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0];
/// What is believed about distances before anything was counted.
const GAP_PRIOR: [f64; 8] = [0.3, 0.2, 0.12, 0.12, 0.1, 0.08, 0.05, 0.03];
/// How far back a surplus free looks for the life that it frees again.
pub(super) const LOOK_BACK: usize = 48;
/// The cost in nats of a free that the model has no story for.
const UNEXPLAINED: f64 = 20.0;
/// The cost of a surplus free by a group that was declared innocent.
const FORBIDDEN: f64 = 60.0;

/// [`gap_of`] for all lives that are looked at.
const GAP_AT: [u8; LOOK_BACK] = {
    let mut gaps = [0; LOOK_BACK];
    let mut back = 0;
    while back < LOOK_BACK {
        let mut gap = 0;
        while back > GAPS[gap as usize] {
            gap += 1;
        }
        gaps[back] = gap;
        back += 1;
    }
    gaps
};

pub(super) fn gap_of(lives_between: usize) -> usize {
    GAPS.iter()
        .position(|&bound| lives_between <= bound)
        .unwrap_or(GAPS.len() - 1)
}

/// What a labelling counted. Allocation groups are `a`, free groups `f`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    /// Lives of `a` that `f` ended, at `a * frees + f`.
    pub(super) ended: Vec<f64>,
    /// Surplus frees by `f`.
    pub(super) surplus: Vec<f64>,
    /// Lives of `a` that nobody ended, the last one of an address not among them.
    pub(super) leaked: Vec<f64>,
    /// Frees by `f` without a story.
    pub(super) unexplained: Vec<f64>,
    /// Surplus frees by `f` of lives of `a`; `None` where the life could not be told.
    pub(super) origins: BTreeMap<(Option<u32>, u32), f64>,
    /// Surplus frees by `f`, by the distance to their life.
    pub(super) gaps: Vec<[f64; 8]>,
    /// How often an open life of `a` saw another allocate at its address.
    pub(super) passed: Vec<f64>,
    /// How often such a life was ended later.
    pub(super) ended_late: Vec<f64>,
    /// For the judgement: see [`super::judge`].
    pub(super) clean: Vec<f64>,
    pub(super) hit_then_ended: BTreeMap<(u32, u32), f64>,
    pub(super) hit_life: BTreeMap<(u32, u32), f64>,
    pub(super) after_end: BTreeMap<(u32, u32), f64>,
    pub(super) freed_again: BTreeMap<(u32, u32), f64>,
    pub(super) repeated: Vec<f64>,
    pub(super) ended_first: BTreeMap<(u32, u32), f64>,
    pub(super) after_end_in_first_life: BTreeMap<(u32, u32), f64>,
}

impl Counts {
    pub(super) fn new(problem: &Problem) -> Self {
        let (allocs, frees) = (problem.allocs, problem.frees);
        Self {
            ended: vec![0.0; allocs * frees],
            surplus: vec![0.0; frees],
            leaked: vec![0.0; allocs],
            unexplained: vec![0.0; frees],
            gaps: vec![[0.0; 8]; frees],
            passed: vec![0.0; allocs],
            ended_late: vec![0.0; allocs],
            clean: vec![0.0; frees],
            repeated: vec![0.0; frees],
            ..Self::default()
        }
    }

    /// The groups with surplus frees.
    pub(super) fn culprits(&self) -> BTreeSet<u32> {
        (0..self.surplus.len() as u32)
            .filter(|&f| self.surplus[f as usize] > 0.0)
            .collect()
    }

    /// How many lives `f` ended.
    pub(super) fn ended_by(&self, f: u32) -> f64 {
        let frees = self.surplus.len();
        self.ended
            .iter()
            .skip(f as usize)
            .step_by(frees.max(1))
            .sum()
    }

    /// For each allocation group, the lives that were ended by anybody.
    fn ended_lives(&self) -> Vec<f64> {
        let frees = self.surplus.len().max(1);
        self.ended
            .chunks(frees)
            .map(|row| row.iter().sum())
            .collect()
    }
}

/// Costs in nats.
#[derive(Clone, Debug)]
pub(super) struct Model {
    frees: usize,
    pub(super) end: Vec<f64>,
    /// A life of `a` that nobody ends.
    pub(super) leak: Vec<f64>,
    /// An open life of `a` stays open over another allocate.
    pub(super) pass: Vec<f64>,
    /// It is ended although it is not the address's current life.
    pub(super) late: Vec<f64>,
    /// A free by `f` without a story.
    pub(super) unexplained: Vec<f64>,
    /// A surplus free by a group that none was counted for.
    pub(super) surplus: Vec<f64>,
    /// For groups with surplus frees: their rate for each life of `a`, and how it falls with the distance.
    pub(super) origins: Vec<Option<Origins>>,
}

#[derive(Clone, Debug)]
pub(super) struct Origins {
    pub(super) rate: Vec<f64>,
    /// For a life that is out of sight.
    pub(super) base: f64,
    pub(super) gap: [f64; 8],
}

impl Origins {
    /// What each life adds to the rate, the last one first.
    fn parts(&self, lives: &[u32]) -> impl Iterator<Item = f64> {
        let near = lives.iter().rev().zip(&GAP_AT);
        near.map(|(&a, &gap)| self.rate[a as usize] * self.gap[usize::from(gap)])
    }

    /// What all lives beyond add.
    fn out_of_sight(&self) -> f64 {
        self.base * 0.02
    }
}

impl Model {
    /// The model that fits `counts` best. `banned` groups are innocent by decree; `guess` stands in for the
    /// surplus counts of a start.
    pub(super) fn new(
        problem: &Problem,
        counts: &Counts,
        banned: &BTreeSet<u32>,
        guess: Option<&[f64]>,
    ) -> Self {
        let (allocs, frees) = (problem.allocs, problem.frees);
        let lives = problem.allocations.iter().sum::<f64>().max(1.0);
        let (end, leak) = end_costs(problem, counts, lives);
        let (pass, late) = late_costs(counts);
        let mut model = Self {
            frees,
            end,
            leak,
            pass,
            late,
            unexplained: vec![0.0; frees],
            surplus: vec![0.0; frees],
            origins: vec![None; frees],
        };
        for f in 0..frees {
            let is_banned = banned.contains(&(f as u32));
            let count = guess.map_or(counts.surplus[f], |guess| guess[f]);
            // Each lost allocate makes a free an orphan: noise in proportion to what a group frees.
            model.unexplained[f] = if problem.drop_rate > 0.0 {
                -((problem.drop_rate * problem.traffic[f] + 1e-3) / lives).ln()
            } else {
                UNEXPLAINED
            };
            model.surplus[f] = if is_banned {
                FORBIDDEN
            } else {
                -((count + 0.01) / lives).ln()
            };
            if is_banned || count < 0.5 {
                continue;
            }
            let seen: f64 = counts.gaps[f].iter().sum();
            let mut gap = [0.0; 8];
            for (bucket, gap) in gap.iter_mut().enumerate() {
                let share = (counts.gaps[f][bucket] + 2.0 * GAP_PRIOR[bucket]) / (seen + 2.0);
                *gap = share / GAP_WIDTHS[bucket];
            }
            let unbound = if seen > 0.0 { 0.05 } else { 1.0 };
            let base = (unbound * count + 0.01) / lives;
            model.origins[f] = Some(Origins {
                rate: vec![base; allocs],
                base,
                gap,
            });
        }
        for (&(a, f), &count) in &counts.origins {
            if let (Some(a), Some(origins)) = (a, &mut model.origins[f as usize]) {
                let lives = problem.allocations[a as usize].max(count);
                origins.rate[a as usize] += 0.95 * count / lives;
            }
        }
        model
    }

    /// `f` ends a life of `a`.
    pub(super) fn end(&self, a: u32, f: u32) -> f64 {
        self.end[a as usize * self.frees + f as usize]
    }

    /// Whether `f` has surplus frees in this model.
    pub(super) fn is_suspect(&self, f: u32) -> bool {
        self.origins[f as usize].is_some()
    }

    /// What it costs that `f` frees one of the ended among `lives` again: if the current one may be among them, and
    /// if it may not.
    pub(super) fn surplus_costs(&self, f: u32, lives: &[u32]) -> (f64, f64) {
        let Some(origins) = &self.origins[f as usize] else {
            let cost = self.surplus[f as usize];
            return (cost, cost);
        };
        let (mut of_any, mut of_earlier) = (0.0, 0.0);
        for (back, part) in origins.parts(lives).enumerate() {
            of_any += part;
            if back > 0 {
                of_earlier += part;
            }
        }
        if lives.len() > LOOK_BACK {
            of_any += origins.out_of_sight();
            of_earlier += origins.out_of_sight();
        }
        let cost = |rate: f64| -rate.max(1e-20).ln();
        (cost(of_any), cost(of_earlier))
    }

    /// How many lives back the likeliest of `lives` lies that a surplus free by `f` frees again; the current one is
    /// among them only if `from` is 0.
    pub(super) fn likeliest(&self, f: u32, lives: &[u32], from: usize) -> Option<usize> {
        let origins = self.origins[f as usize].as_ref()?;
        let mut likeliest = (0.0, None);
        for (back, part) in origins.parts(lives).enumerate().skip(from) {
            if part > likeliest.0 {
                likeliest = (part, Some(back));
            }
        }
        let is_out_of_sight = lives.len() > LOOK_BACK && origins.out_of_sight() > likeliest.0;
        likeliest.1.filter(|_| !is_out_of_sight)
    }

    /// The length in nats of the log under the labelling that `counts` come from, the model itself included.
    pub(super) fn description_length(&self, problem: &Problem, counts: &Counts) -> f64 {
        let lives = problem.allocations.iter().sum::<f64>().max(1.0);
        let name = (problem.frees as f64).ln();
        let mut length = 0.0;
        let ended_lives = counts.ended_lives();
        for (a, ended) in counts.ended.chunks(problem.frees.max(1)).enumerate() {
            length += counts.passed[a] * self.pass[a] + counts.ended_late[a] * self.late[a];
            let total = ended_lives[a] + counts.leaked[a];
            let coded = ended
                .iter()
                .map(|&count| (count, name))
                .chain([(counts.leaked[a], 0.0)]);
            for (count, name) in coded.filter(|&(count, _)| count > 0.0) {
                length += -count * (count / total).ln() + 0.5 * total.ln() + name;
            }
        }
        for (&(a, _), &count) in &counts.origins {
            length += match a {
                Some(a) => {
                    let rate_code = (problem.allocations[a as usize] / count).ln().max(-20.0);
                    let parameter = 0.5 * problem.allocations[a as usize].max(1.0).ln();
                    count * rate_code + count + parameter + (problem.allocs as f64).ln()
                }
                None => count * (lives / count).ln() + count + 0.5 * lives.ln(),
            };
        }
        for f in 0..problem.frees {
            length += counts.unexplained[f] * self.unexplained[f];
            let surplus = counts.surplus[f];
            if surplus > 0.0 {
                length += name + 0.5 * lives.ln();
                for (bucket, &count) in counts.gaps[f].iter().enumerate() {
                    if count > 0.0 {
                        let place = -(count / surplus).ln() + GAP_WIDTHS[bucket].ln();
                        length += count * place + 0.5 * (surplus + 1.0).ln();
                    }
                }
            }
        }
        length
    }
}

/// The costs of ending a life of `a` by `f`, and of leaving it unfreed. What was never seen together falls back
/// to how much `f` frees in general.
fn end_costs(problem: &Problem, counts: &Counts, lives: f64) -> (Vec<f64>, Vec<f64>) {
    const STRENGTH: f64 = 0.5;
    let frees = problem.frees;
    let mut by_free = vec![0.0; frees];
    for row in counts.ended.chunks(frees.max(1)) {
        for (sum, count) in by_free.iter_mut().zip(row) {
            *sum += count;
        }
    }
    let all: f64 = by_free.iter().sum();
    let leaked: f64 = counts.leaked.iter().sum();
    let leak_share = ((leaked + 0.5) / (lives + 1.0)).max(1e-4);
    let ended_lives = counts.ended_lives();
    let mut end = Vec::with_capacity(problem.allocs * frees);
    let mut leak = Vec::with_capacity(problem.allocs);
    for (a, row) in counts.ended.chunks(frees.max(1)).enumerate() {
        let total = ended_lives[a] + counts.leaked[a] + STRENGTH;
        for (count, general) in row.iter().zip(&by_free) {
            let general = (general + 0.3) / (all + 0.3 * frees as f64);
            end.push(-((count + STRENGTH * general) / total).ln());
        }
        leak.push(-((counts.leaked[a] + STRENGTH * leak_share) / total).ln());
    }
    (end, leak)
}

/// The price of staying open. Without it one spare open life lets a labelling re-sort the frees of a whole
/// address, and accuse an innocent.
fn late_costs(counts: &Counts) -> (Vec<f64>, Vec<f64>) {
    let passed: f64 = counts.passed.iter().sum();
    let ended: f64 = counts.ended_late.iter().sum();
    let general = (ended + 1.0) / (ended + passed + 3.0);
    let each = counts.passed.iter().zip(&counts.ended_late);
    each.map(|(passed, ended)| {
        let share: f64 = (ended + 2.0 * general) / (ended + passed + 2.0);
        let share = share.clamp(0.003, 0.9);
        (-(1.0 - share).ln(), -share.ln())
    })
    .unzip()
}
