//! A file of suppressions: it is understood and silences in little time, or there is an error with its line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use whofreed_analysis::Analysis;
use whofreed_analysis::Leak;
use whofreed_analysis::Site;
use whofreed_analysis::Suppressions;
use whofreed_fuzz::heap;
use whofreed_trace::Frame;
use whofreed_trace::Language;

const BASE: usize = 64 * 1024;
// The shortest line takes a few bytes, and has its file's name and its count in memory.
const TIMES: usize = 256;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    heap::within(BASE + TIMES * text.len(), || {
        match Suppressions::parse(text, "s") {
            Ok(lines) => {
                let mut analysis = Analysis::default();
                analysis.leaks.push(leak());
                lines.apply(&mut analysis);
                let silenced: u64 = analysis
                    .standing
                    .lines
                    .iter()
                    .map(|line| line.silences)
                    .sum();
                assert_eq!(
                    silenced,
                    if analysis.leak_mark(0).suppressed_by.is_some() {
                        3
                    } else {
                        0
                    }
                );
            }
            Err(error) => assert!(
                error.line >= 1 && error.line <= text.lines().count().max(1),
                "{error}"
            ),
        }
    });
});

fn leak() -> Leak {
    Leak {
        site: Site {
            frame: Frame {
                function: Some("a::b<c>::d(e*, f&)".to_owned()),
                module: "/lib/libfoo.so".into(),
                offset: 1,
                file: Some("/src/foo.cpp".into()),
                line: 1,
                inlined: false,
                tail_called: false,
                language: Language::Native,
            },
        },
        count: 3,
        bytes: 9,
        stack: [].into(),
    }
}
