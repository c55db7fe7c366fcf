//! Calls that are more than one event, or less than one: a resize gives back and hands out, references are counted,
//! and a runtime stands upon its driver.
//! Real processes under hooks, with exact counts.

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::Host;
use common::Scratch;
use common::Tracked;
use common::number;
use common::total;
use serde_json::Value;

struct Nested {
    scratch: Scratch,
    host: PathBuf,
    adapter: String,
}

fn nested(name: &str) -> Nested {
    let scratch = Scratch::new(name);
    library(&scratch, "store", &[]);
    let store = linked(&scratch, "store");
    let host = Host::cxx(&["tests/nested/host.cpp"]).unlinked();
    let path = "-Wl,--no-as-needed,-rpath,$ORIGIN";
    library(&scratch, "runtime", &[path, &store]);
    let host = host.flags(&[path, &store, &linked(&scratch, "runtime")]);
    let adapter = common::root().join("tests/nested/store.toml");
    Nested {
        host: host.compile(&scratch, "host"),
        scratch,
        adapter: adapter.to_str().expect("a path").to_owned(),
    }
}

fn library(scratch: &Scratch, name: &str, flags: &[&str]) {
    let library = Host::cxx(&[&format!("tests/nested/{name}.cpp")]).unlinked();
    let soname = format!("-Wl,-soname,lib{name}.so");
    let library = library.flags(&["-shared", "-fPIC", &soname]).flags(flags);
    library.compile(scratch, &format!("lib{name}.so"));
}

fn linked(scratch: &Scratch, name: &str) -> String {
    let path = scratch.file(&format!("lib{name}.so"));
    path.to_str().expect("a path").to_owned()
}

impl Nested {
    fn track(&self, case: &str, options: &[&str]) -> Tracked {
        let all = [&["--adapters", self.adapter.as_str()], options].concat();
        let tracked = common::track(&self.scratch, &all, &self.host, &[case]);
        let (out, err) = (&tracked.run.stdout, &tracked.run.stderr);
        assert_eq!(tracked.run.code(), 0, "{out}\n{err}");
        common::check_identities(&tracked.report);
        assert_eq!(total(&tracked.report, "dropped_events"), 0);
        tracked
    }

    /// Runs a case alone and hooked; what the host says is what the report has to say.
    fn run(&self, case: &str) -> (Tracked, Value) {
        let alone = common::run(Command::new(&self.host).arg(case)).expect_code(0);
        let tracked = self.track(case, &[]);
        let truth = tracked.run.truth();
        for key in ["allocations", "ok", "excess", "unknown", "leaked"] {
            assert_eq!(truth[key], alone.truth()[key], "{key}");
            if truth[key].is_u64() {
                assert_eq!(total(&tracked.report, key), number(&truth, &[key]), "{key}");
            }
        }
        (tracked, truth)
    }
}

#[test]
fn a_resize_gives_back_and_hands_out() {
    nested("resize").run("resize");
}

#[test]
fn a_resize_that_fails_or_throws_leaves_the_old_block_its_right() {
    nested("resize-fails").run("resize_fails");
}

#[test]
fn a_resize_of_what_is_given_back_is_excess_and_can_be_held_back() {
    let nested = nested("resize-twice");
    for (option, forwarded, allocations) in [("--guard=0", 1, 2), ("--guard", 0, 1)] {
        let tracked = nested.track("resize_twice", &[option]);
        assert_eq!(number(&tracked.run.truth(), &["forwarded"]), forwarded);
        assert_eq!(total(&tracked.report, "excess"), 1);
        assert_eq!(total(&tracked.report, "blocked"), 1 - forwarded);
        assert_eq!(total(&tracked.report, "allocations"), allocations);
    }
}

#[test]
fn the_old_address_of_a_resize_may_be_anothers_before_it_returns() {
    let nested = nested("resize-threads");
    let (tracked, truth) = nested.run("resize_in_threads");
    let mut command = Command::new(common::cli());
    command.arg("history").arg(&tracked.trace);
    let address = number(&truth, &["address"]).to_string();
    command.args(["--address", &address, "--format", "json"]);
    let device = tracked.report["device_names"].as_object().expect("names");
    command.args(["--device", device.keys().next().expect("one device")]);
    let history = common::run(&mut command).expect_code(0);
    let history: Value = serde_json::from_str(&history.stdout).expect("JSON");
    let events = history.as_array().expect("a list").iter();
    let events: Vec<&str> = events.filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(
        events,
        ["allocate", "deallocate", "allocate", "deallocate"],
        "the address was free when it was handed out again"
    );
}

#[test]
fn a_release_gives_back_one_of_the_references() {
    nested("references").run("references");
}

#[test]
fn a_call_of_a_runtime_and_that_of_its_driver_are_one_event() {
    let (tracked, _) = nested("layers").run("layers");
    let excess = common::rows(&tracked.report, "culprits");
    assert_eq!(excess.len(), 1, "{:#}", tracked.report);
}

#[test]
fn what_a_runtime_takes_for_itself_is_its_own() {
    nested("own-blocks").run("own_blocks");
}

#[test]
fn events_count_again_when_the_outer_call_was_left_by_an_exception() {
    nested("throwing").run("throwing");
}

#[test]
fn events_count_again_when_the_outer_call_was_left_by_longjmp() {
    nested("jumping").run("jumping");
}

#[test]
fn without_a_layer_both_calls_count() {
    let mut nested = nested("no-layer");
    let text = std::fs::read_to_string(&nested.adapter).expect("the adapter");
    let path = nested.scratch.file("flat.toml");
    std::fs::write(&path, text.replace("layer = ", "# ")).expect("a file in the scratch folder");
    nested.adapter = path.to_str().expect("a path").to_owned();
    let tracked = nested.track("own_blocks", &[]);
    assert_eq!(total(&tracked.report, "allocations"), 5);
    assert_eq!(total(&tracked.report, "ok"), 5);
}
