//! The OpenCL adapter on a real runtime: PoCL behind the system's loader, and behind the loader that pyopencl brings along.

mod common;

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use common::Host;
use common::Scratch;
use common::number;
use common::total;
use serde_json::Value;

/// Our host, where there is a runtime to compile it for and run it on.
fn host(scratch: &Scratch, test: &str) -> Option<PathBuf> {
    if !Path::new("/usr/include/CL/cl.h").exists() {
        common::skip(test, "there are no OpenCL headers here");
        return None;
    }
    let host = Host::c("c_tests/opencl_buffers.c")
        .flags(&["-Wl,--no-as-needed", "-lOpenCL"])
        .unlinked()
        .compile(scratch, "opencl_buffers");
    let alone = common::run(&mut Command::new(&host));
    if alone.code() == 77 {
        common::skip(test, alone.stderr.trim());
        return None;
    }
    Some(host)
}

fn check_counts(report: &Value, truth: &Value) {
    common::check_identities(report);
    for key in ["allocations", "retains", "deallocations", "excess"] {
        assert_eq!(
            total(report, key),
            number(truth, &[key]),
            "{key}: {report:#}"
        );
    }
}

#[test]
fn every_memory_object_is_counted_and_a_failed_create_is_none() {
    let scratch = Scratch::new("opencl");
    let Some(host) = host(
        &scratch,
        "every_memory_object_is_counted_and_a_failed_create_is_none",
    ) else {
        return;
    };
    let tracked = common::track(&scratch, &["--adapters", "opencl"], &host, &[""; 0]);
    let truth = tracked.run.expect_code(0).truth();
    check_counts(&tracked.report, &truth);
    assert_eq!(number(&truth, &["failures"]), 10);
    assert_eq!(total(&tracked.report, "leaked"), 1);
    assert_eq!(total(&tracked.report, "excess"), 0);
}

#[test]
fn an_over_release_is_named_though_its_victims_are_where_it_shows() {
    let scratch = Scratch::new("opencl_stale");
    let Some(host) = host(
        &scratch,
        "an_over_release_is_named_though_its_victims_are_where_it_shows",
    ) else {
        return;
    };
    // Without the guard the runtime reads a handle that is gone, and the process dies of it.
    let options = ["--adapters", "opencl", "--guard"];
    let tracked = common::track(&scratch, &options, &host, &["stale"]);
    let truth = tracked.run.expect_code(0).truth();
    check_counts(&tracked.report, &truth);
    assert_eq!(common::culprits(&tracked.report), ["evict_stale"]);
    let culprit = &tracked.report["culprits"][0];
    assert_eq!(number(culprit, &["explains"]), number(&truth, &["excess"]));
    assert!(number(culprit, &["observed"]) < number(culprit, &["explains"]));
    let mut victims: Vec<&str> = common::rows(&tracked.report, "victims")
        .iter()
        .filter_map(|victim| victim["function"].as_str())
        .collect();
    victims.sort_unstable();
    assert_eq!(victims, ["somebody_gives", "use_and_release"]);
}

/// Twenty buffers released by hand, twenty by the collector, ten at exit.
const PYTHON: &str = "
import gc
import pyopencl as cl
context = cl.Context(cl.get_platforms()[0].get_devices())
flags = cl.mem_flags.READ_WRITE
for buffer in [cl.Buffer(context, flags, 4096) for _ in range(20)]:
    buffer.release()
for _ in range(20):
    cl.Buffer(context, flags, 4096)
gc.collect()
kept = [cl.Buffer(context, flags, 4096) for _ in range(10)]
print('[%d, %d]' % (gc.isenabled(), len(kept)))
";

#[test]
fn a_loader_that_a_wheel_brings_along_is_hooked_as_well() {
    let test = "a_loader_that_a_wheel_brings_along_is_hooked_as_well";
    let scratch = Scratch::new("pyopencl");
    if host(&scratch, test).is_none() {
        return;
    }
    let Some(python) = env::var_os("WHOFREED_TEST_PYTHON") else {
        let why = env::var("WHOFREED_TEST_PYTHON_MISSING");
        common::skip(
            test,
            why.as_deref().unwrap_or("there is no Python with pyopencl"),
        );
        return;
    };
    let script = scratch.file("buffers.py");
    fs::write(&script, PYTHON).expect("a script");
    let options = ["--adapters", "opencl"];
    let tracked = common::track(&scratch, &options, Path::new(&python), &[&script]);
    tracked.run.expect_code(0);
    common::check_identities(&tracked.report);
    assert_eq!(total(&tracked.report, "allocations"), 50);
    assert_eq!(total(&tracked.report, "ok"), 50);
    assert_eq!(total(&tracked.report, "excess"), 0);
    let bound = tracked.report["coverage"]["bound"].to_string();
    assert!(bound.contains("libOpenCL-"), "{bound}");
}

#[test]
fn a_benchmark_of_others_is_left_as_it_was() {
    let test = "a_benchmark_of_others_is_left_as_it_was";
    let scratch = Scratch::new("clpeak");
    if host(&scratch, test).is_none() {
        return;
    }
    let clpeak = Path::new("/usr/bin/clpeak");
    if !clpeak.exists() {
        common::skip(test, "there is no clpeak here");
        return;
    }
    let options = ["--adapters", "opencl"];
    let tracked = common::track(&scratch, &options, clpeak, &["--kernel-latency"]);
    let run = tracked.run.expect_code(0);
    assert!(
        run.stdout.contains("Kernel launch latency"),
        "{}",
        run.stdout
    );
    assert_eq!(total(&tracked.report, "allocations"), 2);
    assert_eq!(total(&tracked.report, "ok"), 2);
}
