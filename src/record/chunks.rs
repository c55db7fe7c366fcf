//! Where the chunks come from that threads write to, and where they go when they are full.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use whofreed_trace::layout::CHUNK_MAGIC;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::ChunkHeader;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::chunk_kind;

use super::Recorder;
use super::compress::Spare;
use super::sealed::count_events;
use super::sink;
use super::sink::Sink;
use super::writer;
use crate::sys;

/// Chunks that are kept ready.
pub(super) const READY: usize = 32;

/// How long no chunk is asked for after the second refusal in a row, in nanoseconds: two milliseconds, and twice as long
/// each time.
const FIRST_PAUSE: u64 = 1_000_000;
/// How often it is doubled.
const LONGEST_PAUSE: u32 = 7;

impl Recorder {
    /// A chunk for the calling thread to write to.
    pub fn take_chunk(&self, kind: u16) -> Option<NonNull<u8>> {
        if let Sink::Memory(_) = self.sink
            && kind == chunk_kind::EVENTS
        {
            return self.take_memory_chunk();
        }
        // A child that was forked in the middle of an event still has this recorder, but no chunk of it.
        if self.pid != sys::process_id() {
            return None;
        }
        let chunk = match self.take_ready() {
            Some(chunk) => chunk,
            None => self.grow(1)?,
        };
        // Without a writer nobody will use it again.
        let is_reused = kind == chunk_kind::EVENTS && self.mail.has_writer();
        let fill = if is_reused { self.next_fill() } else { 0 };
        claim(
            chunk,
            Claim {
                kind,
                span: 0,
                fill,
            },
        );
        Some(chunk)
    }

    /// The number of a filling of a chunk that will be used again.
    pub(super) fn next_fill(&self) -> u64 {
        self.fills.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn take_ready(&self) -> Option<NonNull<u8>> {
        self.ready.iter().find_map(|place| {
            if place.load(Ordering::Relaxed).is_null() {
                return None;
            }
            NonNull::new(place.swap(std::ptr::null_mut(), Ordering::AcqRel))
        })
    }

    /// New chunks from the sink, for a thread that waits for them. What goes wrong is said once; then events are lost for
    /// a while without another try, since a full disk takes long to say so.
    pub(super) fn grow(&self, count: u32) -> Option<NonNull<u8>> {
        let is_held_back = || sys::monotonic_ns() < self.refused_until.load(Ordering::Relaxed);
        if self.refusals.load(Ordering::Relaxed) != 0 && is_held_back() {
            return None;
        }
        match self.try_to_grow(count) {
            Ok(chunks) => {
                self.refusals.store(0, Ordering::Relaxed);
                Some(chunks)
            }
            Err(error) => {
                let before = self.refusals.fetch_add(1, Ordering::Relaxed);
                let pause = match before {
                    0 => 0,
                    times => FIRST_PAUSE << times.min(LONGEST_PAUSE),
                };
                let until = sys::monotonic_ns() + pause;
                self.refused_until.store(until, Ordering::Relaxed);
                let is_news = !self.complained.swap(true, Ordering::Relaxed);
                if is_news && !matches!(self.sink, Sink::Nowhere) {
                    sys::complain(&format!(
                        "the trace cannot grow: {error}; events that find no room are counted, not kept"
                    ));
                }
                None
            }
        }
    }

    fn try_to_grow(&self, count: u32) -> io::Result<NonNull<u8>> {
        let _no_cancel = sys::NoCancel::new();
        let chunks = self.sink.grow(count)?;
        self.count_chunks();
        Ok(chunks)
    }

    /// Writes down how many chunks there are, so that a reader misses those that a cut took away.
    fn count_chunks(&self) {
        if let Some(header) = self.header {
            let offset = std::mem::offset_of!(FileHeader, chunks);
            // SAFETY: the field is a u32 of the header, which is aligned, mapped for ever, and written by atomics only.
            let counter = unsafe { header.cast::<u8>().add(offset).cast::<AtomicU32>().as_ref() };
            counter.fetch_max(self.sink.chunks(), Ordering::Relaxed);
        }
    }

    /// Makes sure that chunks are ready before they are needed, of the spare ones first. For the writer thread.
    pub(super) fn prepare_chunks(&self, spare: &mut Spare) {
        while let Some(chunk) = spare.pop() {
            if !self.make_ready(chunk) {
                spare.push(chunk);
                return;
            }
        }
        let is_refused = self.refusals.load(Ordering::Relaxed) != 0;
        if !matches!(self.sink, Sink::File(_)) || is_refused || spare.is_held_back() {
            return;
        }
        let missing = self
            .ready
            .iter()
            .filter(|place| place.load(Ordering::Relaxed).is_null());
        let missing = missing.count();
        if missing < READY / 2 {
            return;
        }
        // That there is no room for so many is no loss yet.
        let Ok(chunks) = self.try_to_grow(missing as u32) else {
            spare.hold_back();
            return;
        };
        for number in 0..missing {
            // SAFETY: `grow` has given `missing` chunks in a row.
            let chunk = unsafe { chunks.add(number * CHUNK_SIZE) };
            if !self.make_ready(chunk) {
                spare.push(chunk);
            }
        }
    }

    /// False when there are enough.
    fn make_ready(&self, chunk: NonNull<u8>) -> bool {
        let free = std::ptr::null_mut();
        let offer = |place: &AtomicPtr<u8>| {
            // Looked at before, since most are taken.
            place.load(Ordering::Relaxed).is_null()
                && place
                    .compare_exchange(free, chunk.as_ptr(), Ordering::Release, Ordering::Relaxed)
                    .is_ok()
        };
        self.ready.iter().any(offer)
    }

    /// A thread has filled a chunk.
    pub fn seal(&self, chunk: *mut u8, kind: u16) {
        if kind != chunk_kind::EVENTS {
            return;
        }
        match &self.sink {
            Sink::Memory(_) => self.sealed.add(chunk),
            Sink::File(_) | Sink::Nowhere => {
                let Some(chunk) = NonNull::new(chunk) else {
                    return;
                };
                let address = chunk.as_ptr().expose_provenance();
                if !self.mail.send(writer::Message::Sealed(address)) {
                    unmap(chunk, CHUNK_SIZE);
                }
            }
        }
    }

    /// Sealed memory keeps the newest events: when it is full, the oldest sealed chunk is used again.
    fn take_memory_chunk(&self) -> Option<NonNull<u8>> {
        let sealed = &self.sealed;
        let number = sealed.taken.load(Ordering::Relaxed);
        let is_in_limit = number < sink::MEMORY_EVENT_CHUNKS
            && sealed.taken.fetch_add(1, Ordering::Relaxed) < sink::MEMORY_EVENT_CHUNKS;
        let chunk = if is_in_limit {
            let chunk = self.grow(1)?;
            sealed.announce(chunk);
            chunk
        } else {
            let chunk = sealed.take_oldest()?;
            self.lose(count_events(chunk));
            chunk
        };
        let claimed = Claim {
            kind: chunk_kind::EVENTS,
            span: 0,
            fill: 0,
        };
        claim(chunk, claimed);
        Some(chunk)
    }
}

/// What a chunk is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) kind: u16,
    pub(super) span: u16,
    pub(super) fill: u64,
}

