//! What a person sees, at several widths. `UPDATE_EXPECT=1` rewrites tests/snapshots.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::env;
use std::fs;
use std::path::Path;

use whofreed_analysis::Analysis;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::ShortStacks;
use whofreed_report::Found;
use whofreed_report::TextOptions;
use whofreed_report::to_text;
use whofreed_trace::Damage;

fn page(width: usize) -> TextOptions {
    TextOptions {
        width,
        traces: vec![(4242, "whofreed.device_host.4242.wft".to_owned())],
        left_traces: true,
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
    assert!(text.lines().count() <= 54, "{} lines", text.lines().count());
    assert!(text.ends_with("\ntrace: whofreed.device_host.4242.wft\n"));
    assert!(text.starts_with(
        "whofreed: 1,618 excess frees in 938 of 8,876 buffers, all explained by 2 culprits:"
    ));
}

#[test]
fn a_clean_run_says_so() {
    at_widths("clean", &common::clean());
}

#[test]
fn without_owners_a_clean_run_does_not_say_who_held_the_buffers() {
    let mut analysis = common::clean();
    for (ownerless, told) in [
        (0, "all of them by who held the buffer\n"),
        (
            27_624,
            "all of them of buffers not freed yet; no owners were told, so by whom is not known\n",
        ),
        (
            4,
            "all of them of buffers not freed yet; 4 told no owner, so by whom is not known of all\n",
        ),
    ] {
        analysis.totals.ownerless = ownerless;
        let text = to_text(&analysis, &page(200));
        let (first, _) = text.split_at(text.find("\n\n").unwrap() + 1);
        assert!(
            first.ends_with(&format!(": 27,624 deallocations, {told}")),
            "{first}"
        );
    }
    analysis.totals.ok -= 10;
    let text = to_text(&analysis, &page(200));
    assert!(text.contains(", 27,614 of them of buffers"), "{text}");
    analysis.totals.deallocations = 0;
    let text = to_text(&analysis, &page(200));
    assert!(text.contains(" buffers: 0 deallocations\n"), "{text}");
}

#[test]
fn where_the_unexplained_was_seen_is_told_and_what_would_help() {
    let mut analysis = common::unexplained();
    at_widths("unexplained", &analysis);
    let text = to_text(&analysis, &page(100));
    assert!(text.lines().count() <= 50, "{} lines", text.lines().count());

    // Only what would help is advised.
    analysis.totals.ownerless = 0;
    let text = to_text(&analysis, &page(100));
    assert!(
        text.contains("\nHINT: to get further, record a longer run\n"),
        "{text}"
    );
    analysis.unexplained.sites[3].site.frame.file = None;
    let text = to_text(&analysis, &page(100));
    assert!(
        text.contains("\nHINT: to get further, build with -g, or record a longer run\n"),
        "{text}"
    );

    // Beside a culprit there are fewer lines of it, and no stack.
    analysis.culprits = common::usual().culprits;
    let text = to_text(&analysis, &page(100));
    assert_eq!(text.matches("seen here, not necessarily").count(), 2);
    assert!(text.contains("\n… and 7 more places "), "{text}");
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
    assert!(text.lines().count() <= 66, "{} lines", text.lines().count());
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
        // True also where the host itself decides whether to forward.
        let told = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            told.contains("; the guard blocked 1,618 (in a linked host it only counts)"),
            "{text}"
        );
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
            left_traces: false,
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
    assert!(text.contains("\nculprit 1: ProgramCache::evict"), "{text}");
    assert!(
        text.contains("\nculprit 2: undecided: Pool::give_back"),
        "{text}"
    );

    doubt(&mut analysis, 0, &["host::drop", "host::reset"]);
    analysis.culprits.truncate(1);
    let text = to_text(&analysis, &page(200));
    assert!(text.contains(", undecided\ntrace: "), "{text}");
}

/// The sentence with these culprits: how many frees each explains, and of how many sites any can be it.
fn sentence(culprits: &[(u64, u32)], unexplained: u64) -> String {
    let mut analysis = common::usual();
    analysis.culprits = (0..)
        .zip(culprits)
        .map(|(n, &(explains, suspects))| {
            let place = |name: u32| common::native(&format!("f{n}_{name}"), "/src/f.c", name);
            let mut culprit = common::culprit(&place(1), explains, Class::Other);
            if suspects > 0 {
                culprit.confidence = Confidence::Undecided;
            }
            culprit.alternatives = (2..=suspects).map(|n| common::site(place(n))).collect();
            culprit
        })
        .collect();
    analysis.totals.unexplained = unexplained;
    analysis.totals.excess = unexplained + culprits.iter().map(|culprit| culprit.0).sum::<u64>();
    let text = to_text(&analysis, &page(1_000));
    let (_, answer) = text
        .lines()
        .next()
        .unwrap()
        .split_once(" buffers, ")
        .unwrap();
    answer.to_owned()
}

