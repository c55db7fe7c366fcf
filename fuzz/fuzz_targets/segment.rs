//! A block of compressed events: what can be read of it is what its head says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_fuzz::heap;
use whofreed_fuzz::made;
use whofreed_trace::layout::EventRecord;
use whofreed_trace::segment::Block;
use whofreed_trace::segment::MOST_EVENTS;

// The encoder of the seeds takes a megabyte and a half. A block tells of MOST_EVENTS events at most, however short it
// is: 8192 records, and their columns.
const BASE: usize = (2 << 20) + MOST_EVENTS * (2 * size_of::<EventRecord>() + 8 * 8 * 2);

fuzz_target!(|data: &[u8]| {
    heap::within(BASE + 8 * data.len(), || {
        let right = made::block(data);
        let broken = made::broken_block(data);
        for bytes in [data, &right, &broken] {
            match Block::read(bytes) {
                Ok(block) => {
                    let (runs, shapes) = (block.runs().count(), block.shapes().count());
                    assert!(runs + shapes + block.fills().count() <= bytes.len());
                    assert!(block.count() as usize <= MOST_EVENTS);
                    let mut events = Vec::new();
                    if block.events(&mut events).is_some() {
                        assert_eq!(events.len(), block.count() as usize);
                    }
                }
                Err((place, _)) => assert!(place <= bytes.len().max(made::BLOCK_HEAD)),
            }
        }
    });
});
