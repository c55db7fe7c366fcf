//! Hooks in real processes: a small C++ runtime that knows nothing of whofreed, hooked by an adapter of its own, has to
//! behave as it does alone, and every call has to be recorded.

mod common;

use std::env;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use common::Scratch;
use common::Tracked;
use common::number;
use common::total;
use serde_json::Value;

struct Toy {
    scratch: Scratch,
    host: PathBuf,
    adapter: String,
}

/// The runtime, its plugin and the two hosts, compiled once for all tests: they may be processes of their own, so the
/// first builds under a lock and the others wait for it.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("preload");
        fs::create_dir_all(&folder).expect("a folder in target/");
        let lock = File::create(folder.join("lock")).expect("a file in target/");
        lock.lock().expect("a lock on it");
        let whole = folder.join("whole");
        if !is_fresh(&whole) {
            compile_all(&folder);
            File::create(&whole).expect("a file in target/");
        }
        folder
    })
}

/// Whether the mark of a whole build is younger than the sources, and than this program with its flags.
fn is_fresh(mark: &Path) -> bool {
    let age = |path: &Path| path.metadata().and_then(|it| it.modified()).ok();
    let sources = fs::read_dir(common::root().join("tests/preload")).expect("the sources");
    let sources = sources.map(|entry| entry.expect("a source").path());
    let program = env::current_exe().expect("a test has a path");
    sources
        .chain([program])
        .all(|source| age(&source) < age(mark))
}

fn compile_all(folder: &Path) {
    let shared = ["-shared", "-fPIC"];
    compile(
        folder,
        "toy.cpp",
        "libtoy.so",
        &[&shared[..], &["-Wl,-soname,libtoy.so"]].concat(),
    );
    let library = folder.join("libtoy.so");
    let linked = [library.to_str().expect("a path"), "-Wl,-rpath,$ORIGIN"];
    let bound_at_once = ["-Wl,-z,relro,-z,now"];
    compile(
        folder,
        "plugin.cpp",
        "plugin.so",
        &[&shared[..], &linked, &bound_at_once].concat(),
    );
    compile(folder, "host.cpp", "host", &linked);
    compile(
        folder,
        "host.cpp",
        "plugin_host",
        &["-DWITHOUT_RUNTIME", "-ldl"],
    );
}

fn compile(folder: &Path, source: &str, name: &str, flags: &[&str]) {
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let mut command = Command::new(compiler);
    command.args([
        "-std=c++17",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pthread",
    ]);
    command.arg(common::root().join("tests/preload").join(source));
    command.arg("-o").arg(folder.join(name)).args(flags);
    common::run(&mut command).expect_code(0);
}

fn adapter() -> String {
    let path = common::root().join("tests/preload/toy.toml");
    path.to_str().expect("a path").to_owned()
}

fn toy(name: &str) -> Toy {
    Toy {
        scratch: Scratch::new(name),
        host: built().join("host"),
        adapter: adapter(),
    }
}

impl Toy {
    /// Runs a case alone and hooked; either way it must be content and say the same.
    fn run(&self, case: &str, options: &[&str]) -> (Tracked, Value) {
        let arguments = [case];
        let alone = common::run(Command::new(&self.host).args(arguments)).expect_code(0);
        let mut all = vec!["--adapters", &self.adapter];
        all.extend(options);
        let tracked = common::track(&self.scratch, &all, &self.host, &arguments);
        let truth = alone.truth();
        assert_eq!(
            tracked.run.code(),
            0,
            "{}\n{}",
            tracked.run.stdout,
            tracked.run.stderr
        );
        assert_eq!(
            tracked.run.truth(),
            truth,
            "the host behaves as it does alone"
        );
        common::check_identities(&tracked.report);
        for key in [
            "allocations",
            "ok",
            "excess",
            "unknown",
            "invalid",
            "late",
            "declined",
            "leaked",
        ] {
            if truth[key].is_u64() {
                assert_eq!(total(&tracked.report, key), number(&truth, &[key]), "{key}");
            }
        }
        assert_eq!(total(&tracked.report, "dropped_events"), 0);
        (tracked, truth)
    }
}

