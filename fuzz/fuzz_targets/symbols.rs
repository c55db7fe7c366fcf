//! Any file as a module of a trace: lines, call sites, tail calls and symbols of its debug information.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_fuzz::expect_caught_panics;
use whofreed_fuzz::file_of;
use whofreed_fuzz::heap;
use whofreed_fuzz::made::Bytes;
use whofreed_fuzz::path_of;
use whofreed_symbols::fuzzing;

// Debug information says much in few bytes: a unit's tables of abbreviations, lines and ranges are unpacked.
const BASE: usize = 64 << 20;
const TIMES: usize = 1024;

fuzz_target!(
    init: expect_caught_panics(),
    |data: &[u8]| {
        let mut from = Bytes(data);
        let addresses: Vec<u64> = (0..6).map(|_| u64::from(from.u16())).collect();
        let file = file_of(from.0);
        heap::within(BASE + TIMES * data.len(), || {
            let _ = fuzzing::ask(&path_of(&file), &addresses);
        });
    }
);
