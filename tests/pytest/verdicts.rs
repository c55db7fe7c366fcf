//! Who is failed, and who is not: tests that are at fault where others suffer, that say what they may do, whose fault is known.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::common;
use super::session::Session;

/// A suite whose program keeps no account of owners.
fn without_owners(test: &str) -> Option<Session> {
    let mut session = Session::on_the_pool("stale", test)?;
    session.set("SUITE_OWNERS", "0");
    Some(session)
}

/// The report that a session wrote beside its suite.
fn report(session: &Session) -> Value {
    let text = fs::read_to_string(session.file("report.json")).expect("the report");
    serde_json::from_str(&text).expect("JSON")
}

const REPORT: [&str; 2] = ["--whofreed-report", "report.json"];

#[test]
fn the_test_at_fault_fails_and_not_those_in_which_it_is_seen() {
    let Some(session) = without_owners("the_test_at_fault_fails") else {
        return;
    };
    let ran = session.run(&[REPORT[0], REPORT[1], "stale/test_rounds.py"], 1);
    ran.expect_failed(&["test_evict[3]"], 41);
    let report = report(&session);
    // Half of it was seen elsewhere, in four tests that are innocent.
    let culprit = &report["culprits"][0];
    assert_eq!(common::number(culprit, &["explains"]), 40);
    assert_eq!(common::number(culprit, &["observed"]), 20);
    assert_eq!(common::rows(&report, "victims").len(), 4, "{report:#}");
}

#[test]
fn a_double_free_within_a_test_is_its_doing_whichever_of_both_it_was() {
    let Some(session) = without_owners("a_double_free_within_a_test") else {
        return;
    };
    let ran = session.run(&["-k", "freed_twice", "stale/test_once.py"], 1);
    ran.expect_failed(&["test_freed_twice"], 0);
    // Not "by culprit 1", as if that were known.
    let line = "culprit 1, test_freed_twice (stale/test_once.py:11), or test_freed_twice (stale/test_once.py:10): undecided";
    assert!(ran.said.contains(line), "{}", ran.said);
}

#[test]
fn what_no_culprit_explains_is_told_with_its_place_until_a_baseline_knows_it() {
    let Some(session) = without_owners("what_no_culprit_explains") else {
        return;
    };
    let only = "stale/test_line.py";
    let ran = session.run(&[REPORT[0], REPORT[1], only], 1);
    ran.expect_failed(&[], 2);
    let place = "\n  1 seen at test_freed_twice_by_one_line (stale/test_line.py:14), not necessarily guilty";
    assert!(ran.said.contains(place), "{}", ran.said);
    let ran = session.run(&["--whofreed-baseline", "report.json", only], 0);
    let is_told = ran.said.contains("explained by no culprit");
    assert!(!is_told, "{}", ran.said);
}

#[test]
fn an_adapter_of_the_ini_file_is_found_from_any_folder() {
    let Some(session) = Session::on_the_pool("pool", "an_adapter_of_the_ini_file") else {
        return;
    };
    let ini = "[pytest]\npythonpath = .\nwhofreed = true\nwhofreed_adapters = ./own/pool.toml\n";
    fs::write(session.file("pytest.ini"), ini).expect("an ini file");
    fs::create_dir(session.file("own")).expect("a folder");
    let adapter = common::root().join("tests/pytest/pool.toml");
    fs::copy(adapter, session.file("own/pool.toml")).expect("the adapter");
    let mut command = session.command();
    command.current_dir(session.file("pool"));
    // In one word: a path in a word of its own makes pytest look for its root folder there as well.
    command.arg(format!("--whofreed-bin={}", common::cli().display()));
    let run = common::run(&mut command).expect_code(1);
    let is_told = run.stdout.contains(" 3 of these in excess");
    assert!(is_told, "{}\n{}", run.stdout, run.stderr);
}

