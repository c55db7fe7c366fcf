//! What the dynamic linker can do to us: libraries that take each other's place (c_tests/life/reused.c), and ways to be
//! loaded.

use std::process::Command;

use whofreed_trace::Event;
use whofreed_trace::Trace;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::life;
use crate::life::Notes;
use crate::life::Recorded;
use crate::life::check_nth_events;
use crate::life::end_of;
use crate::life::number_of;
use crate::life::trace_of;

const SOURCE: &str = "c_tests/life/reused.c";
/// As in the host.
const LOADERS: usize = 2;
const WORDS: usize = 2 * LOADERS + 1;

/// The names of the libraries on the stack of an event.
fn libraries(trace: &Trace, event: &Event) -> Vec<String> {
    let stack = &trace.stacks[event.stack.0 as usize];
    let modules = stack.native.iter().filter_map(|frame| frame.module);
    let paths = modules.map(|module| trace.modules[module as usize].path.clone());
    paths.filter(|path| path.contains("plugin")).collect()
}

/// Each event's stack leads through the library that called, not through the one that was there before.
fn check_reuse(name: &'static str, build_id: &str, recorded: &Recorded, scratch: &Scratch) {
    let row = Row::new(
        "loader",
        format!("libraries that take each other's place, {name}"),
        "P1 P2 P3",
    );
    let turns = if common::soak() { 20_000 } else { 500 };
    let plugins: Vec<_> = (0..2 * LOADERS)
        .map(|number| {
            Host::c("c_tests/life/plugin.c")
                .unlinked()
                .flags(&["-shared", "-fPIC", build_id, &format!("-DNUMBER={number}")])
                .compile(scratch, &format!("plugin{number}.so"))
        })
        .collect();
    let trace = scratch.file("reused.wft");
    let notes = Notes::new(scratch, WORDS);
    let mut command = recorded.command(&trace);
    command.arg(notes.path()).arg(turns.to_string());
    let mut child = command.args(&plugins).spawn().expect("the host");
    let status = end_of(&mut child);
    assert_eq!(status.code(), Some(0), "{status}");
    let trace = trace_of(&trace).expect("a trace");
    let returned = notes.read();
    let counts = check_nth_events(&trace, &mut Vec::new());
    let counts: Vec<u64> = counts.into_values().collect();
    assert_eq!(counts, returned[..2 * LOADERS]);
    assert_eq!(trace.dropped_events, 0);
    for event in &trace.events {
        let Some(thread) = (event.address >> 32).checked_sub(1) else {
            continue;
        };
        let expected = match thread {
            0 | 1 => vec![plugins[2 * thread as usize + number_of(event) as usize % 2].clone()],
            _ => Vec::new(),
        };
        let expected: Vec<_> = expected
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        assert_eq!(libraries(&trace, event), expected, "{event:?}");
    }
    let reused = returned[2 * LOADERS];
    assert!(reused * 10 > turns, "{reused} of {turns} at the same place");
    row.held(
        2 * turns,
        &format!("{reused} times at the very same place; 0 wrong names"),
    );
}

#[test]
fn a_library_at_anothers_place_is_told_from_it() {
    let scratch = Scratch::new("reused-preloaded");
    let recorded = Recorded::preloaded(&scratch, SOURCE, &["-ldl"]);
    check_reuse("preloaded", "-Wl,--build-id", &recorded, &scratch);
}

#[test]
fn a_library_without_a_build_id_is_told_from_the_one_before() {
    let scratch = Scratch::new("reused-linked");
    let recorded = Recorded::linked(&scratch, SOURCE, &["-ldl"]);
    check_reuse(
        "linked, without build ids",
        "-Wl,--build-id=none",
        &recorded,
        &scratch,
    );
}

