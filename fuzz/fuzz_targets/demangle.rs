//! Names: mangled ones made readable, and what is read of readable ones.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_fuzz::assert_printable;
use whofreed_fuzz::heap;
use whofreed_symbols::fuzzing;

// A readable name has an end; on the way to it, the full demangler remembers what it may come back to.
const BASE: usize = 4 << 20;
const TIMES: usize = 2048;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    heap::within(BASE + TIMES * text.len(), || {
        let _ = fuzzing::abridged(text);
        for name in [fuzzing::readable(text), text.to_owned()] {
            let _ = whofreed_names::without_clone(&name);
            let _ = whofreed_names::own_type(&name);
            let _ = whofreed_names::behind_parameters(&name);
            for (open, close) in [('<', '>'), ('(', ')'), ('[', ']')] {
                let (inside, behind) = whofreed_names::balanced(&name, open, close);
                assert!(inside.len() + behind.len() <= name.len());
            }
            for (at, _) in name.char_indices().take(64) {
                let (before, rest) = name.split_at(at);
                let _ = whofreed_names::operator_at(before, rest);
                let _ = whofreed_names::operator_symbol(before, rest);
                let _ = whofreed_names::operator_length(rest);
            }
            let _ = whofreed_names::is_rust_hash(&name);
            let shown = whofreed_report::printable(&name);
            assert_printable(&shown);
            assert!(!shown.contains('\n'));
        }
    });
});
