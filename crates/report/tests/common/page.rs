//! Holding a page against a file of tests/snapshots, and against what every page has to keep to.
//! `UPDATE_EXPECT=1` rewrites the files.

use std::env;
use std::fs;
use std::path::Path;

use whofreed_report::TextOptions;

/// A page of a run that has left its trace.
pub fn page(width: usize) -> TextOptions {
    TextOptions {
        width,
        traces: vec![(4242, "whofreed.device_host.4242.wft".to_owned())],
        left_traces: true,
        ..TextOptions::default()
    }
}

/// Compares with the file, or writes it.
pub fn expect(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, text).expect("the snapshot can be written");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{name} differs; expected:\n{expected}\ngot:\n{text}"
    );
}

/// No line is longer than the page, and none does what a terminal would act on.
pub fn check_lines(text: &str, width: usize) {
    for line in text.lines() {
        // What is there to be copied, or for tools, stands in one line.
        let begins = |start: &&str| line.starts_with(start);
        let is_whole = ["HINT: ", "suppress: ", "SUMMARY: "].iter().any(begins);
        let columns = unicode_width::UnicodeWidthStr::width(line);
        assert!(
            columns <= width || is_whole,
            "{columns} columns of {width}: {line}"
        );
        let hostile = |c: char| {
            c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c)
        };
        assert!(!line.contains(hostile), "{line:?}");
    }
}
