//! Where the chunks come from that threads write to, and where they go when they are full.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use whofreed_trace::layout;
use whofreed_trace::layout::CHUNK_MAGIC;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::ChunkHeader;
use whofreed_trace::layout::EventRecord;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::chunk_kind;
use zerocopy::FromBytes;

use super::Recorder;
use super::compress::Spare;
use super::losses;
use super::pen;
use super::sink;
use super::sink::Sink;
use super::words::Words;
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
        if !self.is_own() {
            return None;
        }
        let chunk = match self.ready.take() {
            Some(chunk) => chunk,
            None => self.chunk_beyond_ready(kind == chunk_kind::EVENTS)?,
        };
        // Without a writer nobody will use it again.
        let is_reused = kind == chunk_kind::EVENTS && self.mail.has_writer();
        let fill = if is_reused {
            self.fills.fetch_add(1, Ordering::Relaxed) + 1
        } else {
            0
        };
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
            if !self.ready.give(chunk) {
                spare.push(chunk);
                return;
            }
        }
        let is_refused = self.refusals.load(Ordering::Relaxed) != 0;
        if !matches!(self.sink, Sink::File(_)) || is_refused || spare.is_held_back() {
            return;
        }
        let missing = self.ready.missing();
        if missing < READY / 2 {
            return;
        }
        // That there is no room for so many is no loss yet.
        let answer = self.asking.by_writer(|| self.try_to_grow(missing as u32));
        let Ok(chunks) = answer else {
            spare.hold_back();
            return;
        };
        for number in 0..missing {
            // SAFETY: `grow` has given `missing` chunks in a row.
            let chunk = unsafe { chunks.add(number * CHUNK_SIZE) };
            if !self.ready.give(chunk) {
                spare.push(chunk);
            }
        }
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
            losses::of_records(records(chunk), |lost| self.lose(&lost));
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

/// The words that a chunk begins with.
///
/// # Safety
/// The chunk is mapped, and stays so as long as the words are used.
#[inline(always)]
pub(super) unsafe fn words_of<'chunk>(chunk: NonNull<u8>) -> &'chunk Words {
    // SAFETY: the caller says that the chunk is mapped; it begins a page, and with words that whoever shares them
    // changes by atomics only.
    unsafe { chunk.cast::<Words>().as_ref() }
}

/// Begins an empty chunk, which the calling thread alone uses now. What it held before is told by another number before
/// it is overwritten.
pub(super) fn claim(chunk: NonNull<u8>, claim: Claim) {
    let mut title = [0; 8];
    title[..4].copy_from_slice(&CHUNK_MAGIC.to_ne_bytes());
    title[4..6].copy_from_slice(&claim.kind.to_ne_bytes());
    title[6..].copy_from_slice(&claim.span.to_ne_bytes());
    // SAFETY: the chunk was handed out a moment ago, so it is mapped.
    unsafe { words_of(chunk) }.begin(u64::from_ne_bytes(title), claim.fill);
}

/// What a chunk that is full holds.
fn records(chunk: NonNull<u8>) -> &'static [EventRecord] {
    // SAFETY: the chunk is mapped for ever, and the calling thread alone uses it now, until it is claimed again.
    let content = unsafe {
        let committed = words_of(chunk).committed();
        let start = chunk.add(layout::CHUNK_HEADER_SIZE);
        std::slice::from_raw_parts(start.as_ptr(), (committed as usize).min(pen::CAPACITY))
    };
    <[EventRecord]>::ref_from_bytes(content).unwrap_or_default()
}

/// Lets go of a chunk of a file; the kernel has its content.
pub(super) fn unmap(chunk: NonNull<u8>, size: usize) {
    // SAFETY: the chunk is sealed: its thread does not use it any more, and event chunks are read by nobody else
    // through the mapping.
    unsafe { sys::release(chunk, size) };
}

// The words lie where the header says.
const _: () = {
    assert!(std::mem::offset_of!(ChunkHeader, magic) == std::mem::offset_of!(Words, title));
    assert!(std::mem::offset_of!(ChunkHeader, kind) == 4);
    assert!(std::mem::offset_of!(ChunkHeader, span) == 6);
    assert!(std::mem::offset_of!(ChunkHeader, committed) == std::mem::offset_of!(Words, committed));
    assert!(std::mem::offset_of!(ChunkHeader, fill) == std::mem::offset_of!(Words, fill));
    assert!(std::mem::offset_of!(ChunkHeader, kept) == std::mem::offset_of!(Words, kept));
};
