//! The sentence that a report begins with: it says what is known, and claims no more.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::page::page;
use whofreed_analysis::Analysis;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_report::Found;
use whofreed_report::TextOptions;
use whofreed_report::to_text;
use whofreed_trace::Damage;

#[test]
fn without_owners_a_clean_run_does_not_say_who_held_the_buffers() {
    let mut analysis = common::clean();
    analysis.coverage.clear();
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
fn a_trace_of_which_nothing_can_be_read_is_not_taken_for_one_without_events() {
    let mut analysis = Analysis::default();
    analysis.damage.push((
        0,
        Damage {
            offset: 4096,
            what: "the file ends in the middle of a block".to_owned(),
        },
    ));
    let text = to_text(&analysis, &page(200));
    assert!(
        text.starts_with("whofreed: no event could be read, so nothing is known of the run"),
        "{text}"
    );
    assert!(
        text.contains("\nSUMMARY: whofreed: no event could be read\n"),
        "{text}"
    );
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
    analysis.processes[1].pid += 1;
    analysis.processes[2].pid += 2;
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

/// Children stand below their parents, and what a process was before and behind an `exec` is one line.
#[test]
fn processes_are_told_as_a_tree() {
    let mut analysis = common::usual();
    let mut started = 0;
    let mut process = |pid, parent_pid, name: &str| {
        let mut process = analysis.processes[0].clone();
        started += 1;
        process.started_at_ns = started;
        process.pid = pid;
        process.parent_pid = parent_pid;
        process.command = vec![name.to_owned()];
        process.exit = None;
        process
    };
    let processes = vec![
        process(10, 1, "bash"),
        process(12, 10, "bash"),
        process(11, 10, "make"),
        process(12, 10, "cc"),
        process(13, 12, "ld"),
        // Numbers that were used again.
        process(20, 21, "a"),
        process(21, 20, "b"),
    ];
    analysis.processes = processes;
    // As a shell may hand them over.
    analysis.processes.reverse();
    let text = to_text(&analysis, &page(100));
    let tree = "\
process 10 bash
  process 12 bash, then cc
    process 13 ld
  process 11 make
process 20 a
  process 21 b
";
    assert!(text.contains(tree), "{text}");
    assert!(text.contains(" of 6 processes"), "{text}");
}
