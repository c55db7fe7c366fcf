//! The writer thread's half: full chunks become a block.

use zerocopy::IntoBytes;

use super::BLOCK_HEADER_SIZE;
use super::BLOCK_MAGIC;
use super::BlockHeader;
use super::FIELDS;
use super::Field;
use super::MOST_EVENTS;
use super::RunRecord;
use super::Shape;
use super::block_size;
use super::column::ColumnEncoder;
use crate::blob::checksum;
use crate::layout::EventRecord;
use crate::layout::KIND_THREAD;

/// Events of more different shapes are left as they are.
const MOST_SHAPES: usize = 512;

/// So many records are looked at ahead of their turn.
const AHEAD: usize = 16;

/// Another processor has written these: all of them are on their way from there at once, not one after the other.
fn touch(records: &[EventRecord]) {
    let words = records.iter().map(|record| record.time);
    std::hint::black_box(words.fold(0, |all, word| all ^ word));
}

/// A full chunk: what its filling is called, and its records.
#[derive(Clone, Copy, Debug)]
pub struct Filled<'chunk> {
    /// See [`crate::layout::ChunkHeader::fill`].
    pub fill: u64,
    /// The records, with those that tell the thread.
    pub records: &'chunk [EventRecord],
}

/// What is known of an event that came before in the block.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    address: u64,
    step: u64,
    owner: u64,
    device: u32,
}

/// The columns of one shape, still as numbers.
#[derive(Debug, Default)]
struct Columns([Vec<u64>; FIELDS]);

impl Columns {
    fn push(&mut self, field: Field, value: u64) {
        self.0[field as usize].push(value);
    }

    fn clear(&mut self) {
        for column in &mut self.0 {
            column.clear();
        }
    }
}

/// Makes blocks; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub struct Encoder {
    runs: Vec<RunRecord>,
    shapes: Vec<Shape>,
    keys: Vec<[u64; 3]>,
    columns: Vec<Columns>,
    /// The shape of each event, 0 where it is the one that followed the last shape before, else its number plus 1.
    sequence: Vec<u64>,
    /// What followed each shape last, and the shape of the last event.
    next: Vec<u32>,
    last: usize,
    before: Vec<Before>,
    /// By hash of the address: the number of its last event plus 1.
    places: Vec<u32>,
    column: ColumnEncoder,
    block: Vec<u8>,
}

