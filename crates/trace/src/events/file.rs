//! The events of a file, read when they are asked for.

use std::fs::File;
use std::os::unix::fs::FileExt;

use zerocopy::FromBytes;

use super::Events;
use super::Run;
use super::blocks::AHEAD;
use super::blocks::Blocks;
use super::blocks::Place as BlockPlace;
use crate::Event;
use crate::clock::Clock;
use crate::layout::EVENT_SIZE;
use crate::layout::EventRecord;
use crate::read::event_of;
use crate::segment::Block;

/// The events of a file: a table of where they lie. They are read when they are asked for, so that the file may be
/// larger than memory. It is not mapped: a file that somebody cuts meanwhile is an answer, not a signal.
#[derive(Debug)]
pub struct FileEvents {
    places: Vec<Place>,
    /// Chunks that the host may use again while we read, copied.
    held: Vec<EventRecord>,
    blocks: Blocks,
    clock: Clock,
}

/// A run, and where its first event lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    run: Run,
    spot: Spot,
}

/// Where an event lies.
#[derive(Clone, Copy, Debug)]
enum Spot {
    /// As a record in the file.
    Record { offset: u64 },
    /// In a block of the file, behind so many others.
    Block { block: BlockPlace, behind: u32 },
    /// In memory.
    Held { index: usize },
}

impl Spot {
    const fn block(self) -> Option<BlockPlace> {
        match self {
            Self::Block { block, .. } => Some(block),
            Self::Record { .. } | Self::Held { .. } => None,
        }
    }
}

/// So many runs are looked at for the next blocks.
const MOST_RUNS: usize = 256;
/// So many records are read at once.
const AT_ONCE: usize = 64;

impl FileEvents {
    /// The number of the place where an event lies.
    fn place_of(&self, index: u64) -> Option<usize> {
        let behind = self
            .places
            .partition_point(|place| place.run.first <= index);
        let number = behind.checked_sub(1)?;
        let run = self.places[number].run;
        (index - run.first < run.count).then_some(number)
    }

    /// The blocks behind the one at a place.
    fn blocks_behind(&self, number: usize) -> impl Iterator<Item = BlockPlace> {
        let mut last = self.places[number].spot.block();
        let blocks = self.places[number + 1..].iter().take(MOST_RUNS);
        let blocks = blocks.filter_map(move |place| {
            let block = place.spot.block()?;
            (last.replace(block) != Some(block)).then_some(block)
        });
        blocks.take(AHEAD)
    }

    /// `None` where the rest cannot be read.
    fn read_records(
        &self,
        mut offset: u64,
        mut left: usize,
        thread: u32,
        into: &mut Vec<Event>,
    ) -> Option<()> {
        let mut bytes = [0; AT_ONCE * EVENT_SIZE];
        while left > 0 {
            let bytes = &mut bytes[..left.min(AT_ONCE) * EVENT_SIZE];
            self.blocks.file().read_exact_at(bytes, offset).ok()?;
            for record in bytes.chunks_exact(EVENT_SIZE) {
                let mut record = EventRecord::read_from_bytes(record).ok()?;
                record.time = self.clock.ns(record.time);
                into.push(event_of(&record, thread)?);
            }
            left -= bytes.len() / EVENT_SIZE;
            offset += bytes.len() as u64;
        }
        Some(())
    }
}

fn take(records: Option<&[EventRecord]>, count: usize, thread: u32, into: &mut Vec<Event>) {
    let records = records.unwrap_or_default();
    let records = &records[..count.min(records.len())];
    into.extend(records.iter().map_while(|record| event_of(record, thread)));
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
        let Some(number) = self.place_of(first) else {
            return;
        };
        let Place { run, spot } = self.places[number];
        let skipped = first - run.first;
        let count = (run.count - skipped).min(count as u64) as usize;
        match spot {
            Spot::Record { offset } => {
                let offset = offset + skipped * EVENT_SIZE as u64;
                // What could not be read is missing: whoever asked counts.
                let _ = self.read_records(offset, count, run.thread, into);
            }
            Spot::Held { index } => {
                let records = self.held.get(index + skipped as usize..);
                take(records, count, run.thread, into);
            }
            Spot::Block { block, behind } => {
                let events = self.blocks.at(block, self.blocks_behind(number));
                let start = behind as usize + skipped as usize;
                let records = events.as_ref().and_then(|events| events.get(start..));
                take(records, count, run.thread, into);
            }
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
    held: Vec<EventRecord>,
    /// How many events there are, and the offset behind the last record.
    count: u64,
    end: u64,
    /// The next event that is held begins a run.
    is_new_chunk: bool,
}

impl Table {
    /// Notes the event whose record lies at `offset`.
    pub(crate) fn add(&mut self, offset: u64, record: &EventRecord, thread: u32) {
        match self.places.last_mut() {
            Some(last) if last.run.thread == thread && self.end == offset => last.run.count += 1,
            _ => self.push(record.time, thread, 1, Spot::Record { offset }),
        }
        self.end = offset + EVENT_SIZE as u64;
        self.count += 1;
    }

    /// What is held from now on is of another chunk.
    pub(crate) const fn begin_held_chunk(&mut self) {
        self.is_new_chunk = true;
    }

    /// Keeps a copy of an event.
    pub(crate) fn hold(&mut self, record: &EventRecord, thread: u32) {
        let index = self.held.len();
        self.held.push(*record);
        let is_new_run = std::mem::take(&mut self.is_new_chunk);
        match self.places.last_mut() {
            Some(Place { run, .. }) if run.thread == thread && !is_new_run => run.count += 1,
            _ => self.push(record.time, thread, 1, Spot::Held { index }),
        }
        self.count += 1;
    }

    /// Notes the events of the block at `offset`.
    pub(crate) fn add_block(&mut self, offset: u64, block: &Block<'_>, clock: &Clock) {
        let place = BlockPlace {
            offset,
            size: block.size() as u32,
        };
        let mut behind = 0;
        for run in block.runs() {
            let spot = Spot::Block {
                block: place,
                behind,
            };
            self.push(clock.ns(run.time), run.thread, u64::from(run.count), spot);
            self.count += u64::from(run.count);
            behind += run.count;
        }
    }

    fn push(&mut self, time_ns: u64, thread: u32, count: u64, spot: Spot) {
        let run = Run {
            first: self.count,
            count,
            thread,
            time_ns,
        };
        self.places.push(Place { run, spot });
        self.end = 0;
    }

    pub(crate) fn of(mut self, file: File, clock: Clock) -> FileEvents {
        self.places.shrink_to_fit();
        FileEvents {
            places: self.places,
            held: self.held,
            blocks: Blocks::of(file, clock),
            clock,
        }
    }
}
