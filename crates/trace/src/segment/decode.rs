//! The reader's half: a block becomes events again. Nothing in it is trusted.

use zerocopy::FromBytes;

use super::BLOCK_HEADER_SIZE;
use super::BLOCK_MAGIC;
use super::BlockHeader;
use super::EXTRA_IS_ZERO;
use super::FIELDS;
use super::Field;
use super::MOST_EVENTS;
use super::OWNER_IS_ZERO;
use super::RunRecord;
use super::Shape;
use super::column;
use crate::blob::checksum;
use crate::layout::CHUNK_HEADER_SIZE;
use crate::layout::CHUNK_SIZE;
use crate::layout::EVENT_SIZE;
use crate::layout::EventRecord;

/// A chunk holds no more.
const EVENTS_OF_CHUNK: u64 = ((CHUNK_SIZE - CHUNK_HEADER_SIZE) / EVENT_SIZE) as u64;

/// A block whose head has been read and whose checksum holds.
#[derive(Clone, Debug)]
pub struct Block<'bytes> {
    header: BlockHeader,
    fills: &'bytes [u8],
    runs: &'bytes [u8],
    shapes: &'bytes [u8],
    columns: &'bytes [u8],
}

/// The columns of one shape while they are read.
struct Columns {
    shape: Shape,
    values: [Vec<u64>; FIELDS],
    next: [usize; FIELDS],
}

impl Columns {
    fn take(&mut self, field: Field) -> Option<u64> {
        let field = field as usize;
        let value = self.values[field].get(self.next[field])?;
        self.next[field] += 1;
        Some(*value)
    }
}

impl<'bytes> Block<'bytes> {
    /// The block at the start of `bytes`.
    ///
    /// # Errors
    /// What is wrong with it, and how far from the start.
    pub fn read(bytes: &'bytes [u8]) -> Result<Self, (usize, &'static str)> {
        let Ok((header, rest)) = BlockHeader::read_from_prefix(bytes) else {
            return Err((0, "a block ends inside its header"));
        };
        if header.magic != BLOCK_MAGIC {
            return Err((0, "a block does not begin like one"));
        }
        let Some(payload) = rest.get(..header.len as usize) else {
            return Err((4, "a block reaches beyond its segment"));
        };
        if checksum(payload) != header.checksum {
            return Err((8, "the checksum of a block does not hold"));
        }
        let broken = Err((12, "a block contradicts itself"));
        let lens = [
            (header.fills as usize, size_of::<u64>()),
            (header.runs as usize, size_of::<RunRecord>()),
            (header.shapes as usize, size_of::<Shape>()),
        ];
        let mut parts = [&payload[..0]; 3];
        let mut rest = payload;
        for (part, (count, size)) in parts.iter_mut().zip(lens) {
            let Some((taken, behind)) = count
                .checked_mul(size)
                .and_then(|len| rest.split_at_checked(len))
            else {
                return broken;
            };
            (*part, rest) = (taken, behind);
        }
        let [fills, runs, shapes] = parts;
        let block = Self {
            header,
            fills,
            runs,
            shapes,
            columns: rest,
        };
        let in_runs: u64 = block.runs().map(|run| u64::from(run.count)).sum();
        let in_shapes: u64 = block.shapes().map(|shape| u64::from(shape.count)).sum();
        let events = u64::from(header.events);
        if in_runs != events
            || in_shapes != events
            || events > MOST_EVENTS as u64
            || events > u64::from(header.fills) * EVENTS_OF_CHUNK
            || header.time_shift >= 64
        {
            return broken;
        }
        Ok(block)
    }

    /// How many bytes its header and its payload take.
    #[must_use]
    pub const fn size(&self) -> usize {
        super::block_size(self.header.len as usize)
    }

