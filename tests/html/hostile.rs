//! An analysis in which every name that a host can choose is hostile.

use std::collections::BTreeMap;
use std::sync::Arc;

use whofreed_analysis::Analysis;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::Evidence;
use whofreed_analysis::Example;
use whofreed_analysis::Leak;
use whofreed_analysis::Site;
use whofreed_analysis::Totals;
use whofreed_analysis::Victim;
use whofreed_report::Snippet;
use whofreed_report::Snippets;
use whofreed_trace::Coverage;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Process;

/// What a browser, a terminal or a reader would fall for.
const MARKUP: &str = "<img src=x onerror=\"window.hurt=true\">";
const SCRIPT: &str = "</script><script>window.hurt=true</script><!--";
const HIDDEN: &str = "evil\u{202e}\u{200b}\u{1b}[31m\u{9b}\u{2028}name";
const FRAME: &str = "{{script}} & &lt;b&gt; ${window.hurt=true} '\"`";

/// As they are to be seen.
pub const SEEN: [&str; 3] = [
    MARKUP,
    "</script><script>window.hurt=true</script><!--",
    "evil\\u{202e}\\u{200b}\\x1b[31m\\x9b\\u{2028}name",
];

fn frame(function: &str, line: u32) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        module: Arc::from(format!("/lib/{HIDDEN}{MARKUP}.so")),
        offset: 0x10 + u64::from(line),
        file: Some(Arc::from(format!("/src/{FRAME}/{HIDDEN}.py"))),
        line,
        inlined: true,
        tail_called: true,
        // Native names are shortened: these stay what they are.
        language: Language::Python,
    }
}

/// The analysis, and source code for it.
pub fn analysis() -> (Analysis, Snippets) {
    let stack = |line: u32| -> Arc<[Frame]> {
        let names = [MARKUP, SCRIPT, HIDDEN, FRAME];
        names.iter().map(|name| frame(name, line)).collect()
    };
    let site = |name: &str, line: u32| Site {
        frame: frame(name, line),
    };
    let culprit = |name: &str, explains: u64| Culprit {
        site: site(name, 3),
        class: Class::Other,
        explains,
        observed: 1,
        buffers: 1,
        devices: vec![1],
        confidence: Confidence::Counterfactual,
        alternatives: vec![site(FRAME, 9)],
        evidence: Evidence::default(),
        example: Example {
            pid: 7,
            device: 1,
            address: u64::MAX,
            size: 64,
            kind: SCRIPT.to_owned(),
            scope: MARKUP.to_owned(),
            thread: 7,
            allocated: stack(1),
            freed: stack(2),
            excess: stack(3),
            ..Example::default()
        },
    };
    let text = |text: &str| text.to_owned();
    let analysis = Analysis {
        processes: vec![Process {
            pid: 7,
            command: vec![text(SCRIPT), text(HIDDEN)],
            adapters: vec![text(MARKUP)],
            ..Process::default()
        }],
        coverage: vec![
            Coverage::Bound {
                adapter: text(MARKUP),
                symbol: text(SCRIPT),
                library: text(HIDDEN),
            },
            Coverage::Unobservable {
                symbol: text(HIDDEN),
                why: text(MARKUP),
                library: text(SCRIPT),
                is_certain: true,
            },
        ],
        totals: Totals {
            events: 9,
            excess: 3,
            ..Totals::default()
        },
        device_names: BTreeMap::from([(1, text(SCRIPT))]),
        culprits: vec![culprit(MARKUP, 2), culprit(SCRIPT, 1), culprit(HIDDEN, 1)],
        victims: vec![Victim {
            site: site(SCRIPT, 4),
            observed: 2,
            culprit: Some(0),
        }],
        leaks: vec![Leak {
            site: site(HIDDEN, 5),
            count: 1,
            bytes: 64,
            stack: stack(5),
        }],
        ..Analysis::default()
    };
    let snippet = Snippet {
        first: 1,
        lines: [MARKUP, SCRIPT, HIDDEN].map(text).to_vec(),
        is_newer: true,
    };
    let places = whofreed_report::places(&analysis).into_iter();
    let snippets = places.map(|place| (place, snippet.clone())).collect();
    (analysis, snippets)
}
