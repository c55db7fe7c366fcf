//! A JSON report that `diff` is given, and what it says about it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_analysis::diff;
use whofreed_fuzz::assert_printable;
use whofreed_fuzz::heap;
use whofreed_report::TextOptions;

// The shortest culprit is a few bytes, and has a site, an example and evidence of its own in memory, on both sides.
const BASE: usize = 1 << 20;
const TIMES: usize = 1024;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    heap::within(
        BASE + TIMES * text.len(),
        || match whofreed_report::from_json(text) {
            Ok(analysis) => {
                let none = Default::default();
                for found in [
                    diff::compare(&analysis, &analysis),
                    diff::compare(&none, &analysis),
                    diff::compare(&analysis, &none),
                ] {
                    assert_printable(&whofreed_report::diff_to_text(
                        &found,
                        &TextOptions::default(),
                    ));
                    let _ = whofreed_report::diff_to_json(&found);
                }
            }
            Err(why) => assert!(why.contains("line") || why.contains("schema"), "{why}"),
        },
    );
});
