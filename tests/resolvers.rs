//! Pointers to hooked functions, in real processes: what resolvers and dlsym hand out leads to the hook, and every call to the
//! function that it would have reached alone. Each program prints the same with and without hooks.

mod common;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use common::Scratch;
use common::Tracked;
use common::number;
use common::total;
use serde_json::Value;

struct Bench {
    scratch: Scratch,
    adapter: String,
}

fn bench(name: &str) -> Bench {
    let adapter = source(&format!("{name}.toml"));
    Bench {
        scratch: Scratch::new(name),
        adapter: adapter.to_str().expect("a path").to_owned(),
    }
}

fn source(name: &str) -> PathBuf {
    common::root().join("tests/resolvers").join(name)
}

impl Bench {
    fn compile(&self, source_name: &str, name: &str, flags: &[&str]) -> String {
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let output = self.scratch.file(name);
        let mut command = Command::new(compiler);
        command.args(["-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]);
        command.arg(source(source_name)).arg("-o").arg(&output);
        // Beside each other, all of them needed; and whoever looks at its caller is called, not jumped to.
        command.args(["-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed", "-ldl"]);
        command.arg("-fno-optimize-sibling-calls");
        common::run(command.args(flags)).expect_code(0);
        output.to_str().expect("a path").to_owned()
    }

    fn library(&self, source: &str, name: &str, flags: &[&str]) -> String {
        let soname = format!("-Wl,-soname,{name}");
        let shared = ["-shared", "-fPIC", &soname];
        self.compile(source, name, &[&shared, flags].concat())
    }

    /// A program that is linked with its runtime, both from one source.
    fn pair(&self, name: &str) -> String {
        let source = format!("{name}.c");
        let library = self.library(&source, &format!("lib{name}.so"), &["-DLIBRARY"]);
        self.compile(&source, "host", &[&library])
    }

    /// Runs a program alone and hooked: it must say the same, and the report what it says.
    fn run(&self, host: &str, arguments: &[&str]) -> Tracked {
        let alone = common::run(Command::new(host).args(arguments)).expect_code(0);
        let options = ["--adapters", &self.adapter];
        let tracked = common::track(&self.scratch, &options, host.as_ref(), arguments);
        let said = (&tracked.run.stdout, &tracked.run.stderr);
        assert_eq!(tracked.run.code(), 0, "{said:?}");
        let truth = alone.truth();
        assert_eq!(tracked.run.truth(), truth, "it behaves as it does alone");
        common::check_identities(&tracked.report);
        for key in ["allocations", "ok", "excess", "unknown", "leaked"] {
            if truth[key].is_u64() {
                assert_eq!(total(&tracked.report, key), number(&truth, &[key]), "{key}");
            }
        }
        tracked
    }
}

/// What the report says could not be seen, as "symbol: why".
fn unobservable(report: &Value) -> Vec<String> {
    let listed = report["coverage"]["unobservable"].as_array();
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let listed = listed.into_iter().flatten();
    listed
        .map(|entry| format!("{}: {}", text(entry, "symbol"), text(entry, "why")))
        .collect()
}

#[test]
fn pointers_of_resolvers_lead_to_the_hook_and_to_their_own_function() {
    let bench = bench("chain");
    let host = bench.pair("chain");
    let tracked = bench.run(&host, &[]);
    assert_eq!(unobservable(&tracked.report), Vec::<String>::new());
}

#[test]
fn a_pointer_that_is_written_is_exchanged_where_the_resolver_succeeded() {
    let bench = bench("out");
    let host = bench.pair("out");
    let tracked = bench.run(&host, &[]);
    assert_eq!(unobservable(&tracked.report), Vec::<String>::new());
}

#[test]
fn symbols_are_looked_up_in_every_way_as_without_hooks() {
    let bench = bench("lookup");
    let map = format!("-Wl,--version-script={}", source("lookup.map").display());
    let pool = bench.library("lookup.c", "libpool.so", &["-DLIBRARY", &map]);
    let wrapper = bench.library("lookup.c", "libwrap.so", &["-DWRAPPER"]);
    let host = bench.compile("lookup.c", "host", &[&wrapper, &pool]);
    bench.run(&host, &[&pool]);
}

fn plugins(bench: &Bench, count: usize) -> Vec<String> {
    let plugin = |number| {
        let number_is = format!("-DNUMBER={number}");
        bench.library("plugin.c", &format!("libplug{number}.so"), &[&number_is])
    };
    (1..=count).map(plugin).collect()
}

fn run_plugins(bench: &Bench, case: &str, plugins: &[String]) -> Tracked {
    let host = bench.compile("plugins.c", "host", &[]);
    let mut arguments = vec![case];
    arguments.extend(plugins.iter().map(String::as_str));
    bench.run(&host, &arguments)
}

#[test]
fn each_of_several_plugins_reaches_the_function_of_its_own() {
    let bench = bench("plugins");
    let tracked = run_plugins(&bench, "together", &plugins(&bench, 4));
    assert_eq!(unobservable(&tracked.report), Vec::<String>::new());
}

#[test]
fn each_of_several_plugins_reaches_the_function_of_the_library_that_it_needs() {
    let bench = bench("plugins");
    let user = |number| {
        let number_is = format!("-DNUMBER={number}");
        let runtime = format!("libplugged{number}.so");
        let runtime = bench.library("plugin.c", &runtime, &[&number_is, "-DRUNTIME"]);
        let name = format!("user{number}.so");
        bench.library("plugin.c", &name, &[&number_is, "-DUSER", &runtime])
    };
    let users: Vec<String> = (1..=3).map(user).collect();
    let tracked = run_plugins(&bench, "together", &users);
    assert_eq!(unobservable(&tracked.report), Vec::<String>::new());
}

#[test]
fn a_plugin_that_calls_while_it_is_unloaded_is_found_where_it_is_loaded_next() {
    let bench = bench("plugins");
    run_plugins(&bench, "reload", &plugins(&bench, 1));
}

#[test]
fn plugins_are_loaded_and_unloaded_by_threads_at_once() {
    let bench = bench("plugins");
    run_plugins(&bench, "storm", &plugins(&bench, 4));
}

/// As many as there are spare stubs are seen, which is said; the others are handed out as they are.
#[test]
fn pointers_beyond_the_spare_stubs_are_handed_out_as_they_are() {
    const SPARES: u64 = 1024;
    let bench = bench("many");
    let host = bench.pair("many");
    let tracked = bench.run(&host, &[]);
    assert_eq!(total(&tracked.report, "allocations"), 2 * SPARES);
    assert_eq!(total(&tracked.report, "ok"), 2 * SPARES);
    let told = unobservable(&tracked.report);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("many_take: more pointers"), "{told:?}");
}
