//! Events after they were recorded: what the host's writer thread makes of full chunks, column by column.
//!
//! A *block* holds the events of a few chunks, in the order in which the chunks were filled, and stands for these
//! chunks: whoever reads both believes the block. Events of one *shape* (kind, verdict, device and all else that hardly
//! varies) share their columns; what a column holds is told in [`Field`]. An address that the block had before is told
//! by how many events ago that was, and then its step and owner by the difference to that event. Times lose their
//! lowest bits, which say less than the reading of a clock takes. Blocks know nothing of each other, so each can be
//! read by itself.
//!
//! The columns are frames of reference with exceptions, after PFOR (Zukowski et al., "Super-Scalar RAM-CPU Cache
//! Compression", 2006); see [`column`].

mod bits;
mod column;
mod decode;
mod encode;
#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may panic")]
mod tests;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

pub use self::decode::Block;
pub use self::encode::Encoder;
pub use self::encode::Filled;

use crate::layout::EventRecord;

/// Blocks start at multiples of this many bytes.
pub const ALIGN: usize = 8;
/// The first four bytes of a block.
pub const BLOCK_MAGIC: u32 = u32::from_le_bytes(*b"WFSG");
/// The size of a [`BlockHeader`].
pub const BLOCK_HEADER_SIZE: usize = size_of::<BlockHeader>();
/// So many chunks make a block: more of them hardly make it shorter, and what waits for others is not used again.
pub const CHUNKS_OF_BLOCK: usize = 8;
/// A block has no more events than this.
pub const MOST_EVENTS: usize = 1 << 13;

/// The start of a block. Behind it: the numbers of its chunks' fillings, its runs, its shapes, its columns.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct BlockHeader {
    /// [`BLOCK_MAGIC`].
    pub magic: u32,
    /// Bytes behind this header, without padding.
    pub len: u32,
    /// [`crate::blob::checksum`] of these.
    pub checksum: u32,
    /// Events in the block.
    pub events: u32,
    /// Chunks that it stands for.
    pub fills: u32,
    /// [`RunRecord`]s.
    pub runs: u32,
    /// [`Shape`]s.
    pub shapes: u32,
    /// How many of the lowest bits of each time are missing.
    pub time_shift: u32,
}

/// Events in a row of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RunRecord {
    /// The time of the first one.
    pub time: u64,
    /// The kernel's id of the thread.
    pub thread: u32,
    /// How many there are.
    pub count: u32,
}

/// [`Shape::zeros`]: the owner.
pub const OWNER_IS_ZERO: u32 = 1;
/// [`Shape::zeros`]: [`crate::layout::EventRecord::extra`].
pub const EXTRA_IS_ZERO: u32 = 2;

/// What events of one shape have in common; see [`crate::layout::EventRecord`] for the fields.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
#[expect(missing_docs, reason = "the names are those of EventRecord")]
pub struct Shape {
    pub kind: u8,
    pub verdict: u8,
    pub flags: u16,
    pub device: u32,
    pub epoch: u32,
    pub label: u32,
    pub scope: u32,
    /// What is 0 in all of them, and has no columns: [`OWNER_IS_ZERO`], [`EXTRA_IS_ZERO`].
    pub zeros: u32,
    /// How many events of the block have this shape.
    pub count: u32,
}

impl Shape {
    fn zeros_of(record: &EventRecord) -> u32 {
        let flag = |is_set: bool, flag: u32| u32::from(is_set) * flag;
        flag(record.owner == 0, OWNER_IS_ZERO) | flag(record.extra == 0, EXTRA_IS_ZERO)
    }

    /// That of an event, which is counted nowhere yet.
    fn of(record: &EventRecord) -> Self {
        Self {
            kind: record.kind,
            verdict: record.verdict,
            flags: record.flags,
            device: record.device,
            epoch: record.epoch,
            label: record.label,
            scope: record.scope,
            zeros: Self::zeros_of(record),
            count: 0,
        }
    }

    /// All that events of the same shape share, in few words.
    fn key_of(record: &EventRecord) -> [u64; 3] {
        let two = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let start =
            u32::from(record.kind) | u32::from(record.verdict) << 8 | u32::from(record.flags) << 16;
        [
            two(start, record.device),
            two(record.epoch, record.label),
            two(record.scope, Self::zeros_of(record)),
        ]
    }
}

/// The columns of a shape, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Field {
    /// Units of time since the event before, of any shape; the first of a run has 0.
    Time,
    /// How many events ago the block had this address last; 0 for never.
    Back,
    /// The address, where it was not there before.
    Address,
    /// The step, there.
    Step,
    /// The owner, there.
    Owner,
    /// How many steps are missing since that event.
    StepSince,
    /// The owner minus that event's.
    OwnerSince,
    /// [`crate::layout::EventRecord::extra`].
    Extra,
    /// The stack.
    Stack,
}

/// How many columns a shape has.
const FIELDS: usize = 9;

/// How many of their lowest bits times lose: sixteen nanoseconds are less than the reading of a clock takes, and so are
/// ticks that take no longer at two thousand million of them a second.
#[must_use]
pub const fn lost_time_bits(is_ticking: bool) -> u32 {
    if is_ticking { 5 } else { 4 }
}

/// The bytes that a block with `len` bytes behind its header takes.
#[must_use]
pub const fn block_size(len: usize) -> usize {
    BLOCK_HEADER_SIZE + len.next_multiple_of(ALIGN)
}

const _: () =
    assert!(BLOCK_HEADER_SIZE == 32 && size_of::<RunRecord>() == 16 && size_of::<Shape>() == 28);
