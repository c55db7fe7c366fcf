//! The adapters of runtimes that no machine of ours has a device for: CUDA, HIP and Level Zero, on stand-ins that have the
//! prototypes, names and results of the real ones (c_tests/standins). Level Zero's real loader takes a stand-in for a driver.

mod common;

use std::env;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use common::Host;
use common::Scratch;
use common::Tracked;
use common::number;
use common::total;

/// What a library hands out are functions of its own, not whatever stands before those; and so are those that it calls.
const OWN: &str = "-Wl,-Bsymbolic";

/// A runtime in a folder of its own, with the programs that use it.
struct Bench {
    scratch: Scratch,
    adapter: &'static str,
}

impl Bench {
    fn new(adapter: &'static str) -> Self {
        Self {
            scratch: Scratch::new(adapter),
            adapter,
        }
    }

    fn cuda() -> Self {
        let bench = Self::new("cuda");
        bench.library("cuda.c", "libcuda.so.1", &[OWN]);
        bench.library("cudart.c", "libcudart.so.12", &[OWN]);
        bench
    }

    /// A stand-in, under the name by which programs know the real one.
    fn library(&self, source: &str, name: &str, more: &[&str]) {
        let soname = format!("-Wl,-soname,{name}");
        // What they hand out are functions of their own, not whatever stands before those.
        let own = "-Wl,-Bsymbolic";
        let flags = [
            "-shared",
            "-fPIC",
            own,
            &soname,
            "-Wl,-rpath,$ORIGIN",
            "-ldl",
        ];
        Host::c(&format!("c_tests/standins/{source}"))
            .flags(&["-Wno-pedantic"])
            .flags(&flags)
            .flags(more)
            .unlinked()
            .compile(&self.scratch, name);
    }

    /// A program that finds the stand-ins beside it.
    fn program(&self, host: Host, name: &str, flags: &[&str], library: Option<&str>) -> PathBuf {
        let library = library.map(|library| self.scratch.file(library));
        let library = library.as_deref().and_then(Path::to_str);
        let flags = [flags, &["-Wno-pedantic", "-Wl,-rpath,$ORIGIN", "-ldl"]].concat();
        let linked = ["-Wl,--no-as-needed", library.unwrap_or("-lc")];
        host.flags(&flags)
            .flags(&linked)
            .unlinked()
            .compile(&self.scratch, name)
    }

    /// Runs a program alone and hooked: it says the same, and what it counts is what the report counts.
    fn run(&self, host: &Path, arguments: &[&str]) -> Tracked {
        let alone = common::run(Command::new(host).args(arguments)).expect_code(0);
        let truth = alone.truth();
        let options = ["--adapters", self.adapter];
        let tracked = common::track(&self.scratch, &options, host, arguments);
        let said = (&tracked.run.stdout, &tracked.run.stderr);
        assert_eq!(tracked.run.code(), 0, "{said:?}");
        assert_eq!(tracked.run.truth(), truth, "it behaves as it does alone");
        let report = &tracked.report;
        common::check_identities(report);
        for key in ["allocations", "deallocations", "excess"] {
            let told = total(report, key);
            assert_eq!(told, number(&truth, &[key]), "{key}: {report:#}");
        }
        assert!(number(&truth, &["failures"]) > 0, "some were refused");
        assert_eq!(total(report, "unknown"), 0, "{report:#}");
        assert_eq!(total(report, "leaked"), 2, "{report:#}");
        // A stand-in may call a function of its own without the linker, as a real library does.
        let unobservable = common::rows(&report["coverage"], "unobservable");
        let is_inside = |gap: &serde_json::Value| {
            let why = gap["why"].as_str().unwrap_or_default();
            why.contains("inside its library")
        };
        assert!(unobservable.iter().all(is_inside), "{report:#}");
        tracked
    }

    /// The same with a cache that frees stale pointers: it alone is named, for all that it did.
    fn run_stale(&self, host: &Path, arguments: &[&str]) {
        let tracked = self.run(host, &[arguments, &["stale"]].concat());
        assert_eq!(common::culprits(&tracked.report), ["evict_stale"]);
        let culprit = &tracked.report["culprits"][0];
        assert!(total(&tracked.report, "excess") > 100);
        assert_eq!(
            number(culprit, &["explains"]),
            total(&tracked.report, "excess")
        );
        assert!(number(culprit, &["observed"]) < number(culprit, &["explains"]));
        assert_eq!(common::rows(culprit, "alternatives").len(), 0);
    }
}

/// Which symbols were called.
fn bound(tracked: &Tracked) -> Vec<&str> {
    let rows = tracked.report["coverage"]["bound"].as_array();
    let rows = rows.into_iter().flatten();
    rows.filter_map(|row| row["symbol"].as_str()).collect()
}

fn cuda_program(bench: &Bench, is_static: bool) -> PathBuf {
    let runtime = "c_tests/standins/cudart.c";
    let source = "c_tests/cuda_memory.c";
    let host = Host::c(source);
    if is_static {
        // As nvcc does where nothing else is asked for.
        let flags = [&*format!("{}/{runtime}", common::root().display())];
        return bench.program(host, "cuda_static", &flags, None);
    }
    bench.program(host, "cuda_linked", &[], Some("libcudart.so.12"))
}

