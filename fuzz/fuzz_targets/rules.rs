//! A file of rules, and what adapters carry: it is understood, or there is an error with line and column.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_analysis::Rules;
use whofreed_fuzz::heap;

const BASE: usize = 64 * 1024;
const TIMES: usize = 128;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    heap::within(BASE + TIMES * text.len(), || match Rules::parse(text) {
        Ok(rules) => {
            let _ = Rules::default().and(rules);
        }
        Err(error) => {
            assert!(
                error.line >= 1 && error.line <= text.lines().count().max(1),
                "{error}"
            );
            assert!(
                error.column >= 1 && error.column <= text.len() + 1,
                "{error}"
            );
        }
    });
});
