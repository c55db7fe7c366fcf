//! `--rules` on files that are no good: each is refused in one line, before anything runs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// What is said about rules, by `run` and `report` alike; the command never starts.
fn told(folder: &TempDir, rules: &Path) -> String {
    let started = folder.path().join("started");
    let shim = folder.path().join("libwhofreed.so");
    if !shim.exists() {
        let source = folder.path().join("empty.c");
        fs::write(&source, "const char *wf_version(void) { return \"0\"; }\n").unwrap();
        let compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&shim, &source])
            .status();
        assert!(compiler.unwrap().success());
    }
    let whofreed = |arguments: &[&Path]| {
        let output = Command::new(env!("CARGO_BIN_EXE_whofreed"))
            .args(arguments)
            .env_remove("WHOFREED_OPTIONS")
            .env_remove("LD_PRELOAD")
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(125), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said:?}");
        said
    };
    let [rules_flag, shim_flag] = ["--rules", "--shim"].map(Path::new);
    let by_report = whofreed(&[Path::new("report"), Path::new("no.wft"), rules_flag, rules]);
    let by_run = whofreed(&[
        Path::new("run"),
        shim_flag,
        &shim,
        rules_flag,
        rules,
        Path::new("touch"),
        &started,
    ]);
    assert!(!started.exists(), "the command ran");
    assert_eq!(by_report, by_run);
    let begin = format!("whofreed: {}", rules.display());
    by_run.strip_prefix(&begin).unwrap().trim_end().to_owned()
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_wrong_rule_is_told_with_its_place_and_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let rules = |text: &str| told(&folder, &file(&folder, "mine.rules", text.as_bytes()));
    let error = rules("# mine\nfuntion Handle::*\n");
    assert!(
        error.starts_with(
            ":2:1: `funtion` is not known here; did you mean `function`? (known: function, c, rust,"
        ),
        "{error}"
    );
    let error = rules("class chache word x\n");
    assert!(
        error.starts_with(":1:7: `chache` is not known here; did you mean `cache`?"),
        "{error}"
    );
    assert_eq!(rules("\n\nfunction *"), ":3:10: `*` fits everything");
    // What a terminal would act on is not handed on.
    let error = rules("\u{202e}evil x");
    assert!(error.contains("\\u{202e}evil"), "{error}");
}

#[test]
fn files_that_hold_no_rules_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| told(&folder, path);
    assert!(refused(&folder.path().join("missing")).starts_with(": cannot be read: "));
    assert_eq!(refused(Path::new("/dev/zero")), ": is no regular file");
    assert_eq!(refused(folder.path()), ": is no regular file");
    let pipe = folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(refused(&pipe), ": is no regular file");
    let binary = file(&folder, "binary", b"function \xff\n");
    assert_eq!(refused(&binary), ": is no text in UTF-8");
    let long = file(&folder, "long", &vec![b'#'; (16 << 20) + 1]);
    assert_eq!(refused(&long), ": is longer than 16777216 bytes");
    let elf = std::env::current_exe().unwrap();
    assert!(refused(&elf).starts_with(": is "));
}

#[test]
fn a_wrong_rule_of_an_adapter_is_told_by_its_place_in_the_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let head = "name = \"pool\"\nlibrary = \"libpool.so*\"\n";
    let adapter = |keys: &str| {
        let text = format!("{head}{keys}\n");
        told(&folder, &file(&folder, "mine.toml", text.as_bytes()))
    };
    let error = adapter("machinery = [\n    \"function Pool::*\",\n    \"modul libpool.so\",\n]");
    assert!(
        error.starts_with(":5:6: `modul` is not known here; did you mean `module`?"),
        "{error}"
    );
    let error = adapter("machinery = [\"keep function\"]");
    assert_eq!(error, ":3:28: the pattern is missing");
    let error = adapter("machinry = []");
    assert!(
        error.starts_with(":3:1: `machinry` is not known here; did you mean `machinery`?"),
        "{error}"
    );
    let error = adapter("machinery = \"function x\"");
    assert!(error.starts_with(":3:13: "), "{error}");
}