#[test]
fn what_is_undecided_between_two_tests_fails_the_session_alone() {
    let Some(session) = without_owners("what_is_undecided_between_two_tests") else {
        return;
    };
    let ran = session.run(&["-k", "was_left or leaves", "stale/test_once.py"], 1);
    ran.expect_failed(&[], 2);
    let [row] = &ran.table()[..] else {
        panic!("one line\n{}", ran.said);
    };
    let is_told =
        row.starts_with("undecided between ") && row.contains("test_leaves_a_dead_buffer");
    assert!(is_told && row.contains("test_frees_what_was_left"), "{row}");
    assert!(ran.said.contains("\nfirst freed here"), "{}", ran.said);
}

#[test]
fn marks_allow_what_they_say() {
    let Some(session) = Session::on_the_pool("marks", "marks_allow_what_they_say") else {
        return;
    };
    let ran = session.run(&[], 1);
    let rows: Vec<String> = ran
        .table()
        .iter()
        .map(|row| row.replace("test_marks.py::test_", ""))
        .map(|row| row.replace("test_marks.py:", ""))
        .collect();
    let expected = [
        "allowed 2 allowed_by_number free_again 12)",
        "failed 3 more_than_allowed free_again 12)",
        "allowed 1 allowed_by_name evict_again 18)",
        "failed 1 another_than_allowed free_again 12)",
        "allowed 1 allowed_by_both free_again 12)",
        "allowed 1 allowed_by_both evict_again 18)",
        "xfail 1 expected_to_fail free_again 12)",
        "failed 1 that_fails_anyhow free_again 12)",
        "failed 1 that_is_skipped_midway free_again 12)",
    ];
    assert_eq!(rows, expected, "{}", ran.said);
    let failed = [
        "test_more_than_allowed",
        "test_another_than_allowed",
        "test_that_fails_anyhow",
        "test_that_is_skipped_midway",
    ];
    for entry in &ran.entries {
        let is_failed = failed.iter().any(|test| entry.contains(test));
        assert_eq!(entry.contains("<failure "), is_failed, "{entry}");
    }
    // It fails once, for its own reason, and has the culprit as well.
    let own = ran.entry("test_that_fails_anyhow");
    assert!(own.contains("its own reason"), "{own}");
    assert_eq!(own.matches("<failure ").count(), 1, "{own}");
    let culprit = "name=\"whofreed.culprit\" value=\"free_again (";
    assert!(own.contains(culprit), "{own}");
    assert!(ran.said.contains("- whofreed -"), "{}", ran.said);
    let counts = "4 failed, 3 passed, 1 xpassed";
    assert!(ran.said.contains(counts), "{}", ran.said);
}

#[test]
fn what_a_baseline_knows_fails_nothing() {
    let Some(session) = Session::on_the_pool("pool", "what_a_baseline_knows") else {
        return;
    };
    session.run(&REPORT, 1);
    let ran = session.run(&["--whofreed-baseline", "report.json"], 0);
    ran.expect_failed(&[], 12);
    let rows = ran.table();
    assert_eq!(rows.len(), 3, "{}", ran.said);
    let are_known = rows.iter().all(|row| row.starts_with("known 1 "));
    assert!(are_known, "{rows:?}");
    for broken in ["nowhere.json", "pytest.ini"] {
        let ran = session.run(&["--whofreed-baseline", broken], 4);
        assert!(ran.said.contains("cannot be used"), "{}", ran.said);
    }
}

#[test]
fn the_next_session_begins_with_those_that_failed() {
    let Some(session) = Session::on_the_pool("pool", "the_next_session_begins") else {
        return;
    };
    session.run(&[], 1);
    let ran = session.run(&["--last-failed"], 1);
    ran.expect_failed(&super::GUILTY, 0);
    // Of the traces, those of the last session are there.
    assert_eq!(session.traces().len(), 1);
}

#[test]
fn threads_and_children_of_a_test_are_the_test_s() {
    let Some(session) = Session::on_the_pool("odd", "threads_and_children_of_a_test") else {
        return;
    };
    let failed = ["test_on_a_thread", "test_in_a_child"];
    for arguments in [&[][..], &["-n", "2"]] {
        let arguments = [arguments, &["odd/test_threads.py"]].concat();
        session.run(&arguments, 1).expect_failed(&failed, 1);
    }
}

