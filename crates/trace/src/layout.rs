//! What lies where in a trace file, byte by byte. In words: `docs/trace-format.md`.
//!
//! A file is one [`FileHeader`] of [`HEADER_SIZE`] bytes and then chunks of [`CHUNK_SIZE`] bytes. A chunk has
//! one writer at a time, which appends behind `committed` and then moves `committed`: what is below it is
//! whole, whenever the process died. All numbers are in the byte order of the machine that wrote them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

use crate::Exit;

/// The first eight bytes of every trace.
pub const MAGIC: [u8; 8] = *b"WHOFREED";
/// The version of the format; a reader refuses any other.
pub const VERSION: u32 = 2;
/// Written as it is, read back reversed where the byte order differs.
pub const BYTE_ORDER_MARK: u32 = 0x0102_0304;
/// The size of the file header: as much as the largest page, so that chunks can be mapped on every machine.
pub const HEADER_SIZE: usize = 64 * 1024;
/// The size of a chunk with its header.
pub const CHUNK_SIZE: usize = 64 * 1024;
/// The size of a chunk's header.
pub const CHUNK_HEADER_SIZE: usize = 64;
/// How many chunks a segment takes.
pub const SEGMENT_SPAN: u16 = 16;
/// The size of an event.
pub const EVENT_SIZE: usize = 64;
/// The first four bytes of a chunk in use.
pub const CHUNK_MAGIC: u32 = u32::from_le_bytes(*b"WFCK");

/// [`FileHeader::flags`]: owners are object pointers.
pub const FLAG_OWNERS_ARE_POINTERS: u64 = 1;
/// [`FileHeader::flags`]: `fork_parent` and `fork_time` are set.
pub const FLAG_FORKED: u64 = 2;
/// [`FileHeader::flags`]: `unjudged_events` is counted. In older traces any lost event may be one of them.
pub const FLAG_UNJUDGED_COUNTED: u64 = 4;

/// [`FileHeader::clock`]: ticks of a counter that the processor keeps; [`FileHeader::anchors`] tell what they mean.
pub const CLOCK_TICKS: u32 = 1;

/// [`FileHeader::exit_kind`]: the process ended by itself, `exit_value` is its code.
pub const EXIT_CODE: u32 = 1;
/// [`FileHeader::exit_kind`]: the process was killed, `exit_value` is the signal.
pub const EXIT_SIGNAL: u32 = 2;

/// The start of a trace. The rest of it is zero.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct FileHeader {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// [`BYTE_ORDER_MARK`].
    pub byte_order: u32,
    /// [`HEADER_SIZE`].
    pub header_size: u32,
    /// [`CHUNK_SIZE`].
    pub chunk_size: u32,
    /// [`EVENT_SIZE`].
    pub event_size: u32,
    /// The ELF machine number of the host.
    pub machine: u32,
    /// A random number that tells traces apart.
    pub trace_id: u64,
    /// The launcher's number for everything that it started, or 0.
    pub session: u64,
    /// The process.
    pub pid: u32,
    /// Its parent.
    pub parent_pid: u32,
    /// The wall clock at the start, nanoseconds since the epoch.
    pub started_realtime: u64,
    /// The monotonic clock at the start, nanoseconds.
    pub started_monotonic: u64,
    /// [`FLAG_OWNERS_ARE_POINTERS`], [`FLAG_FORKED`], [`FLAG_UNJUDGED_COUNTED`].
    pub flags: u64,
    /// `trace_id` of the process that this one was forked from.
    pub fork_parent: u64,
    /// The monotonic clock at the fork.
    pub fork_time: u64,
    /// Events that could not be recorded. Written atomically while the process lives.
    pub dropped_events: u64,
    /// Events that were recorded although the ledger had no room to judge them.
    pub untracked_events: u64,
    /// How many chunks the file had at the least. Written atomically while the process lives.
    pub chunks: u32,
    /// [`EXIT_CODE`], [`EXIT_SIGNAL`], or 0 where nobody saw the end.
    pub exit_kind: u32,
    /// The code or the signal.
    pub exit_value: i32,
    /// What the times of events are: 0 nanoseconds on the monotonic clock, or [`CLOCK_TICKS`].
    pub clock: u32,
    /// Those of `dropped_events` that the ledger knows nothing of. Written atomically while the process lives.
    pub unjudged_events: u64,
    /// Where times are ticks: both clocks at the start, and twice later. Written while the process lives.
    pub anchors: [Anchor; 3],
    /// Which of the last two is whole: 0 or 1. Written atomically, after it.
    pub anchor: u32,
    /// Zero.
    pub reserved: u32,
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Anchor {
    /// The processor's counter.
    pub ticks: u64,
    /// The monotonic clock, nanoseconds.
    pub ns: u64,
}

