//! How a report names files: traces and sources, as the reader can use them where he stands.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::page::page;
use whofreed_analysis::Analysis;
use whofreed_report::TextOptions;
use whofreed_report::to_text;

#[test]
fn a_run_tells_where_its_traces_are() {
    let named = |analysis: &Analysis, names: &[&str]| {
        let traces = names.iter().map(|name| (4242, (*name).to_owned()));
        let options = TextOptions {
            traces: traces.collect(),
            ..page(60)
        };
        let text = to_text(analysis, &options);
        text.rsplit_once("SUMMARY: ")
            .and_then(|(_, end)| end.split_once('\n'))
            .unwrap()
            .1
            .to_owned()
    };
    let clean = common::clean();
    assert_eq!(named(&clean, &["a.1.wft"]), "trace: a.1.wft\n");
    let many = ["a.1.wft", "a.2.wft", "a.3.wft", "a.4.wft", "a.5.wft"];
    assert_eq!(
        named(&clean, &many),
        "traces: a.1.wft, a.2.wft, a.3.wft and 2 more\n"
    );
    let long = format!("{}/my traces/a.wft", "deep/".repeat(20));
    assert_eq!(
        named(&common::usual(), &[&long]).trim_end(),
        format!("trace:\n  '{long}'"),
        "a path can be copied as it is"
    );
    let hostile = named(&clean, &["a\n\u{1b}[2J.wft"]);
    assert_eq!(hostile.lines().count(), 1, "{hostile:?}");
    assert!(!hostile.contains('\u{1b}'), "{hostile:?}");

    // Whoever asks for a report has named them.
    let options = TextOptions {
        left_traces: false,
        ..page(100)
    };
    assert!(!to_text(&clean, &options).contains("trace:"));
}

#[test]
fn sources_below_the_current_folder_are_told_from_there() {
    let options = TextOptions {
        here: Some("/src/device".to_owned()),
        ..page(100)
    };
    let text = to_text(&common::usual(), &options);
    assert!(text.contains(" allocator.cpp:77\n"), "{text}");
    assert!(text.contains(" in main /src/host/main.cpp:90\n"), "{text}");
    assert!(
        text.contains(
            "SUMMARY: whofreed: 1,618 excess frees cache.cpp:41 in ProgramCache::evict\n"
        ),
        "{text}"
    );
    let whole = TextOptions {
        verbose: true,
        ..options
    };
    let text = to_text(&common::usual(), &whole);
    assert!(!text.contains(" allocator.cpp:77\n"), "{text}");
}

#[test]
fn the_hint_can_be_pasted() {
    let options = TextOptions {
        program: "target/release/whofreed".to_owned(),
        traces: vec![(4242, "my traces/it's.wft".to_owned())],
        ..page(100)
    };
    let text = to_text(&common::usual(), &options);
    assert!(
        text.contains(": target/release/whofreed history 'my traces/it'\\''s.wft' --device 4 "),
        "{text}"
    );
}

#[test]
fn the_hint_names_the_traces_of_the_worst_buffer_s_own_process() {
    let mut analysis = common::usual();
    analysis.worst_buffers[0].pid = 77;
    let traces = [(4242, "main.wft"), (77, "main.77.wft"), (77, "later.wft")];
    let mut options = TextOptions {
        traces: traces.map(|(pid, path)| (pid, path.to_owned())).to_vec(),
        ..page(100)
    };
    let text = to_text(&analysis, &options);
    assert!(
        text.contains(" whofreed history main.77.wft later.wft --device 4 "),
        "{text}"
    );
    // Rather none than one that knows nothing of the buffer.
    options.traces.truncate(1);
    let text = to_text(&analysis, &options);
    assert!(!text.contains("HINT"), "{text}");
}
