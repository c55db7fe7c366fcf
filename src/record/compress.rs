//! What becomes of full chunks of a file: blocks that stand for them, a sixteenth as long, and then they are used again.
//!
//! The writer thread does this, alone; no hook waits for it. A chunk is let go only when the block that stands for it is
//! committed, so there is no moment at which a process can die and an event be lost: a reader that finds both believes the
//! block. What does not get any shorter, or finds no room, stays as it is.

use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

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
use super::pen::CAPACITY;
use super::pen::Page;
use crate::clock;

/// So many chunks wait for another time when many are needed, beside those that are ready.
const MOST_SPARE: usize = 64;
/// The bytes of a segment.
const SEGMENT_SIZE: usize = SEGMENT_SPAN as usize * CHUNK_SIZE;

/// The writer thread's hands.
#[derive(Debug, Default)]
pub(super) struct Compressor {
    encoder: Encoder,
    full: Vec<Full>,
    segment: Option<Page>,
    /// Chunks that hold nothing any more.
    spare: Vec<NonNull<u8>>,
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

    fn word(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the offsets below are those of aligned words of the header, which the chunk begins with; what is shared
        // with other processes is written by atomics.
        unsafe { self.0.add(offset).cast::<AtomicU64>().as_ref() }
    }

    /// It keeps what it holds for ever, and nobody needs a copy.
    fn keep(self) {
        let fill = self.word(std::mem::offset_of!(ChunkHeader, fill));
        fill.store(0, Ordering::Release);
        unmap(self.0, CHUNK_SIZE);
    }

    /// A block stands for what it holds.
    fn empty(&self) {
        let committed = self.word(std::mem::offset_of!(ChunkHeader, committed));
        committed.store(0, Ordering::Release);
    }
}

impl Compressor {
    /// Makes sure that chunks are ready before they are needed.
    pub(super) fn prepare(&mut self, recorder: &Recorder) {
        recorder.prepare_chunks(&mut self.spare);
        for chunk in self.spare.drain(self.spare.len().min(MOST_SPARE)..) {
            // The writer had fallen behind, and has caught up.
            unmap(chunk, CHUNK_SIZE);
        }
    }

    /// Takes a full chunk.
    pub(super) fn take(&mut self, recorder: &Recorder, chunk: NonNull<u8>) {
        self.full.push(Full(chunk));
        if self.full.len() == CHUNKS_OF_BLOCK {
            let is_replaced = self.write_block(recorder);
            for full in self.full.drain(..) {
                if is_replaced {
                    full.empty();
                    self.spare.push(full.0);
                } else {
                    full.keep();
                }
            }
        }
    }

    /// Whether a block stands for the full chunks now.
    fn write_block(&mut self, recorder: &Recorder) -> bool {
        let filled = self.full.iter().map(|full| Filled {
            fill: full.header().fill,
            records: full.records(),
        });
        let filled: Vec<Filled<'_>> = filled.collect();
        let lost = lost_time_bits(clock::is_ticking());
        let Some(block) = self.encoder.encode(&filled, lost) else {
            return false;
        };
        if block.len() > filled.len() * CAPACITY / 2 {
            return false;
        }
        if !self
            .segment
            .as_ref()
            .is_some_and(|segment| segment.has_room(block.len()))
        {
            if let Some(full) = self.segment.take() {
                full.unmap();
            }
            self.segment = new_segment(recorder);
        }
        let Some(segment) = &mut self.segment else {
            return false;
        };
        segment.append(&[block], block.len());
        true
    }
}

fn new_segment(recorder: &Recorder) -> Option<Page> {
    let start = recorder.grow(u32::from(SEGMENT_SPAN))?;
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

const _: () = assert!(CHUNKS_OF_BLOCK * CAPACITY / 2 <= SEGMENT_SIZE - CHUNK_HEADER_SIZE);
