//! What becomes of full chunks of a file: blocks that stand for them, a sixteenth as long, and then they are used
//! again.
//!
//! The writer thread does this, alone; no hook waits for it. A chunk is let go only when the block that stands for it
//! is committed, so there is no moment at which a process can die and an event be lost: a reader that finds both
//! believes the block. What does not get any shorter, or finds no room, stays as it is.

use std::ptr::NonNull;

use whofreed_trace::layout::CHUNK_HEADER_SIZE;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::ChunkHeader;
use whofreed_trace::layout::EventRecord;
use whofreed_trace::layout::SEGMENT_SPAN;
use whofreed_trace::layout::chunk_kind;
use whofreed_trace::segment::CHUNKS_OF_BLOCK;
use whofreed_trace::segment::Encoder;
use whofreed_trace::segment::Filled;
use whofreed_trace::segment::lost_time_bits;
use zerocopy::FromBytes;

use super::Recorder;
use super::chunks::Claim;
use super::chunks::claim;
use super::chunks::unmap;
use super::chunks::words_of;
use super::pen::CAPACITY;
use super::pen::Page;
use super::words::Words;
use crate::clock;
use crate::sys;

/// So many chunks wait for another time when many are needed, beside those that are ready.
const MOST_SPARE: usize = 64;
/// How long nothing is made ahead after there was no room for it, in nanoseconds.
const HELD_BACK: u64 = 100_000_000;
/// The bytes of a segment.
const SEGMENT_SIZE: usize = SEGMENT_SPAN as usize * CHUNK_SIZE;

/// The writer thread's hands. Nothing of it is the host's heap's: the thread's first allocation there would make an
/// arena of 64 MiB.
#[derive(Debug, Default)]
pub(super) struct Compressor {
    /// Memory of our own, once it is needed.
    encoder: Option<NonNull<Encoder>>,
    full: [Option<Full>; CHUNKS_OF_BLOCK],
    full_count: usize,
    segment: Option<Page>,
    /// Chunks that hold nothing any more.
    spare: Spare,
}

/// Chunks that nobody needs now.
#[derive(Debug)]
pub(super) struct Spare {
    chunks: [Option<NonNull<u8>>; MOST_SPARE],
    count: usize,
    /// No new ones are made ahead until then, by the monotonic clock: there was no room.
    held_back_until: u64,
}

impl Default for Spare {
    fn default() -> Self {
        Self {
            chunks: [None; MOST_SPARE],
            count: 0,
            held_back_until: 0,
        }
    }
}

impl Spare {
    pub(super) fn is_held_back(&self) -> bool {
        self.held_back_until != 0 && sys::monotonic_ns() < self.held_back_until
    }

    pub(super) fn hold_back(&mut self) {
        self.held_back_until = sys::monotonic_ns() + HELD_BACK;
    }

    /// Keeps a chunk, if there is room; else the writer had fallen behind, has caught up, and it goes.
    pub(super) fn push(&mut self, chunk: NonNull<u8>) {
        match self.chunks.get_mut(self.count) {
            Some(place) => {
                *place = Some(chunk);
                self.count += 1;
            }
            None => unmap(chunk, CHUNK_SIZE),
        }
    }

    /// One of them.
    pub(super) fn pop(&mut self) -> Option<NonNull<u8>> {
        self.count = self.count.checked_sub(1)?;
        self.chunks[self.count].take()
    }
}

/// A full chunk, which the writer thread alone uses.
#[derive(Clone, Copy, Debug)]
struct Full(NonNull<u8>);

impl Full {
    fn header(&self) -> ChunkHeader {
        // SAFETY: the chunk is mapped until it is let go, and its thread does not write to it any more.
        unsafe { self.0.cast::<ChunkHeader>().read() }
    }

    fn records(&self) -> &[EventRecord] {
        let committed = self.header().committed as usize;
        // SAFETY: as above; the content lies behind the header, and is aligned like it.
        let bytes = unsafe {
            let start = self.0.add(CHUNK_HEADER_SIZE);
            std::slice::from_raw_parts(start.as_ptr(), committed.min(CAPACITY))
        };
        <[EventRecord]>::ref_from_bytes(bytes).unwrap_or_default()
    }

