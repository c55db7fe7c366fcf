//! What a person sees, at several widths. `UPDATE_EXPECT=1` rewrites tests/snapshots.

mod common;

use common::page::check_lines;
use common::page::expect;
use common::page::page;
use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::ShortStacks;
use whofreed_report::TextOptions;
use whofreed_report::to_text;
use whofreed_trace::Damage;

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
    assert!(text.lines().count() <= 57, "{} lines", text.lines().count());
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
    assert!(text.lines().count() <= 68, "{} lines", text.lines().count());
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
    assert!(text.contains(" or 2 others, undecided\ntrace: "), "{text}");
    // Who reads the last line only is not to blame the one that happens to stand first.
    doubt(&mut analysis, 0, &["host::drop"]);
    let text = to_text(&analysis, &page(200));
    assert!(
        text.contains(" or host::drop, undecided\ntrace: "),
        "{text}"
    );
}

#[test]
fn frees_of_which_none_could_be_judged_are_not_told_as_right() {
    let mut analysis = common::clean();
    analysis.totals.allocations = 0;
    analysis.totals.ok = 0;
    let text = to_text(&analysis, &page(100));
    assert!(
        text.contains("\nHINT: not one allocation was recorded"),
        "{text}"
    );
    assert!(
        text.contains("\nSUMMARY: whofreed: no free could be judged\n"),
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
