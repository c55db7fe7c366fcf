//! What the launcher does to the trace of a process that has ended: the trace stays the same.

#![no_main]

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use libfuzzer_sys::fuzz_target;
use whofreed_fuzz::file_of;
use whofreed_fuzz::heap;
use whofreed_fuzz::made;
use whofreed_trace::read;

// The encoder takes a megabyte and a half; what is left to compress is held once.
const BASE: usize = 4 << 20;
const TIMES: usize = 8;

fn bytes_of(file: &File) -> Vec<u8> {
    let len = file.metadata().expect("about a file").len() as usize;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0).expect("its bytes");
    bytes
}

/// The number of events that are sound, and of faults.
fn said(bytes: &[u8]) -> Option<(usize, usize)> {
    read::read(bytes)
        .ok()
        .map(|trace| (trace.events.len(), trace.damage.len()))
}

fuzz_target!(|data: &[u8]| {
    let bytes = made::trace(data);
    let before = said(&bytes);
    let file = file_of(&bytes);
    heap::within(BASE + TIMES * bytes.len(), || {
        if let Ok(parts) = whofreed_trace::unused(&file) {
            let mut zeroed = bytes.clone();
            for part in parts {
                assert!(
                    part.start < part.end && part.end <= bytes.len() as u64,
                    "{part:?}"
                );
                zeroed[part.start as usize..part.end as usize].fill(0);
            }
            // What was left out was of no chunk, so a fault more or less may be told there, but no event.
            let after = said(&zeroed);
            assert_eq!(before.map(|told| told.0), after.map(|told| told.0));
        }
        let _ = whofreed_trace::compress_rest(&file);
    });
    let is_sound = before.is_some_and(|told| told.1 == 0);
    if is_sound {
        assert_eq!(before, said(&bytes_of(&file)));
    }
});
