//! What chunks hold becomes a trace.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::collections::btree_map::Entry;

use zerocopy::FromBytes;

use super::collect::Collect;
use super::header::trace_of;
use crate::Damage;
use crate::EventKind;
use crate::Trace;
use crate::Verdict;
use crate::blob::BLOB_HEADER_SIZE;
use crate::blob::BlobHeader;
use crate::blob::PayloadReader;
use crate::blob::blob_kind;
use crate::blob::blob_size;
use crate::blob::checksum;
use crate::blob::text_of;
use crate::clock::Clock;
use crate::layout::CHUNK_HEADER_SIZE;
use crate::layout::CHUNK_MAGIC;
use crate::layout::ChunkHeader;
use crate::layout::EVENT_SIZE;
use crate::layout::EventRecord;
use crate::layout::FileHeader;
use crate::layout::KIND_THREAD;
use crate::layout::SEGMENT_SPAN;
use crate::layout::chunk_kind;
use crate::segment;
use crate::segment::Block;

/// After this many faults the file is called broken as a whole, and only counted on.
const TOLD_FAULTS: usize = 100;

/// No host is so regular that a byte of its trace tells of more events. Memory is bounded by that.
const MOST_OF_BYTE: u64 = 4;

/// Whether a chunk is one that was used, and how many bytes of it are whole.
pub(super) struct Head {
    pub(super) kind: u16,
    pub(super) fill: u64,
    pub(super) kept: u64,
    pub(super) committed: usize,
    /// The bytes of all of it.
    pub(super) size: usize,
}

pub(super) struct Content<E> {
    trace: Trace<()>,
    clock: Clock,
    events: E,
    faults: usize,
    modules: BTreeMap<u32, crate::Module>,
    stacks: BTreeMap<u32, crate::Stack>,
    codes: BTreeMap<u32, crate::PythonCode>,
    command: BTreeMap<u32, String>,
    /// The fillings of chunks that blocks stand for.
    replaced: HashSet<u64>,
    /// Those of chunks that stayed as they were after all.
    kept: HashSet<u64>,
    /// The events of all blocks so far.
    in_blocks: u64,
    /// By filling: the events of chunks that a block may stand for.
    copies: BTreeMap<u64, Vec<(u32, EventRecord)>>,
}

impl<E: Collect> Content<E> {
    pub(super) fn new(header: &FileHeader) -> Self {
        Self {
            trace: trace_of(header),
            clock: Clock::of(header),
            events: E::default(),
            faults: 0,
            modules: BTreeMap::new(),
            stacks: BTreeMap::new(),
            codes: BTreeMap::new(),
            command: BTreeMap::new(),
            replaced: HashSet::new(),
            kept: HashSet::new(),
            in_blocks: 0,
            copies: BTreeMap::new(),
        }
    }

    pub(super) const fn is_sound(&self) -> bool {
        self.faults == 0
    }

    pub(super) fn fault(&mut self, offset: usize, what: impl Into<String>) {
        self.faults += 1;
        if self.faults <= TOLD_FAULTS {
            self.trace.damage.push(Damage {
                offset: offset as u64,
                what: what.into(),
            });
        }
    }

    /// The header of the chunk at `offset`, of which `bytes` are the first ones; `None` where there is nothing in it.
    pub(super) fn head(&mut self, offset: usize, bytes: &[u8]) -> Option<Head> {
        let (header, _) = ChunkHeader::read_from_prefix(bytes).ok()?;
        // A chunk that was handed out by nobody is zeros.
        if header.magic == 0 {
            return None;
        }
        if header.magic != CHUNK_MAGIC {
            self.fault(offset, "a chunk does not begin like one");
            return None;
        }
        let span = match header.kind {
            chunk_kind::EVENTS | chunk_kind::DATA => 1,
            chunk_kind::SEGMENT if (1..=SEGMENT_SPAN).contains(&header.span) => header.span,
            kind => {
                self.fault(offset, format!("a chunk of the unknown kind {kind}"));
                return None;
            }
        };
        let size = usize::from(span) * crate::layout::CHUNK_SIZE;
        let mut committed = usize::try_from(header.committed).unwrap_or(usize::MAX);
        if committed > size - CHUNK_HEADER_SIZE {
            self.fault(offset, "a chunk claims to hold more than fits");
            committed = size - CHUNK_HEADER_SIZE;
        }
        Some(Head {
            kind: header.kind,
            fill: header.fill,
            kept: header.kept,
            committed,
            size,
        })
    }