    /// How many events it has.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.header.events
    }

    /// The chunks that it stands for, by what their fillings are called.
    pub fn fills(&self) -> impl Iterator<Item = u64> {
        self.fills
            .as_chunks()
            .0
            .iter()
            .map(|fill| u64::from_ne_bytes(*fill))
    }

    /// Its events as runs of a thread's, in their order.
    pub fn runs(&self) -> impl Iterator<Item = RunRecord> {
        let runs = self.runs.chunks_exact(size_of::<RunRecord>());
        runs.filter_map(|run| RunRecord::read_from_bytes(run).ok())
    }

    /// What its events are like.
    pub fn shapes(&self) -> impl Iterator<Item = Shape> {
        let shapes = self.shapes.chunks_exact(size_of::<Shape>());
        shapes.filter_map(|shape| Shape::read_from_bytes(shape).ok())
    }

    /// Its events, in place of what `into` held. `None` where they cannot be read.
    pub fn events(&self, into: &mut Vec<EventRecord>) -> Option<()> {
        let count = self.header.events as usize;
        let mut bytes = self.columns;
        let mut sequence = Vec::new();
        column::take(&mut bytes, count, &mut sequence)?;
        let mut all = Vec::new();
        for shape in self.shapes() {
            all.push(columns(shape, &mut bytes)?);
        }
        into.clear();
        into.reserve(count);
        let mut next = vec![usize::MAX; all.len()];
        let mut before = usize::MAX;
        let mut sequence = sequence.into_iter();
        for run in self.runs() {
            let mut time = run.time >> self.header.time_shift;
            for _ in 0..run.count {
                let shape = match sequence.next()? {
                    0 => *next.get(before)?,
                    told => usize::try_from(told - 1).ok()?,
                };
                if let Some(next) = next.get_mut(before) {
                    *next = shape;
                }
                before = shape;
                let columns = all.get_mut(shape)?;
                time = time.wrapping_add(columns.take(Field::Time)?);
                let mut event = event(columns, into)?;
                event.time = time << self.header.time_shift;
                into.push(event);
            }
        }
        Some(())
    }
}

fn columns(shape: Shape, bytes: &mut &[u8]) -> Option<Columns> {
    let count = shape.count as usize;
    let mut values: [Vec<u64>; FIELDS] = Default::default();
    let mut counts = [count; FIELDS];
    let has_owner = usize::from(shape.zeros & OWNER_IS_ZERO == 0);
    counts[Field::Extra as usize] *= usize::from(shape.zeros & EXTRA_IS_ZERO == 0);
    for field in 0..FIELDS {
        column::take(bytes, counts[field], &mut values[field])?;
        if field == Field::Back as usize {
            let known = values[field].iter().filter(|back| **back != 0).count();
            counts[Field::Address as usize] = count - known;
            counts[Field::Step as usize] = count - known;
            counts[Field::Owner as usize] = (count - known) * has_owner;
            counts[Field::StepSince as usize] = known;
            counts[Field::OwnerSince as usize] = known * has_owner;
        }
    }
    Some(Columns {
        shape,
        values,
        next: [0; FIELDS],
    })
}

/// The next event of a shape, but for its time.
fn event(columns: &mut Columns, before: &[EventRecord]) -> Option<EventRecord> {
    let shape = columns.shape;
    let has_owner = shape.zeros & OWNER_IS_ZERO == 0;
    let mut event = EventRecord {
        kind: shape.kind,
        verdict: shape.verdict,
        flags: shape.flags,
        device: shape.device,
        epoch: shape.epoch,
        label: shape.label,
        scope: shape.scope,
        ..EventRecord::default()
    };
    match columns.take(Field::Back)? {
        0 => {
            event.address = columns.take(Field::Address)?;
            event.step = columns.take(Field::Step)?;
            if has_owner {
                event.owner = columns.take(Field::Owner)?;
            }
        }
        back => {
            let known = before.get(before.len().checked_sub(usize::try_from(back).ok()?)?)?;
            event.address = known.address;
            event.step = known
                .step
                .wrapping_add(1)
                .wrapping_add(columns.take(Field::StepSince)?);
            if has_owner {
                let since = columns.take(Field::OwnerSince)?;
                event.owner = known.owner.wrapping_add(since);
            }
        }
    }
    if shape.zeros & EXTRA_IS_ZERO == 0 {
        event.extra = columns.take(Field::Extra)?;
    }
    event.stack = u32::try_from(columns.take(Field::Stack)?).ok()?;
    Some(event)
}

const _: () = assert!(BLOCK_HEADER_SIZE.is_multiple_of(super::ALIGN));
