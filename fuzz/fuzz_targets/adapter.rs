//! An adapter's text: it becomes a library that passes its own check, or an error with line and column.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_adapter::Error;
use whofreed_adapter::fuzzing;
use whofreed_fuzz::heap;

// A library has two pages, 4096 spare stubs and their unwind tables, however short its adapter is; a hook of some forty
// bytes becomes a stub, its expressions and two sections of names.
const BASE: usize = 8 << 20;
const TIMES: usize = 1024;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    heap::within(BASE + TIMES * text.len(), || match fuzzing::compile(text) {
        Ok(library) => assert!(!library.is_empty()),
        Err(Error::Adapter { line, column, .. }) => {
            assert!(
                line >= 1 && line <= text.matches('\n').count() + 1,
                "line {line}"
            );
            assert!(column >= 1 && column <= text.len() + 1, "column {column}");
        }
        Err(error) => panic!("{error}"),
    });
});
