//! What is left to do with a trace when its process has ended: the events that no block stands for yet get one, and
//! what the file takes on the disk without using it is told.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use zerocopy::FromBytes;
use zerocopy::IntoBytes;

use crate::layout::CHUNK_HEADER_SIZE;
use crate::layout::CHUNK_MAGIC;
use crate::layout::CHUNK_SIZE;
use crate::layout::CLOCK_TICKS;
use crate::layout::ChunkHeader;
use crate::layout::EventRecord;
use crate::layout::FileHeader;
use crate::layout::HEADER_SIZE;
use crate::layout::SEGMENT_SPAN;
use crate::layout::chunk_kind;
use crate::loss::end_of_losses;
use crate::segment::Block;
use crate::segment::CHUNKS_OF_BLOCK;
use crate::segment::Encoder;
use crate::segment::Filled;
use crate::segment::lost_time_bits;

/// Parts smaller than this are not worth a system call.
const PAGE: u64 = 4096;
/// The bytes of a segment.
const SEGMENT_SIZE: usize = SEGMENT_SPAN as usize * CHUNK_SIZE;
/// A file with more chunks than that to be compressed keeps them: its writer was missing, or far behind.
const MOST_CHUNKS: usize = 1024;

/// A chunk, by its place in the file.
#[derive(Clone, Copy, Debug)]
struct Chunk {
    offset: u64,
    end: u64,
    header: ChunkHeader,
}

impl Chunk {
    /// Bytes that are in use; all of them where that is not known.
    const fn used(&self) -> u64 {
        match (self.header.magic, self.header.committed) {
            (0, _) | (CHUNK_MAGIC, 0) => 0,
            (CHUNK_MAGIC, committed) => committed.saturating_add(CHUNK_HEADER_SIZE as u64),
            _ => u64::MAX,
        }
    }

    /// Whether it would have been compressed, had the process lived.
    const fn is_left(&self) -> bool {
        let header = &self.header;
        header.magic == CHUNK_MAGIC
            && header.kind == chunk_kind::EVENTS
            && header.fill != 0
            && header.committed != 0
    }
}

fn chunks(file: &File, size: u64) -> io::Result<Vec<Chunk>> {
    let mut chunks = Vec::new();
    let mut offset = HEADER_SIZE as u64;
    while offset + CHUNK_HEADER_SIZE as u64 <= size {
        let mut bytes = [0; CHUNK_HEADER_SIZE];
        file.read_exact_at(&mut bytes, offset)?;
        let header =
            ChunkHeader::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        let span = match (header.magic, header.kind) {
            // With any other span, a reader takes it for a chunk like others, and reads what lies behind.
            (CHUNK_MAGIC, chunk_kind::SEGMENT) if header.span <= SEGMENT_SPAN => header.span.max(1),
            _ => 1,
        };
        let end = (offset + u64::from(span) * CHUNK_SIZE as u64).min(size);
        chunks.push(Chunk {
            offset,
            end,
            header,
        });
        offset = end;
    }
    Ok(chunks)
}

/// Compresses what the writer of a trace had not come to, at the end of the file. Whenever this is interrupted, the
/// trace is the same. Only of one whose process has ended.
///
/// # Errors
/// Those of the file.
pub fn compress_rest(file: &File) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut bytes = [0; size_of::<FileHeader>()];
    file.read_exact_at(&mut bytes, 0)?;
    let header = FileHeader::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let whole = HEADER_SIZE as u64 + u64::from(header.chunks) * CHUNK_SIZE as u64;
    // Of a file that was cut, nothing is touched.
    if size != whole {
        return Ok(());
    }
    let chunks = chunks(file, size)?;
    let replaced = match chunks
        .iter()
        .rfind(|chunk| chunk.header.kind == chunk_kind::SEGMENT)
    {
        Some(last) => replaced_in(file, last)?,
        None => HashSet::new(),
    };
    let left = chunks.iter().filter(|chunk| chunk.is_left());
    let (replaced, left): (Vec<Chunk>, Vec<Chunk>) = left
        .copied()
        .partition(|chunk| replaced.contains(&chunk.header.fill));
    empty(file, &replaced)?;
    if left.len() > MOST_CHUNKS {
        return Ok(());
    }
    let Some(segment) = segment_of(file, &left, header.clock == CLOCK_TICKS)? else {
        return Ok(());
    };
    file.set_len(size + SEGMENT_SIZE as u64)?;
    // Its header last: a reader finds nothing, or all of it.
    file.write_all_at(
        &segment[CHUNK_HEADER_SIZE..],
        size + CHUNK_HEADER_SIZE as u64,
    )?;
    file.write_all_at(&segment[..CHUNK_HEADER_SIZE], size)?;
    let count = header.chunks + u32::from(SEGMENT_SPAN);
    let place = std::mem::offset_of!(FileHeader, chunks) as u64;
    file.write_all_at(&count.to_ne_bytes(), place)?;
    empty(file, &left)
}

