//! What the times of a trace mean: nanoseconds, or ticks of a counter that the processor keeps, told by pairs of both.

use crate::layout::Anchor;
use crate::layout::CLOCK_TICKS;
use crate::layout::FileHeader;

/// From the times of records to nanoseconds on the monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    ticks: Option<Ticks>,
}

/// A straight line.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    first: Anchor,
    /// Nanoseconds for each tick, times two to the [`FRACTION`].
    rate: u64,
}

const FRACTION: u32 = 40;

impl Clock {
    pub(crate) fn of(header: &FileHeader) -> Self {
        if header.clock != CLOCK_TICKS {
            return Self::default();
        }
        let [first, _, _] = header.anchors;
        let latest = header.anchors[1 + (header.anchor & 1) as usize];
        let ticks = latest.ticks.saturating_sub(first.ticks);
        let ns = latest.ns.saturating_sub(first.ns);
        // Where the header is broken a tick is a nanosecond: there is an order, at the least.
        let rate = (u128::from(ns) << FRACTION).checked_div(u128::from(ticks));
        let rate = rate.and_then(|rate| u64::try_from(rate).ok());
        let rate = rate.filter(|rate| *rate != 0).unwrap_or(1 << FRACTION);
        Self {
            ticks: Some(Ticks { first, rate }),
        }
    }

    /// Nanoseconds on the monotonic clock.
    pub(crate) fn ns(&self, time: u64) -> u64 {
        let Some(Ticks { first, rate }) = self.ticks else {
            return time;
        };
        let since = i128::from(time) - i128::from(first.ticks);
        let ns = i128::from(first.ns) + ((since * i128::from(rate)) >> FRACTION);
        u64::try_from(ns.max(0)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    fn clock(anchors: [(u64, u64); 3], anchor: u32) -> Clock {
        Clock::of(&FileHeader {
            clock: CLOCK_TICKS,
            anchor,
            anchors: anchors.map(|(ticks, ns)| Anchor { ticks, ns }),
            ..FileHeader::new_zeroed()
        })
    }

    #[test]
    fn ticks_are_nanoseconds_on_the_line_through_the_first_anchor_and_the_latest() {
        let first = (5_000_000_000, 77_000_000_000);
        let latest = (5_000_000_000 + 27_000_000_000, 87_000_000_000);
        for (anchors, anchor) in [([first, latest, (0, 0)], 0), ([first, (9, 9), latest], 1)] {
            let clock = clock(anchors, anchor);
            assert_eq!(clock.ns(first.0), first.1);
            assert!(clock.ns(latest.0).abs_diff(latest.1) <= 1);
            assert!(clock.ns(first.0 + 2_700).abs_diff(first.1 + 1_000) <= 1);
            assert!(clock.ns(first.0 - 2_700).abs_diff(first.1 - 1_000) <= 1);
            assert!(clock.ns(latest.0 + 27_000).abs_diff(latest.1 + 10_000) <= 1);
        }
    }

    #[test]
    fn without_anchors_there_is_an_order() {
        let clock = clock([(7, 3), (7, 3), (0, 0)], 0);
        assert!(clock.ns(8) < clock.ns(9));
        assert!(clock.ns(u64::MAX - 1) <= clock.ns(u64::MAX));
        assert_eq!(Clock::default().ns(12), 12);
    }
}
