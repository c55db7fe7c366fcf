//! What the library and the command leave to others: files, folders, secrets. `pages` is about the process.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Run;
use crate::common::Scratch;

fn api(scratch: &Scratch) -> PathBuf {
    Host::c("c_tests/api.c").compile(scratch, "host")
}

/// `whofreed run` whose cache lies in the scratch folder, by a shell that takes nothing off the rights of new files.
pub fn run_openly(scratch: &Scratch, options: &[&str], command: &[&str]) -> Run {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 0; exec \"$@\"", "sh"])
        .arg(common::cli())
        .args(["run", "--shim"])
        .arg(common::shim())
        .args(options)
        .arg("--")
        .args(command)
        .current_dir(scratch.path())
        .env("XDG_CACHE_HOME", scratch.file("cache"))
        .env("TMPDIR", scratch.path());
    common::run(&mut shell)
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata()
        .expect("it is there")
        .permissions()
        .mode()
        & 0o7777
}

/// All files and folders below one.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| {
            let inside = if path.is_dir() {
                below(&path)
            } else {
                Vec::new()
            };
            [vec![path], inside].concat()
        })
        .collect()
}

#[test]
fn what_is_left_behind_is_the_users_alone() {
    let row = Row::new("security", "umask 0, with a cache folder and without", "P1");
    let scratch = Scratch::new("security");
    let host = api(&scratch);
    let program = host.to_str().expect("a path");
    run_openly(&scratch, &["--trace", "run.wft"], &[program, "quick"]).expect_code(0);
    run_openly(
        &scratch,
        &["--trace", "libc.wft", "--adapters", "libc"],
        &[program, "quick"],
    )
    .expect_code(0);
    let linked = "umask 0; WHOFREED_OPTIONS=summary=0:trace=linked.wft exec \"$1\" quick";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", linked, "sh", program])
        .current_dir(scratch.path());
    common::run(&mut shell).expect_code(0);
    let mut seen = 0;
    for trace in ["run.wft", "libc.wft", "linked.wft"] {
        assert_eq!(mode(&scratch.file(trace)), 0o600, "{trace}");
        seen += 1;
    }
    assert_eq!(mode(&scratch.file("cache/whofreed")), 0o700);
    let kept = below(&scratch.file("cache/whofreed"));
    assert!(
        kept.iter()
            .any(|path| path.to_string_lossy().contains("whofreed-hooks"))
    );
    for path in kept {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        seen += 1;
    }
    // Where there is no such folder, another one for this run, which nobody can guess.
    fs::remove_dir_all(scratch.file("cache")).expect("it can go");
    fs::write(scratch.file("cache"), "in the way").expect("a file");
    let show = "folder=$(dirname ${LD_PRELOAD##*:}); stat -c '%a %n' $folder ${LD_PRELOAD##*:}";
    let mut folders = BTreeSet::new();
    for _ in 0..3 {
        let run = run_openly(&scratch, &["--adapters", "libc"], &["sh", "-c", show]).expect_code(0);
        let lines: Vec<(&str, &str)> = run
            .stdout
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        assert_eq!((lines[0].0, lines[1].0), ("700", "600"), "{}", run.stdout);
        assert!(!Path::new(lines[0].1).exists(), "{} is gone", lines[0].1);
        folders.insert(lines[0].1.to_owned());
        seen += 2;
    }
    assert_eq!(folders.len(), 3);
    row.held(
        seen,
        "files 0600, folders 0700, names that cannot be guessed",
    );
}

#[test]
fn links_that_somebody_planted_are_not_followed() {
    let row = Row::new(
        "security",
        "links at the names of a run's trace, cached names and hooks",
        "P1",
    );
    let scratch = Scratch::new("links");
    let host = api(&scratch);
    let program = host.to_str().expect("a path");
    let victim = scratch.file("victim");
    fs::write(&victim, "precious").expect("a file");
    let dangling = scratch.file("nobody");
    let mut planted = 0;
    for target in [&victim, &dangling] {
        // The launcher refuses.
        let trace = scratch.file("run.wft");
        symlink(target, &trace).expect("a link");
        let run =
            run_openly(&scratch, &["--trace", "run.wft"], &[program, "quick"]).expect_code(125);
        assert!(
            run.stderr.contains("is there already and is no trace"),
            "{}",
            run.stderr
        );
        fs::remove_file(&trace).expect("it is there still");
        planted += 1;
    }
    let libc = ["--adapters", "libc", "--trace", "libc.wft"];
    run_openly(&scratch, &libc, &[program, "quick"]).expect_code(0);
    let kept = below(&scratch.file("cache/whofreed"));
    assert!(kept.len() >= 2, "{kept:?}");
    for path in &kept {
        fs::remove_file(path).expect("it can go");
        symlink(&victim, path).expect("a link");
        planted += 1;
    }
    let run = run_openly(&scratch, &libc, &[program, "quick"]).expect_code(0);
    assert!(run.stderr.contains("libc"), "{}", run.stderr);
    assert_eq!(
        fs::read_to_string(&victim).expect("it is there"),
        "precious"
    );
    assert_eq!(mode(&victim), 0o644 & mode(&victim));
    assert!(!dangling.exists());
    row.held(
        planted,
        "refused or replaced; what they lead to is as it was",
    );
}

