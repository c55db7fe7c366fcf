//! Lines silence what they say and nothing else, and an earlier report knows what it named.

use std::sync::Arc;

use proptest::prelude::*;
use whofreed_trace::Frame;
use whofreed_trace::Language;

use super::Suppressions;
use super::all_suppressions;
use super::parse::matches;
use crate::Analysis;
use crate::Class;
use crate::Confidence;
use crate::Culprit;
use crate::Evidence;
use crate::Example;
use crate::Leak;
use crate::Seen;
use crate::Site;

fn frame(function: &str, file: &str, module: &str) -> Frame {
    Frame {
        function: (!function.is_empty()).then(|| function.to_owned()),
        module: Arc::from(module),
        offset: 16,
        file: (!file.is_empty()).then(|| Arc::from(file)),
        line: 3,
        inlined: false,
        tail_called: false,
        language: Language::Native,
    }
}

fn site(function: &str) -> Site {
    Site {
        frame: frame(function, "/src/a.cpp", "/lib/liba.so"),
    }
}

fn culprit(function: &str, explains: u64) -> Culprit {
    let site = site(function);
    let main = frame("main", "/src/main.cpp", "/bin/host");
    Culprit {
        class: Class::Other,
        explains,
        observed: explains,
        buffers: 1,
        devices: vec![0],
        confidence: Confidence::Counterfactual,
        alternatives: Vec::new(),
        evidence: Evidence::default(),
        example: Example {
            excess: [site.frame.clone(), main].into(),
            ..Example::default()
        },
        site,
    }
}

/// Ten excess frees by `evict`, five by `drop`, two that are unexplained, and a leak.
fn analysis() -> Analysis {
    let mut analysis = Analysis {
        culprits: vec![culprit("Cache::evict(int)", 10), culprit("Pool::drop()", 5)],
        leaks: vec![Leak {
            site: site("Pool::take()"),
            count: 4,
            bytes: 64,
            stack: [].into(),
        }],
        ..Analysis::default()
    };
    analysis.unexplained.sites.push(Seen {
        site: site("Layer::run()"),
        observed: 2,
        stack: [].into(),
    });
    analysis.totals.excess = 17;
    analysis.totals.unexplained = 2;
    analysis
}

fn applied(text: &str, analysis: &Analysis) -> Analysis {
    let mut analysis = analysis.clone();
    let lines = Suppressions::parse(text, "s.txt").expect("these are lines");
    lines.apply(&mut analysis);
    analysis
}

