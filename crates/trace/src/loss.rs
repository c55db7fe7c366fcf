//! What was lost, thread by thread and with its time: a table in the file's header, behind its fields, which is there and
//! can be written to when nothing else can.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

use crate::clock::Clock;
use crate::layout::FileHeader;
use crate::layout::HEADER_SIZE;

/// Where in the header the table begins.
pub const LOSSES_OFFSET: usize = 256;
/// How many entries it has.
pub const MOST_LOSSES: usize = (HEADER_SIZE - LOSSES_OFFSET) / size_of::<LossRecord>();
/// [`LossRecord::thread`] where it is not known, or where there was no entry left for it.
pub const NO_THREAD: u32 = u32::MAX;

/// What one thread lost. Written atomically while the process lives.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LossRecord {
    /// The kernel's id of the thread, [`NO_THREAD`], or 0 in an entry that nobody has taken.
    pub thread: u32,
    /// Zero.
    pub reserved: u32,
    /// How many events.
    pub events: u64,
    /// The earliest of them; as the times of events.
    pub first: u64,
    /// The latest.
    pub last: u64,
}

/// What one thread lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The kernel's id of the thread; `None` where that is not known.
    pub thread: Option<u32>,
    /// How many events.
    pub events: u64,
    /// The earliest of them, nanoseconds on the monotonic clock.
    pub first_ns: u64,
    /// The latest.
    pub last_ns: u64,
}

/// The table in the bytes of a file's header, by its times.
pub(crate) fn losses_in(header: &FileHeader, bytes: &[u8]) -> Vec<Loss> {
    let clock = Clock::of(header);
    let mut losses: Vec<Loss> = entries_in(bytes)
        .filter(|entry| entry.events > 0)
        .map(|entry| Loss {
            thread: (entry.thread != NO_THREAD).then_some(entry.thread),
            events: entry.events,
            first_ns: clock.ns(entry.first),
            last_ns: clock.ns(entry.last),
        })
        .collect();
    losses.sort_by_key(|loss| (loss.first_ns, loss.thread));
    losses
}

/// Where the table ends, in the bytes of a file's header, if all behind it is zero.
pub(crate) fn end_of_losses(bytes: &[u8]) -> usize {
    let used = (1..).zip(entries_in(bytes));
    let used = used.filter(|(_, entry)| entry.thread != 0).last();
    LOSSES_OFFSET + used.map_or(0, |(count, _)| count * size_of::<LossRecord>())
}

fn entries_in(bytes: &[u8]) -> impl Iterator<Item = LossRecord> {
    let table = bytes.get(LOSSES_OFFSET..).unwrap_or_default();
    let entries = table.chunks_exact(size_of::<LossRecord>());
    entries
        .take(MOST_LOSSES)
        .filter_map(|entry| LossRecord::read_from_bytes(entry).ok())
}

const _: () = assert!(size_of::<FileHeader>() <= LOSSES_OFFSET);

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    fn put(bytes: &mut [u8], index: usize, entry: [u64; 4]) {
        let at = LOSSES_OFFSET + index * size_of::<LossRecord>();
        bytes[at..at + size_of::<LossRecord>()].copy_from_slice(entry.as_bytes());
    }

    #[test]
    fn losses_are_read_in_the_order_in_which_they_began() {
        let mut bytes = vec![0; HEADER_SIZE];
        assert_eq!(end_of_losses(&bytes), LOSSES_OFFSET);
        put(&mut bytes, 3, [77, 5, 200, 300]);
        put(&mut bytes, MOST_LOSSES - 1, [NO_THREAD.into(), 1, 100, 100]);
        // Taken, and nothing counted yet.
        put(&mut bytes, 4, [78, 0, 0, 0]);
        let loss = |thread, events, first_ns, last_ns| Loss {
            thread,
            events,
            first_ns,
            last_ns,
        };
        let losses = losses_in(&FileHeader::new_zeroed(), &bytes);
        assert_eq!(
            losses,
            [loss(None, 1, 100, 100), loss(Some(77), 5, 200, 300)]
        );
        assert_eq!(end_of_losses(&bytes), HEADER_SIZE);
        assert_eq!(losses_in(&FileHeader::new_zeroed(), &bytes[..300]), []);
    }
}
