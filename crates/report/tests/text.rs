//! What a person sees, at several widths. `UPDATE_EXPECT=1` rewrites tests/snapshots.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::env;
use std::fs;
use std::path::Path;

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_report::Found;
use whofreed_report::TextOptions;
use whofreed_report::to_text;
use whofreed_trace::Damage;

fn page(width: usize) -> TextOptions {
    TextOptions {
        width,
        trace_hint: Some("whofreed.device_host.4242.wft".to_owned()),
        ..TextOptions::default()
    }
}

/// Compares with the file, or writes it.
fn expect(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{name} differs; expected:\n{expected}\ngot:\n{text}"
    );
}

/// No line is longer than the page, and none does what a terminal would act on.
fn check_lines(text: &str, width: usize) {
    for line in text.lines() {
        let is_hint = line.starts_with("HINT: ");
        let columns = unicode_width::UnicodeWidthStr::width(line);
        assert!(
            columns <= width || is_hint,
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

fn at_widths(name: &str, analysis: &Analysis) {
    for width in [60, 100, 200] {
        let text = to_text(analysis, &page(width));
        check_lines(&text, width);
        expect(&format!("{name}-{width}.txt"), &text);
    }
}

#[test]
fn the_usual_case_is_a_screen() {
    let analysis = common::usual();
    at_widths("usual", &analysis);
    let text = to_text(&analysis, &page(100));
    assert!(text.lines().count() <= 50, "{} lines", text.lines().count());
    assert!(text.starts_with(
        "whofreed: 1,618 excess frees in 938 of 8,876 buffers, all explained by 2 culprits:"
    ));
}

#[test]
fn a_clean_run_says_so() {
    at_widths("clean", &common::clean());
}

#[test]
fn frames_of_the_interpreter_are_folded() {
    at_widths("interpreted", &common::interpreted());
}

#[test]
fn hostile_names_do_nothing() {
    let analysis = common::hostile();
    at_widths("hostile", &analysis);
    let whole = to_text(
        &analysis,
        &TextOptions {
            verbose: true,
            ..page(60)
        },
    );
    check_lines(&whole, usize::MAX);
    for text in [whole, to_text(&analysis, &page(200))] {
        assert_eq!(
            text.matches("\n==").count(),
            1,
            "a name began a line of its own: {text}"
        );
    }
}

#[test]
fn hostile_names_end_no_colour() {
    let text = to_text(
        &common::hostile(),
        &TextOptions {
            color: true,
            ..page(100)
        },
    );
    for sequence in text.split('\u{1b}').skip(1) {
        let known = ["[0m", "[1m", "[2m", "[31m", "[32m"];
        assert!(
            known.iter().any(|code| sequence.starts_with(code)),
            "{sequence:?}"
        );
    }
}

#[test]
fn many_culprits_still_fit_a_screen() {
    let analysis = common::many();
    at_widths("many", &analysis);
    let text = to_text(&analysis, &page(100));
    assert!(text.lines().count() <= 64, "{} lines", text.lines().count());
    let whole = to_text(
        &analysis,
        &TextOptions {
            verbose: true,
            ..page(100)
        },
    );
    for n in 0..12 {
        assert!(whole.contains(&format!("Layer{n}::release")), "culprit {n}");
    }
}

#[test]
fn colours_are_written_only_when_told_so() {
    let analysis = common::usual();
    let without = to_text(&analysis, &page(100));
    assert!(!without.contains('\u{1b}'));
    let with = to_text(
        &analysis,
        &TextOptions {
            color: true,
            ..page(100)
        },
    );
    expect("usual-100-colour.txt", &with);
    let mut stripped = with;
    for code in [
        "\u{1b}[0m",
        "\u{1b}[1m",
        "\u{1b}[2m",
        "\u{1b}[31m",
        "\u{1b}[32m",
    ] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, without);
}

#[test]
fn what_makes_the_answer_doubtful_comes_first() {
    let mut analysis = common::usual();
    analysis.totals.dropped_events = 1_200;
    analysis.totals.unknown = 5;
    analysis.totals.late = 3;
    analysis.totals.invalid = 1;
    analysis.culprits.clear();
    analysis.victims.clear();
    analysis.totals.unexplained = 1_618;
    analysis.damage = vec![(
        0,
        Damage {
            offset: 65_536,
            what: "a chunk with the wrong checksum".to_owned(),
        },
    )];
    let options = TextOptions {
        named_adapters: vec!["device".to_owned(), "tt-metal".to_owned()],
        notes: vec!["libdevice.so changed since the recording".to_owned()],
        ..page(100)
    };
    let text = to_text(&analysis, &options);
    check_lines(&text, 100);
    assert!(
        text.starts_with("whofreed: adapter tt-metal bound nothing"),
        "{text}"
    );
    expect("doubtful-100.txt", &text);
}

#[test]
fn a_guarded_run_tells_what_was_held_back() {
    let mut analysis = common::usual();
    analysis.totals.blocked = 1_618;
    analysis.totals.forwarded = 11_976;
    for buffer in &mut analysis.worst_buffers {
        buffer.blocked = buffer.excess;
        buffer.forwarded = buffer.freed - buffer.excess;
    }
    for width in [60, 100] {
        let text = to_text(&analysis, &page(width));
        check_lines(&text, width);
        expect(&format!("guarded-{width}.txt"), &text);
    }
}

#[test]
fn without_an_event_only_what_is_known_is_said() {
    for (found, known) in [
        (Found::Traces, "no event was recorded"),
        (Found::Unreadable, "no trace could be read"),
        (Found::Nothing, "no trace was found"),
    ] {
        let options = TextOptions {
            found,
            named_adapters: vec!["tt-metal".to_owned()],
            ..page(200)
        };
        let text = to_text(&Analysis::default(), &options);
        let mut lines = text.lines();
        let first = lines.next().unwrap();
        assert!(
            first.starts_with("whofreed: adapter tt-metal bound nothing: "),
            "{text}"
        );
        // Only a trace can tell that something was not called.
        assert_eq!(
            first.contains("not one of its functions was called"),
            found == Found::Traces
        );
        assert!(
            lines
                .next()
                .unwrap()
                .starts_with(&format!("whofreed: {known}")),
            "{text}"
        );
        assert!(
            text.ends_with(&format!("SUMMARY: whofreed: {known}\n")),
            "{text}"
        );
        assert!(!text.contains("ever called"), "{text}");
    }
}

#[test]
fn undecided_culprits_are_not_told_as_certain() {
    let mut analysis = common::usual();
    let doubt = |analysis: &mut Analysis, index: usize, others: &[&str]| {
        analysis.culprits[index].confidence = Confidence::Undecided;
        analysis.culprits[index].alternatives = others
            .iter()
            .map(|name| common::site(common::native(name, "/src/o.cpp", 3)))
            .collect();
    };
    doubt(&mut analysis, 1, &["host::drop"]);
    at_widths("undecided", &analysis);
    let text = to_text(&analysis, &page(200));
    assert!(
        text.contains("all explained by 2 culprits, 1 of them undecided: "),
        "{text}"
    );
    assert!(text.contains("\nculprit 1: ProgramCache::evict"), "{text}");
    assert!(
        text.contains("\nculprit 2: undecided: Pool::give_back"),
        "{text}"
    );

    doubt(&mut analysis, 0, &["host::drop", "host::reset"]);
    analysis.culprits.truncate(1);
    for (unexplained, told) in [
        (0, ", narrowed down to ProgramCache::evict (cache.cpp:41)"),
        (
            597,
            ", 1,021 narrowed down to ProgramCache::evict (cache.cpp:41)",
        ),
    ] {
        analysis.totals.unexplained = unexplained;
        let text = to_text(&analysis, &page(200));
        let first = text.lines().next().unwrap();
        let told = format!("{told} or host::drop (o.cpp:3) or 1 more 1,021");
        assert!(first.contains(&told), "{text}");
        assert!(!first.contains("explained by"), "{text}");
        assert!(text.ends_with(", undecided\n"), "{text}");
    }
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

#[test]
fn what_could_not_be_judged_is_told_and_claims_are_weaker_then() {
    let mut analysis = common::usual();
    analysis.totals.unknown = 5;
    let doubt = "could not be judged: a table of the ledger was at its bound";
    let text = to_text(&analysis, &page(100));
    assert!(text.contains("5 unknown (never seen allocated)"), "{text}");
    assert!(!text.contains(doubt), "{text}");
    for (untracked, told) in [(1, "\n1 event "), (1_200, "\n1,200 events ")] {
        analysis.totals.untracked = untracked;
        let text = to_text(&analysis, &page(100));
        assert!(text.contains(&format!("{told}{doubt}\n")), "{text}");
        assert!(
            text.contains("5 unknown (no allocation was tracked)"),
            "{text}"
        );
        assert!(!text.contains("never seen allocated"), "{text}");
    }
}
