//! The reader's half: turns the bytes of a file, however its process ended, into a [`Trace`].
//!
//! Nothing in the file is trusted: every length is checked against what is there, and memory is bounded by a
//! small multiple of the file's size. Of a file, the events stay where they are.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use zerocopy::FromBytes;

use crate::Damage;
use crate::Event;
use crate::EventKind;
use crate::Exit;
use crate::ForkPoint;
use crate::StackId;
use crate::Trace;
use crate::Verdict;
use crate::blob::BLOB_HEADER_SIZE;
use crate::blob::BlobHeader;
use crate::blob::PayloadReader;
use crate::blob::blob_kind;
use crate::blob::blob_size;
use crate::blob::checksum;
use crate::blob::text_of;
use crate::events::FileEvents;
use crate::events::Table;
use crate::layout::BYTE_ORDER_MARK;
use crate::layout::CHUNK_HEADER_SIZE;
use crate::layout::CHUNK_MAGIC;
use crate::layout::CHUNK_SIZE;
use crate::layout::ChunkHeader;
use crate::layout::EVENT_ADDRESS_UNKNOWN;
use crate::layout::EVENT_BLOCKED;
use crate::layout::EVENT_HAS_ROOT;
use crate::layout::EVENT_LATE;
use crate::layout::EVENT_SIZE;
use crate::layout::EVENT_UNTRACKED;
use crate::layout::EXIT_CODE;
use crate::layout::EXIT_SIGNAL;
use crate::layout::EventRecord;
use crate::layout::FLAG_FORKED;
use crate::layout::FLAG_OWNERS_ARE_POINTERS;
use crate::layout::FLAG_UNJUDGED_COUNTED;
use crate::layout::FileHeader;
use crate::layout::HEADER_SIZE;
use crate::layout::KIND_THREAD;
use crate::layout::MAGIC;
use crate::layout::VERSION;
use crate::layout::chunk_kind;

/// After this many faults the file is called broken as a whole, and only counted on.
const TOLD_FAULTS: usize = 100;

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

/// Reads the header of a trace.
///
/// # Errors
/// When the bytes do not begin like a trace of this version.
pub fn read_header(bytes: &[u8]) -> Result<FileHeader, ReadError> {
    if bytes.is_empty() {
        return fail(0, "the file is empty");
    }
    let magic_len = bytes.len().min(MAGIC.len());
    if bytes[..magic_len] != MAGIC[..magic_len] {
        return fail(0, "this is no whofreed trace");
    }
    let Ok((header, _)) = FileHeader::read_from_prefix(bytes) else {
        return fail(bytes.len(), "the file ends inside its header");
    };
    if header.byte_order == BYTE_ORDER_MARK.swap_bytes() {
        return fail(
            12,
            "the trace was written on a machine of the other byte order",
        );
    }
    if header.version != VERSION {
        let version = header.version;
        return fail(
            8,
            format!(
                "the trace has format version {version}, this whofreed reads version {VERSION}"
            ),
        );
    }
    let sizes = (header.header_size, header.chunk_size, header.event_size);
    let expected = (HEADER_SIZE as u32, CHUNK_SIZE as u32, EVENT_SIZE as u32);
    if sizes != expected {
        return fail(16, format!("impossible sizes {sizes:?} in the header"));
    }
    Ok(header)
}

/// Reads the trace in `bytes`.
///
/// # Errors
/// When the bytes are no trace of this version. A trace that ends early is read up to there; what is broken
/// further in stands in [`Trace::damage`].
pub fn read(bytes: &[u8]) -> Result<Trace, ReadError> {
    let header = read_header(bytes)?;
    let mut reader = Reader::<Vec<Event>>::new(&header);
    let rest = bytes.get(HEADER_SIZE..).unwrap_or_default();
    for (index, chunk) in rest.chunks(CHUNK_SIZE).enumerate() {
        reader.chunk(HEADER_SIZE + index * CHUNK_SIZE, chunk);
    }
    reader.check_size(&header, bytes.len());
    let (trace, events) = reader.finish(bytes.len());
    Ok(with_events(trace, events))
}

