//! The Vulkan adapter on a real driver, lavapipe: by calls of the loader that the program is linked with, and by every pointer
//! that a program can ask for.

mod common;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use common::Host;
use common::Scratch;
use common::number;
use common::total;
use serde_json::Value;

/// How a program gets at the functions: the flags that it is compiled with, and its arguments.
const WAYS: [(&str, &[&str], &[&str]); 3] = [
    (
        "linked",
        &["-DLINKED", "-Wl,--no-as-needed", "-lvulkan"],
        &[],
    ),
    (
        "asked",
        &["-DLINKED", "-Wl,--no-as-needed", "-lvulkan"],
        &["asked"],
    ),
    ("opened", &["-ldl"], &[]),
];

/// Our host, where there is a driver to run it on.
fn host(scratch: &Scratch, test: &str, name: &str, flags: &[&str]) -> Option<PathBuf> {
    if !Path::new("/usr/include/vulkan/vulkan.h").exists() {
        common::skip(test, "there are no Vulkan headers here");
        return None;
    }
    let host = Host::c("c_tests/vulkan_memory.c").flags(flags).unlinked();
    let host = host.compile(scratch, name);
    let alone = common::run(&mut Command::new(&host));
    if alone.code() == 77 {
        common::skip(test, alone.stderr.trim());
        return None;
    }
    alone.expect_code(0);
    Some(host)
}

fn check_counts(report: &Value, truth: &Value) {
    common::check_identities(report);
    for key in ["allocations", "deallocations", "excess"] {
        assert_eq!(
            total(report, key),
            number(truth, &[key]),
            "{key}: {report:#}"
        );
    }
    assert_eq!(total(report, "unknown"), 0);
    let unobservable = &report["coverage"]["unobservable"];
    assert_eq!(unobservable.as_array().map(Vec::len), Some(0), "{report:#}");
}

#[test]
fn every_handle_is_counted_on_every_way_to_the_functions() {
    let test = "every_handle_is_counted_on_every_way_to_the_functions";
    let scratch = Scratch::new("vulkan");
    for (way, flags, arguments) in WAYS {
        let Some(host) = host(&scratch, test, way, flags) else {
            return;
        };
        let tracked = common::track(&scratch, &["--adapters", "vulkan"], &host, arguments);
        let truth = tracked.run.expect_code(0).truth();
        check_counts(&tracked.report, &truth);
        assert_eq!(
            number(&truth, &["failures"]),
            11,
            "{way}: a failed one is none"
        );
        assert_eq!(
            number(&truth, &["none"]),
            33,
            "{way}: nor is a null handle's"
        );
        assert_eq!(total(&tracked.report, "excess"), 0, "{way}");
        // Two that their device took along, and one that was there at the end.
        assert_eq!(total(&tracked.report, "leaked"), 3, "{way}");
    }
}

#[test]
fn a_stale_handle_that_is_destroyed_through_a_pointer_is_named() {
    let test = "a_stale_handle_that_is_destroyed_through_a_pointer_is_named";
    let scratch = Scratch::new("vulkan_stale");
    for (way, flags, arguments) in WAYS {
        let Some(host) = host(&scratch, test, way, flags) else {
            return;
        };
        // Without the guard the driver frees what is free, and the process dies of it.
        let options = ["--adapters", "vulkan", "--guard"];
        let arguments = [arguments, &["stale"]].concat();
        let tracked = common::track(&scratch, &options, &host, &arguments);
        let truth = tracked.run.expect_code(0).truth();
        check_counts(&tracked.report, &truth);
        assert_eq!(common::culprits(&tracked.report), ["evict_stale"], "{way}");
        let culprit = &tracked.report["culprits"][0];
        assert_eq!(number(culprit, &["explains"]), number(&truth, &["excess"]));
        assert!(number(culprit, &["observed"]) < number(culprit, &["explains"]));
        assert_eq!(common::rows(culprit, "alternatives").len(), 0, "{way}");
    }
}

#[test]
fn the_bindings_of_cpp_name_nobody() {
    let test = "the_bindings_of_cpp_name_nobody";
    let scratch = Scratch::new("vulkan_hpp");
    if host(&scratch, test, "opened", &["-ldl"]).is_none() {
        return;
    }
    // Every frame of the bindings is there.
    let program = Host::cxx(&["c_tests/vulkan_handles.cpp"])
        .flags(&["-O0", "-Wl,--no-as-needed", "-lvulkan"])
        .unlinked()
        .compile(&scratch, "handles");
    let options = ["--adapters", "vulkan", "--guard"];
    let tracked = common::track(&scratch, &options, &program, &[""; 0]);
    let truth = tracked.run.expect_code(0).truth();
    check_counts(&tracked.report, &truth);
    assert_eq!(common::culprits(&tracked.report), ["evict_stale"]);
    let stack = &tracked.report["culprits"][0]["stacks"]["excess"];
    let functions = stack.as_array().into_iter().flatten().map(common::function);
    assert!(
        functions
            .into_iter()
            .any(|name| name.starts_with("vk::UniqueHandle")),
        "{stack:#}"
    );
}

