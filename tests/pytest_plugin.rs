//! The pytest plugin of `python/`, installed beside a real pytest, on suites that know their own bugs: a line that ends in
//! `# excess` frees one buffer too many, and the test that runs it has to fail, by that line, and no other.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;
#[path = "pytest/session.rs"]
mod session;
#[path = "ttnn/setting.rs"]
mod setting;
#[path = "pytest/verdicts.rs"]
mod verdicts;

use std::fs;
use std::path::Path;
use std::process::Command;

use session::Session;

/// The tests of the suite on the pool that free in excess, in the order of their marks.
const GUILTY: [&str; 3] = [
    "test_freed_twice",
    "test_stale_free_takes_a_buffer_of_another_test",
    "test_whose_teardown_frees_twice",
];

#[test]
fn exactly_the_tests_with_a_bug_fail_each_with_its_own_culprit() {
    let Some(session) = Session::on_the_pool("pool", "exactly_the_tests_with_a_bug_fail") else {
        return;
    };
    let ran = session.run(&[], 1);
    ran.expect_failed(&GUILTY, 9);
    ran.expect_culprits("pool/test_buffers.py", &GUILTY);
}

#[test]
fn tests_that_are_spread_over_processes_fail_as_well() {
    let Some(session) = Session::on_the_pool("pool", "tests_that_are_spread_over_processes") else {
        return;
    };
    let ran = session.run(&["-n", "2"], 1);
    ran.expect_failed(&GUILTY, 9);
    ran.expect_culprits("pool/test_buffers.py", &GUILTY);
}

#[test]
fn a_clean_suite_passes() {
    let Some(session) = Session::on_the_pool("clean", "a_clean_suite_passes") else {
        return;
    };
    let ran = session.run(&[], 0);
    ran.expect_failed(&[], 3);
    assert!(ran.said.contains(" 0 of these in excess"), "{}", ran.said);
}

#[test]
fn the_package_s_own_tests_pass() {
    let Some(python) = session::python("the_package_s_own_tests_pass") else {
        return;
    };
    let scratch = common::Scratch::new("package");
    let mut command = Command::new(python);
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp"]);
    command.arg(scratch.file("base"));
    command
        .env("WHOFREED_TEST_SHIM", common::shim())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("PYTEST_ADDOPTS")
        .current_dir(common::root().join("python"));
    let said = common::run(&mut command).expect_code(0).stdout;
    assert!(
        said.contains(" passed") && !said.contains("skipped"),
        "{said}"
    );
}

#[test]
fn the_package_has_the_form_and_the_types_that_it_should() {
    let Some(python) = session::python("the_package_has_the_form_and_the_types") else {
        return;
    };
    let scratch = common::Scratch::new("lint");
    let cache = scratch.file("cache").display().to_string();
    let checks: [&[&str]; 3] = [
        &[
            "ruff",
            "check",
            "--no-cache",
            ".",
            "../tests/pytest",
            "--config",
            "pyproject.toml",
        ],
        &[
            "ruff",
            "format",
            "--no-cache",
            "--check",
            "src",
            "tests",
            "../tests/pytest",
            "--config",
            "pyproject.toml",
        ],
        &["mypy", "--cache-dir", &cache, "src"],
    ];
    for check in checks {
        let mut command = Command::new(&python);
        command.arg("-m").args(check);
        common::run(command.current_dir(common::root().join("python"))).expect_code(0);
    }
}

#[test]
fn the_package_can_be_installed_with_all_its_parts() {
    let Some(python) = session::python("the_package_can_be_installed") else {
        return;
    };
    let scratch = common::Scratch::new("install");
    let mut command = Command::new(&python);
    command.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--target",
    ]);
    command
        .arg(scratch.path())
        .arg(common::root().join("python"));
    common::run(&mut command).expect_code(0);
    let list = |folder: &Path| {
        let entries = fs::read_dir(folder).expect("the package").flatten();
        let names = entries.map(|entry| entry.file_name().into_string().expect("a name"));
        let mut names: Vec<String> = names.filter(|name| name != "__pycache__").collect();
        names.sort();
        names
    };
    let sources = common::root().join("python/src/whofreed");
    assert_eq!(list(&scratch.file("whofreed")), list(&sources));
    let info = list(scratch.path());
    let info = info.iter().find(|name| name.ends_with(".dist-info"));
    let points = scratch
        .path()
        .join(info.expect("its description"))
        .join("entry_points.txt");
    let points = fs::read_to_string(points).expect("the entry points");
    assert!(
        points.contains("[pytest11]\nwhofreed = whofreed.pytest_plugin"),
        "{points}"
    );
}