/// The same words, alone and preloaded.
#[track_caller]
fn same_alone_and_preloaded(program: &str, arguments: &[&str], environment: &[(&str, &str)]) {
    let scratch = Scratch::new("same");
    let run = |under: bool| {
        let mut command = Command::new(if under { common::cli() } else { program.into() });
        if under {
            command.args(["run", "--adapters", "libc", "--report"]);
            command.arg(scratch.file("report")).arg("--trace");
            command.arg(scratch.file("same.wft")).arg("--shim");
            command.arg(common::shim()).arg("--").arg(program);
        }
        command.args(arguments).envs(environment.iter().copied());
        common::run(&mut command)
    };
    let (alone, under) = (run(false), run(true));
    // Where the linker put things is another matter in each run.
    let words = |text: &str| -> String {
        let plain = text.split_whitespace().filter(|word| !word.contains("0x"));
        let own = |word: &&str| !word.contains("whofreed") && *word != "=>";
        plain.filter(own).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(under.code(), alone.code(), "{program}: {}", under.stderr);
    if !arguments.contains(&"/bin/ls") {
        assert_eq!(words(&under.stdout), words(&alone.stdout), "{program}");
    }
}

#[test]
fn programs_that_look_at_the_linker_find_it_as_ever() {
    let row = Row::new(
        "loader",
        "bash, env -i, ldd, the linker as a command, LD_BIND_NOW, with the heap hooked",
        "P1",
    );
    let script = "for i in 1 2 3; do x=$(echo $i; (exit 3) || echo $?); echo $x; done; exit 4";
    same_alone_and_preloaded("bash", &["-c", script], &[]);
    same_alone_and_preloaded("bash", &["-c", script], &[("LD_BIND_NOW", "1")]);
    same_alone_and_preloaded("env", &["-i", "A=b", "env"], &[]);
    same_alone_and_preloaded("ldd", &["/bin/ls"], &[]);
    same_alone_and_preloaded("bash", &["-c", "ldd /bin/ls >/dev/null; echo $?"], &[]);
    row.held(5, "the same output and exit code");
}

/// An audit library has a linker's namespace and static storage of its own.
#[test]
fn beside_an_audit_library_and_much_static_storage_nothing_is_lost() {
    let row = Row::new(
        "loader",
        "LD_AUDIT, LD_BIND_NOW and a library with 1 KiB of initial-exec thread-local storage",
        "P1 P2",
    );
    let scratch = Scratch::new("audit");
    let shared = ["-shared", "-fPIC", "-ftls-model=initial-exec"];
    let storage = Host::c("c_tests/life/storage.c").unlinked().flags(&shared);
    let storage = storage.compile(&scratch, "libstorage.so");
    let audit = Host::c("c_tests/life/audit.c").unlinked().flags(&shared);
    let audit = audit.compile(&scratch, "audit.so");
    let source = "c_tests/life/killed.c";
    let linked = [storage.to_str().expect("a path"), "-Wl,--no-as-needed"];
    for recorded in [
        Recorded::linked(&scratch, source, &linked),
        Recorded::preloaded(&scratch, source, &linked),
    ] {
        let trace = scratch.file("audit.wft");
        let notes = Notes::new(&scratch, 1 + life::THREADS);
        let mut command = recorded.command(&trace);
        command.arg(notes.path()).args(["return", "5"]);
        command.env("LD_AUDIT", &audit).env("LD_BIND_NOW", "1");
        let mut child = command.spawn().expect("the host");
        let status = end_of(&mut child);
        assert_eq!(status.code(), Some(6), "{status}");
        let read = trace_of(&trace).expect("a trace");
        let counts = check_nth_events(&read, &mut Vec::new());
        for (number, returned) in (0..).zip(&notes.read()[1..]) {
            let count = counts.get(&number).copied().unwrap_or(0);
            assert!((*returned..=returned + 1).contains(&count), "of {number}");
        }
        std::fs::remove_file(&trace).expect("the trace");
    }
    row.held(2, "linked and preloaded: all events recorded");
}
