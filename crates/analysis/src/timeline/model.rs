//! What a page draws over time.

use std::collections::BTreeMap;
use std::sync::Arc;

use whofreed_trace::Frame;
use whofreed_trace::Verdict;

use crate::Site;

/// The run over time. All times are nanoseconds since its first event.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// When the last event was.
    pub end_ns: u64,
    /// The time that one entry of [`Level::live`] and [`Timeline::excess`] stands for.
    pub bin_ns: u64,
    /// Live bytes by device and kind.
    pub levels: Vec<Level>,
    /// Excess frees in each bin.
    pub excess: Vec<u64>,
    /// The time that one entry of [`LiveStack::live`] stands for.
    pub moment_ns: u64,
    /// Who had allocated what was live, the stack with most bytes at any moment first.
    pub stacks: Vec<LiveStack>,
    /// How many more such stacks there are.
    pub more_stacks: u64,
    /// Lives of addresses with excess frees, the address with most first.
    pub lines: Vec<LifeLine>,
    /// How many more such addresses there are.
    pub more_lines: u64,
    /// Addresses: those with excess frees first, then those still live, then those used most.
    pub buffers: Vec<Buffer>,
    /// How many more there are.
    pub more_buffers: u64,
    /// Addresses that hold a buffer at the end, by device.
    pub live_buffers: BTreeMap<u32, u64>,
    /// The last excess frees, at whatever address, the latest one last.
    pub latest: Vec<LatestExcess>,
    /// All addresses, by who allocated there, most allocations first.
    pub allocated: Vec<Allocated>,
    /// Allocations of call sites that are not among them.
    pub more_allocated: u64,
    /// The call sites that lives and strikes refer to by index.
    pub sites: Vec<Site>,
}

/// Live bytes of one kind on one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// The address space.
    pub device: u32,
    /// The label of the buffers, empty where they have none.
    pub kind: String,
    /// Live at the end of each bin.
    pub live: Vec<u64>,
    /// The most that was live within each bin; of several processes, the sum of theirs.
    pub most: Vec<u64>,
}

/// What one stack had allocated and was live.
#[derive(Clone, Debug)]
pub struct LiveStack {
    /// The stack.
    pub stack: Arc<[Frame]>,
    /// Bytes at the end of each moment.
    pub live: Vec<u64>,
}

/// An address and its lives.
#[derive(Clone, Debug, Default)]
pub struct LifeLine {
    /// The process.
    pub pid: u32,
    /// The address space.
    pub device: u32,
    /// The address.
    pub address: u64,
    /// Excess frees there.
    pub excess: u64,
    /// Its lives, in the order in which they began.
    pub lives: Vec<LineLife>,
    /// How many more there were.
    pub more_lives: u64,
    /// Its excess frees, in order.
    pub strikes: Vec<Strike>,
    /// How many more there were.
    pub more_strikes: u64,
}

/// One life: from an allocate or retain to the end of its right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineLife {
    /// Counted from one.
    pub number: u32,
    /// Who held it, 0 where not known.
    pub owner: u64,
    /// Its size.
    pub size: u64,
    /// The label of the buffer.
    pub kind: String,
    /// When it began.
    pub began_ns: u64,
    /// The thread that allocated.
    pub thread: u32,
    /// Index into [`Timeline::sites`].
    pub site: u32,
    /// How it ended; `None` where it did not.
    pub end: Option<LifeEnd>,
}

/// The end of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LifeEnd {
    /// When.
    pub time_ns: u64,
    /// Who freed and where, as an index into [`Timeline::sites`]; `None` where a reset or close of the device ended it.
    pub by: Option<(u32, u32)>,
    /// Whom this free is charged to as a surplus, as an index into [`crate::Analysis::culprits`]: one that looks legitimate,
    /// since it took the buffer of somebody who held it.
    pub culprit: Option<u32>,
}

/// An excess free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// When.
    pub time_ns: u64,
    /// By which thread.
    pub thread: u32,
    /// Where, as an index into [`Timeline::sites`].
    pub site: u32,
    /// What it was judged.
    pub verdict: Verdict,
    /// The life that it frees again, where that is known.
    pub again: Option<u32>,
    /// The life that it hits, where something lived.
    pub hit: Option<u32>,
    /// Whom it is charged to, as an index into [`crate::Analysis::culprits`]; `None` where it only looks excessive.
    pub culprit: Option<u32>,
}

/// An address and its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The process.
    pub pid: u32,
    /// The address space.
    pub device: u32,
    /// The address.
    pub address: u64,
    /// The largest size that it was allocated with.
    pub size: u64,
    /// Allocates and retains.
    pub allocated: u64,
    /// Deallocations.
    pub freed: u64,
    /// Those without a right.
    pub excess: u64,
    /// Whether something lives there at the end.
    pub is_live: bool,
    /// Who allocated first: index into [`Timeline::sites`]; `None` where that was not recorded.
    pub site: Option<u32>,
}

/// All that one call site allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// Index into [`Timeline::sites`].
    pub site: u32,
    /// Addresses at which it was the first to allocate.
    pub buffers: u64,
    /// Allocations.
    pub allocations: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Excess frees of what it had allocated.
    pub excess: u64,
    /// Allocations that live at the end.
    pub live: u64,
}

/// One of the last excess frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatestExcess {
    /// When.
    pub time_ns: u64,
    /// The process.
    pub pid: u32,
    /// By which thread.
    pub thread: u32,
    /// The address space.
    pub device: u32,
    /// The address.
    pub address: u64,
    /// What it was judged.
    pub verdict: Verdict,
    /// Where, as an index into [`Timeline::sites`].
    pub site: u32,
    /// Whom it is charged to, as an index into [`crate::Analysis::culprits`].
    pub culprit: Option<u32>,
}