fn unobservable(report: &Value) -> Vec<String> {
    let listed = report["coverage"]["unobservable"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    listed
        .iter()
        .map(|entry| entry["symbol"].to_string())
        .collect()
}

#[test]
fn arguments_and_results_arrive_whole() {
    let (tracked, _) = toy("arguments").run("arguments", &[]);
    assert_eq!(unobservable(&tracked.report), ["\"toy_optional\""]);
    assert_eq!(total(&tracked.report, "leaked"), 0);
}

/// A coroutine's stack may end behind its last frame; arguments that are not there are not copied.
#[test]
fn a_hook_reads_no_further_than_the_stack_goes() {
    toy("edge").run("edge", &[]);
}

/// A handler that interrupts a process's first event, before there is a trace, loses nothing silently.
#[test]
fn what_interrupts_the_first_event_is_recorded_or_counted_as_lost() {
    let toy = toy("first_events");
    let options = ["--adapters", &toy.adapter];
    let tracked = common::track(&toy.scratch, &options, &toy.host, &["first_events"]);
    let truth = tracked.run.expect_code(0).truth();
    common::check_identities(&tracked.report);
    let all = ["allocations", "deallocations", "dropped_events"];
    let all = all.map(|key| total(&tracked.report, key));
    assert_eq!(
        all.iter().sum::<u64>(),
        number(&truth, &["calls"]),
        "{all:?}"
    );
}

/// Runs a host whose handlers jump out of events, forty times; returns how many events were lost. A jump loses the
/// event that it leaves, and no other.
fn lost_by_jumps(name: &str, case: &str) -> u64 {
    let toy = toy(name);
    let options = ["--adapters", &toy.adapter];
    let tracked = common::track(&toy.scratch, &options, &toy.host, &[case]);
    let truth = tracked.run.expect_code(0).truth();
    common::check_identities(&tracked.report);
    let [calls, jumps] = ["calls", "jumps"].map(|key| number(&truth, &[key]));
    assert_eq!(jumps, 40);
    let all = ["allocations", "deallocations", "dropped_events"];
    let [allocations, deallocations, dropped] = all.map(|key| total(&tracked.report, key));
    let recorded = allocations + deallocations;
    assert!(
        recorded <= calls && calls <= recorded + jumps && dropped <= jumps,
        "{recorded} of {calls} calls, {dropped} lost"
    );
    dropped
}

#[test]
fn a_handler_that_jumps_out_of_an_event_does_not_end_the_recording() {
    lost_by_jumps("jumps", "jumps_out");
}

#[test]
fn a_handler_that_jumps_out_of_the_last_event_of_a_thread_does_not_lose_it_silently() {
    // Most of such a thread's time passes in events.
    assert!(lost_by_jumps("last_jumps", "jumps_out_for_good") > 0);
}

#[test]
fn errno_is_the_runtimes() {
    let (tracked, _) = toy("errno").run("errno", &[]);
    let names = tracked.report["device_names"]
        .as_object()
        .expect("names of devices");
    assert!(names.values().any(|name| name == "memory"), "{names:?}");
}

#[test]
fn exceptions_pass_both_kinds_of_hooks() {
    toy("exceptions").run("exceptions", &[]);
}

#[test]
fn longjmp_and_pthread_exit_leave_a_hooked_call() {
    toy("leaving").run("leaving", &[]);
}

#[test]
fn a_weak_probe_gets_the_guard_value_and_is_told() {
    let (tracked, _) = toy("weak").run("weak", &[]);
    let told = unobservable(&tracked.report);
    assert!(
        told.iter().any(|symbol| symbol.contains("toy_optional")),
        "{told:?}"
    );
}

#[test]
fn a_tail_hook_leaves_no_frame() {
    // The truth, which has the number of frames, is compared with the host's own.
    toy("frames").run("frames", &[]);
}

#[test]
fn attempts_are_one_event_each() {
    let (tracked, _) = toy("attempts").run("attempts", &[]);
    let names = tracked.report["device_names"]
        .as_object()
        .expect("names of devices");
    assert!(names.values().any(|name| name == "handles"), "{names:?}");
    assert_eq!(unobservable(&tracked.report), ["\"toy_optional\""]);
    assert_eq!(number(&tracked.report, &["verdicts", "already_freed"]), 4);
    assert_eq!(total(&tracked.report, "invalid"), 0);
}

#[test]
fn attempts_on_dead_handles_are_blocked_in_guard_mode() {
    let (tracked, _) = toy("guard").run("attempts", &["--guard"]);
    assert_eq!(total(&tracked.report, "blocked"), 4);
    let deallocations = total(&tracked.report, "deallocations");
    assert_eq!(total(&tracked.report, "forwarded"), deallocations - 4);
}

#[test]
fn a_guarded_deallocate_is_not_forwarded() {
    let toy = toy("guarded");
    for (option, forwarded) in [("--guard=0", 2), ("--guard", 1)] {
        let options = ["--adapters", &toy.adapter, option];
        let tracked = common::track(&toy.scratch, &options, &toy.host, &["twice"]);
        assert_eq!(tracked.run.code(), 0, "{}", tracked.run.stderr);
        assert_eq!(number(&tracked.run.truth(), &["thrown"]), forwarded);
        assert_eq!(total(&tracked.report, "excess"), 1);
        assert_eq!(total(&tracked.report, "forwarded"), forwarded);
        assert_eq!(total(&tracked.report, "blocked"), 2 - forwarded);
    }
}

#[test]
fn a_library_opened_late_and_privately_is_seen_from_its_constructors_on() {
    let scratch = Scratch::new("plugin");
    let host = built().join("plugin_host");
    let adapter = adapter();
    let options = ["--adapters", adapter.as_str()];
    let plugin = built().join("plugin.so");
    let arguments = [Path::new("plugin"), &plugin];
    let tracked = common::track(&scratch, &options, &host, &arguments);
    let truth = tracked.run.expect_code(0).truth();
    for key in ["allocations", "ok", "excess"] {
        assert_eq!(total(&tracked.report, key), number(&truth, &[key]), "{key}");
    }
    assert_eq!(
        total(&tracked.report, "unknown"),
        0,
        "the constructor's allocate was seen"
    );
}

/// Runs a command under the adapter, which calls nothing that is hooked; what it says, and whether there is a trace.
fn call_nothing(scratch: &Scratch, adapter: &str, host: &Path) -> (String, bool) {
    let trace = scratch.file("none.wft");
    let mut command = Command::new(common::cli());
    command.arg("run").arg("--shim").arg(common::shim());
    command.arg("--trace").arg(&trace);
    command.args(["--adapters", adapter, "--"]).arg(host);
    let run = common::run(command.arg("none")).expect_code(0);
    let first = run.stderr.lines().next().unwrap_or_default();
    assert!(
        first.contains("adapter toy bound nothing"),
        "{}",
        run.stderr
    );
    (run.stderr, trace.exists())
}

#[test]
fn a_process_without_a_function_of_the_adapter_leaves_nothing() {
    let toy = toy("inert");
    let (said, has_left) = call_nothing(&toy.scratch, &toy.adapter, Path::new("/bin/true"));
    assert!(!has_left, "{said}");
}

#[test]
fn a_process_that_could_have_called_a_hooked_function_and_did_not_says_what_is_not_seen() {
    let toy = toy("silent");
    let (said, has_left) = call_nothing(&toy.scratch, &toy.adapter, &toy.host);
    assert!(has_left, "{said}");
    assert!(said.contains("no event was recorded"), "{said}");
    assert!(
        said.contains("cannot be seen: toy_optional (present only because it is hooked"),
        "{said}"
    );
}

#[test]
fn attempts_in_threads_are_told_apart() {
    toy("threads").run("threads", &[]);
}

#[test]
fn a_forked_child_writes_a_trace_that_stands_for_itself() {
    let (tracked, _) = toy("forks").run("forks", &[]);
    let processes = tracked.report["processes"].as_array().expect("processes");
    assert_eq!(processes.len(), 2);
    for process in processes {
        assert_eq!(process["adapters"][0], "toy", "{process}");
    }
}