/// Begins an empty chunk: everything but the magic number first, so that a reader never sees an old content under
/// a new header. What it held before is told by another number before it is overwritten.
pub(super) fn claim(chunk: NonNull<u8>, claim: Claim) {
    let at = |offset: usize| {
        // SAFETY: the offsets are those of fields of the header at the start of the chunk, which the calling
        // thread alone uses now.
        unsafe { chunk.add(offset) }
    };
    // SAFETY: the fields are aligned for these types; readers of the live mapping use atomics as well.
    unsafe {
        let committed = at(std::mem::offset_of!(ChunkHeader, committed)).cast::<AtomicU64>();
        committed.as_ref().store(0, Ordering::Release);
        let its_kind = at(std::mem::offset_of!(ChunkHeader, kind)).cast::<AtomicU16>();
        its_kind.as_ref().store(claim.kind, Ordering::Relaxed);
        let span = at(std::mem::offset_of!(ChunkHeader, span)).cast::<AtomicU16>();
        span.as_ref().store(claim.span, Ordering::Relaxed);
        let fill = at(std::mem::offset_of!(ChunkHeader, fill)).cast::<AtomicU64>();
        fill.as_ref().store(claim.fill, Ordering::Relaxed);
        let magic = at(std::mem::offset_of!(ChunkHeader, magic)).cast::<AtomicU32>();
        magic.as_ref().store(CHUNK_MAGIC, Ordering::Release);
    }
}

/// Lets go of a chunk of a file; the kernel has its content.
pub(super) fn unmap(chunk: NonNull<u8>, size: usize) {
    // SAFETY: the chunk is sealed: its thread does not use it any more, and event chunks are read by nobody else
    // through the mapping.
    unsafe { sys::release(chunk, size) };
}