/// Reads the trace in `file`, but for its events, of which it only notes where they are.
///
/// # Errors
/// As [`read`]; those of the file itself tell what the system said.
pub fn read_file(file: File) -> Result<Trace<FileEvents>, ReadError> {
    let said = |offset: usize| {
        move |error: io::Error| ReadError {
            offset: offset as u64,
            reason: format!("cannot be read: {error}"),
        }
    };
    let mut bytes = vec![0; CHUNK_SIZE.max(HEADER_SIZE)];
    let len = read_some(&file, &mut bytes[..HEADER_SIZE], 0).map_err(said(0))?;
    let header = read_header(&bytes[..len])?;
    let mut reader = Reader::<Table>::new(&header);
    let mut size = len;
    // Where a read comes back short the file ends, whatever its size was before.
    while size >= HEADER_SIZE {
        let chunk = &mut bytes[..CHUNK_SIZE];
        let len = read_some(&file, chunk, size as u64).map_err(said(size))?;
        if len > 0 {
            reader.chunk(size, &chunk[..len]);
        }
        size += len;
        if len < CHUNK_SIZE {
            break;
        }
    }
    reader.check_size(&header, size);
    let (trace, events) = reader.finish(size);
    Ok(with_events(trace, events.of(file)))
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

/// The trace with the events that belong to it.
fn with_events<E>(trace: Trace<()>, events: E) -> Trace<E> {
    Trace {
        id: trace.id,
        session: trace.session,
        process: trace.process,
        events,
        stacks: trace.stacks,
        modules: trace.modules,
        codes: trace.codes,
        device_names: trace.device_names,
        kind_names: trace.kind_names,
        scopes: trace.scopes,
        coverage: trace.coverage,
        dropped_events: trace.dropped_events,
        unjudged_events: trace.unjudged_events,
        damage: trace.damage,
    }
}

/// What becomes of the events of a file.
trait Collect: Default {
    /// Takes the event at `offset`; whether it is one.
    fn add(&mut self, offset: usize, record: &EventRecord, thread: u32) -> bool;
}

impl Collect for Vec<Event> {
    fn add(&mut self, _offset: usize, record: &EventRecord, thread: u32) -> bool {
        let event = event_of(record, thread);
        self.extend(event);
        event.is_some()
    }
}

impl Collect for Table {
    fn add(&mut self, offset: usize, record: &EventRecord, thread: u32) -> bool {
        let is_event = EventKind::from_number(record.kind).is_some()
            && Verdict::from_number(record.verdict).is_some();
        if is_event {
            self.add(offset as u64, record, thread);
        }
        is_event
    }
}

fn trace_of(header: &FileHeader) -> Trace<()> {
    let mut trace = Trace {
        id: header.trace_id,
        session: header.session,
        dropped_events: header.dropped_events,
        unjudged_events: if header.flags & FLAG_UNJUDGED_COUNTED != 0 {
            header.unjudged_events
        } else {
            header.dropped_events
        },
        ..Trace::default()
    };
    trace.process.pid = header.pid;
    trace.process.parent_pid = header.parent_pid;
    trace.process.started_at_ns = header.started_realtime;
    trace.process.owners_are_pointers = header.flags & FLAG_OWNERS_ARE_POINTERS != 0;
    trace.process.fork = (header.flags & FLAG_FORKED != 0).then_some(ForkPoint {
        parent_trace: header.fork_parent,
        time_ns: header.fork_time,
    });
    trace.process.exit = match header.exit_kind {
        EXIT_CODE => Some(Exit {
            code: Some(header.exit_value),
            signal: None,
        }),
        EXIT_SIGNAL => Some(Exit {
            code: None,
            signal: Some(header.exit_value),
        }),
        _ => None,
    };
    trace
}

#[derive(Default)]
struct Reader<E> {
    trace: Trace<()>,
    events: E,
    faults: usize,
    modules: BTreeMap<u32, crate::Module>,
    stacks: BTreeMap<u32, crate::Stack>,
    codes: BTreeMap<u32, crate::PythonCode>,
    command: BTreeMap<u32, String>,
}

impl<E: Collect> Reader<E> {
    fn new(header: &FileHeader) -> Self {
        Self {
            trace: trace_of(header),
            ..Self::default()
        }
    }

    /// A file that merely ends early tells by its header that it did.
    fn check_size(&mut self, header: &FileHeader, size: usize) {
        let whole = HEADER_SIZE + (header.chunks as usize).saturating_mul(CHUNK_SIZE);
        if size < whole && self.faults == 0 {
            let missing = whole - size;
            self.fault(
                size,
                format!("the file ends here, {missing} bytes are missing"),
            );
        }
    }

    fn fault(&mut self, offset: usize, what: impl Into<String>) {
        self.faults += 1;
        if self.faults <= TOLD_FAULTS {
            self.trace.damage.push(Damage {
                offset: offset as u64,
                what: what.into(),
            });
        }
    }

    fn chunk(&mut self, offset: usize, bytes: &[u8]) {
        // A chunk that was handed out by nobody is zeros; one that the file ends in is cut.
        let Ok((header, body)) = ChunkHeader::read_from_prefix(bytes) else {
            return;
        };
        if header.magic == 0 {
            return;
        }
        if header.magic != CHUNK_MAGIC {
            return self.fault(offset, "a chunk does not begin like one");
        }
        let mut committed = usize::try_from(header.committed).unwrap_or(usize::MAX);
        if committed > CHUNK_SIZE - CHUNK_HEADER_SIZE {
            self.fault(offset, "a chunk claims to hold more than fits");
            committed = CHUNK_SIZE - CHUNK_HEADER_SIZE;
        }
        if committed > body.len() {
            self.fault(
                offset + CHUNK_HEADER_SIZE + body.len(),
                format!(
                    "the file ends here, {} bytes of the chunk are missing",
                    committed - body.len()
                ),
            );
            committed = body.len();
        }
        let body_offset = offset + CHUNK_HEADER_SIZE;
        match header.kind {
            chunk_kind::EVENTS => self.events(body_offset, &body[..committed]),
            chunk_kind::DATA => self.blobs(body_offset, &body[..committed]),
            kind => self.fault(offset, format!("a chunk of the unknown kind {kind}")),
        }
    }

    fn events(&mut self, offset: usize, bytes: &[u8]) {
        let mut thread = 0;
        for (index, record) in bytes.chunks_exact(EVENT_SIZE).enumerate() {
            let Ok(record) = EventRecord::read_from_bytes(record) else {
                return;
            };
            if record.kind == KIND_THREAD {
                thread = record.address as u32;
                continue;
            }
            let offset = offset + index * EVENT_SIZE;
            if !self.events.add(offset, &record, thread) {
                self.fault(
                    offset,
                    format!(
                        "no event has kind {} and verdict {}",
                        record.kind, record.verdict
                    ),
                );
            }
        }
    }

    fn blobs(&mut self, offset: usize, bytes: &[u8]) {
        let mut at = 0;
        while let Ok((header, rest)) = BlobHeader::read_from_prefix(&bytes[at..]) {
            let len = usize::try_from(header.len).unwrap_or(usize::MAX);
            let Some(payload) = rest.get(..len) else {
                return self.fault(offset + at, "an entry reaches beyond its chunk");
            };
            if checksum(payload) != header.checksum {
                self.fault(offset + at, "the checksum of an entry does not hold");
            } else if self.blob(&header, payload).is_none() {
                let kind = header.kind;
                self.fault(
                    offset + at,
                    format!("an entry of kind {kind} cannot be read"),
                );
            }
            at += blob_size(len);
            if at + BLOB_HEADER_SIZE > bytes.len() {
                return;
            }
        }
    }

    fn blob(&mut self, header: &BlobHeader, payload: &[u8]) -> Option<()> {
        let mut reader = PayloadReader::new(payload);
        let id = header.id;
        let trace = &mut self.trace;
        match header.kind {
            blob_kind::MODULE => drop(self.modules.insert(id.checked_sub(1)?, reader.module()?)),
            blob_kind::STACK => drop(self.stacks.insert(id, reader.stack(header.flags)?)),
            blob_kind::CODE => drop(self.codes.insert(id, reader.code()?)),
            blob_kind::DEVICE_NAME => drop(trace.device_names.insert(id, text_of(payload))),
            blob_kind::KIND_NAME => drop(trace.kind_names.insert(id, text_of(payload))),
            blob_kind::SCOPE => drop(trace.scopes.insert(id, text_of(payload))),
            blob_kind::COMMAND_WORD => drop(self.command.insert(id, text_of(payload))),
            blob_kind::ADAPTER => trace.process.adapters.push(text_of(payload)),
            blob_kind::BOUND => trace.coverage.push(reader.bound()?),
            blob_kind::UNOBSERVABLE => trace.coverage.push(reader.unobservable(header.flags)?),
            _ => return None,
        }
        Some(())
    }

    fn finish(mut self, file_size: usize) -> (Trace<()>, E) {
        if self.faults > TOLD_FAULTS {
            let more = self.faults - TOLD_FAULTS;
            self.trace.damage.push(Damage {
                offset: file_size as u64,
                what: format!("{more} more faults"),
            });
        }
        let largest = file_size / BLOB_HEADER_SIZE;
        self.trace.modules = dense(self.modules, largest, || crate::Module {
            path: String::new(),
            build_id: Vec::new(),
            load_bias: 0,
            start: 0,
            end: 0,
            generation: 0,
        });
        self.trace.stacks = dense(self.stacks, largest, crate::Stack::default);
        if self.trace.stacks.is_empty() {
            self.trace.stacks.push(crate::Stack::default());
        }
        self.trace.codes = dense(self.codes, largest, || crate::PythonCode {
            file: String::new(),
            function: String::new(),
            first_line: 0,
        });
        self.trace.process.command = self.command.into_values().collect();
        self.trace.process.adapters.sort();
        self.trace.process.adapters.dedup();
        (self.trace, self.events)
    }
}

/// A list by number; numbers that were lost in a race stand for nothing. A number that no file of this size can
/// have is left out, so that a broken one costs no memory.
fn dense<T>(numbered: BTreeMap<u32, T>, largest: usize, nothing: impl Fn() -> T) -> Vec<T> {
    let mut list = Vec::new();
    for (number, item) in numbered {
        let number = number as usize;
        if number > largest {
            break;
        }
        while list.len() < number {
            list.push(nothing());
        }
        list.push(item);
    }
    list
}

pub(crate) fn event_of(record: &EventRecord, thread: u32) -> Option<Event> {
    let kind = EventKind::from_number(record.kind)?;
    let has = |flag: u16| record.flags & flag != 0;
    let is_sized = matches!(kind, EventKind::Allocate | EventKind::DeviceOpen);
    Some(Event {
        kind,
        verdict: Verdict::from_number(record.verdict)?,
        blocked: has(EVENT_BLOCKED),
        late: has(EVENT_LATE),
        address_was_unknown: has(EVENT_ADDRESS_UNKNOWN),
        untracked: has(EVENT_UNTRACKED),
        device: record.device,
        address: record.address,
        owner: record.owner,
        root_owner: if has(EVENT_HAS_ROOT) {
            record.extra
        } else {
            record.owner
        },
        size: if is_sized { record.extra } else { 0 },
        step: record.step,
        epoch: record.epoch,
        kind_label: record.label,
        scope: record.scope,
        stack: StackId(record.stack),
        thread,
        time_ns: record.time,
    })
}
