//! Unwind tables of a loaded object: rules are made of them, on the host's thread and without its heap.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed::stack::unwind::fuzzing;
use whofreed_fuzz::heap;
use whofreed_fuzz::made::Bytes;

fuzz_target!(|data: &[u8]| {
    let mut from = Bytes(data);
    let addresses: Vec<u64> = (0..4).map(|_| 0x10_0000 + u64::from(from.u16())).collect();
    let header = usize::from(from.u8());
    let header = from.take(header);
    // Not a byte.
    heap::within(0, || {
        let _ = fuzzing::rules(from.0, header, &addresses);
    });
});