/// What a chunk holds.
pub mod chunk_kind {
    /// [`super::EventRecord`]s of one thread after the other.
    pub const EVENTS: u16 = 1;
    /// Blobs; see [`crate::blob`].
    pub const DATA: u16 = 2;
    /// Blocks of events that stand for chunks of them; see [`crate::segment`]. As many chunks long as
    /// [`super::ChunkHeader::span`] says.
    pub const SEGMENT: u16 = 3;
}

/// The start of a chunk.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ChunkHeader {
    /// [`CHUNK_MAGIC`] once the chunk is in use.
    pub magic: u32,
    /// One of [`chunk_kind`].
    pub kind: u16,
    /// How many chunks in a row this is, with one header at the start: [`SEGMENT_SPAN`] for segments, 0 for one.
    pub span: u16,
    /// Bytes behind this header that are whole. Written atomically, after what it covers.
    pub committed: u64,
    /// The number of this filling of a chunk of events that will be used again once a block stands for it; 0 where it
    /// will not.
    pub fill: u64,
    /// What `fill` was, where nobody will use the chunk again after all.
    pub kept: u64,
    /// Zero.
    pub reserved: [u64; 4],
}

/// [`EventRecord::kind`] of a record that tells which thread the following ones of the chunk are from.
pub const KIND_THREAD: u8 = 0xf0;

/// [`EventRecord::flags`]: the guard held the deallocate back.
pub const EVENT_BLOCKED: u16 = 1;
/// [`EventRecord::flags`]: late.
pub const EVENT_LATE: u16 = 2;
/// [`EventRecord::flags`]: the caller did not know the address.
pub const EVENT_ADDRESS_UNKNOWN: u16 = 4;
/// [`EventRecord::flags`]: the ledger had no room.
pub const EVENT_UNTRACKED: u16 = 8;
/// [`EventRecord::flags`]: `extra` is the owner of the root.
pub const EVENT_HAS_ROOT: u16 = 16;

/// One event. Of a [`KIND_THREAD`] record only `address` counts: the kernel's id of the thread.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct EventRecord {
    /// The number of an [`crate::EventKind`], or [`KIND_THREAD`].
    pub kind: u8,
    /// The number of a [`crate::Verdict`].
    pub verdict: u8,
    /// [`EVENT_BLOCKED`] and so on.
    pub flags: u16,
    /// The address space.
    pub device: u32,
    /// The address in it.
    pub address: u64,
    /// Who acted.
    pub owner: u64,
    /// The size of an allocation, the capacity of a device, or the owner of the root.
    pub extra: u64,
    /// When: see [`FileHeader::clock`].
    pub time: u64,
    /// The event's number at its address, from 1; 0 where there is none.
    pub step: u64,
    /// Resets and closes of the device so far.
    pub epoch: u32,
    /// The host's label for the buffer.
    pub label: u32,
    /// The stack's id, 0 for none.
    pub stack: u32,
    /// The innermost scope, 0 for none.
    pub scope: u32,
}

const _: () = {
    assert!(size_of::<FileHeader>() <= HEADER_SIZE);
    assert!(size_of::<ChunkHeader>() == CHUNK_HEADER_SIZE);
    assert!(size_of::<EventRecord>() == EVENT_SIZE);
    assert!((CHUNK_SIZE - CHUNK_HEADER_SIZE).is_multiple_of(EVENT_SIZE));
};

/// Writes into the header of a finished trace how its process ended.
///
/// # Errors
/// Those of the file.
pub fn write_exit(file: &File, exit: Exit) -> io::Result<()> {
    let (kind, value) = match (exit.code, exit.signal) {
        (_, Some(signal)) => (EXIT_SIGNAL, signal),
        (Some(code), None) => (EXIT_CODE, code),
        (None, None) => return Ok(()),
    };
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&kind.to_ne_bytes());
    bytes[4..].copy_from_slice(&value.to_ne_bytes());
    file.write_all_at(&bytes, std::mem::offset_of!(FileHeader, exit_kind) as u64)
}
