//! Pieces of trace files.

use whofreed_trace::layout;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::ChunkHeader;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use zerocopy::FromZeros;
use zerocopy::IntoBytes;

/// The header of a trace of two chunks.
pub fn header() -> FileHeader {
    FileHeader {
        magic: layout::MAGIC,
        version: layout::VERSION,
        byte_order: layout::BYTE_ORDER_MARK,
        header_size: HEADER_SIZE as u32,
        chunk_size: CHUNK_SIZE as u32,
        event_size: layout::EVENT_SIZE as u32,
        trace_id: 77,
        session: 5,
        pid: 4711,
        flags: layout::FLAG_FORKED | layout::FLAG_UNJUDGED_COUNTED,
        fork_parent: 3,
        dropped_events: 2,
        unjudged_events: 1,
        chunks: 2,
        exit_kind: layout::EXIT_SIGNAL,
        exit_value: 9,
        ..FileHeader::new_zeroed()
    }
}

/// A chunk that nobody uses again.
pub fn chunk(kind: u16, content: &[u8]) -> Vec<u8> {
    let header = ChunkHeader {
        magic: layout::CHUNK_MAGIC,
        kind,
        committed: content.len() as u64,
        ..ChunkHeader::new_zeroed()
    };
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(CHUNK_SIZE, 0);
    bytes
}