impl Encoder {
    /// The block that stands for these chunks, as [`crate::segment`] says; `None` where they have more events than a block takes,
    /// or such as are too different for it to be worth the trouble.
    /// Its length is a multiple of [`super::ALIGN`].
    pub fn encode(&mut self, chunks: &[Filled<'_>], time_shift: u32) -> Option<&[u8]> {
        let records: usize = chunks.iter().map(|chunk| chunk.records.len()).sum();
        if records > MOST_EVENTS {
            return None;
        }
        self.begin(records);
        for chunk in chunks {
            self.chunk(chunk, time_shift)?;
        }
        self.finish(chunks, time_shift);
        Some(&self.block)
    }

    fn begin(&mut self, records: usize) {
        self.runs.clear();
        for (columns, _) in self.columns.iter_mut().zip(&self.shapes) {
            columns.clear();
        }
        self.shapes.clear();
        self.keys.clear();
        self.sequence.clear();
        self.next.clear();
        self.last = usize::MAX;
        self.before.clear();
        self.places.clear();
        self.places
            .resize((2 * records).next_power_of_two().max(16), 0);
        self.block.clear();
        self.block.resize(BLOCK_HEADER_SIZE, 0);
    }

    fn chunk(&mut self, chunk: &Filled<'_>, time_shift: u32) -> Option<()> {
        let mut thread = 0;
        let mut is_new_run = true;
        let mut time = 0;
        for (number, record) in chunk.records.iter().enumerate() {
            if number.is_multiple_of(AHEAD)
                && let Some(ahead) = chunk.records.get(number + AHEAD..)
            {
                touch(&ahead[..AHEAD.min(ahead.len())]);
            }
            if record.kind == KIND_THREAD {
                is_new_run |= thread != record.address as u32;
                thread = record.address as u32;
                continue;
            }
            let now = record.time >> time_shift;
            if is_new_run {
                self.runs.push(RunRecord {
                    time: now << time_shift,
                    thread,
                    count: 0,
                });
                time = now;
                is_new_run = false;
            }
            if let Some(run) = self.runs.last_mut() {
                run.count += 1;
            }
            let shape = self.shape(record)?;
            self.event(shape, record, now.wrapping_sub(time));
            time = now;
        }
        Some(())
    }

    /// The number of an event's shape, noted in the sequence.
    fn shape(&mut self, record: &EventRecord) -> Option<usize> {
        let before = self.last;
        let key = Shape::key_of(record);
        let expected = self.next.get(before).map(|next| *next as usize);
        // As arrays they would be compared in memory, where the one was only just written.
        let is_like =
            |known: &[u64; 3]| (known[0] ^ key[0]) | (known[1] ^ key[1]) | (known[2] ^ key[2]) == 0;
        if let Some(number) = expected
            && self.keys.get(number).is_some_and(is_like)
        {
            self.sequence.push(0);
            self.last = number;
            return Some(number);
        }
        let known = self.keys.iter().rposition(is_like);
        let number = known.unwrap_or(self.shapes.len());
        if known.is_none() {
            if number == MOST_SHAPES {
                return None;
            }
            self.shapes.push(Shape::of(record));
            self.keys.push(key);
            self.next.push(u32::MAX);
            if self.columns.len() < self.shapes.len() {
                self.columns.push(Columns::default());
            }
        }
        if let Some(next) = self.next.get_mut(before) {
            *next = number as u32;
        }
        self.sequence.push(number as u64 + 1);
        self.last = number;
        Some(number)
    }

    fn event(&mut self, shape: usize, record: &EventRecord, time: u64) {
        self.shapes[shape].count += 1;
        let number = self.before.len();
        let before = self.last_at(record, number);
        let columns = &mut self.columns[shape];
        columns.push(Field::Time, time);
        match before {
            Some(known) => {
                let before = self.before[known];
                columns.push(Field::Back, (number - known) as u64);
                let steps = record.step.wrapping_sub(before.step);
                columns.push(Field::StepSince, steps.wrapping_sub(1));
                if record.owner != 0 {
                    columns.push(Field::OwnerSince, record.owner.wrapping_sub(before.owner));
                }
            }
            None => {
                columns.push(Field::Back, 0);
                columns.push(Field::Address, record.address);
                columns.push(Field::Step, record.step);
                if record.owner != 0 {
                    columns.push(Field::Owner, record.owner);
                }
            }
        }
        if record.extra != 0 {
            columns.push(Field::Extra, record.extra);
        }
        columns.push(Field::Stack, u64::from(record.stack));
        self.before.push(Before {
            address: record.address,
            step: record.step,
            owner: record.owner,
            device: record.device,
        });
    }

    /// The last event at the same address; from now on that is the one with this number.
    fn last_at(&mut self, record: &EventRecord, number: usize) -> Option<usize> {
        let mask = self.places.len() - 1;
        let mixed = (record.address ^ u64::from(record.device).rotate_left(40))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut at = (mixed >> 32) as usize & mask;
        loop {
            let place = &mut self.places[at];
            // There are twice as many places as events.
            let Some(known) = place.checked_sub(1) else {
                *place = number as u32 + 1;
                return None;
            };
            let before = &self.before[known as usize];
            if before.address == record.address && before.device == record.device {
                *place = number as u32 + 1;
                return Some(known as usize);
            }
            at = (at + 1) & mask;
        }
    }

    fn finish(&mut self, chunks: &[Filled<'_>], time_shift: u32) {
        for chunk in chunks {
            self.block.extend_from_slice(chunk.fill.as_bytes());
        }
        self.block.extend_from_slice(self.runs.as_bytes());
        self.block.extend_from_slice(self.shapes.as_bytes());
        self.column.put(&mut self.block, &self.sequence, false);
        for (columns, _) in self.columns.iter().zip(&self.shapes) {
            for (field, column) in columns.0.iter().enumerate() {
                let may_list = field == Field::Extra as usize || field == Field::Stack as usize;
                self.column.put(&mut self.block, column, may_list);
            }
        }
        let len = self.block.len() - BLOCK_HEADER_SIZE;
        let header = BlockHeader {
            magic: BLOCK_MAGIC,
            len: len as u32,
            checksum: checksum(&self.block[BLOCK_HEADER_SIZE..]),
            events: self.before.len() as u32,
            fills: chunks.len() as u32,
            runs: self.runs.len() as u32,
            shapes: self.shapes.len() as u32,
            time_shift,
        };
        self.block[..BLOCK_HEADER_SIZE].copy_from_slice(header.as_bytes());
        self.block.resize(block_size(len), 0);
    }
}
