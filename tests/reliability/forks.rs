//! Processes made in every way while threads record and libraries come and go: c_tests/life/forks.c.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use whofreed_trace::EventKind;

use crate::common;
use crate::common::Host;
use crate::common::Row;
use crate::common::Scratch;
use crate::life::Notes;
use crate::life::Recorded;
use crate::life::THREADS;
use crate::life::check_nth_events;
use crate::life::end_of;
use crate::life::trace_of;

const SOURCE: &str = "c_tests/life/forks.c";
/// As in the host.
const LOADERS: usize = 2;
const OF_A_CHILD: usize = 20;
/// So many processes are made by one host.
const AT_ONCE: u64 = 80;

/// The traces that a run left, which are removed.
fn traces(folder: &PathBuf) -> Vec<whofreed_trace::Trace> {
    let mut traces = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of the traces") {
        let path = entry.expect("an entry of it").path();
        traces.extend(trace_of(&path));
        fs::remove_file(&path).expect("a trace can be removed");
    }
    traces
}

fn check_forks(name: &'static str, recorded: &Recorded, scratch: &Scratch) {
    let row = Row::new(
        "fork",
        format!(
            "fork, _Fork, clone, vfork, posix_spawn, system, popen under 8 recording threads and 2 that dlopen and \
             dlclose, {name}"
        ),
        "P1 P2 P3 P4",
    );
    let plugin = Host::c("c_tests/life/plugin.c").unlinked();
    let plugin = plugin.flags(&["-shared", "-fPIC"]);
    let plugin = plugin.compile(scratch, "plugin.so");
    let folder = scratch.file("traces");
    fs::create_dir(&folder).expect("a folder for traces");
    let notes = Notes::new(scratch, 1 + THREADS + LOADERS);
    let rounds = if common::soak() { 63 } else { 1 };
    let (mut events, mut children) = (0, 0);
    for _ in 0..rounds {
        notes.begin(1 + THREADS + LOADERS);
        let mut command = recorded.command(&folder.join("%p.wft"));
        command.arg(notes.path()).arg(&plugin);
        command.arg(AT_ONCE.to_string()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the host");
        let status = end_of(&mut child);
        assert_eq!(status.code(), Some(0), "{status}");
        let returned = notes.read();
        let mut of_children = 0;
        for trace in traces(&folder) {
            let mut others = Vec::new();
            let recorded = check_nth_events(&trace, &mut others);
            others.retain(|event| event.kind != EventKind::DeviceOpen);
            if trace.process.pid == child.id() {
                assert_eq!(others, []);
                let all: Vec<u64> = recorded.values().copied().collect();
                assert_eq!(trace.dropped_events, 0);
                assert_eq!(all, returned[1..], "produced = recorded + dropped");
                events += all.iter().sum::<u64>();
            } else {
                assert_eq!(trace.dropped_events, 0, "of a child");
                assert!(recorded.is_empty(), "a child has events of its parent's");
                assert_eq!(others.len(), OF_A_CHILD);
                assert!(trace.process.fork.is_some());
                of_children += 1;
            }
        }
        assert_eq!(of_children, returned[0], "traces of children");
        children += of_children;
    }
    row.held(
        rounds * AT_ONCE,
        &format!("0 hangs; all of {events} events are in the parents' traces; {children} children's traces are whole"),
    );
}

#[test]
fn forks_under_load_do_not_hang_and_lose_nothing_of_a_linked_host() {
    let scratch = Scratch::new("forks-linked");
    let recorded = Recorded::linked(&scratch, SOURCE, &["-ldl"]);
    check_forks("linked", &recorded, &scratch);
}

#[test]
fn forks_under_load_do_not_hang_and_lose_nothing_of_hooked_calls() {
    let scratch = Scratch::new("forks-preloaded");
    let recorded = Recorded::preloaded(&scratch, SOURCE, &["-ldl"]);
    check_forks("preloaded", &recorded, &scratch);
}

/// AddressSanitizer's runtime makes a thread under a lock of its own, which a child that is forked meanwhile never gets.
#[test]
fn a_fork_behind_the_first_event_does_not_hang_under_a_sanitizer() {
    let scratch = Scratch::new("sanitized-forks");
    let sanitize = ["-fsanitize=address", "-fno-sanitize-recover=all"];
    let probe = scratch.file("probe.c");
    fs::write(&probe, "int main(void) { return 0; }\n").expect("a source");
    let mut compiler = Command::new("cc");
    compiler.args(sanitize).arg(&probe).arg("-o");
    if common::run(compiler.arg(scratch.file("probe"))).code() != 0 {
        return common::skip("sanitized forks", "the compiler has no sanitizers");
    }
    let row = Row::new(
        "fork",
        "fork behind the first event, linked, under AddressSanitizer",
        "P1",
    );
    let host = Host::c("c_tests/fork.c").flags(&sanitize);
    let host = host.compile(&scratch, "host");
    let runs = if common::soak() { 3000 } else { 600 };
    // Side by side: a thread that does not get to run is what it takes.
    let script = format!(
        "seq {runs} | xargs -P16 -n1 sh -c 'timeout 30 \"$0\" >/dev/null || echo \"$1: $?\"' \"$0\""
    );
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(&host);
    let run = common::run(shell.env("WHOFREED_OPTIONS", "summary=0"));
    assert_eq!(run.stdout, "", "runs that hung, or failed\n{}", run.stderr);
    row.held(runs, "0 hangs");
}