/// The tests of the suite on the real runtime that free in excess, in the order of their marks.
const GUILTY_ON_TTNN: [&str; 3] = [
    "test_a_tensor_is_freed_twice",
    "test_a_reshape_that_changes_nothing_is_freed_by_both_names",
    "test_a_list_is_freed_and_its_last_again",
];

mod on_ttnn {
    use super::GUILTY_ON_TTNN;
    use super::Session;
    use super::common;

    fn three_of_twelve(board: &str, arguments: &[&str], test: &str) {
        let Some(session) = Session::on_ttnn("ttnn", board, test) else {
            return;
        };
        let ran = session.run(arguments, 1);
        ran.expect_failed(&GUILTY_ON_TTNN, 9);
        ran.expect_culprits("ttnn/test_tensors.py", &GUILTY_ON_TTNN);
    }

    #[test]
    fn exactly_the_tests_with_a_bug_fail_each_with_its_own_culprit() {
        three_of_twelve("n150", &[], "pytest_on_ttnn");
    }

    #[test]
    fn tests_that_are_spread_over_processes_fail_as_well() {
        three_of_twelve("n150", &["-n", "2"], "pytest_xdist_on_ttnn");
    }

    #[test]
    fn on_eight_chips_it_is_the_same() {
        three_of_twelve("mesh", &[], "pytest_on_ttnn_mesh");
    }

    /// What whofreed adds to a session, by turns; a figure, of which no result depends.
    #[test]
    fn what_a_session_costs_is_told() {
        let (turns, tests) = if common::soak() { (5, 100) } else { (1, 4) };
        let Some(mut session) = Session::on_ttnn("ttnn_clean", "n150", "pytest_cost") else {
            return;
        };
        session.set("SUITE_TESTS", &tests.to_string());
        let (mut plain, mut watched) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            plain.push(processor_time(|| session.run_plain(0)));
            watched.push(processor_time(|| {
                session.run(&[], 0).expect_failed(&[], tests);
            }));
        }
        let least = |of: &[f64]| of.iter().copied().fold(f64::INFINITY, f64::min);
        let (plain, watched) = (least(&plain), least(&watched));
        let label =
            format!("{tests} clean ttnn tests, the least of {turns} by turns, s of processor");
        let ratio = watched / plain;
        let figure = format!("{plain:.2} plain, {watched:.2} with --whofreed: {ratio:.2}");
        common::note(&label, &figure);
    }

    /// Seconds of processor time of all processes that `run` starts and waits for.
    fn processor_time(run: impl FnOnce()) -> f64 {
        let of_children = || {
            // SAFETY: a usage is plain numbers, for which zero is a value.
            let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
            // SAFETY: one usage is written.
            let result = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
            assert_eq!(result, 0);
            let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
            seconds(usage.ru_utime) + seconds(usage.ru_stime)
        };
        let before = of_children();
        run();
        of_children() - before
    }

    #[test]
    fn a_clean_suite_passes() {
        let Some(session) = Session::on_ttnn("ttnn_clean", "n150", "pytest_on_ttnn_clean") else {
            return;
        };
        let ran = session.run(&[], 0);
        ran.expect_failed(&[], 4);
        assert!(ran.said.contains(" 0 of these in excess"), "{}", ran.said);
    }
}

#[test]
fn without_the_option_nothing_is_recorded() {
    let Some(session) = Session::on_the_pool("pool", "without_the_option") else {
        return;
    };
    let ran = session.run(&["--no-whofreed"], 0);
    assert!(!ran.said.contains("= whofreed ="), "{}", ran.said);
    assert!(session.traces().is_empty());
}