/// Links nothing, and looks in every way for a Vulkan that is not there; the exit code says what it found.
const PROBE: &str = r#"
#include <dlfcn.h>
#include <vulkan/vulkan.h>
#define ABSENT(name) \
  __attribute__((weak)) extern __typeof__(name) name; \
  if (name != 0 || dlsym(RTLD_DEFAULT, #name) != 0) return 1;
static int asked(PFN_vkGetInstanceProcAddr get) {
  return get != 0 && (get(0, "vkCreateInstance") != 0 || get(0, "vkAllocateMemory") != 0);
}
__attribute__((weak)) extern __typeof__(vkGetInstanceProcAddr) vkGetInstanceProcAddr;
int main(void) {
  ABSENT(vkCreateInstance)
  ABSENT(vkCreateDevice)
  ABSENT(vkEnumerateInstanceVersion)
  ABSENT(vkEnumerateInstanceExtensionProperties)
  if (asked(vkGetInstanceProcAddr)) return 2;
  if (asked((PFN_vkGetInstanceProcAddr)dlsym(RTLD_DEFAULT, "vkGetInstanceProcAddr"))) return 3;
  return dlopen("libvulkan.so.1", RTLD_NOW | RTLD_NOLOAD) == 0 ? 0 : 4;
}
"#;

/// What it finds is what hands out functions, and that has none: exported it has to be for programs that are linked with it.
#[test]
fn a_program_that_looks_for_vulkan_finds_none_where_there_is_none() {
    let test = "a_program_that_looks_for_vulkan_finds_none_where_there_is_none";
    if !Path::new("/usr/include/vulkan/vulkan.h").exists() {
        common::skip(test, "there are no Vulkan headers here");
        return;
    }
    common::check_probe(
        PROBE,
        &["-std=gnu11", "-D_GNU_SOURCE", "-Wno-pedantic", "-ldl"],
    );
}

/// How often each of these was called, as a debugger counts at the loader's own functions.
fn counted(program: &Path, symbols: &[&str]) -> Option<Vec<u64>> {
    let mut command = Command::new("gdb");
    command.args(["-nx", "-batch", "-ex", "set breakpoint pending on"]);
    command.args(["-ex", "set debuginfod enabled off"]);
    for (number, symbol) in (1..).zip(symbols) {
        let stop = format!("break {symbol}");
        let go_on = format!("ignore {number} 1000000");
        command.args(["-ex", &stop, "-ex", &go_on]);
    }
    command.args(["-ex", "run", "-ex", "info breakpoints"]);
    command.arg("--args").arg(program);
    let out = command.output().ok().filter(|out| out.status.success())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let (_, told) = text.split_once("exited normally")?;
    // A line for each, and one below it where it was hit.
    let hits = symbols.iter().map(|symbol| {
        let mut lines = told.lines().skip_while(|line| !line.ends_with(symbol));
        let hit = lines.nth(1).unwrap_or_default();
        let hit = hit.trim().strip_prefix("breakpoint already hit ");
        let count = hit.and_then(|hit| hit.split(' ').next());
        count.map_or(Ok(0), str::parse)
    });
    hits.collect::<Result<_, _>>().ok()
}

#[test]
fn a_program_of_others_is_counted_as_a_debugger_counts() {
    let test = "a_program_of_others_is_counted_as_a_debugger_counts";
    let scratch = Scratch::new("vulkaninfo");
    if host(&scratch, test, "opened", &["-ldl"]).is_none() {
        return;
    }
    let program = Path::new("/usr/bin/vulkaninfo");
    if !program.exists() {
        common::skip(test, "there is no vulkaninfo here");
        return;
    }
    let taking = ["vkAllocateMemory", "vkCreateBuffer", "vkCreateImage"];
    let giving = ["vkFreeMemory", "vkDestroyBuffer", "vkDestroyImage"];
    let Some(hits) = counted(program, &[taking, giving].concat()) else {
        common::skip(test, "gdb cannot run it");
        return;
    };
    let (taken, given) = hits.split_at(taking.len());
    let options = ["--adapters", "vulkan"];
    let tracked = common::track(&scratch, &options, program, &[""; 0]);
    tracked.run.expect_code(0);
    common::check_identities(&tracked.report);
    let total = |key| total(&tracked.report, key);
    assert!(total("allocations") > 0);
    assert_eq!(total("allocations"), taken.iter().sum::<u64>());
    assert_eq!(total("ok"), given.iter().sum::<u64>());
    assert_eq!(total("excess") + total("unknown"), 0);
}
