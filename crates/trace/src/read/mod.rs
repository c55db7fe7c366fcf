//! The reader's half: turns the bytes of a file, however its process ended, into a [`Trace`].
//!
//! Nothing in the file is trusted: every length is checked against what is there, and memory is bounded by a small
//! multiple of the file's size. Of a file, the events stay where they are.
//!
//! A process that is still alive uses chunks of events again, once a block stands for them. So these are read first,
//! and copied; then the blocks; and at last what both refer to is there.

mod collect;
mod content;
mod header;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use zerocopy::FromBytes;
use zerocopy::IntoBytes;

use self::collect::Collect;
use self::content::Content;
use self::content::Head;
use crate::Event;
use crate::Trace;
use crate::clock::Clock;
use crate::events::FileEvents;
use crate::events::Table;
use crate::layout::CHUNK_HEADER_SIZE;
use crate::layout::CHUNK_SIZE;
use crate::layout::ChunkHeader;
use crate::layout::FileHeader;
use crate::layout::HEADER_SIZE;
use crate::layout::SEGMENT_SPAN;
use crate::layout::chunk_kind;
use crate::loss::losses_in;

pub(crate) use self::collect::event_of;
pub use self::header::read_header;

/// Why a file is not a readable trace.
#[derive(Debug)]
pub struct ReadError {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at offset {}: {}", self.offset, self.reason)
    }
}

impl std::error::Error for ReadError {}

fn fail<T>(offset: usize, reason: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError {
        offset: offset as u64,
        reason: reason.into(),
    })
}

/// Reads the trace in `bytes`.
///
/// # Errors
/// When the bytes are no trace of this version. A trace that ends early is read up to there; what is broken
/// further in stands in [`Trace::damage`].
pub fn read(bytes: &[u8]) -> Result<Trace, ReadError> {
    let header = read_header(bytes)?;
    let mut input = InMemory { bytes };
    let (mut trace, events) = read_from::<_, Vec<Event>>(&header, &mut input)?;
    trace.losses = losses_in(&header, &bytes[..bytes.len().min(HEADER_SIZE)]);
    Ok(with_events(trace, events))
}

/// Reads the trace in `file`, but for its events, of which it only notes where they are.
///
/// # Errors
/// As [`read`]; those of the file itself tell what the system said.
pub fn read_file(file: File) -> Result<Trace<FileEvents>, ReadError> {
    let mut input = InFile {
        file: &file,
        bytes: vec![0; usize::from(SEGMENT_SPAN) * CHUNK_SIZE],
    };
    let header = read_header(input.bytes(0, HEADER_SIZE)?)?;
    let (mut trace, events) = read_from::<_, Table>(&header, &mut input)?;
    trace.losses = losses_in(&header, input.bytes(0, HEADER_SIZE)?);
    Ok(with_events(trace, events.of(file, Clock::of(&header))))
}

/// Where the bytes of a trace come from.
trait Input {
    /// `len` bytes from `offset` on, or as many as there are.
    fn bytes(&mut self, offset: usize, len: usize) -> Result<&[u8], ReadError>;
}

struct InMemory<'bytes> {
    bytes: &'bytes [u8],
}

impl Input for InMemory<'_> {
    fn bytes(&mut self, offset: usize, len: usize) -> Result<&[u8], ReadError> {
        let rest = self.bytes.get(offset..).unwrap_or_default();
        Ok(&rest[..len.min(rest.len())])
    }
}

struct InFile<'file> {
    file: &'file File,
    bytes: Vec<u8>,
}

impl Input for InFile<'_> {
    fn bytes(&mut self, offset: usize, len: usize) -> Result<&[u8], ReadError> {
        let bytes = &mut self.bytes[..len];
        match read_some(self.file, bytes, offset as u64) {
            Ok(len) => Ok(&bytes[..len]),
            Err(error) => fail(offset, format!("cannot be read: {error}")),
        }
    }
}

