//! What a trace takes on the disk without using it, once its process has ended.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use zerocopy::FromBytes;

use crate::layout::CHUNK_HEADER_SIZE;
use crate::layout::CHUNK_MAGIC;
use crate::layout::CHUNK_SIZE;
use crate::layout::ChunkHeader;
use crate::layout::HEADER_SIZE;
use crate::layout::SEGMENT_SPAN;
use crate::layout::chunk_kind;

/// Parts smaller than this are not worth a system call.
const PAGE: u64 = 4096;

/// The parts of a trace that were made ahead of need, or emptied, and hold nothing: whoever reads zeros there reads the same
/// trace. Only of one whose process has ended.
///
/// # Errors
/// Those of the file.
pub fn unused(file: &File) -> io::Result<Vec<Range<u64>>> {
    let size = file.metadata()?.len();
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut offset = HEADER_SIZE as u64;
    while offset + CHUNK_HEADER_SIZE as u64 <= size {
        let mut bytes = [0; CHUNK_HEADER_SIZE];
        file.read_exact_at(&mut bytes, offset)?;
        let header =
            ChunkHeader::read_from_bytes(&bytes).map_err(|_| io::ErrorKind::InvalidData)?;
        let span = match header.kind {
            chunk_kind::SEGMENT => header.span.clamp(1, SEGMENT_SPAN),
            _ => 1,
        };
        let end = (offset + u64::from(span) * CHUNK_SIZE as u64).min(size);
        let used = match (header.magic, header.committed) {
            (0, _) | (CHUNK_MAGIC, 0) => 0,
            (CHUNK_MAGIC, committed) => committed.saturating_add(CHUNK_HEADER_SIZE as u64),
            // What is broken stays as it is.
            _ => u64::MAX,
        };
        let start = (offset.saturating_add(used).div_ceil(PAGE)).saturating_mul(PAGE);
        if start < end {
            match parts.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => parts.push(start..end),
            }
        }
        offset = end;
    }
    Ok(parts)
}
