//! Names that `whofreed report` keeps from one time to the next, in the user's cache folder.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use common::Host;
use common::Run;
use common::Scratch;
use common::cli;

/// A host that ran once, without anything being kept.
struct Recorded {
    scratch: Scratch,
    host: PathBuf,
    trace: PathBuf,
}

impl Recorded {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new(name);
        let host = Host::c("c_tests/tail_calls.c").flags(&["-Wl,--build-id=sha1"]);
        let host = host.compile(&scratch, "host");
        let trace = scratch.file("host.wft");
        let mut command = Command::new(cli());
        command
            .args(["run", "--no-symbol-cache", "--shim"])
            .arg(common::shim())
            .arg("--trace")
            .arg(&trace)
            .arg("--")
            .arg(&host)
            .env("XDG_CACHE_HOME", scratch.file("of-the-run"));
        common::run(&mut command).expect_code(0);
        Self {
            scratch,
            host,
            trace,
        }
    }

    /// `whofreed report` with the cache folder `cache`.
    fn command(&self, cache: &Path) -> Command {
        let mut command = Command::new(cli());
        command
            .arg("report")
            .arg(&self.trace)
            .args(["--format", "json"])
            .env("XDG_CACHE_HOME", cache);
        command
    }

    fn report(&self, cache: &Path) -> String {
        said(common::run(&mut self.command(cache)))
    }

    /// The report without a cache.
    fn expected(&self) -> String {
        let mut command = self.command(&self.scratch.file("untouched"));
        let text = said(common::run(command.arg("--no-symbol-cache")));
        assert!(text.contains("\"evict\""), "{text}");
        assert!(!self.scratch.file("untouched").exists());
        text
    }
}

/// A report that is all that was said.
fn said(run: Run) -> String {
    let run = run.expect_code(0);
    assert_eq!(run.stderr, "");
    run.stdout
}

/// The names and modes of the files in a folder, sorted.
fn kept(folder: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(String, u32)> = entries
        .map(|entry| {
            let mode = entry.metadata().expect("a file").permissions().mode();
            (
                entry.file_name().to_string_lossy().into_owned(),
                mode & 0o777,
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_second_report_is_the_first_and_needs_no_file_of_the_host() {
    let recorded = Recorded::new("twice");
    let cache = recorded.scratch.file("cache");
    let folder = cache.join("whofreed");
    let expected = recorded.expected();
    assert_eq!(recorded.report(&cache), expected);
    assert_eq!(recorded.report(&cache), expected);
    let files = kept(&folder);
    assert!(!files.is_empty());
    for (name, mode) in &files {
        assert!(name.starts_with("symbols-"), "{name}");
        assert_eq!(*mode, 0o600, "{name}");
    }
    let mode = fs::metadata(&folder)
        .expect("a folder")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);

    fs::remove_file(&recorded.host).expect("it was there");
    assert_eq!(recorded.report(&cache), expected);
    let mut without = recorded.command(&cache);
    let without = said(common::run(without.env("WHOFREED_SYMBOL_CACHE", "0")));
    assert!(!without.contains("\"evict\""), "{without}");
}

#[test]
fn a_run_keeps_the_names_of_its_report() {
    let recorded = Recorded::new("run");
    let cache = recorded.scratch.file("cache");
    let trace = recorded.scratch.file("again.wft");
    let mut command = Command::new(cli());
    command
        .args(["run", "--shim"])
        .arg(common::shim())
        .arg("--trace")
        .arg(&trace)
        .arg("--")
        .arg(&recorded.host)
        .env("XDG_CACHE_HOME", &cache);
    common::run(&mut command).expect_code(0);
    fs::remove_file(&recorded.host).expect("it was there");
    let mut report = Command::new(cli());
    report
        .arg("report")
        .arg(&trace)
        .env("XDG_CACHE_HOME", &cache);
    let text = said(common::run(&mut report));
    assert!(text.contains("evict"), "{text}");
    assert!(!text.contains("have no names"), "{text}");
}

#[test]
fn switched_off_nothing_is_kept() {
    let recorded = Recorded::new("off");
    let cache = recorded.scratch.file("cache");
    let expected = recorded.expected();
    let mut command = recorded.command(&cache);
    command.env("WHOFREED_SYMBOL_CACHE", "0");
    assert_eq!(said(common::run(&mut command)), expected);
    assert!(!cache.exists());
}

#[test]
fn where_nothing_can_be_kept_the_report_is_the_same() {
    let recorded = Recorded::new("nowhere");
    let expected = recorded.expected();
    let file = recorded.scratch.file("file");
    fs::write(&file, "no folder").expect("a file");
    assert_eq!(recorded.report(&file), expected);
    assert_eq!(recorded.report(Path::new("relative")), expected);

    let mut command = recorded.command(&file);
    command.env_remove("XDG_CACHE_HOME").env_remove("HOME");
    assert_eq!(said(common::run(&mut command)), expected);

    // Others could put names there.
    let shared = recorded.scratch.file("shared");
    let folder = shared.join("whofreed");
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("a folder");
    assert_eq!(recorded.report(&shared), expected);
    assert_eq!(kept(&folder), []);

    // No byte can be written to any file.
    let full = recorded.scratch.file("full");
    let inner = recorded.command(&full);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -f 0 && exec \"$@\"", "sh"])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("XDG_CACHE_HOME", &full);
    assert_eq!(said(common::run(&mut command)), expected);
    assert_eq!(kept(&full.join("whofreed")), []);
}

#[test]
fn damaged_files_and_links_are_replaced() {
    let recorded = Recorded::new("damaged");
    let cache = recorded.scratch.file("cache");
    let folder = cache.join("whofreed");
    let expected = recorded.report(&cache);
    let files = kept(&folder);
    let elsewhere = recorded.scratch.file("elsewhere");
    fs::write(&elsewhere, "of somebody else").expect("a file");
    for (name, _) in &files {
        fs::write(folder.join(name), "no symbols").expect("a file");
    }
    assert_eq!(recorded.report(&cache), expected);
    for (name, _) in &files {
        let path = folder.join(name);
        assert_ne!(fs::read(&path).expect("a file"), b"no symbols");
        fs::remove_file(&path).expect("it was there");
        symlink(&elsewhere, &path).expect("a link");
    }
    assert_eq!(recorded.report(&cache), expected);
    assert_eq!(fs::read(&elsewhere).expect("a file"), b"of somebody else");
    assert_eq!(kept(&folder), files, "plain files again");
    assert!(
        files
            .iter()
            .all(|(name, _)| !folder.join(name).is_symlink())
    );
}

#[test]
fn reports_at_once_do_no_harm() {
    let recorded = Recorded::new("at_once");
    let cache = recorded.scratch.file("cache");
    let expected = recorded.expected();
    for _ in 0..5 {
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| assert_eq!(recorded.report(&cache), expected));
            }
        });
        for (name, _) in kept(&cache.join("whofreed")) {
            assert!(name.starts_with("symbols-"), "{name} is left");
            // The next round finds it cut short.
            let path = cache.join("whofreed").join(name);
            let file = fs::File::options().write(true).open(path).expect("a file");
            file.set_len(100).expect("a file");
        }
    }
}