#[test]
fn a_pattern_matches_as_that_of_a_sanitizer() {
    for (pattern, name, expected) in [
        ("evict", "Cache::evict(int)", true),
        ("^evict", "Cache::evict(int)", false),
        ("^Cache::evict", "Cache::evict(int)", true),
        ("evict$", "Cache::evict(int)", false),
        ("evict(int)$", "Cache::evict(int)", true),
        ("^Cache*int)$", "Cache::evict(int)", true),
        ("C*e*(", "Cache::evict(int)", true),
        ("abc$", "abcabc", true),
        ("*", "x", true),
        ("*", "", false),
        ("^^a$$", "^a$", true),
        ("^^a$$", "a", false),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn a_line_silences_by_function_file_or_module_of_any_frame() {
    for pattern in ["evict", "/src/a.cpp$", "liba.so", "^main$", "/bin/host"] {
        let analysis = applied(&format!("excess:{pattern}"), &analysis());
        assert_eq!(analysis.culprit_mark(0).suppressed_by, Some(0), "{pattern}");
        assert!(analysis.suppressed() >= 10, "{pattern}");
    }
    let none = applied("excess:elsewhere\nleak:evict", &analysis());
    assert_eq!((none.suppressed(), none.unsettled()), (0, 17));
    assert!(none.standing.lines.iter().all(|line| line.silences == 0));
}

#[test]
fn lines_are_counted_and_the_first_that_matches_counts() {
    let text = "# ours\n\n  excess:evict\nexcess:Cache\r\nleak:Pool::take\nexcess:run";
    let analysis = applied(text, &analysis());
    let lines = &analysis.standing.lines;
    let told: Vec<(usize, u64)> = lines
        .iter()
        .map(|line| (line.line, line.silences))
        .collect();
    assert_eq!(told, [(3, 10), (4, 0), (5, 4), (6, 2)]);
    assert_eq!(analysis.suppressed(), 12);
    // What is left is the second culprit's.
    assert_eq!(analysis.unsettled(), 5);
    assert_eq!(analysis.leak_mark(0).suppressed_by, Some(2));
}

#[test]
fn a_line_that_is_none_is_told_with_its_number() {
    for (text, line, begins) in [
        ("excess", 1, "is neither excess:PATTERN nor leak:PATTERN"),
        ("# a\nrace:x", 2, "`race` is not known here"),
        ("leak:", 1, "the pattern is missing"),
        ("\n\nexcess:a\u{1b}b", 3, "there is a control character"),
    ] {
        let error = Suppressions::parse(text, "s").expect_err("it is none");
        assert_eq!(error.line, line, "{error}");
        assert!(error.message.starts_with(begins), "{error}");
    }
    let long = format!("excess:{}", "a".repeat(1001));
    assert!(Suppressions::parse(&long, "s").is_err());
}

#[test]
fn all_lines_that_are_told_silence_all_that_is_told() {
    let first = analysis();
    let text = all_suppressions(&first);
    assert_eq!(text.matches("\nexcess:^").count(), 3, "{text}");
    assert_eq!(text.matches("\nleak:^").count(), 1, "{text}");
    let silent = applied(&text, &first);
    assert_eq!((silent.suppressed(), silent.unsettled()), (17, 0));
    assert_eq!(all_suppressions(&silent), "");
}

#[test]
fn a_line_that_silences_other_findings_too_says_so() {
    let mut analysis = analysis();
    analysis.culprits.push(culprit("main", 1));
    let text = all_suppressions(&analysis);
    let told = "# culprit 3, excess frees: 1; silences others with this name in their stacks, too: 2\nexcess:^main$\n";
    assert!(text.contains(told), "{text}");
    let alone = "# culprit 2, excess frees: 5\nexcess:^Pool::drop()$\n";
    assert!(text.contains(alone), "{text}");
    let silent = applied("excess:^main$", &analysis);
    assert_eq!(silent.suppressed(), 16, "as it says");
}

#[test]
fn a_name_of_nothing_that_can_be_written_is_not_silenced_by_everything() {
    let mut culprit = culprit("\u{1b}\u{7}", 1);
    assert_eq!(culprit.suppression(), None);
    culprit.site.frame = frame("", "", "");
    assert_eq!(culprit.suppression(), None);
    culprit.site.frame = frame("", "", "/lib/liba.so");
    let line = culprit.suppression();
    assert_eq!(line.as_deref(), Some("excess:^/lib/liba.so$"));
}

#[test]
fn what_an_earlier_report_names_is_known() {
    let before = analysis();
    let mut after = analysis();
    after.culprits.push(culprit("New::one()", 3));
    after.totals.excess = 20;
    after.hold_against(&before);
    let known: Vec<bool> = (0..3).map(|at| after.culprit_mark(at).known).collect();
    assert_eq!(known, [true, true, false]);
    assert!(after.unexplained_mark(0).known);
    assert_eq!(after.unsettled(), 3);

    // More of those that could not be named are no news only where there were some before.
    after.unexplained.more_observed = 6;
    after.totals.excess = 26;
    assert_eq!(after.unsettled(), 9);
    let mut before = before;
    before.unexplained.more_observed = 1;
    after.hold_against(&before);
    assert_eq!(after.unsettled(), 3);
}

#[test]
fn an_undecided_culprit_is_known_whoever_of_them_comes_first() {
    let undecided = |first: &str, second: &str| {
        let mut culprit = culprit(first, 5);
        culprit.confidence = Confidence::Undecided;
        culprit.alternatives = vec![site(second)];
        let mut analysis = Analysis {
            culprits: vec![culprit],
            ..Analysis::default()
        };
        analysis.totals.excess = 5;
        analysis
    };
    let mut after = undecided("b()", "a()");
    after.hold_against(&undecided("a()", "b()"));
    assert_eq!(after.unsettled(), 0);
    let mut other = undecided("c()", "d()");
    other.hold_against(&undecided("a()", "b()"));
    assert_eq!(other.unsettled(), 5);
}

#[test]
fn silenced_and_known_are_not_counted_twice() {
    let mut after = applied("excess:evict", &analysis());
    after.hold_against(&analysis());
    assert_eq!((after.suppressed(), after.unsettled()), (10, 0));
    assert_eq!(after.culprit_mark(0).suppressed_by, Some(0));
}

proptest! {
    #[test]
    fn the_line_that_is_told_silences_its_finding(name in "\\PC{1,300}|[ -~\u{0}-\u{1f}\u{202e}*^$:# ]{1,40}") {
        let mut analysis = Analysis { culprits: vec![culprit(&name, 7)], ..Analysis::default() };
        analysis.totals.excess = 7;
        if let Some(line) = analysis.culprits[0].suppression() {
            prop_assert!(!line.contains(char::is_control));
            let silent = applied(&line, &analysis);
            prop_assert_eq!(silent.unsettled(), 0, "{}", line);
        }
    }

    #[test]
    fn whatever_the_text_is_it_is_lines_or_an_error_with_one(text in "(excess:|leak:|#|\n|[ -~]|\\PC){0,60}") {
        match Suppressions::parse(&text, "s") {
            Ok(lines) => lines.apply(&mut analysis()),
            Err(error) => prop_assert!(error.line >= 1 && error.line <= text.lines().count()),
        }
    }
}
