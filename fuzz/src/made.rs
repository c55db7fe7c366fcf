//! Traces of 128 KiB and more, made of the few bytes that a fuzzer can think about.
//!
//! What a checksum would keep away is given the right one; everything else is as the bytes say, impossible or not.

use whofreed_trace::blob::BlobHeader;
use whofreed_trace::blob::blob_size;
use whofreed_trace::blob::checksum;
use whofreed_trace::layout;
use whofreed_trace::layout::CHUNK_MAGIC;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::ChunkHeader;
use whofreed_trace::layout::EVENT_SIZE;
use whofreed_trace::layout::EventRecord;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::KIND_THREAD;
use whofreed_trace::layout::chunk_kind;
use whofreed_trace::segment;
use zerocopy::FromBytes as _;
use zerocopy::FromZeros as _;
use zerocopy::IntoBytes as _;

/// So many chunks at most, or a turn takes too long.
const MOST_CHUNKS: usize = 6;

/// Bytes that are taken from the front, and zeros behind their end.
#[derive(Debug)]
pub struct Bytes<'data>(pub &'data [u8]);

impl<'data> Bytes<'data> {
    /// So many of them, or those that are left.
    pub fn take(&mut self, count: usize) -> &'data [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One.
    pub fn u8(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Two.
    pub fn u16(&mut self) -> u16 {
        u16::from(self.u8()) | u16::from(self.u8()) << 8
    }

    /// Whether there are none left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A trace.
#[must_use]
pub fn trace(data: &[u8]) -> Vec<u8> {
    let mut from = Bytes(data);
    let mut chunks: Vec<Vec<u8>> = Vec::new();
    let header = header(&mut from);
    let cut = usize::from(from.u16());
    while !from.is_empty() && chunks.len() < MOST_CHUNKS {
        chunks.push(chunk(&mut from));
    }
    let mut bytes = vec![0; HEADER_SIZE];
    bytes[..header.len()].copy_from_slice(&header);
    for chunk in chunks {
        bytes.extend(chunk);
        let whole = bytes.len().next_multiple_of(CHUNK_SIZE);
        bytes.resize(whole, 0);
    }
    // Files of killed or copied traces end anywhere.
    let len = bytes.len().saturating_sub(cut);
    bytes.truncate(len);
    bytes
}

fn header(from: &mut Bytes<'_>) -> Vec<u8> {
    let header = FileHeader {
        magic: layout::MAGIC,
        version: layout::VERSION,
        byte_order: layout::BYTE_ORDER_MARK,
        header_size: HEADER_SIZE as u32,
        chunk_size: CHUNK_SIZE as u32,
        event_size: EVENT_SIZE as u32,
        trace_id: 77,
        chunks: u32::from(from.u8()),
        ..FileHeader::new_zeroed()
    };
    let mut header = header.as_bytes().to_vec();
    // What lies behind the sizes is anything; what lies before, one byte may be.
    let patches = from.u8() % 8;
    for _ in 0..patches {
        let at = usize::from(from.u8());
        let value = from.u8();
        if let Some(byte) = header.get_mut(at) {
            *byte = value;
        }
    }
    header
}

fn chunk(from: &mut Bytes<'_>) -> Vec<u8> {
    let form = from.u8();
    let fill = u64::from(from.u8());
    let (kind, content) = match form % 5 {
        0 => (chunk_kind::EVENTS, events(from)),
        1 => (chunk_kind::DATA, blobs(from)),
        2 => (chunk_kind::SEGMENT, blocks(from)),
        3 => (chunk_kind::SEGMENT, encoded(from)),
        _ => {
            let len = usize::from(from.u16());
            return from.take(len).to_vec();
        }
    };
    let claimed = if form & 0x80 != 0 {
        usize::from(from.u16()) << 4
    } else {
        content.len()
    };
    let header = ChunkHeader {
        magic: CHUNK_MAGIC,
        kind,
        span: if kind == chunk_kind::SEGMENT {
            u16::from(form >> 3 & 0x0f) * (1 + fill as u16 % 2)
        } else {
            0
        },
        committed: claimed as u64,
        fill: fill & 0x0f,
        kept: fill >> 4,
        reserved: [0; 4],
    };
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.truncate(CHUNK_SIZE);
    bytes
}

/// Few bytes an event, so that addresses, steps and verdicts meet.
fn records(from: &mut Bytes<'_>) -> Vec<EventRecord> {
    let count = from.u8();
    let mut records = Vec::new();
    for _ in 0..count {
        let form = from.u8();
        let byte = from.u8();
        let mut record = EventRecord {
            kind: form % 10,
            verdict: byte % 8,
            flags: u16::from(byte >> 3),
            device: u32::from(form >> 6),
            address: u64::from(from.u8() % 16) * 64,
            owner: u64::from(from.u8() % 8),
            extra: u64::from(from.u8()),
            time: u64::from(from.u16()),
            step: u64::from(from.u8()),
            epoch: u32::from(form >> 5 & 1),
            label: u32::from(byte & 3),
            stack: u32::from(from.u8()),
            scope: u32::from(byte & 3),
        };
        if form == 0xff {
            record.kind = KIND_THREAD;
        }
        if form == 0xfe
            && let Ok(any) = EventRecord::read_from_bytes(from.take(EVENT_SIZE))
        {
            record = any;
        }
        records.push(record);
        if from.is_empty() {
            break;
        }
    }
    records
}

fn events(from: &mut Bytes<'_>) -> Vec<u8> {
    records(from).as_slice().as_bytes().to_vec()
}

fn blobs(from: &mut Bytes<'_>) -> Vec<u8> {
    let mut content: Vec<u8> = Vec::new();
    let count = from.u8() % 32;
    for _ in 0..count {
        let kind = from.u8();
        let id = from.u8();
        let len = usize::from(from.u16() % 4096);
        let payload = from.take(len);
        let header = BlobHeader {
            kind: u16::from(kind % 16),
            flags: u16::from(kind >> 4),
            id: u32::from(id),
            len: payload.len() as u32,
            checksum: checksum(payload).wrapping_add(u32::from(kind == 0xff)),
        };
        let end = content.len() + blob_size(payload.len());
        content.extend(header.as_bytes());
        content.extend(payload);
        content.resize(end, 0);
    }
    content
}

/// Blocks of anything, with the right checksums.
fn blocks(from: &mut Bytes<'_>) -> Vec<u8> {
    let mut content = Vec::new();
    let count = from.u8() % 4;
    for _ in 0..count {
        let len = usize::from(from.u16() % 8192);
        let block = block(from.take(len));
        let end = (content.len() + block.len()).next_multiple_of(segment::ALIGN);
        content.extend(block);
        content.resize(end, 0);
    }
    content
}

/// A block of these bytes, with the magic number, the length and the checksum that it would have to have.
#[must_use]
pub fn block(bytes: &[u8]) -> Vec<u8> {
    let mut block = bytes.to_vec();
    if block.len() < segment::BLOCK_HEADER_SIZE {
        return block;
    }
    let payload = &block[segment::BLOCK_HEADER_SIZE..];
    let words = [
        segment::BLOCK_MAGIC,
        payload.len() as u32,
        checksum(payload),
    ];
    for (index, word) in words.into_iter().enumerate() {
        block[4 * index..][..4].copy_from_slice(&word.to_ne_bytes());
    }
    block
}

fn encoded(from: &mut Bytes<'_>) -> Vec<u8> {
    let shift = u32::from(from.u8() % 8);
    let records = records(from);
    let filled = segment::Filled {
        fill: 1 + u64::from(from.u8() % 4),
        records: &records,
    };
    let Ok(mut encoder) = segment::Encoder::on_heap() else {
        return Vec::new();
    };
    encoder
        .encode(&[filled], shift)
        .map(<[u8]>::to_vec)
        .unwrap_or_default()
}

/// The first words of a block, in which a reader may find its faults.
pub const BLOCK_HEAD: usize = segment::BLOCK_HEADER_SIZE;

/// A block of events that was well made, with bytes of its parts changed and a checksum that holds again.
#[must_use]
pub fn broken_block(data: &[u8]) -> Vec<u8> {
    let mut from = Bytes(data);
    let changes: Vec<(u16, u8)> = (0..from.u8() % 8)
        .map(|_| (from.u16(), from.u8()))
        .collect();
    let mut bytes = encoded(&mut from);
    for (at, value) in changes {
        let len = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(usize::from(at) % len) {
            *byte ^= value;
        }
    }
    block(&bytes)
}
