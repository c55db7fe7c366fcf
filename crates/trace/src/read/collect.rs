//! What becomes of the events of a trace: a list of them, or a table of where they lie.

use crate::Event;
use crate::EventKind;
use crate::StackId;
use crate::Verdict;
use crate::clock::Clock;
use crate::events::Table;
use crate::layout::EVENT_ADDRESS_UNKNOWN;
use crate::layout::EVENT_BLOCKED;
use crate::layout::EVENT_HAS_ROOT;
use crate::layout::EVENT_LATE;
use crate::layout::EVENT_UNTRACKED;
use crate::layout::EventRecord;
use crate::segment::Block;

/// What becomes of the events of a file.
pub(super) trait Collect: Default {
    /// Takes the event whose record lies at `offset`.
    fn add(&mut self, offset: usize, record: &EventRecord, thread: u32);

    /// Takes the events of a chunk that may be used again, of which this is a copy.
    fn add_copy(&mut self, events: &[(u32, EventRecord)]);

    /// Takes the events of the block at `offset`; `None` where they cannot be read.
    fn add_block(&mut self, offset: usize, block: &Block<'_>, clock: &Clock) -> Option<()>;
}

impl Collect for Vec<Event> {
    fn add(&mut self, _offset: usize, record: &EventRecord, thread: u32) {
        self.extend(event_of(record, thread));
    }

    fn add_copy(&mut self, events: &[(u32, EventRecord)]) {
        self.extend(
            events
                .iter()
                .filter_map(|(thread, record)| event_of(record, *thread)),
        );
    }

    fn add_block(&mut self, _offset: usize, block: &Block<'_>, clock: &Clock) -> Option<()> {
        let mut records = Vec::new();
        block.events(&mut records)?;
        for record in &mut records {
            record.time = clock.ns(record.time);
        }
        let threads = block
            .runs()
            .flat_map(|run| (0..run.count).map(move |_| run.thread));
        let events = records.iter().zip(threads);
        self.extend(events.filter_map(|(record, thread)| event_of(record, thread)));
        Some(())
    }
}

impl Collect for Table {
    fn add(&mut self, offset: usize, record: &EventRecord, thread: u32) {
        self.add(offset as u64, record, thread);
    }

    fn add_copy(&mut self, events: &[(u32, EventRecord)]) {
        self.begin_held_chunk();
        for (thread, record) in events {
            self.hold(record, *thread);
        }
    }

    fn add_block(&mut self, offset: usize, block: &Block<'_>, clock: &Clock) -> Option<()> {
        self.add_block(offset as u64, block, clock);
        Some(())
    }
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
