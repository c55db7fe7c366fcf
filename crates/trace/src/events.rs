//! The events of a trace, wherever they lie: in memory, or in the file that they were read from.
//!
//! A trace can hold more events than fit into memory. So whoever reads them asks for a few at a time, and keeps
//! their numbers.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;

use zerocopy::FromBytes;

use crate::Event;
use crate::layout::EVENT_SIZE;
use crate::layout::EventRecord;
use crate::read::event_of;

/// Events of one thread that lie in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The number of the first one.
    pub first: u64,
    /// How many there are: at least one.
    pub count: u64,
    /// The thread.
    pub thread: u32,
    /// When the first one happened.
    pub time_ns: u64,
}

/// The events of a trace, numbered from 0 in the order of the threads' chunks, not of time.
pub trait Events: fmt::Debug {
    /// How many there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All events as runs, by their numbers.
    fn runs(&self) -> Vec<Run>;

    /// Appends the `count` events from number `first` on, which lie in one run. Fewer, where a file cannot be read
    /// any more.
    fn read(&self, first: u64, count: usize, into: &mut Vec<Event>);

    /// The event with this number; `None` where there is none, or where it cannot be read any more.
    fn event(&self, index: u64) -> Option<Event>;
}

impl Events for Vec<Event> {
    fn len(&self) -> u64 {
        Self::len(self) as u64
    }

    fn runs(&self) -> Vec<Run> {
        let mut first = 0;
        self.chunk_by(|a, b| a.thread == b.thread)
            .map(|run| {
                let count = run.len() as u64;
                first += count;
                Run {
                    first: first - count,
                    count,
                    thread: run[0].thread,
                    time_ns: run[0].time_ns,
                }
            })
            .collect()
    }

    fn read(&self, first: u64, count: usize, into: &mut Vec<Event>) {
        let rest = usize::try_from(first).ok().and_then(|at| self.get(at..));
        let rest = rest.unwrap_or_default();
        into.extend_from_slice(&rest[..count.min(rest.len())]);
    }

    fn event(&self, index: u64) -> Option<Event> {
        self.get(usize::try_from(index).ok()?).copied()
    }
}

/// The events of a file: a table of where they lie. They are read when they are asked for, so that the file may be
/// larger than memory. It is not mapped: a file that somebody cuts meanwhile is an answer, not a signal.
#[derive(Debug)]
pub struct FileEvents {
    file: File,
    places: Vec<Place>,
}

/// A run, and the offset of its first event in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    run: Run,
    offset: u64,
}

/// So many events are read at once.
const AT_ONCE: usize = 64;

impl FileEvents {
    fn place_of(&self, index: u64) -> Option<&Place> {
        let behind = self
            .places
            .partition_point(|place| place.run.first <= index);
        let place = &self.places[behind.checked_sub(1)?];
        (index - place.run.first < place.run.count).then_some(place)
    }
}

impl Events for FileEvents {
    fn len(&self) -> u64 {
        let last = self.places.last();
        last.map_or(0, |place| place.run.first + place.run.count)
    }

    fn runs(&self) -> Vec<Run> {
        self.places.iter().map(|place| place.run).collect()
    }

    fn read(&self, first: u64, count: usize, into: &mut Vec<Event>) {
        let Some(place) = self.place_of(first) else {
            return;
        };
        let skipped = first - place.run.first;
        let mut left = (place.run.count - skipped).min(count as u64) as usize;
        let mut offset = place.offset + skipped * EVENT_SIZE as u64;
        let mut bytes = [0; AT_ONCE * EVENT_SIZE];
        while left > 0 {
            let bytes = &mut bytes[..left.min(AT_ONCE) * EVENT_SIZE];
            if self.file.read_exact_at(bytes, offset).is_err() {
                return;
            }
            for record in bytes.chunks_exact(EVENT_SIZE) {
                let record = EventRecord::read_from_bytes(record);
                let Some(event) = record.ok().and_then(|r| event_of(&r, place.run.thread)) else {
                    return;
                };
                into.push(event);
            }
            left -= bytes.len() / EVENT_SIZE;
            offset += bytes.len() as u64;
        }
    }

    fn event(&self, index: u64) -> Option<Event> {
        let mut event = Vec::with_capacity(1);
        self.read(index, 1, &mut event);
        event.pop()
    }
}

/// Builds the table of a file.
#[derive(Debug, Default)]
pub(crate) struct Table {
    places: Vec<Place>,
    /// How many events there are, and the offset behind the last one.
    count: u64,
    end: u64,
}

impl Table {
    /// Notes the event at `offset`.
    pub(crate) fn add(&mut self, offset: u64, record: &EventRecord, thread: u32) {
        match self.places.last_mut() {
            Some(last) if last.run.thread == thread && self.end == offset => last.run.count += 1,
            _ => self.places.push(Place {
                run: Run {
                    first: self.count,
                    count: 1,
                    thread,
                    time_ns: record.time,
                },
                offset,
            }),
        }
        self.count += 1;
        self.end = offset + EVENT_SIZE as u64;
    }

    pub(crate) fn of(mut self, file: File) -> FileEvents {
        self.places.shrink_to_fit();
        FileEvents {
            file,
            places: self.places,
        }
    }
}
