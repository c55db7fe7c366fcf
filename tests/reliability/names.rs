//! Hostile names, from everywhere that names come from: none of them reaches a terminal as it is, forges a line, or
//! breaks JSON.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use serde_json::Value;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;

/// Colours and a title for the terminal; HTML; text that runs backwards; text that is not seen; a line of its own;
/// C1 controls; bytes that are no text.
const HOSTILE: [&[u8]; 7] = [
    b"\x1b[2J\x1b[31m\x1b]0;title\x07\r\x08\x7f",
    b"</script><img/src=x/onerror=alert(1)>",
    "\u{202e}eert\u{2066}\u{2069}\u{200f}\u{61c}".as_bytes(),
    "zero\u{200b}width\u{feff}\u{2060}\u{ad}\u{e0041}".as_bytes(),
    b"\nFORGED: no excess frees\n\tFORGED",
    "c1\u{9b}31m\u{85}FORGED\u{2028}FORGED\u{9d}0;x\u{9c}".as_bytes(),
    b"\xff\xfe\xc3\x28\xed\xa0\x80\x9b31m",
];

/// The longest line of a text: the page, and what cannot be broken.
const LONGEST_LINE: usize = 4096;

fn all() -> Vec<u8> {
    HOSTILE.concat()
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// What holds for everything that may come to a terminal.
#[track_caller]
fn check_output(what: &str, bytes: &[u8]) {
    let text = str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    let odd = text.chars().find(|&c| c != '\n' && is_hostile(c));
    assert!(odd.is_none(), "{what}: {odd:?} in {text:?}");
    for line in text.lines() {
        assert!(!line.trim_start().starts_with("FORGED"), "{what}: {line:?}");
    }
}

#[track_caller]
fn check_text(what: &str, bytes: &[u8]) {
    check_output(what, bytes);
    let longest = String::from_utf8_lossy(bytes).lines().map(str::len).max();
    assert!(
        longest.unwrap_or(0) <= LONGEST_LINE,
        "{what}: a line of {longest:?} bytes"
    );
}

#[track_caller]
fn check_json(what: &str, bytes: &[u8]) -> Value {
    check_output(what, bytes);
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{what}: {error}"))
}

fn whofreed(folder: &Path) -> Command {
    let mut command = Command::new(common::cli());
    command
        .current_dir(folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("XDG_CONFIG_HOME", folder.join("config"));
    command
}

/// Like `common::run`, with the bytes as they are.
#[track_caller]
fn output(command: &mut Command) -> Output {
    command.output().expect("it runs")
}

/// The test's program, with hostile names in it, in a file of a hostile name.
fn host(scratch: &Scratch) -> PathBuf {
    let plain = Host::c("c_tests/hostile_names.c").compile(scratch, "plain");
    let mut bytes = fs::read(&plain).expect("the program");
    for (number, name) in HOSTILE.iter().enumerate() {
        let place =
            format!("hostile_name_{number}_01234567890123456789012345678901234567890123456789");
        assert!(
            replace(&mut bytes, place.as_bytes(), name) > 0,
            "{place} is in the program"
        );
    }
    let file = format!("hostile_file_{}", "0123456789".repeat(5));
    assert!(
        replace(&mut bytes, file.as_bytes(), &HOSTILE[..3].concat()) > 0,
        "{file}"
    );
    let path = scratch.path().join(file_name("host"));
    fs::write(&path, bytes).expect("the program");
    fs::set_permissions(&path, plain.metadata().expect("a file").permissions()).expect("rights");
    path
}

/// A file may be called anything without a slash.
fn file_name(name: &str) -> OsString {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend(all().into_iter().filter(|byte| *byte != b'/'));
    bytes.truncate(200);
    OsStr::from_bytes(&bytes).to_owned()
}

/// Puts a name, with dots behind it, in all places of another one of at least its length.
fn replace(bytes: &mut [u8], place: &[u8], name: &[u8]) -> usize {
    let mut name = name.to_vec();
    name.resize(place.len(), b'.');
    let mut at = 0;
    let mut places = 0;
    while let Some(next) = bytes[at..]
        .windows(place.len())
        .position(|window| window == place)
    {
        bytes[at + next..][..place.len()].copy_from_slice(&name);
        at += next + place.len();
        places += 1;
    }
    places
}

/// Every output about a trace; how many there were.
fn check_outputs(folder: &Path, trace: &Path) -> u64 {
    let on = |command: &str, traces: &[&Path], more: &[&str]| {
        let found = output(whofreed(folder).arg(command).args(traces).args(more));
        check_text(&format!("{command}: stderr"), &found.stderr);
        assert_eq!(found.status.code(), Some(0), "{command}: {found:?}");
        found.stdout
    };
    let place = ["--device", "0", "--address", "0x1000"];
    let mut outputs = 0;
    for (command, traces, more) in [
        ("report", vec![trace], vec![]),
        ("report", vec![trace], vec!["--verbose"]),
        ("history", vec![trace], place.to_vec()),
        ("diff", vec![trace, trace], vec![]),
    ] {
        check_text(command, &on(command, &traces, &more));
        let json = [&more[..], &["--format", "json"]].concat();
        if !more.contains(&"--verbose") {
            let json = on(command, &traces, &json);
            check_json(command, &json);
        }
        outputs += 2;
    }
    let json = scratch_json(folder, &on("report", &[trace], &["--format", "json"]));
    check_text("diff of a report", &on("diff", &[&json, trace], &[]));
    outputs + 1
}

fn scratch_json(folder: &Path, json: &[u8]) -> PathBuf {
    let path = folder.join(file_name("report"));
    fs::write(&path, json).expect("a report");
    path
}

#[test]
fn names_of_a_native_program_stay_names() {
    let row = Row::new(
        "names",
        "hostile symbols, files, argv, scopes, threads, devices, paths",
        "P1 P5",
    );
    let scratch = Scratch::new("names");
    let host = host(&scratch);
    let trace = scratch.path().join(file_name("trace"));
    let long = "x\u{202e}".repeat(1 << 14);
    let mut outputs = 0;
    for argument in [OsStr::from_bytes(&all()), OsStr::new(&long)] {
        for more in [
            &["--record-args"][..],
            &["--format", "json", "--record-args"],
            &["--verbose", "--guard"],
        ] {
            let mut command = whofreed(scratch.path());
            command
                .arg("run")
                .arg("--shim")
                .arg(common::shim())
                .arg("--trace")
                .arg(&trace);
            command.args(more).arg("--").arg(&host).args([argument; 4]);
            let run = output(&mut command);
            assert_eq!(run.status.code(), Some(0), "{run:?}");
            assert!(run.stdout.is_empty());
            check_output("run", &run.stderr);
            outputs += 1;
        }
        outputs += check_outputs(scratch.path(), &trace);
    }
    let mut alone = Command::new(&host);
    let options = "on_excess=print:x=\u{1b}[31m\u{202e}:trace=/nonexistent/\u{1b}[31m\u{202e}";
    let run = output(
        alone
            .args([OsStr::from_bytes(&all()); 4])
            .env("WHOFREED_OPTIONS", options),
    );
    check_text("a linked host", &run.stderr);
    assert!(!run.stderr.is_empty());
    let report = common::report(&trace);
    assert!(common::total(&report, "excess") >= 21, "{report:#}");
    row.held(
        outputs + 1,
        "nothing that a terminal acts on, no forged line, and JSON that can be read",
    );
}

const PYTHON: &str = r#"
import ctypes, sys
wf = ctypes.CDLL(sys.argv[1])
names = ["\x1b[31m\x07\r", "</script>", "\u202e\u2066", "a\u200b\ufeff", "\nFORGED: x\n", "\x9b31m\x85", "\udcff\udcfe",
         "f\x00g", "x" * (1 << 20)]
source = "def give(wf, at, c):\n    wf.wf_deallocate(0, c(at), c(0))\n    wf.wf_deallocate(0, c(at), c(0))\n"
c = ctypes.c_uint64
for number, name in enumerate(names):
    space = {}
    exec(compile(source, name.replace("\0", "") + ".py", "exec"), space)
    code = space["give"].__code__
    more = {"co_qualname": name} if hasattr(code, "co_qualname") else {}
    space["give"].__code__ = code.replace(co_name=name, **more)
    for life in range(3):
        wf.wf_allocate(0, c(4096 * (number + 1)), c(64), 0, c(0))
        space["give"](wf, 4096 * (number + 1), c)
"#;

#[test]
fn names_of_python_stay_names() {
    let row = Row::new(
        "names",
        "hostile functions and files of Python, of 1 MiB, with NUL, no UTF-8",
        "P1 P5",
    );
    let scratch = Scratch::new("names");
    if Command::new("python3").arg("--version").output().is_err() {
        return common::skip("names of python stay names", "there is no python3");
    }
    let trace = scratch.path().join("python.wft");
    let mut command = whofreed(scratch.path());
    command
        .arg("run")
        .arg("--shim")
        .arg(common::shim())
        .arg("--trace")
        .arg(&trace);
    command
        .args(["--", "python3", "-c", PYTHON])
        .arg(common::shim());
    let run = output(&mut command);
    assert_eq!(run.status.code(), Some(0), "{run:?}");
    check_text("run", &run.stderr);
    let report = common::report(&trace);
    assert_eq!(common::total(&report, "excess"), 27);
    let outputs = check_outputs(scratch.path(), &trace);
    row.held(
        outputs + 1,
        "nothing that a terminal acts on, no forged line, and JSON that can be read",
    );
}

#[test]
fn names_of_libraries_and_adapters_stay_names() {
    let row = Row::new(
        "names",
        "hostile libraries and adapters, in adapters check, list and init",
        "P5",
    );
    let scratch = Scratch::new("names");
    let source = scratch.file("pool.c");
    fs::write(&source, "void *pool_take(long n) { return (void *)n; }\nvoid pool_give(void *p) { (void)p; }\n\
        void *take_placeholder_0123456789012345678901234567890123456789(long n) { return (void *)n; }\n")
        .expect("a source");
    let plain = Host::c(source.to_str().expect("a path"))
        .flags(&["-shared", "-fPIC", "-Wno-missing-prototypes"])
        .unlinked()
        .compile(&scratch, "libpool.so");
    let bytes = fs::read(plain).expect("a library");
    let place = b"placeholder_0123456789012345678901234567890123456789";
    let mut outputs = 0;
    for name in HOSTILE {
        let mut changed = bytes.clone();
        assert!(replace(&mut changed, place, name) > 0);
        let library = scratch.path().join(file_name("libpool.so."));
        fs::write(&library, changed).expect("a library");
        let escaped: String = String::from_utf8_lossy(name)
            .chars()
            .map(|c| format!("\\U{:08x}", u32::from(c)))
            .collect();
        let adapter = scratch
            .path()
            .join(file_name("mine"))
            .with_extension("toml");
        fs::write(&adapter, format!(
            "name = \"x{escaped}\"\nlibrary = \"libpool.so*\"\n[[hook]]\nevent = \"allocate\"\n\
             symbols = [\"pool_take\", \"{escaped}\"]\naddress = \"ret\"\n[[hook]]\nevent = \"deallocate\"\n\
             symbols = [\"pool_give\"]\naddress = \"arg0\"\n"
        )).expect("an adapter");
        let folder = scratch.path().join("config/whofreed/adapters");
        fs::create_dir_all(&folder).expect("a folder");
        fs::copy(
            &adapter,
            folder.join(file_name("kept")).with_extension("toml"),
        )
        .expect("an adapter");
        let commands: [&[&OsStr]; 5] = [
            &["list".as_ref()],
            &["check".as_ref(), library.as_ref()],
            &[
                "check".as_ref(),
                library.as_ref(),
                "--adapters".as_ref(),
                adapter.as_ref(),
            ],
            &["init".as_ref(), library.as_ref()],
            &[
                "init".as_ref(),
                library.as_ref(),
                "--name".as_ref(),
                "x\u{202e}\u{1b}[31m".as_ref(),
            ],
        ];
        for arguments in commands {
            let found = output(whofreed(scratch.path()).arg("adapters").args(arguments));
            check_text("adapters: stderr", &found.stderr);
            check_text("adapters", &found.stdout);
            assert!(
                found.status.code().is_some_and(|code| code < 126),
                "{found:?}"
            );
            outputs += 1;
        }
        let json = [
            "check".as_ref(),
            library.as_os_str(),
            "--format".as_ref(),
            "json".as_ref(),
        ];
        let found = output(whofreed(scratch.path()).arg("adapters").args(json));
        check_text("adapters: stderr", &found.stderr);
        check_json("adapters check", &found.stdout);
        outputs += 1;
    }
    row.held(
        outputs,
        "nothing that a terminal acts on, no forged line, and JSON that can be read",
    );
}
