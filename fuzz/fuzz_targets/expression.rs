//! An expression of an adapter: a tree, or an error with its place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_adapter::fuzzing;
use whofreed_fuzz::heap;

const BASE: usize = 64 * 1024;
const TIMES: usize = 128;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    heap::within(BASE + TIMES * text.len(), || {
        if let Err((offset, message)) = fuzzing::expression(text) {
            assert!(
                offset <= text.len() && text.is_char_boundary(offset),
                "{offset}: {message}"
            );
        }
    });
});