#[test]
fn what_is_no_test_s_doing_fails_the_session_alone() {
    let Some(session) = Session::on_the_pool("odd", "what_is_no_test_s_doing") else {
        return;
    };
    let ran = session.run(&["odd/test_import.py"], 1);
    ran.expect_failed(&[], 1);
    let row = "outside of any test 1 <module> test_import.py:7)";
    assert_eq!(ran.table(), [row], "{}", ran.said);
}

#[test]
fn a_worker_that_is_killed_leaves_its_trace() {
    let Some(session) = Session::on_the_pool("odd", "a_worker_that_is_killed") else {
        return;
    };
    let ran = session.run(&["-n", "2", "odd/test_crash.py"], 1);
    let row =
        "failed 1 test_crash.py::test_ends_the_process test_ends_the_process test_crash.py:12)";
    assert_eq!(ran.table(), [row], "{}", ran.said);
    assert!(ran.said.contains("1 failed, 1 passed"), "{}", ran.said);
}

#[test]
fn a_session_that_is_killed_leaves_the_launcher_s_report() {
    let Some(session) = Session::on_the_pool("odd", "a_session_that_is_killed") else {
        return;
    };
    session.run(&["odd/test_crash.py"], 128 + 9);
    let report = session.file(".pytest_cache/whofreed/report.txt");
    let report = fs::read_to_string(report).expect("the launcher's report");
    assert!(report.contains("test_crash.py:12"), "{report}");
    let scope = "test_crash.py::test_ends_the_process";
    assert!(report.contains(scope), "{report}");
}

#[test]
fn a_session_that_recorded_nothing_says_so() {
    let Some(session) = Session::on_the_pool("pool", "a_session_that_recorded_nothing") else {
        return;
    };
    let ran = session.run(&["--whofreed-adapters", "none"], 0);
    assert!(ran.said.contains("no event was recorded"), "{}", ran.said);
}

#[test]
fn the_guard_holds_the_excess_frees_back() {
    let Some(session) = Session::on_the_pool("pool", "the_guard_holds") else {
        return;
    };
    let ran = session.run(&["--whofreed-guard", REPORT[0], REPORT[1]], 1);
    ran.expect_failed(&super::GUILTY, 9);
    assert_eq!(common::total(&report(&session), "blocked"), 3);
}

#[test]
fn a_session_under_a_launcher_of_one_s_own_is_not_started_again() {
    let Some(session) = Session::on_the_pool("pool", "a_session_under_a_launcher") else {
        return;
    };
    let pytest = session.command();
    let mut command = Command::new(common::cli());
    command.args(["run", "--adapters"]);
    command.arg(common::root().join("tests/pytest/pool.toml"));
    command.arg("--").arg(pytest.get_program());
    command.args(pytest.get_args()).args(["--whofreed", "pool"]);
    command.current_dir(pytest.get_current_dir().expect("a folder"));
    let variables = pytest.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    let run = common::run(&mut command).expect_code(1);
    assert!(run.stdout.contains("3 failed, 9 passed"), "{}", run.stdout);
    assert!(
        session.traces().is_empty(),
        "they are where the launcher has them"
    );
}

#[test]
fn whoever_sits_at_the_terminal_can_answer_and_interrupt() {
    let Some(session) = Session::on_the_pool("odd", "whoever_sits_at_the_terminal") else {
        return;
    };
    let pytest = session.command();
    let mut command = Command::new(pytest.get_program());
    command.arg(common::root().join("tests/pytest/in_a_terminal.py"));
    command.arg(pytest.get_program()).args(pytest.get_args());
    command.args(["-s", "--whofreed", "--whofreed-bin"]);
    command.arg(common::cli()).arg("--whofreed-adapters");
    command.arg(common::root().join("tests/pytest/pool.toml"));
    command.arg("odd/test_terminal.py");
    command.current_dir(pytest.get_current_dir().expect("a folder"));
    let variables = pytest.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    // pytest's own code for an interrupted session.
    let run = common::run(&mut command).expect_code(2);
    assert!(run.stdout.contains("KeyboardInterrupt"), "{}", run.stdout);
    // What is known until then is told.
    let row = run.stdout.lines().find(|line| line.starts_with("failed "));
    let row = row.expect("a line of the table");
    assert!(row.contains("test_frees_twice"), "{row}");
}
