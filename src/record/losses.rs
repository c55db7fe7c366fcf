//! What was lost, by thread and with its time: the table in the trace's header that [`whofreed_trace::loss`] describes.

use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use whofreed_trace::layout::EventRecord;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::KIND_THREAD;
use whofreed_trace::loss::LOSSES_OFFSET;
use whofreed_trace::loss::LossRecord;
use whofreed_trace::loss::MOST_LOSSES;
use whofreed_trace::loss::NO_THREAD;

/// How many entries a thread tries before it shares the last one.
const TRIES: usize = 64;

/// Events of one thread that are lost.
#[derive(Clone, Copy, Debug)]
pub struct Lost {
    /// The kernel's id of the thread, or [`NO_THREAD`].
    pub thread: u32,
    /// How many.
    pub events: u64,
    /// The earliest, as [`crate::clock::now`] tells.
    pub first: u64,
    /// The latest.
    pub last: u64,
}

impl Lost {
    /// One event.
    #[must_use]
    pub const fn one(thread: u32, time: u64) -> Self {
        Self {
            thread,
            events: 1,
            first: time,
            last: time,
        }
    }
}

/// Tells in the header of a trace what a thread has lost.
pub(super) fn tell(header: NonNull<FileHeader>, lost: &Lost) {
    let entry = Entry::of(header, lost.thread);
    // The times first: nothing is counted without one.
    let first = entry.word(std::mem::offset_of!(LossRecord, first));
    let earlier = |known: u64| (known == 0 || lost.first < known).then_some(lost.first.max(1));
    let _ = first.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earlier);
    let last = entry.word(std::mem::offset_of!(LossRecord, last));
    last.fetch_max(lost.last, Ordering::Relaxed);
    let events = entry.word(std::mem::offset_of!(LossRecord, events));
    events.fetch_add(lost.events, Ordering::Relaxed);
}

struct Entry(NonNull<u8>);

impl Entry {
    /// The thread's own, taken if it has none; where too many others are in the way, the last one.
    fn of(header: NonNull<FileHeader>, thread: u32) -> Self {
        let others = Self::at(header, MOST_LOSSES - 1);
        if thread != NO_THREAD {
            for index in 0..TRIES {
                let index = (thread as usize + index) % (MOST_LOSSES - 1);
                let entry = Self::at(header, index);
                if entry.belongs_to(thread) {
                    return entry;
                }
            }
        }
        others.thread().store(NO_THREAD, Ordering::Relaxed);
        others
    }

    fn at(header: NonNull<FileHeader>, index: usize) -> Self {
        let offset = LOSSES_OFFSET + index * size_of::<LossRecord>();
        // SAFETY: the header is mapped for ever in its whole size, in which the table ends.
        Self(unsafe { header.cast::<u8>().add(offset) })
    }

    fn thread(&self) -> &AtomicU32 {
        let offset = std::mem::offset_of!(LossRecord, thread);
        // SAFETY: an aligned u32 of the table, which is mapped for ever, and written by atomics only.
        unsafe { self.0.add(offset).cast().as_ref() }
    }

    /// A word of the entry by its offset.
    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: as above, for the aligned u64 fields whose offsets are asked for.
        unsafe { self.0.add(offset).cast().as_ref() }
    }

    fn belongs_to(&self, thread: u32) -> bool {
        let place = self.thread();
        let known = match place.load(Ordering::Relaxed) {
            0 => place.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed),
            known => Err(known),
        };
        known.is_ok() || known == Err(thread)
    }
}

/// What is lost with a chunk that is used again, thread by thread.
pub(super) fn of_records(records: &[EventRecord], mut each: impl FnMut(Lost)) {
    let mut thread = NO_THREAD;
    for run in records.chunk_by(|_, next| next.kind != KIND_THREAD) {
        let events = match run {
            [first, rest @ ..] if first.kind == KIND_THREAD => {
                thread = first.address as u32;
                rest
            }
            all => all,
        };
        if let [first, .., last] | [first @ last] = events {
            each(Lost {
                thread,
                events: events.len() as u64,
                first: first.time,
                last: last.time,
            });
        }
    }
}
