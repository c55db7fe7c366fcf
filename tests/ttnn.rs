//! The real TT-Metal runtime under `whofreed run`, on mock boards: unmodified Python programs, each with its own idea of when
//! tensors are freed.
//!
//! The cases say themselves what is expected of them. A line that ends in `# excess` frees one tensor too many
//! (`# excess x3`: three; `# excess (double)`: when that bug is asked for), and is therefore a culprit by file and line;
//! a line `# expect: late >= 1, declined = 0` names totals of the report.

#![expect(clippy::expect_used, reason = "a test may panic")]

#[path = "ttnn/expected.rs"]
mod expected;
#[path = "ttnn/releases.rs"]
mod releases;
#[path = "ttnn/run.rs"]
mod run;
#[path = "ttnn/setting.rs"]
mod setting;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use self::expected::Expected;
use self::run::Run;
use self::setting::NEWEST;

macro_rules! cases {
    ($($case:ident),+ $(,)?) => {
        mod n150 {
            $(#[test] fn $case() { super::check_case("n150", concat!(stringify!($case), ".py")); })+
        }
        mod mesh {
            $(#[test] fn $case() { super::check_case("mesh", concat!(stringify!($case), ".py")); })+
        }
    };
}

// With the cases that run on every release (releases.rs), these are all.
cases! {
    c03_reshaped_view,
    c04_views_of_views,
    c05_moved,
    c06_nothing_to_do,
    c07_closed_first,
    c08_left_alive,
    c09_failing_operations,
    c10_program_cache,
    c11_output_is_input,
    c12_four_threads,
    c14_reopened,
    c15_released_at_once,
    c17_stale_after_release,
}

/// The guard holds back exactly the excess frees: of dead handles, and of handles that only believe to be alive.
mod guarded {
    use super::check_guarded;

    #[test]
    fn c01_freed_twice() {
        check_guarded("c01_freed_twice.py");
    }

    #[test]
    fn c17_stale_after_release() {
        check_guarded("c17_stale_after_release.py");
    }
}

mod model_like {
    use super::check_model;

    #[test]
    fn without_a_bug_nothing_is_freed_too_often() {
        check_model("none", 0);
    }

    #[test]
    fn a_free_of_what_an_alias_took_along_is_the_culprit() {
        check_model("alias", 60);
    }

    #[test]
    fn what_is_never_freed_is_not_freed_too_often() {
        check_model("leak", 0);
    }
}

/// Runs one case on one board and compares the report with what the case expects.
fn check_case(board: &str, case: &str) {
    let file = case_file(case);
    let expected = Expected::of(&fs::read_to_string(&file).expect("the case is there"), "");
    let Some(run) = Run::of(NEWEST, board, &file, &[], &[]) else {
        return;
    };
    run.assert_sound();
    assert_eq!(run.total("blocked"), 0, "{}", run.shown());
    assert_eq!(run.culprit_lines(), expected.lines, "{}", run.shown());
    assert_eq!(
        run.total("excess"),
        expected.lines.values().sum::<u64>(),
        "{}",
        run.shown()
    );
    expected.check_totals(&run);
}

fn check_guarded(case: &str) {
    let file = case_file(case);
    let expected = Expected::of(&fs::read_to_string(&file).expect("the case is there"), "");
    let Some(run) = Run::of(NEWEST, "n150", &file, &[], &["--guard"]) else {
        return;
    };
    run.assert_sound();
    assert_eq!(run.culprit_lines(), expected.lines, "{}", run.shown());
    assert_eq!(run.total("blocked"), run.total("excess"), "{}", run.shown());
}

/// Runs the decode loop with a bug on both boards: so many excess frees, all at the lines that are marked for the bug.
fn check_model(bug: &str, excess: u64) {
    let file = case_file("model_like.py");
    let expected = Expected::of(&fs::read_to_string(&file).expect("the case is there"), bug);
    for board in ["n150", "mesh"] {
        let Some(run) = Run::of(NEWEST, board, &file, &["15", "4", bug], &[]) else {
            return;
        };
        run.assert_sound();
        assert_eq!(run.total("excess"), excess, "{}", run.shown());
        let lines = run.culprit_lines();
        assert!(
            lines.keys().eq(expected.lines.keys()),
            "not {:?}\n{}",
            expected.lines,
            run.shown()
        );
        assert_eq!(lines.values().sum::<u64>(), excess, "{}", run.shown());
    }
}

fn case_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/ttnn/cases")
        .join(name)
}
