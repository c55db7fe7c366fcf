//! What was live, and who had allocated it: bytes by device and kind, and by stack.
//!
//! An address holds the buffer that was allocated there last, until nobody has a right to it. A reset or close of the
//! device ends what lives on it at once, though the replay hears of that when an address is touched next.

use std::collections::BTreeMap;

use whofreed_trace::Event;

use super::bins::Change;
use super::bins::Clock;
use super::bins::Series;
use crate::replay::Map;
use crate::stacks::StackNumber;

/// Points of a curve.
const BINS: u64 = 1000;
/// Moments at which one can look at the stacks.
const MOMENTS: u64 = 64;

/// What an address holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) bytes: u64,
    kind: u32,
    pub(super) stack: StackNumber,
    epoch: u32,
}

/// Sums of all traces over time.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) clock: Clock,
    pub(super) moments: Clock,
    /// By trace, device and kind.
    pub(super) levels: BTreeMap<(u32, u32, u32), Series<Change>>,
    pub(super) stacks: Map<StackNumber, Series<i64>>,
    pub(super) excess: Series<u64>,
    trace: u32,
    last_ns: u64,
    pub(super) end_ns: u64,
    /// What lives in the trace that is being replayed, by device.
    now: BTreeMap<u32, Map<(u32, StackNumber), i64>>,
    /// Resets and closes in that trace, by device and number.
    resets: Map<(u32, u32), u64>,
    /// What was left when traces ended: when, trace, device, kind, stack and bytes.
    left: Vec<(u64, u32, u32, u32, StackNumber, i64)>,
}

impl Live {
    pub(super) fn new(start_ns: u64) -> Self {
        Self {
            clock: Clock::new(start_ns, BINS),
            moments: Clock::new(start_ns, MOMENTS),
            levels: BTreeMap::new(),
            stacks: Map::default(),
            excess: Series::default(),
            trace: 0,
            last_ns: start_ns,
            end_ns: start_ns,
            now: BTreeMap::new(),
            resets: Map::default(),
            left: Vec::new(),
        }
    }

    /// Any event of a trace; traces come one after the other.
    pub(super) fn at(&mut self, trace: u32, event: &Event) {
        if trace != self.trace {
            self.turn(trace);
        }
        self.last_ns = self.last_ns.max(event.time_ns);
        self.end_ns = self.end_ns.max(event.time_ns);
    }

    fn turn(&mut self, trace: u32) {
        let when = self.last_ns;
        for (device, held) in std::mem::take(&mut self.now) {
            for ((kind, stack), bytes) in held {
                self.left
                    .push((when, self.trace, device, kind, stack, bytes));
            }
        }
        self.resets.clear();
        self.trace = trace;
        self.last_ns = 0;
    }

    /// All traces were told. What processes left behind that ended before others is gone with them.
    pub(super) fn end(&mut self) {
        self.turn(u32::MAX);
        let last = self.clock.bin(self.end_ns);
        for (when, trace, device, kind, stack, bytes) in std::mem::take(&mut self.left) {
            if bytes != 0 && self.clock.bin(when) < last {
                self.change(when, (trace, device, kind), stack, bytes.saturating_neg());
            }
        }
    }

    /// A reset or close.
    pub(super) fn reset(&mut self, event: &Event) {
        self.resets
            .insert((event.device, event.epoch), event.time_ns);
        for ((kind, stack), bytes) in self.now.remove(&event.device).unwrap_or_default() {
            let level = (self.trace, event.device, kind);
            self.change(event.time_ns, level, stack, bytes.saturating_neg());
        }
    }

    /// When a reset of the trace was.
    pub(super) fn reset_at(&self, device: u32, epoch: u32) -> Option<u64> {
        self.resets.get(&(device, epoch)).copied()
    }

    /// Whether no reset of the trace has ended it.
    pub(super) fn is_live(&self, device: u32, held: Held) -> bool {
        self.reset_at(device, held.epoch.saturating_add(1))
            .is_none()
    }

    /// An allocation.
    pub(super) fn begin(&mut self, event: &Event, stack: StackNumber) -> Held {
        let held = Held {
            bytes: event.size,
            kind: event.kind_label,
            stack,
            epoch: event.epoch,
        };
        self.move_by(event, held, as_change(event.size));
        held
    }

    /// What an address held goes.
    pub(super) fn finish(&mut self, event: &Event, held: Held) {
        // A reset in between has ended it already.
        if held.epoch >= event.epoch {
            self.move_by(event, held, -as_change(held.bytes));
        }
    }

    /// A difference now; and where the reset behind it was told before, the opposite then.
    fn move_by(&mut self, event: &Event, held: Held, bytes: i64) {
        let level = (self.trace, event.device, held.kind);
        self.change(event.time_ns, level, held.stack, bytes);
        if let Some(reset) = self.reset_at(event.device, held.epoch.saturating_add(1)) {
            self.change(reset, level, held.stack, bytes.saturating_neg());
        } else {
            let now = self.now.entry(event.device).or_default();
            let sum = now.entry((held.kind, held.stack)).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }

    fn change(&mut self, time_ns: u64, level: (u32, u32, u32), stack: StackNumber, bytes: i64) {
        let levels = self.levels.entry(level).or_default();
        levels.add(&mut self.clock, time_ns, Change::from(bytes));
        let stacks = self.stacks.entry(stack).or_default();
        stacks.add(&mut self.moments, time_ns, bytes);
    }

    pub(super) fn struck(&mut self, time_ns: u64) {
        self.excess.add(&mut self.clock, time_ns, 1);
    }
}

fn as_change(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX / 2)
}
