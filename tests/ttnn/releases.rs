//! What is recorded with each release, against an independent count: the same case runs again without whofreed, under a
//! preloaded library of a few lines of C that counts the calls of the runtime's own functions.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use super::case_file;
use super::expected::Expected;
use super::run::Run;
use super::setting::Setting;

macro_rules! releases {
    ($($module:ident: $release:literal),+ $(,)?) => {
        $(mod $module {
            mod n150 { releases!(@cases $release, "n150"); }
            mod mesh { releases!(@cases $release, "mesh"); }
        })+
    };
    (@cases $release:literal, $board:literal) => {
        use super::super::check;

        #[test]
        fn c01_freed_twice() {
            check($release, $board, "c01_freed_twice.py", &[], 2, 0);
        }

        #[test]
        fn c02_two_names() {
            check($release, $board, "c02_two_names.py", &[], 1, 0);
        }

        #[test]
        fn c13_list_freed_again() {
            // A view that lets go of its memory, since that is dead, cannot be told what it was a view of in 0.67.
            let invalid = if $release == "0.67.4" { 5 } else { 0 };
            check($release, $board, "c13_list_freed_again.py", &[], 10 - invalid, invalid);
        }

        #[test]
        fn model_like() {
            check($release, $board, "model_like.py", &["15", "4", "double"], 8, 0);
        }
    };
}

releases! {
    v0_81_1: "0.81.1",
    v0_73_1: "0.73.1",
    v0_67_4: "0.67.4",
}

/// Runs a case with and without whofreed: every call of the one is an event of the other. Of the frees that are too many,
/// `excess` are known as such, and of `invalid` it is only known that they freed nothing.
fn check(release: &str, board: &str, case: &str, arguments: &[&str], excess: u64, invalid: u64) {
    let file = case_file(case);
    let bug = arguments.last().copied().unwrap_or_default();
    let expected = Expected::of(&fs::read_to_string(&file).expect("the case is there"), bug);
    let Some(run) = Run::of(release, board, &file, arguments, &[]) else {
        return;
    };
    let Some(counts) = counts(release, board, &file, arguments) else {
        return;
    };
    run.assert_sound();
    let shown = format!("{counts:?}\n{}", run.shown());
    assert_eq!(run.coverage_gaps(), 0, "{shown}");

    let count = |name: &str| counts[name];
    let total = |name: &str| run.total(name);
    assert_eq!(
        total("allocations"),
        count("allocated") + count("programs"),
        "{shown}"
    );
    let carried_out = total("ok") - total("late");
    assert_eq!(
        carried_out,
        count("freed") + count("programs_gone"),
        "{shown}"
    );
    let swallowed = total("excess") + total("invalid") + total("declined") + total("late");
    assert_eq!(swallowed, count("swallowed"), "{shown}");
    assert_eq!(total("excess"), excess, "{shown}");
    assert_eq!(total("invalid"), invalid, "{shown}");
    assert_eq!(total("unknown"), 0, "{shown}");
    expected.check_totals(&run);

    let lines = run.culprit_lines();
    let marked = &expected.lines;
    assert!(lines.keys().eq(marked.keys()), "not {marked:?}\n{shown}");
    assert_eq!(lines.values().sum::<u64>(), excess, "{shown}");
}

/// What the runtime does in a case, by name; `None` where the release cannot be had.
fn counts(
    release: &str,
    board: &str,
    file: &Path,
    arguments: &[&str],
) -> Option<BTreeMap<String, u64>> {
    let case = file.file_stem().expect("a name").to_string_lossy();
    let name = format!("counted-{release}-{board}-{case}");
    let setting = Setting::wanted(release, board, &name)?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("ttnn")
        .join(name);
    // Of an earlier run, if there was one.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder for the counts");
    let counter = counter(&folder);
    let written = folder.join("counts");
    let output = Command::new(&setting.python)
        .arg(file)
        .args(arguments)
        .envs(setting.variables)
        .env("TT_METAL_CACHE", folder.join("programs/"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("LD_PRELOAD", counter)
        .env("COUNTS", &written)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let text = fs::read_to_string(&written).expect("counts were written");
    fs::remove_dir_all(&folder).expect("the folder can go");
    let lines = text
        .lines()
        .map(|line| line.split_once(' ').expect("two words"));
    Some(
        lines
            .map(|(name, count)| (name.to_owned(), count.parse().expect("a number")))
            .collect(),
    )
}

/// The counter, compiled into a folder.
fn counter(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c_tests/ttnn_counter.c");
    let library = folder.join("counter.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status()
        .expect("a C compiler starts");
    assert!(compiled.success());
    library
}