/// A block stands for what these hold.
fn empty(file: &File, chunks: &[Chunk]) -> io::Result<()> {
    for chunk in chunks {
        let place = chunk.offset + std::mem::offset_of!(ChunkHeader, committed) as u64;
        file.write_all_at(&[0; size_of::<u64>()], place)?;
    }
    Ok(())
}

/// The fillings that blocks of a segment stand for. A chunk that was not emptied in time is in the last one.
fn replaced_in(file: &File, segment: &Chunk) -> io::Result<HashSet<u64>> {
    let len = segment.used().min(segment.end - segment.offset) as usize;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, segment.offset)?;
    let mut rest = bytes.get(CHUNK_HEADER_SIZE..).unwrap_or_default();
    let mut replaced = HashSet::new();
    while let Ok(block) = Block::read(rest) {
        replaced.extend(block.fills());
        rest = rest.get(block.size()..).unwrap_or_default();
    }
    Ok(replaced)
}

/// A segment of all these chunks; `None` where it would save nothing, or has no room for them.
fn segment_of(file: &File, left: &[Chunk], is_ticking: bool) -> io::Result<Option<Vec<u8>>> {
    let mut encoder = Encoder::on_heap().map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut content = Vec::new();
    let mut saved = 0;
    for group in left.chunks(CHUNKS_OF_BLOCK) {
        let mut records: Vec<Vec<EventRecord>> = Vec::new();
        for chunk in group {
            let len = (chunk.header.committed as usize).min(CHUNK_SIZE - CHUNK_HEADER_SIZE);
            let count = len / size_of::<EventRecord>();
            let mut events = vec![EventRecord::default(); count];
            let start = chunk.offset + CHUNK_HEADER_SIZE as u64;
            file.read_exact_at(events.as_mut_slice().as_mut_bytes(), start)?;
            saved += len;
            records.push(events);
        }
        let filled = group.iter().zip(&records).map(|(chunk, records)| Filled {
            fill: chunk.header.fill,
            records,
        });
        let filled: Vec<Filled<'_>> = filled.collect();
        let Some(block) = encoder.encode(&filled, lost_time_bits(is_ticking)) else {
            return Ok(None);
        };
        content.extend_from_slice(block);
    }
    let fits = content.len() + CHUNK_HEADER_SIZE <= SEGMENT_SIZE;
    if !fits || content.len() + 2 * PAGE as usize > saved {
        return Ok(None);
    }
    let header = ChunkHeader {
        magic: CHUNK_MAGIC,
        kind: chunk_kind::SEGMENT,
        span: SEGMENT_SPAN,
        committed: content.len() as u64,
        fill: 0,
        kept: 0,
        reserved: [0; 4],
    };
    let mut segment = header.as_bytes().to_vec();
    segment.append(&mut content);
    Ok(Some(segment))
}

/// The parts of a trace that were made ahead of need, or emptied, and hold nothing: whoever reads zeros there reads the
/// same trace. Only of one whose process has ended.
///
/// # Errors
/// Those of the file.
pub fn unused(file: &File) -> io::Result<Vec<Range<u64>>> {
    let size = file.metadata()?.len();
    // The header is as long as the largest page, for the host's sake; of the losses there are mostly none.
    let mut header = vec![0; HEADER_SIZE.min(usize::try_from(size).unwrap_or(HEADER_SIZE))];
    file.read_exact_at(&mut header, 0)?;
    let used = (end_of_losses(&header) as u64).next_multiple_of(PAGE);
    let mut parts = Vec::new();
    parts.push(used..(HEADER_SIZE as u64).min(size));
    for chunk in chunks(file, size)? {
        let used = chunk.offset.saturating_add(chunk.used());
        let start = used.div_ceil(PAGE).saturating_mul(PAGE);
        if start < chunk.end {
            match parts.last_mut() {
                Some(last) if last.end == start => last.end = chunk.end,
                _ => parts.push(start..chunk.end),
            }
        }
    }
    parts.retain(|part| !part.is_empty());
    Ok(parts)
}

const _: () = assert!(size_of::<FileHeader>() as u64 <= PAGE);
