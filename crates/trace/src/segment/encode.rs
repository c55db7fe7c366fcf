//! The writer thread's half: full chunks become a block.

use zerocopy::FromZeros;
use zerocopy::IntoBytes;

use super::BLOCK_HEADER_SIZE;
use super::BLOCK_MAGIC;
use super::BlockHeader;
use super::EXTRA_IS_ZERO;
use super::Field;
use super::MOST_EVENTS;
use super::OWNER_IS_ZERO;
use super::RunRecord;
use super::Shape;
use super::bits::Out;
use super::block_size;
use super::column::ColumnEncoder;
use crate::blob::checksum;
use crate::layout::EventRecord;
use crate::layout::KIND_THREAD;

/// An encoder takes no more events than this at once.
pub(super) const ROOM: usize = MOST_EVENTS;
/// Nor more of different shapes: such events are left as they are.
const MOST_SHAPES: usize = 512;
/// What does not get as short as this is left as it is too.
const BLOCK_ROOM: usize = ROOM * size_of::<EventRecord>() / 2;
/// So many records are looked at ahead of their turn.
const AHEAD: usize = 16;

/// A full chunk: what its filling is called, and its records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filled<'chunk> {
    /// See [`crate::layout::ChunkHeader::fill`].
    pub fill: u64,
    /// The records, with those that tell the thread.
    pub records: &'chunk [EventRecord],
}

/// What is known of an event that came before in the block.
#[derive(Clone, Copy, Debug, FromZeros)]
#[repr(C)]
struct Before {
    address: u64,
    step: u64,
    owner: u64,
    device: u32,
    padding: u32,
}

/// What columns are made of, by the numbers of the events.
#[derive(Debug, FromZeros)]
#[repr(C)]
struct Values {
    time: [u64; ROOM],
    back: [u64; ROOM],
    address: [u64; ROOM],
    /// The step, or the steps since the event that the address had before.
    step: [u64; ROOM],
    /// The owner, or that less the one of the event before.
    owner: [u64; ROOM],
    extra: [u64; ROOM],
    stack: [u64; ROOM],
}

/// Makes blocks, in memory of its own: a megabyte and a half, which a host's heap need not give. Valid as zeros.
#[derive(Debug, FromZeros)]
#[repr(C)]
pub struct Encoder {
    values: Values,
    /// The shape of each event, 0 where it is the one that followed the last shape before, else its number plus 1.
    sequence: [u64; ROOM],
    before: [Before; ROOM],
    /// By hash of the address: the number of its last event plus 1.
    places: [u32; 2 * ROOM],
    /// The shape of each event, by its number.
    shape_of: [u16; ROOM],
    /// The events, those of one shape behind each other.
    by_shape: [u16; ROOM],
    runs: [RunRecord; ROOM],
    shapes: [Shape; MOST_SHAPES],
    keys: [[u64; 3]; MOST_SHAPES],
    /// What followed each shape last.
    next: [u32; MOST_SHAPES],
    events: usize,
    run_count: usize,
    shape_count: usize,
    /// The shape of the last event.
    last: usize,
    column: [u64; ROOM],
    columns: ColumnEncoder,
    block: [u8; BLOCK_ROOM],
}

/// Another processor has written these: all of them are on their way from there at once, not one after the other.
fn touch(records: &[EventRecord]) {
    let words = records.iter().map(|record| record.time);
    std::hint::black_box(words.fold(0, |all, word| all ^ word));
}

