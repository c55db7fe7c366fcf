//! A file of the symbol cache, with the checksum and without.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_fuzz::heap;
use whofreed_symbols::fuzzing;

// serde believes a length up to a megabyte before the first entry is read, in each list that is open; the shortest
// entry is a byte and becomes an Option of several words in a map.
const BASE: usize = 8 << 20;
const TIMES: usize = 512;

fuzz_target!(|data: &[u8]| {
    heap::within(BASE + TIMES * data.len(), || {
        let _ = fuzzing::read_kept(data);
        let _ = fuzzing::reads_body(data);
    });
});