#[test]
fn the_answer_is_plain_english_whatever_is_known() {
    for (culprits, unexplained, answer) in [
        // Decided.
        (
            &[(37, 0)][..],
            0,
            "all explained by 1 culprit: f0_1 (f.c:1)",
        ),
        (&[(1, 0)], 0, "explained by 1 culprit: f0_1 (f.c:1)"),
        (
            &[(37, 0), (2, 0)],
            1,
            "39 explained by 2 culprits: 37 by f0_1 (f.c:1) and 2 by f1_1 (f.c:1); 1 unexplained",
        ),
        (
            &[(37, 0), (9, 0), (3, 0), (2, 0)],
            0,
            "all explained by 4 culprits: 37 by f0_1 (f.c:1), 9 by f1_1 (f.c:1) and 5 by 2 more",
        ),
        // Undecided.
        (
            &[(37, 2)],
            0,
            "all narrowed down to f0_1 (f.c:1) or f0_2 (f.c:2)",
        ),
        (
            &[(37, 3)],
            1,
            "37 narrowed down to f0_1 (f.c:1), f0_2 (f.c:2) or f0_3 (f.c:3); 1 unexplained",
        ),
        (
            &[(1, 5)],
            0,
            "narrowed down to f0_1 (f.c:1), f0_2 (f.c:2) or 3 others",
        ),
        (&[(37, 1)], 0, "all perhaps explained by f0_1 (f.c:1)"),
        (
            &[(21, 2), (16, 2)],
            0,
            "all narrowed down to 2 groups of call sites: 21 to f0_1 (f.c:1) or f0_2 (f.c:2), and 16 to \
             f1_1 (f.c:1) or f1_2 (f.c:2)",
        ),
        (
            &[(21, 2), (16, 3), (3, 2), (1, 2)],
            8,
            "41 narrowed down to 4 groups of call sites: 21 to f0_1 (f.c:1) or f0_2 (f.c:2), 16 to \
             f1_1 (f.c:1), f1_2 (f.c:2) or f1_3 (f.c:3), and 4 to 2 more; 8 unexplained",
        ),
        // Mixed.
        (
            &[(37, 0), (4, 2)],
            0,
            "37 explained by 1 culprit: f0_1 (f.c:1); 4 narrowed down to f1_1 (f.c:1) or f1_2 (f.c:2)",
        ),
        (
            &[(37, 0), (4, 2), (3, 0)],
            1,
            "40 explained by 2 culprits: 37 by f0_1 (f.c:1) and 3 by f2_1 (f.c:1); 4 narrowed down to \
             f1_1 (f.c:1) or f1_2 (f.c:2); 1 unexplained",
        ),
        // Neither.
        (
            &[],
            2,
            "none explained: the record does not tell who is to blame",
        ),
        (
            &[],
            1,
            "not explained: the record does not tell who is to blame",
        ),
    ] {
        assert_eq!(sentence(culprits, unexplained), answer);
    }
}

#[test]
fn merged_traces_are_told_as_such() {
    let mut analysis = common::usual();
    analysis.processes = vec![analysis.processes[0].clone(); 3];
    let text = to_text(&analysis, &page(100));
    assert!(
        text.starts_with(
            "whofreed: 1,618 excess frees in 938 of 8,876 buffers of 3 processes, all"
        ),
        "{text}"
    );
    analysis.buffers.over_freed = 0;
    let text = to_text(&analysis, &page(100));
    assert!(
        text.starts_with("whofreed: 1,618 excess frees in 3 processes, all explained by "),
        "{text}"
    );
    let mut clean = common::clean();
    clean.processes = analysis.processes;
    let text = to_text(&clean, &page(100));
    assert!(
        text.starts_with("whofreed: no excess frees in 910 buffers of 3 processes: 27,624"),
        "{text}"
    );
}

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
fn stacks_cut_by_a_low_depth_are_told() {
    let note = "note: 12 of 14 stacks (allocations and first frees) end at the depth of 3: ";
    let mut analysis = common::usual();
    analysis.short_stacks = ShortStacks {
        cut: 12,
        of: 14,
        depth: 3,
    };
    let text = to_text(&analysis, &page(100));
    assert_eq!(text.matches(note).count(), 1, "{text}");
    check_lines(&text, 100);
    // One in a hundred harms nobody, nor is anybody named in a clean run.
    analysis.short_stacks.of = 1_400;
    assert!(!to_text(&analysis, &page(100)).contains("depth"));
    let mut clean = common::clean();
    clean.short_stacks = ShortStacks {
        cut: 12,
        of: 14,
        depth: 3,
    };
    assert!(!to_text(&clean, &page(100)).contains("depth"));
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
