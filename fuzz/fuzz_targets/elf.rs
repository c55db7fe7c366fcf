//! Any file as a library that is to be hooked: `adapters check` and `adapters init`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_adapter::check;
use whofreed_adapter::check::File;
use whofreed_fuzz::heap;

// The shipped adapters are compiled for each check, and each symbol is demangled.
const BASE: usize = 64 << 20;
const TIMES: usize = 1024;

fuzz_target!(|data: &[u8]| {
    let file = |bytes: &[u8]| File {
        path: "libfuzz.so".to_owned(),
        bytes: bytes.to_vec(),
    };
    heap::within(BASE + TIMES * data.len(), || {
        if let Ok(found) = check::check(&[file(data)], Some("libc")) {
            assert!(found.libraries.len() <= 1);
        }
        let _ = whofreed_adapter::draft(&file(data), None);
    });
});