/// Fills `bytes` from `offset` on, or as much of them as the file has.
fn read_some(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], offset + len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn read_from<I: Input, E: Collect>(
    header: &FileHeader,
    input: &mut I,
) -> Result<(Trace<()>, E), ReadError> {
    let mut content = Content::<E>::new(header);
    let mut others = Vec::new();
    let mut offset = HEADER_SIZE;
    // Where a read comes back short the file ends, whatever its size was before.
    let mut size = input.bytes(0, HEADER_SIZE)?.len();
    while size == offset {
        let start = input.bytes(offset, CHUNK_HEADER_SIZE)?;
        let Some(head) = content.head(offset, start) else {
            size += input.bytes(offset, CHUNK_SIZE)?.len();
            offset += CHUNK_SIZE;
            continue;
        };
        if head.kind == chunk_kind::EVENTS {
            size += events(&mut content, input, offset, head)?;
            offset += CHUNK_SIZE;
        } else {
            let behind = offset + head.size;
            // Its last byte tells whether all of it is there.
            size = match input.bytes(behind - 1, 1)?.len() {
                0 => offset + input.bytes(offset, head.size)?.len(),
                _ => behind,
            };
            others.push((offset, head));
            offset = behind;
        }
    }
    for (offset, mut head) in others {
        // Of a process that is alive there is more by now: what was emptied since is in there.
        let start = input.bytes(offset, CHUNK_HEADER_SIZE)?;
        if let Ok((again, _)) = ChunkHeader::read_from_prefix(start)
            && let Ok(committed) = usize::try_from(again.committed)
        {
            let most = head.size - CHUNK_HEADER_SIZE;
            head.committed = committed.min(most).max(head.committed);
        }
        let bytes = input.bytes(offset, CHUNK_HEADER_SIZE + head.committed)?;
        let body = content.body(offset, &head, bytes);
        if head.kind == chunk_kind::SEGMENT {
            content.segment(offset + CHUNK_HEADER_SIZE, body);
        } else {
            content.blobs(offset + CHUNK_HEADER_SIZE, body);
        }
    }
    // Whoever writes it tells the time in its header all along.
    let again = FileHeader::read_from_prefix(input.bytes(0, HEADER_SIZE)?);
    let is_alive = again.is_ok_and(|(again, _)| again.as_bytes() != header.as_bytes());
    if is_alive && content.is_sound() {
        content.forget_the_newest();
    }
    // A file that merely ends early tells by its header that it did.
    let whole = HEADER_SIZE + (header.chunks as usize).saturating_mul(CHUNK_SIZE);
    if size < whole && content.is_sound() {
        let missing = whole - size;
        content.fault(
            size,
            format!("the file ends here, {missing} bytes are missing"),
        );
    }
    Ok(content.finish(size))
}

/// How often a chunk is read that is used again while we read it.
const TRIES: usize = 16;

/// Reads a chunk of events; returns how many bytes of it there are.
fn events<I: Input, E: Collect>(
    content: &mut Content<E>,
    input: &mut I,
    offset: usize,
    head: Head,
) -> Result<usize, ReadError> {
    let body_offset = offset + CHUNK_HEADER_SIZE;
    if head.fill == 0 {
        let bytes = input.bytes(offset, CHUNK_SIZE)?;
        let body = content.body(offset, &head, bytes);
        content.events(body_offset, head.kept, body);
        return Ok(bytes.len());
    }
    let mut before = head.fill;
    for _ in 0..TRIES {
        let bytes = input.bytes(offset, CHUNK_SIZE)?.to_vec();
        let Some(head) = content.head(offset, &bytes) else {
            return Ok(bytes.len());
        };
        if head.kind != chunk_kind::EVENTS {
            // Blocks stand for whatever events have been in it.
            return Ok(bytes.len());
        }
        // Who uses it again changes this before anything else: it must be the same before and after all the rest.
        let again = input.bytes(offset, CHUNK_HEADER_SIZE)?;
        let again = ChunkHeader::read_from_prefix(again).map_or(0, |(again, _)| again.fill);
        if again == before && head.fill == before {
            let body = content.body(offset, &head, &bytes);
            content.copy(body_offset, head.fill, body);
            return Ok(bytes.len());
        }
        if again == 0 {
            // It is kept as it is: nobody uses it again any more.
            let bytes = input.bytes(offset, CHUNK_SIZE)?.to_vec();
            if let Some(head) = content.head(offset, &bytes)
                && head.kind == chunk_kind::EVENTS
            {
                let body = content.body(offset, &head, &bytes);
                content.events(body_offset, head.kept, body);
            }
            return Ok(bytes.len());
        }
        before = again;
    }
    // Whatever has been in it, blocks stand for by now.
    Ok(input.bytes(offset, CHUNK_SIZE)?.len())
}

