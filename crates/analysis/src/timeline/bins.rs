//! Sums over time in a bounded number of bins, for times whose end is not known before: the bins get twice as wide where
//! there would be too many.

/// How bins are put together.
pub(super) trait Fold: Copy + Default {
    /// What two bins are as one.
    fn then(self, next: Self) -> Self;
}

impl Fold for u64 {
    fn then(self, next: Self) -> Self {
        self.saturating_add(next)
    }
}

impl Fold for i64 {
    // A broken trace can tell of any size.
    fn then(self, next: Self) -> Self {
        self.saturating_add(next)
    }
}

/// A difference within a bin, and how far above its beginning the sum was in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) net: i64,
    pub(super) high: i64,
}

impl Fold for Change {
    fn then(self, next: Self) -> Self {
        Self {
            net: self.net.saturating_add(next.net),
            high: self.high.max(self.net.saturating_add(next.high)),
        }
    }
}

impl From<i64> for Change {
    fn from(net: i64) -> Self {
        Self {
            net,
            high: net.max(0),
        }
    }
}

/// How wide all bins of a sort are by now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start_ns: u64,
    shift: u32,
    most: u64,
}

impl Clock {
    /// Of at most so many bins, from this time on.
    pub(super) const fn new(start_ns: u64, most: u64) -> Self {
        Self {
            start_ns,
            // A microsecond: finer times say nothing.
            shift: 10,
            most,
        }
    }

    pub(super) const fn width_ns(self) -> u64 {
        1 << self.shift
    }

    /// The bin of a time.
    pub(super) fn bin(&mut self, time_ns: u64) -> usize {
        let since = time_ns.saturating_sub(self.start_ns);
        while since >> self.shift >= self.most {
            self.shift += 1;
        }
        (since >> self.shift) as usize
    }
}

/// One value for each bin.
#[derive(Clone, Debug, Default)]
pub(super) struct Series<T> {
    shift: u32,
    bins: Vec<T>,
}

impl<T: Fold> Series<T> {
    pub(super) fn add(&mut self, clock: &mut Clock, time_ns: u64, value: T) {
        let bin = clock.bin(time_ns);
        self.catch_up(*clock);
        if self.bins.len() <= bin {
            self.bins.resize(bin + 1, T::default());
        }
        self.bins[bin] = self.bins[bin].then(value);
    }

    /// All bins up to the one of this time.
    pub(super) fn until(mut self, clock: &mut Clock, time_ns: u64) -> Vec<T> {
        let last = clock.bin(time_ns);
        self.catch_up(*clock);
        self.bins.resize(last + 1, T::default());
        self.bins
    }

    fn catch_up(&mut self, clock: Clock) {
        if self.bins.is_empty() {
            self.shift = clock.shift;
        }
        while self.shift < clock.shift {
            let pairs = self.bins.chunks(2);
            self.bins = pairs
                .map(|pair| pair.iter().copied().reduce(T::then).unwrap_or_default())
                .collect();
            self.shift += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_long_it_takes_there_are_no_more_bins_and_nothing_is_lost() {
        let mut clock = Clock::new(500, 16);
        let (mut early, mut late) = (Series::<u64>::default(), Series::<u64>::default());
        for time in (0..1000).map(|turn| 500 + turn * turn * 1000) {
            early.add(&mut clock, time, 1);
        }
        late.add(&mut clock, 500, 7);
        let end = 500 + 999 * 999 * 1000;
        let early = early.until(&mut clock, end);
        assert!((8..=16).contains(&early.len()), "{early:?}");
        assert_eq!(early.iter().sum::<u64>(), 1000);
        // More of them at the beginning.
        assert!(early[0] > early[early.len() - 1]);
        let late = late.until(&mut clock, end);
        assert_eq!((late[0], late.len()), (7, early.len()));
    }

    #[test]
    fn a_peak_within_a_bin_outlives_the_bins_that_it_was_in() {
        let mut clock = Clock::new(0, 4);
        let mut series = Series::<Change>::default();
        for (time, change) in [(0, 5), (1024, 7), (2048, -12), (3072, 1)] {
            series.add(&mut clock, time, Change::from(change));
        }
        series.add(&mut clock, 1 << 20, Change::from(2));
        let bins = series.until(&mut clock, 1 << 20);
        assert_eq!(bins[0], Change { net: 1, high: 12 });
        assert_eq!(bins.iter().map(|change| change.net).sum::<i64>(), 3);
    }
}
