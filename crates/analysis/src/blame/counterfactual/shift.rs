//! How far apart the costs of two models are: what says which labels stand.

#[cfg(test)]
mod tests;

use super::model::LOOK_BACK;
use super::model::Model;
use super::problem::Problem;

/// How far the costs of two models lie apart, at most.
#[derive(Debug)]
pub(super) struct Shift {
    allocs: usize,
    frees: usize,
    /// Of an end, its being late included, at `a * frees + f`.
    end: Vec<f32>,
    /// Of a surplus free, for a life of `a`, at `f * allocs + a`; for any life; and for one that is out of sight.
    rate: Vec<f32>,
    surplus: Vec<f64>,
    base: Vec<f64>,
    unexplained: Vec<f64>,
    pass: Vec<f64>,
    leak: Vec<f64>,
}

impl Shift {
    pub(super) fn new(problem: &Problem, from: &Model, to: &Model) -> Self {
        let (allocs, frees) = (problem.allocs, problem.frees);
        let apart = |from: &[f64], to: &[f64]| -> Vec<f64> {
            let both = from.iter().zip(to);
            both.map(|(from, to)| (from - to).abs()).collect()
        };
        let late = apart(&from.late, &to.late);
        let mut end = Vec::with_capacity(allocs * frees);
        let rows = from
            .end
            .chunks(frees.max(1))
            .zip(to.end.chunks(frees.max(1)));
        for ((from, to), late) in rows.zip(&late) {
            let both = from.iter().zip(to);
            end.extend(both.map(|(from, to)| no_less((from - to).abs() + late)));
        }
        let mut shift = Self {
            allocs,
            frees,
            end,
            rate: vec![0.0; allocs * frees],
            surplus: apart(&from.surplus, &to.surplus),
            base: vec![0.0; frees],
            unexplained: apart(&from.unexplained, &to.unexplained),
            pass: apart(&from.pass, &to.pass),
            leak: apart(&from.leak, &to.leak),
        };
        for (f, (from, to)) in from.origins.iter().zip(&to.origins).enumerate() {
            match (from, to) {
                (None, None) => {}
                (Some(from), Some(to)) => {
                    let gaps = from.gap.iter().zip(&to.gap);
                    let gaps = gaps.map(|(&from, &to)| log_ratio(from, to));
                    shift.surplus[f] = gaps.fold(0.0, f64::max);
                    shift.base[f] = log_ratio(from.base, to.base);
                    let rates = from.rate.iter().zip(&to.rate);
                    let row = &mut shift.rate[f * allocs..][..allocs];
                    for (into, (&from, &to)) in row.iter_mut().zip(rates) {
                        *into = no_less(log_ratio(from, to));
                    }
                }
                // Another way to tell the cost: nothing is known.
                _ => shift.surplus[f] = f64::INFINITY,
            }
        }
        shift
    }

    /// Of a free by `f`, whatever is made of it, where lives of `begun` may be open, and all were of `lived`.
    pub(super) fn free(&self, f: u32, begun: &[u32], lived: &[u32], lives: usize) -> f64 {
        let f = f as usize;
        let ends = begun.iter().map(|&a| self.end[a as usize * self.frees + f]);
        let rates = &self.rate[f * self.allocs..][..self.allocs];
        let rates = lived.iter().map(|&a| rates[a as usize]);
        let mut surplus = self.surplus[f] + f64::from(rates.fold(0.0, f32::max));
        if lives > LOOK_BACK {
            surplus = surplus.max(self.base[f]);
        }
        f64::from(ends.fold(0.0, f32::max))
            .max(surplus)
            .max(self.unexplained[f])
    }

    /// Of a life of one of these groups that stays open.
    pub(super) fn pass(&self, groups: &[u32]) -> f64 {
        most(&self.pass, groups)
    }

    /// Of a life of one of these groups that nobody ends.
    pub(super) fn leak(&self, groups: &[u32]) -> f64 {
        most(&self.leak, groups)
    }
}

fn most(of: &[f64], groups: &[u32]) -> f64 {
    let of_groups = groups.iter().map(|&a| of[a as usize]);
    of_groups.fold(0.0, f64::max)
}

/// At least the distance of the logarithms, and 0 where there is none.
fn log_ratio(a: f64, b: f64) -> f64 {
    (a - b).abs() / a.min(b)
}

/// At least as much, in half the room.
fn no_less(distance: f64) -> f32 {
    if distance == 0.0 {
        0.0
    } else {
        (distance as f32 * (1.0 + 1e-6)).max(f32::MIN_POSITIVE)
    }
}