    fn words(&self) -> &Words {
        // SAFETY: the chunk is mapped until it is let go.
        unsafe { words_of(self.0) }
    }

    /// It keeps what it holds for ever, and nobody needs a copy.
    fn keep(self) {
        self.words().keep();
        unmap(self.0, CHUNK_SIZE);
    }
}

impl Compressor {
    /// Makes sure that chunks are ready before they are needed.
    pub(super) fn prepare(&mut self, recorder: &Recorder) {
        recorder.prepare_chunks(&mut self.spare);
    }

    /// Takes a full chunk.
    pub(super) fn take(&mut self, recorder: &Recorder, chunk: NonNull<u8>) {
        let full = Full(chunk);
        // It was begun before there was a writer: it has no number by which a block could stand for it.
        if full.header().fill == 0 {
            return unmap(chunk, CHUNK_SIZE);
        }
        self.full[self.full_count] = Some(full);
        self.full_count += 1;
        if self.full_count == CHUNKS_OF_BLOCK {
            let is_replaced = self.write_block(recorder).is_some();
            for full in self.full.iter_mut().filter_map(Option::take) {
                if is_replaced {
                    full.words().empty();
                    self.spare.push(full.0);
                } else {
                    full.keep();
                }
            }
            self.full_count = 0;
        }
    }

    /// Lets go of everything: who comes after it begins anew. Full chunks stay as they are, empty ones in the file.
    pub(super) fn let_go(mut self) {
        for full in self.full.iter_mut().filter_map(Option::take) {
            full.keep();
        }
        while let Some(chunk) = self.spare.pop() {
            unmap(chunk, CHUNK_SIZE);
        }
        if let Some(segment) = self.segment.take() {
            segment.unmap();
        }
        if let Some(encoder) = self.encoder.take() {
            // SAFETY: the encoder is this value's own, which ends here.
            unsafe { sys::release(encoder.cast(), size_of::<Encoder>()) };
        }
    }

    /// Writes a block for the full chunks; `None` when they have to stay.
    fn write_block(&mut self, recorder: &Recorder) -> Option<()> {
        let mut filled = [Filled::default(); CHUNKS_OF_BLOCK];
        for (filled, full) in filled.iter_mut().zip(self.full.iter().flatten()) {
            *filled = Filled {
                fill: full.header().fill,
                records: full.records(),
            };
        }
        let encoder = match self.encoder {
            Some(encoder) => encoder,
            None => *self
                .encoder
                .insert(sys::reserve(size_of::<Encoder>())?.cast()),
        };
        // SAFETY: fresh zeroed memory of the right size, aligned to a page, which is valid as an encoder by its
        // `FromZeros`; nobody else has it, and the reference ends with this call.
        let encoder = unsafe { &mut *encoder.as_ptr() };
        let lost = lost_time_bits(clock::is_ticking());
        let block = encoder.encode(&filled, lost)?;
        let has_room = |segment: &Page| segment.has_room(block.len());
        if !self.segment.as_ref().is_some_and(has_room) {
            if let Some(full) = self.segment.take() {
                full.unmap();
            }
            self.segment = new_segment(recorder);
        }
        self.segment.as_mut()?.append(&[block], block.len());
        Some(())
    }
}

fn new_segment(recorder: &Recorder) -> Option<Page> {
    let ask = || recorder.grow(u32::from(SEGMENT_SPAN));
    let start = recorder.asking.by_writer(ask)?;
    claim(
        start,
        Claim {
            kind: chunk_kind::SEGMENT,
            span: SEGMENT_SPAN,
            fill: 0,
        },
    );
    Some(Page::new(start, SEGMENT_SIZE))
}

// A block is at most half as long as its events.
const _: () = assert!(CHUNKS_OF_BLOCK * CHUNK_SIZE / 2 <= SEGMENT_SIZE - CHUNK_HEADER_SIZE);
