//! The table of hooks as the library in the host reads it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_fuzz::heap;
use whofreed_hooktable::HEADER_LEN;
use whofreed_hooktable::Table;
use whofreed_hooktable::glob;

/// Reading allocates nothing; the rest is the test's own.
const BASE: usize = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    heap::within(BASE + data.len(), || {
        if let Some(header) = data.first_chunk::<HEADER_LEN>() {
            let _ = Table::length_in(header);
        }
        let half = data.len() / 2;
        let _ = glob::any_fits(&data[..half], &data[half..]);
        let Some(table) = Table::new(data) else {
            return;
        };
        for index in 0..table.adapter_count().min(64) {
            let _ = table.adapter(index);
        }
        for index in 0..table.hook_count().min(64) {
            let _ = table.hook(index);
        }
        for index in 0..table.stub_count().min(64) {
            let Some(stub) = table.stub(index) else {
                continue;
            };
            let name = table.text(stub.symbol);
            let _ = table.stub_named(name);
            let _ = table.stubs_versioned(name).take(64).count();
        }
        for index in 0..table.list_count().min(64) {
            let _ = table.listed(index);
            let _ = table.part(index);
            let _ = table.code(index as u32);
            let _ = table.text(u32::MAX - index as u32);
        }
    });
});
