//! `WHOFREED_OPTIONS`: what is wrong is told in a line that can be printed, and keeps its default.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed::options;
use whofreed_fuzz::assert_printable;
use whofreed_fuzz::heap;

// A bad key is shown in a sentence of its own, and a byte that is no text in three; escaped, in up to ten.
const BASE: usize = 64 * 1024;
const TIMES: usize = 256;

fuzz_target!(|data: &[u8]| {
    heap::within(BASE + TIMES * data.len(), || {
        let (options, complaints) = options::parse(data);
        for complaint in &complaints {
            assert_printable(complaint);
            assert!(!complaint.contains('\n'));
        }
        assert!((1..=512).contains(&options.depth));
        if let Some(trace) = &options.trace {
            let _ = options::expand_path(trace, 4711);
        }
    });
});
