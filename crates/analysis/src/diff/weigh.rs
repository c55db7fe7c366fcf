//! What is clearly more, and what chance can make of two runs of the same program.

/// The lengths of runs differ noticeably by more than this share of the shorter one.
const NOTICEABLE: f64 = 0.1;
/// Counts differ clearly by more than this share of what was to be expected,
const SHARE: f64 = 0.1;
/// and by more than so many standard deviations of the difference of two counts that are left to chance.
const DEVIATIONS: f64 = 2.0;
/// A run in which fewer are to be expected may come without any: one in a hundred and fifty does.
const SURE: f64 = 5.0;

/// How a count of the second run stands to one of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    More,
    Alike,
    Fewer,
}

/// The lengths of both runs, in allocations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    before: u64,
    after: u64,
}

impl Scale {
    pub(super) const fn new(before: u64, after: u64) -> Self {
        Self { before, after }
    }

    /// The second run's length in those of the first, where the difference is to be noticed.
    pub(super) fn noticeable(&self) -> Option<f64> {
        if self.before == 0 || self.after == 0 {
            return None;
        }
        let ratio = self.after as f64 / self.before as f64;
        (ratio.max(1.0 / ratio) > 1.0 + NOTICEABLE).then_some(ratio)
    }

    /// A count of the first run for a million allocations, where lengths differ noticeably.
    pub(super) fn per_million_before(&self, count: u64) -> Option<f64> {
        self.noticeable()
            .map(|_| count as f64 * 1e6 / self.before as f64)
    }

    /// A count of the second run for a million allocations, where lengths differ noticeably.
    pub(super) fn per_million_after(&self, count: u64) -> Option<f64> {
        self.noticeable()
            .map(|_| count as f64 * 1e6 / self.after as f64)
    }

    /// Weighs a count of the second run against one of the first, for each allocation where lengths differ.
    pub(super) fn weigh(&self, before: u64, after: u64) -> Weight {
        weigh(before, after, self.noticeable().unwrap_or(1.0))
    }

    /// As [`Scale::weigh`], for what may grow with the run or not: it has to be more by either measure.
    pub(super) fn weigh_either(&self, before: u64, after: u64) -> Weight {
        let plain = weigh(before, after, 1.0);
        if plain == self.weigh(before, after) {
            plain
        } else {
            Weight::Alike
        }
    }

    /// Whether a site that was seen so often in the first run may be missing from the second by chance.
    pub(super) fn is_too_short_for(&self, before: u64) -> bool {
        let ratio = match self.noticeable() {
            Some(ratio) => ratio,
            None if self.after == 0 && self.before > 0 => 0.0,
            None => return false,
        };
        ratio < 1.0 && before as f64 * ratio < SURE
    }
}

fn weigh(before: u64, after: u64, ratio: f64) -> Weight {
    let expected = before as f64 * ratio;
    let difference = after as f64 - expected;
    // The variance of such a count is the count; that of one which was scaled grows by the factor once more.
    let deviation = (expected.max(1.0) * (1.0 + ratio)).sqrt();
    if difference.abs() <= (SHARE * expected).max(DEVIATIONS * deviation) {
        Weight::Alike
    } else if difference > 0.0 {
        Weight::More
    } else {
        Weight::Fewer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_more_than_a_tenth_and_more_than_chance() {
        let alike = Scale::new(1000, 1050);
        for (before, after, weight) in [
            (0, 0, Weight::Alike),
            (1, 2, Weight::Alike),
            (1, 4, Weight::More),
            (10, 18, Weight::Alike),
            (10, 19, Weight::More),
            (10, 20, Weight::More),
            (10, 1, Weight::Fewer),
            (1_000, 1_080, Weight::Alike),
            (1_000, 1_120, Weight::More),
            (1_000_000, 1_090_000, Weight::Alike),
            (1_000_000, 890_000, Weight::Fewer),
        ] {
            assert_eq!(alike.weigh(before, after), weight, "{before} {after}");
        }
    }

    #[test]
    fn runs_of_other_lengths_are_compared_for_each_allocation() {
        let longer = Scale::new(1_000, 10_000);
        assert_eq!(longer.noticeable(), Some(10.0));
        assert_eq!(longer.weigh(100, 1_000), Weight::Alike);
        assert_eq!(longer.weigh(100, 100), Weight::Fewer);
        assert_eq!(longer.per_million_before(100), Some(100_000.0));
        assert_eq!(longer.per_million_after(100), Some(10_000.0));
        // What does not grow with the run is not fewer for that.
        assert_eq!(longer.weigh_either(100, 100), Weight::Alike);
        assert_eq!(longer.weigh_either(100, 1_000), Weight::Alike);
        assert_eq!(longer.weigh_either(100, 2_000), Weight::More);
        assert_eq!(longer.weigh_either(100, 10), Weight::Fewer);
        assert!(!longer.is_too_short_for(1));
        let shorter = Scale::new(1_000, 100);
        assert_eq!(shorter.weigh(100, 10), Weight::Alike);
        assert!(shorter.is_too_short_for(49));
        assert!(!shorter.is_too_short_for(50));
    }

    #[test]
    fn lengths_that_are_about_alike_or_unknown_scale_nothing() {
        for (before, after) in [(1_000, 1_100), (1_100, 1_000), (0, 10), (10, 0), (0, 0)] {
            let scale = Scale::new(before, after);
            assert_eq!(scale.noticeable(), None, "{before} {after}");
            assert_eq!(scale.per_million_before(3), None);
            assert_eq!(scale.per_million_after(3), None);
            assert_eq!(scale.is_too_short_for(1), (before, after) == (10, 0));
        }
    }
}