/// The trace with the events that belong to it.
fn with_events<E>(trace: Trace<()>, events: E) -> Trace<E> {
    trace.map_events(|()| events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::CHUNK_MAGIC;
    use crate::layout::EVENT_SIZE;

    /// A chunk that is used again while it is read: what each read of it gets, one after the other.
    struct Changing {
        reads: Vec<Vec<u8>>,
        next: usize,
    }

    impl Input for Changing {
        fn bytes(&mut self, _offset: usize, len: usize) -> Result<&[u8], ReadError> {
            let read = &self.reads[self.next.min(self.reads.len() - 1)];
            self.next += 1;
            Ok(&read[..len.min(read.len())])
        }
    }

    /// A chunk with this many events in this filling, all at one address.
    fn chunk(fill: u64, kept: u64, events: usize, address: u64) -> Vec<u8> {
        let header = ChunkHeader {
            magic: CHUNK_MAGIC,
            kind: chunk_kind::EVENTS,
            span: 0,
            committed: (events * EVENT_SIZE) as u64,
            fill,
            kept,
            reserved: [0; 4],
        };
        let event = crate::layout::EventRecord {
            kind: 1,
            address,
            ..Default::default()
        };
        let mut bytes = header.as_bytes().to_vec();
        (0..events).for_each(|_| bytes.extend(event.as_bytes()));
        bytes.resize(CHUNK_SIZE, 0);
        bytes
    }

    /// What is read of a chunk whose first filling was seen to be `fill`, and then looks like that.
    fn addresses(fill: u64, reads: Vec<Vec<u8>>) -> Vec<u64> {
        let header = FileHeader::read_from_bytes(&[0; size_of::<FileHeader>()][..]).expect("zeros");
        let mut content = Content::<Vec<Event>>::new(&header);
        let mut input = Changing { reads, next: 0 };
        let head = Head {
            kind: chunk_kind::EVENTS,
            fill,
            kept: 0,
            committed: 0,
            size: CHUNK_SIZE,
        };
        events(&mut content, &mut input, 0, head).expect("it can be read");
        assert!(content.is_sound());
        let (_, events) = content.finish(CHUNK_SIZE);
        events.iter().map(|event| event.address).collect()
    }

    #[test]
    fn a_chunk_that_is_used_again_while_its_header_is_read_is_read_anew() {
        // How much was committed is of the first filling, the number and the content of the second one.
        let mut torn = chunk(2, 0, 3, 7);
        torn[CHUNK_HEADER_SIZE..].copy_from_slice(&chunk(1, 0, 3, 5)[CHUNK_HEADER_SIZE..]);
        let second = chunk(2, 0, 1, 7);
        let reads = vec![torn, second.clone(), second.clone(), second];
        assert_eq!(addresses(1, reads), [7]);
    }

    #[test]
    fn a_chunk_that_comes_to_be_kept_while_it_is_read_is_there_once() {
        let (first, kept) = (chunk(1, 0, 2, 5), chunk(0, 1, 2, 5));
        assert_eq!(addresses(1, vec![first, kept.clone()]), [5, 5]);
        assert_eq!(addresses(1, vec![kept]), [5, 5]);
    }
}