    /// What a chunk holds, as far as the file goes.
    pub(super) fn body<'b>(&mut self, offset: usize, head: &Head, bytes: &'b [u8]) -> &'b [u8] {
        let body = bytes.get(CHUNK_HEADER_SIZE..).unwrap_or_default();
        if head.committed <= body.len() {
            return &body[..head.committed];
        }
        let missing = head.committed - body.len();
        self.fault(
            offset + CHUNK_HEADER_SIZE + body.len(),
            format!("the file ends here, {missing} bytes of the chunk are missing"),
        );
        body
    }

    /// The events of a chunk that stays as it is; it was to be used again once, if `kept` is not 0.
    pub(super) fn events(&mut self, offset: usize, kept: u64, bytes: &[u8]) {
        self.kept.extend((kept != 0).then_some(kept));
        self.each_event(offset, bytes, |content, offset, record, thread| {
            content.events.add(offset, record, thread);
        });
    }

    /// The events of a chunk that may be used again, unless a block stands for it.
    pub(super) fn copy(&mut self, offset: usize, fill: u64, bytes: &[u8]) {
        let mut events = Vec::with_capacity(bytes.len() / EVENT_SIZE);
        self.each_event(offset, bytes, |_, _, record, thread| {
            events.push((thread, *record))
        });
        // Each filling has its own number. Where two chunks claim the same one, neither is lost in silence.
        let copy = self.copies.entry(fill);
        let is_second = matches!(copy, Entry::Occupied(_));
        copy.or_default().append(&mut events);
        if is_second {
            self.fault(offset, "two chunks claim to be the same filling");
        }
    }

    fn each_event(
        &mut self,
        offset: usize,
        bytes: &[u8],
        mut each: impl FnMut(&mut Self, usize, &EventRecord, u32),
    ) {
        let mut thread = 0;
        for (index, record) in bytes.chunks_exact(EVENT_SIZE).enumerate() {
            let Ok(mut record) = EventRecord::read_from_bytes(record) else {
                return;
            };
            record.time = self.clock.ns(record.time);
            if record.kind == KIND_THREAD {
                thread = record.address as u32;
                continue;
            }
            let offset = offset + index * EVENT_SIZE;
            if is_event(record.kind, record.verdict) {
                each(self, offset, &record, thread);
            } else {
                self.fault(offset, no_event(record.kind, record.verdict));
            }
        }
    }

    /// The blocks of a segment.
    pub(super) fn segment(&mut self, offset: usize, bytes: &[u8]) {
        let mut at = 0;
        while at + segment::BLOCK_HEADER_SIZE <= bytes.len() {
            let block = match Block::read(&bytes[at..]) {
                Ok(block) => block,
                // How long it is, is told by itself.
                Err((place, what)) => return self.fault(offset + at + place, what),
            };
            let odd = block
                .shapes()
                .find(|shape| !is_event(shape.kind, shape.verdict));
            let end = offset + at + block.size();
            let events = self.in_blocks + u64::from(block.count());
            if let Some(odd) = odd {
                self.fault(offset + at, no_event(odd.kind, odd.verdict));
            } else if events > MOST_OF_BYTE * end as u64 {
                self.fault(
                    offset + at,
                    "blocks tell of more events than a file of this size can have",
                );
            } else if block.fills().any(|fill| self.replaced.contains(&fill)) {
                self.fault(
                    offset + at,
                    "a block stands for a chunk that another one stands for",
                );
            } else if self
                .events
                .add_block(offset + at, &block, &self.clock)
                .is_none()
            {
                self.fault(offset + at, "the events of a block cannot be read");
            } else {
                self.replaced.extend(block.fills());
                self.in_blocks = events;
            }
            at += block.size();
        }
    }

    pub(super) fn blobs(&mut self, offset: usize, bytes: &[u8]) {
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

    /// Leaves out what is newer than the first filling that is missing: of a process that is alive, chunks were not
    /// read at one moment, and what one of them was filled with meanwhile is not known.
    pub(super) fn forget_the_newest(&mut self) {
        let is_known = |fill: &u64| {
            self.replaced.contains(fill)
                || self.kept.contains(fill)
                || self.copies.contains_key(fill)
        };
        let missing = (1..).find(|fill| !is_known(fill));
        self.copies
            .retain(|fill, _| missing.is_none_or(|missing| *fill < missing));
    }

    pub(super) fn finish(mut self, file_size: usize) -> (Trace<()>, E) {
        for (fill, events) in &self.copies {
            if !self.replaced.contains(fill) {
                self.events.add_copy(events);
            }
        }
        self.trace.damage.sort_by_key(|damage| damage.offset);
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

fn is_event(kind: u8, verdict: u8) -> bool {
    EventKind::from_number(kind).is_some() && Verdict::from_number(verdict).is_some()
}

fn no_event(kind: u8, verdict: u8) -> String {
    format!("no event has kind {kind} and verdict {verdict}")
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