impl Encoder {
    /// One on the heap.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn on_heap() -> Result<Box<Self>, zerocopy::AllocError> {
        Self::new_box_zeroed()
    }

    /// The block that stands for these chunks, as [`crate::segment`] says; `None` where they have more events than it
    /// takes, or such as are too different for it to be worth the trouble. Its length is a multiple of
    /// [`super::ALIGN`].
    pub fn encode(&mut self, chunks: &[Filled<'_>], time_shift: u32) -> Option<&[u8]> {
        let records: usize = chunks.iter().map(|chunk| chunk.records.len()).sum();
        if records > ROOM {
            return None;
        }
        (self.events, self.run_count, self.shape_count) = (0, 0, 0);
        self.last = usize::MAX;
        self.places.fill(0);
        for chunk in chunks {
            self.chunk(chunk, time_shift)?;
        }
        self.sort();
        self.finish(chunks, time_shift)
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
                self.runs[self.run_count] = RunRecord {
                    time: now << time_shift,
                    thread,
                    count: 0,
                };
                self.run_count += 1;
                time = now;
                is_new_run = false;
            }
            self.runs[self.run_count - 1].count += 1;
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
        // As arrays they would be compared in memory, where the one was only just written.
        let is_like =
            |known: &[u64; 3]| (known[0] ^ key[0]) | (known[1] ^ key[1]) | (known[2] ^ key[2]) == 0;
        let expected = self.next.get(before).map(|next| *next as usize);
        if let Some(number) = expected
            && self.keys.get(number).is_some_and(is_like)
        {
            self.sequence[self.events] = 0;
            self.last = number;
            return Some(number);
        }
        let known = self.keys[..self.shape_count].iter().rposition(is_like);
        let number = known.unwrap_or(self.shape_count);
        if known.is_none() {
            *self.shapes.get_mut(number)? = Shape::of(record);
            self.keys[number] = key;
            self.next[number] = u32::MAX;
            self.shape_count += 1;
        }
        if let Some(next) = self.next.get_mut(before) {
            *next = number as u32;
        }
        self.sequence[self.events] = number as u64 + 1;
        self.last = number;
        Some(number)
    }

    fn event(&mut self, shape: usize, record: &EventRecord, time: u64) {
        let number = self.events;
        self.events += 1;
        self.shapes[shape].count += 1;
        self.shape_of[number] = shape as u16;
        let known = self.last_at(record, number);
        let values = &mut self.values;
        let before = known.map_or((0, 0, 0), |known| {
            let before = &self.before[known];
            (
                (number - known) as u64,
                before.step.wrapping_add(1),
                before.owner,
            )
        });
        values.time[number] = time;
        values.back[number] = before.0;
        values.address[number] = record.address;
        values.step[number] = record.step.wrapping_sub(before.1);
        values.owner[number] = record.owner.wrapping_sub(before.2);
        values.extra[number] = record.extra;
        values.stack[number] = u64::from(record.stack);
        self.before[number] = Before {
            address: record.address,
            step: record.step,
            owner: record.owner,
            device: record.device,
            padding: 0,
        };
    }

    /// The last event at the same address; from now on that is the one with this number.
    fn last_at(&mut self, record: &EventRecord, number: usize) -> Option<usize> {
        let mixed = (record.address ^ u64::from(record.device).rotate_left(40))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut at = (mixed >> 32) as usize;
        loop {
            let place = &mut self.places[at % (2 * ROOM)];
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
            at += 1;
        }
    }

    /// Puts the events of each shape behind each other.
    fn sort(&mut self) {
        let mut starts = [0_u16; MOST_SHAPES];
        let mut next = 0;
        for (start, shape) in starts.iter_mut().zip(&self.shapes[..self.shape_count]) {
            *start = next;
            next += shape.count as u16;
        }
        for (number, shape) in self.shape_of[..self.events].iter().enumerate() {
            let place = &mut starts[usize::from(*shape)];
            self.by_shape[usize::from(*place)] = number as u16;
            *place += 1;
        }
    }

    fn finish(&mut self, chunks: &[Filled<'_>], time_shift: u32) -> Option<&[u8]> {
        let mut out = Out::new(&mut self.block);
        out.skip(BLOCK_HEADER_SIZE);
        for chunk in chunks {
            out.bytes(chunk.fill.as_bytes());
        }
        out.bytes(self.runs[..self.run_count].as_bytes());
        out.bytes(self.shapes[..self.shape_count].as_bytes());
        self.columns
            .put(&mut out, &self.sequence[..self.events], false);
        let mut rest = &self.by_shape[..self.events];
        for shape in &self.shapes[..self.shape_count] {
            let (events, behind) = rest.split_at(shape.count as usize);
            rest = behind;
            for (field, source) in self.values.columns() {
                let is_absent = match field {
                    Field::Owner | Field::OwnerSince => shape.zeros & OWNER_IS_ZERO != 0,
                    Field::Extra => shape.zeros & EXTRA_IS_ZERO != 0,
                    _ => false,
                };
                if is_absent {
                    continue;
                }
                let column = &mut self.column;
                let count = match field {
                    Field::Address | Field::Step | Field::Owner => {
                        gather(source, &self.values.back, events, column, |back| back == 0)
                    }
                    Field::StepSince | Field::OwnerSince => {
                        gather(source, &self.values.back, events, column, |back| back != 0)
                    }
                    _ => {
                        for (value, event) in column.iter_mut().zip(events) {
                            *value = source[usize::from(*event) % ROOM];
                        }
                        events.len()
                    }
                };
                let may_list = matches!(field, Field::Extra | Field::Stack);
                self.columns.put(&mut out, &column[..count], may_list);
            }
        }
        let end = out.finish()?;
        let len = end - BLOCK_HEADER_SIZE;
        let whole = block_size(len);
        let header = BlockHeader {
            magic: BLOCK_MAGIC,
            len: len as u32,
            checksum: checksum(self.block.get(BLOCK_HEADER_SIZE..end)?),
            events: self.events as u32,
            fills: chunks.len() as u32,
            runs: self.run_count as u32,
            shapes: self.shape_count as u32,
            time_shift,
        };
        self.block[..BLOCK_HEADER_SIZE].copy_from_slice(header.as_bytes());
        self.block.get_mut(end..whole)?.fill(0);
        self.block.get(..whole)
    }
}

impl Values {
    /// The columns in their order, and what they are made of.
    const fn columns(&self) -> [(Field, &[u64; ROOM]); super::FIELDS] {
        [
            (Field::Time, &self.time),
            (Field::Back, &self.back),
            (Field::Address, &self.address),
            (Field::Step, &self.step),
            (Field::Owner, &self.owner),
            (Field::StepSince, &self.step),
            (Field::OwnerSince, &self.owner),
            (Field::Extra, &self.extra),
            (Field::Stack, &self.stack),
        ]
    }
}

/// Collects the values of those events that are wanted by how far back their address was; returns how many these are.
fn gather(
    source: &[u64; ROOM],
    back: &[u64; ROOM],
    events: &[u16],
    column: &mut [u64; ROOM],
    is_wanted: impl Fn(u64) -> bool,
) -> usize {
    let mut count = 0;
    for event in events {
        let event = usize::from(*event) % ROOM;
        // Written in any case, which is cheaper than to find out whether to.
        column[count % ROOM] = source[event];
        count += usize::from(is_wanted(back[event]));
    }
    count
}