#[test]
fn a_call_of_cudas_runtime_and_the_one_of_its_driver_within_are_one_event() {
    let bench = Bench::cuda();
    let program = cuda_program(&bench, false);
    let tracked = bench.run(&program, &[]);
    let bound = bound(&tracked);
    for symbol in ["cudaMalloc", "cuMemAlloc", "cudaFree", "cuMemFree"] {
        assert!(bound.contains(&symbol), "{symbol}: {bound:?}");
    }
    bench.run_stale(&program, &[]);
}

#[test]
fn a_cuda_runtime_within_the_program_is_seen_by_its_driver() {
    let bench = Bench::cuda();
    let program = cuda_program(&bench, true);
    let tracked = bench.run(&program, &[]);
    let bound = bound(&tracked);
    assert!(bound.contains(&"cuMemAlloc"), "{bound:?}");
    assert!(!bound.contains(&"cudaMalloc"), "{bound:?}");
    bench.run_stale(&program, &[]);
}

#[test]
fn cudas_driver_is_seen_by_names_with_and_without_version() {
    let bench = Bench::cuda();
    let program = cuda_program(&bench, false);
    let tracked = bench.run(&program, &["driver"]);
    let bound = bound(&tracked);
    for symbol in ["cuMemAlloc", "cuMemAlloc_v2", "cuMemFree", "cuMemFree_v2"] {
        assert!(bound.contains(&symbol), "{symbol}: {bound:?}");
    }
    bench.run_stale(&program, &["driver"]);
}

#[test]
fn hip_is_seen_linked_and_by_pointers() {
    for own in [&[][..], &[OWN]] {
        let bench = Bench::new("hip");
        bench.library("hip.c", "libamdhip64.so.6", own);
        let host = || Host::c("c_tests/hip_memory.c");
        let linked = bench.program(host(), "linked", &[], Some("libamdhip64.so.6"));
        let opened = bench.program(host(), "opened", &["-DOPENED"], None);
        for program in [linked, opened] {
            bench.run(&program, &[]);
            bench.run_stale(&program, &[]);
        }
    }
}

#[test]
fn level_zero_is_seen_linked_and_by_pointers() {
    let bench = Bench::new("level-zero");
    bench.library("level_zero.c", "libze_loader.so.1", &[OWN]);
    let host = || Host::c("c_tests/level_zero_memory.c");
    let linked = bench.program(host(), "linked", &[], Some("libze_loader.so.1"));
    let opened = bench.program(host(), "opened", &["-DOPENED"], None);
    for program in [linked, opened] {
        bench.run(&program, &[]);
        bench.run_stale(&program, &[]);
    }
}

/// The real loader, where it is installed, or where the variable says.
fn level_zero_loader() -> Option<PathBuf> {
    let told = env::var_os("WHOFREED_TEST_LEVEL_ZERO").map(PathBuf::from);
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/lib"];
    let installed = folders.map(|folder| Path::new(folder).join("libze_loader.so.1"));
    told.into_iter().chain(installed).find(|path| path.exists())
}

#[test]
fn level_zero_is_seen_through_its_real_loader() {
    let Some(loader) = level_zero_loader() else {
        let test = "level_zero_is_seen_through_its_real_loader";
        common::skip(test, "there is no libze_loader.so.1 here");
        return;
    };
    let bench = Bench::new("level-zero");
    bench.library("level_zero.c", "libze_standin.so", &[OWN, "-DDRIVER"]);
    let name = bench.scratch.file("libze_loader.so.1");
    std::os::unix::fs::symlink(loader, name).expect("a link");
    let host = || Host::c("c_tests/level_zero_memory.c");
    let linked = bench.program(host(), "linked", &[], Some("libze_loader.so.1"));
    let opened = bench.program(host(), "opened", &["-DOPENED"], None);
    let driver = bench.scratch.file("libze_standin.so");
    let driver = format!("ZE_ENABLE_ALT_DRIVERS={}", driver.display());
    for program in [linked, opened] {
        let program = program.to_str().expect("a path");
        let env = Path::new("/usr/bin/env");
        bench.run(env, &[&driver, program]);
        bench.run_stale(env, &[&driver, program]);
    }
}

/// Whatever answers for a function that is not there must not say that it did what it should.
const PROBE: &str = "
#define _GNU_SOURCE
#include <dlfcn.h>
#define ABSENT(name) \\
  __attribute__((weak)) extern int name(void); \\
  if (name != 0 || dlsym(RTLD_DEFAULT, #name) != 0) return 1;
int main(void) {
  ABSENT(cuInit) ABSENT(cuGetProcAddress) ABSENT(cuGetProcAddress_v2) ABSENT(cudaGetDriverEntryPoint)
  ABSENT(cudaGetDeviceCount) ABSENT(cudaGetDevice) ABSENT(cuMemAlloc) ABSENT(cuMemFree)
  ABSENT(hipInit) ABSENT(hipGetDeviceCount) ABSENT(hipGetProcAddress)
  ABSENT(zeInit) ABSENT(zeDriverGet) ABSENT(zeContextCreate)
  return 0;
}
";

#[test]
fn a_program_that_looks_for_a_runtime_finds_none_where_there_is_none() {
    common::check_probe(PROBE, &["-ldl"]);
}