/// Gives a file to nobody, where that is allowed.
fn give_away(path: &Path) -> bool {
    const NOBODY: u32 = 65534;
    std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).is_ok()
}

#[test]
fn what_belongs_to_another_user_is_not_trusted() {
    let row = Row::new(
        "security",
        "a shim and a link at the cache folder's name that belong to another user",
        "P1",
    );
    let scratch = Scratch::new("owners");
    let shim = scratch.file("libwhofreed.so");
    fs::copy(common::shim(), &shim).expect("a copy");
    let own = common::cli().metadata().expect("the command").uid();
    if !give_away(&shim) || own == 65534 {
        return common::skip(
            "what belongs to another user is not trusted",
            "only root can give files away",
        );
    }
    let mut command = Command::new(common::cli());
    command
        .args(["run", "--shim"])
        .arg(&shim)
        .args(["--", "true"])
        .current_dir(scratch.path());
    let run = common::run(&mut command).expect_code(125);
    assert!(
        run.stderr
            .contains("belongs to the user with the number 65534"),
        "{}",
        run.stderr
    );
    assert_eq!(run.stderr.lines().count(), 1);
    // The link is another's, what it leads to the user's own.
    let other = scratch.file("other");
    fs::create_dir(&other).expect("a folder");
    fs::set_permissions(&other, PermissionsExt::from_mode(0o700)).expect("rights");
    fs::create_dir(scratch.file("cache")).expect("a folder");
    let link = scratch.file("cache/whofreed");
    symlink(&other, &link).expect("a link");
    let libc = ["--adapters", "libc", "--trace", "libc.wft"];
    run_openly(&scratch, &libc, &["true"]).expect_code(0);
    assert!(!below(&other).is_empty(), "the user's own link is followed");
    fs::remove_dir_all(&other)
        .and_then(|()| fs::create_dir(&other))
        .expect("an empty folder");
    fs::set_permissions(&other, PermissionsExt::from_mode(0o700)).expect("rights");
    assert!(give_away(&link));
    run_openly(&scratch, &libc, &["true"]).expect_code(0);
    assert_eq!(below(&other), Vec::<PathBuf>::new());
    row.held(
        3,
        "the shim is refused with a sentence; nothing is written where the link leads",
    );
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes
        .windows(what.len())
        .any(|window| window == what.as_bytes())
}

#[test]
fn secrets_of_the_environment_and_of_arguments_stay_where_they_are() {
    let row = Row::new(
        "security",
        "a secret in the environment, and one in argv",
        "P1",
    );
    let scratch = Scratch::new("secrets");
    let host = api(&scratch);
    let program = host.to_str().expect("a path");
    let (in_environment, in_argv) = ("hunter2-environment", "hunter2-argument");
    let mut kept = 0;
    for (options, has_argv) in [
        (&["--trace", "run.wft"][..], false),
        (&["--trace", "run.wft", "--record-args"], true),
    ] {
        let run = run_openly(
            &scratch,
            options,
            &["env", &format!("SECRET={in_environment}"), program, in_argv],
        );
        run.expect_code(0);
        let mut traces = below(scratch.path());
        traces.retain(|path| path.extension().is_some_and(|extension| extension == "wft"));
        assert!(!traces.is_empty());
        let all: Vec<u8> = traces
            .iter()
            .flat_map(|path| fs::read(path).expect("a trace"))
            .collect();
        assert!(!holds(&all, in_environment));
        assert_eq!(holds(&all, in_argv), has_argv);
        for path in below(&scratch.file("cache"))
            .iter()
            .filter(|path| path.is_file())
        {
            let bytes = fs::read(path).expect("a file");
            assert!(
                !holds(&bytes, in_environment) && !holds(&bytes, in_argv),
                "{}",
                path.display()
            );
        }
        kept += traces.len() as u64;
    }
    row.held(
        kept,
        "neither is in a trace or the cache; argv is there where --record-args asked for it",
    );
}
