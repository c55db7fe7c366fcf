//! The interposition matrix: every way in which a call gets to a function of a library, from every sort of module, at every
//! time of a process's life. Each cell takes one block and gives it back; the library counts what reached it, and the record
//! has to have exactly the same, or nothing where the call does not go through the dynamic linker.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use common::Scratch;
use common::total;
use serde_json::Value;

/// When a block is taken and given back.
const PLACES: [&str; 4] = ["constructor", "main", "thread", "destructor"];

/// Where the calling code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Module {
    Executable,
    ExecutableAtFixedAddress,
    Linked,
    Opened,
}

/// How a call gets to the function, and what that takes.
struct Way {
    name: &'static str,
    /// Of the compiler and the linker, for the caller.
    flags: &'static [&'static str],
    library: &'static str,
}

const WAYS: [Way; 15] = [
    way("lazily bound", &["-Wl,-z,lazy"], "libpool.so"),
    way(
        "bound at once, read-only",
        &["-Wl,-z,now", "-Wl,-z,relro"],
        "libpool.so",
    ),
    way("without a PLT", &["-fno-plt"], "libpool.so"),
    way("optimized at link time", &["-flto"], "libpool.so"),
    way("pointer in data", &["-DCALL_POINTER"], "libpool.so"),
    way("virtual function", &["-DCALL_VIRTUAL"], "libpool.so"),
    way("weak reference", &["-DCALL_WEAK"], "libpool.so"),
    way("indirect function", &[], "libpool_indirect.so"),
    way("default version", &[], "libpool_versions.so"),
    way(
        "old version",
        &["-DCALL_OLD_VERSION"],
        "libpool_versions.so",
    ),
    way("dlsym, default", &["-DCALL_DLSYM_DEFAULT"], "libpool.so"),
    way("dlsym, next", &["-DCALL_DLSYM_NEXT"], "libpool.so"),
    way("dlsym, handle", &["-DCALL_DLSYM_HANDLE"], "libpool.so"),
    way("dlvsym, handle", &["-DCALL_DLVSYM"], "libpool_versions.so"),
    way("mangled name", &["-DCALL_MANGLED"], "libpool.so"),
];

const fn way(name: &'static str, flags: &'static [&'static str], library: &'static str) -> Way {
    Way {
        name,
        flags,
        library,
    }
}

fn source(name: &str) -> PathBuf {
    common::root().join("tests/matrix").join(name)
}

/// The folder with the libraries.
struct Matrix {
    scratch: Scratch,
    adapter: &'static str,
    cells: usize,
    wrong: Vec<String>,
}

impl Matrix {
    fn new(name: &str) -> Self {
        let matrix = Self {
            scratch: Scratch::new(name),
            adapter: "matrix.toml",
            cells: 0,
            wrong: Vec::new(),
        };
        matrix.library("libpool.so", &[]);
        matrix
    }

    /// Compiles a variant of the library.
    fn library(&self, name: &str, flags: &[&str]) {
        if self.scratch.file(name).exists() {
            return;
        }
        let mut all = vec!["-shared", "-fPIC", "-Wl,-z,lazy"];
        all.extend(flags);
        self.compile("pool.cpp", name, &all);
    }

    fn compile(&self, source_name: &str, name: &str, flags: &[&str]) {
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| "c++".into());
        let mut command = Command::new(compiler);
        command.args([
            "-std=c++17",
            "-O2",
            "-g",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pthread",
        ]);
        command.arg(source(source_name)).args(flags);
        command.arg("-o").arg(self.scratch.file(name));
        command.arg("-ldl");
        common::run(&mut command).expect_code(0);
    }

    fn path(&self, name: &str) -> String {
        self.scratch.file(name).display().to_string()
    }

    /// Builds what calls in this way from such a module; the command that runs it.
    fn build(&self, way: &Way, module: Module) -> Vec<String> {
        match way.library {
            "libpool_indirect.so" => self.library(way.library, &["-DWITH_IFUNC"]),
            "libpool_versions.so" => {
                let script = format!("-Wl,--version-script={}", source("versions.map").display());
                self.library(way.library, &["-DWITH_VERSIONS", &script]);
            }
            _ => {}
        }
        self.build_with(way, module, &self.path(way.library))
    }

    /// The same with another variant of the library.
    fn build_with(&self, way: &Way, module: Module, library: &str) -> Vec<String> {
        let found = format!("-DLIBRARY=\"{library}\"");
        let caller = source("caller.cpp").display().to_string();
        let mut flags = vec![found.as_str(), "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed"];
        flags.extend(way.flags);
        match module {
            Module::Executable | Module::ExecutableAtFixedAddress => {
                let fixed = module == Module::ExecutableAtFixedAddress;
                flags.extend(if fixed {
                    ["-no-pie", "-fno-pie"]
                } else {
                    ["-pie", "-fPIE"]
                });
                flags.extend([caller.as_str(), library]);
                self.compile("host.cpp", "host", &flags);
                vec![self.path("host")]
            }
            Module::Linked | Module::Opened => {
                flags.extend(["-shared", "-fPIC", library]);
                self.compile("caller.cpp", "libcaller.so", &flags);
                let caller = self.path("libcaller.so");
                if module == Module::Opened {
                    return self.opener("local", &[&caller]);
                }
                let flags = ["-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed", caller.as_str()];
                self.compile("host.cpp", "host", &flags);
                vec![self.path("host")]
            }
        }
    }

    /// A host that opens libraries.
    fn opener(&self, way: &str, libraries: &[&str]) -> Vec<String> {
        if !self.scratch.file("opener").exists() {
            self.compile("host.cpp", "opener", &["-DOPENS"]);
        }
        let mut command = vec![self.path("opener"), way.to_owned()];
        command.extend(libraries.iter().map(|&library| library.to_owned()));
        command
    }

    /// Runs a cell; `calls` reach the library, `seen` of them by way of a hook.
    fn cell(
        &mut self,
        what: &str,
        command: &[String],
        place: &str,
        calls: u64,
        seen: u64,
    ) -> Value {
        self.cells += 1;
        let report = self.scratch.file("report.json");
        // Of the cell before.
        let _ = fs::remove_file(&report);
        let adapter = source(self.adapter).display().to_string();
        let mut run = Command::new(common::cli());
        run.arg("run").arg("--shim").arg(common::shim());
        run.arg("--trace").arg(self.scratch.file("cell.wft"));
        run.args(["--adapters", &adapter, "--format", "json"]);
        run.arg("--report").arg(&report).arg("--").args(command);
        run.env("MATRIX_PLACE", place);
        let run = common::run(&mut run);
        let text = fs::read_to_string(&report).unwrap_or_default();
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        let count = |key: &str| match &report {
            Value::Null => 0,
            report => total(report, key),
        };
        let reached = format!("pool: {calls} takes, {calls} gives");
        let recorded = ["allocations", "deallocations", "ok"].map(count);
        if run.code() != 0 || !run.stderr.contains(&reached) || recorded != [seen; 3] {
            self.wrong.push(format!(
                "{what}, {place}: {recorded:?} recorded, not {seen}; exit code {}; {}",
                run.code(),
                run.stderr.replace('\n', " | ")
            ));
        }
        report
    }

    /// The same for calls that no hook sees: then the coverage has to tell why, of both functions, when the call is made
    /// late enough.
    fn unseen(&mut self, what: &str, command: &[String], place: &str, why: &str) {
        let report = self.cell(what, command, place, 1, 0);
        let told = report["coverage"]["unobservable"].as_array();
        let told = told.map_or(&[][..], Vec::as_slice);
        for symbol in ["pool_take", "pool_give"] {
            let tells = |entry: &Value| {
                entry["symbol"] == symbol
                    && entry["why"].as_str().is_some_and(|text| text.contains(why))
            };
            if !told.iter().any(tells) {
                let told = report["coverage"]["unobservable"].to_string();
                self.wrong.push(format!(
                    "{what}, {place}: not told of {symbol}: {why}; {told}"
                ));
            }
        }
    }

    /// Every way and place from one sort of module.
    fn all_ways(&mut self, module: Module) {
        for way in &WAYS {
            let command = self.build(way, module);
            let is_seen = module_sees(way, module);
            for place in PLACES {
                let what = format!("{module:?}, {}", way.name);
                // A destructor's call may come behind the look at the end.
                if is_seen || place == "destructor" {
                    self.cell(&what, &command, place, 1, u64::from(is_seen));
                } else {
                    self.unseen(&what, &command, place, "dlsym(RTLD_NEXT)");
                }
            }
        }
    }

    fn close(self, expected: usize) {
        common::note("cells of the interposition matrix", &self.cells.to_string());
        assert_eq!(self.cells, expected);
        assert!(
            self.wrong.is_empty(),
            "{} of {} cells are wrong:\n{}",
            self.wrong.len(),
            self.cells,
            self.wrong.join("\n")
        );
    }
}

/// `dlsym(RTLD_NEXT)` looks behind its caller, and the hooks lie before all libraries.
fn module_sees(way: &Way, module: Module) -> bool {
    let is_executable = matches!(
        module,
        Module::Executable | Module::ExecutableAtFixedAddress
    );
    is_executable || way.name != "dlsym, next"
}

#[test]
fn calls_of_an_executable_are_seen() {
    let mut matrix = Matrix::new("matrix_executable");
    matrix.all_ways(Module::Executable);
    matrix.close(60);
}

#[test]
fn calls_of_an_executable_at_a_fixed_address_are_seen() {
    let mut matrix = Matrix::new("matrix_fixed");
    matrix.all_ways(Module::ExecutableAtFixedAddress);
    matrix.close(60);
}

#[test]
fn calls_of_a_linked_library_are_seen() {
    let mut matrix = Matrix::new("matrix_linked");
    matrix.all_ways(Module::Linked);
    matrix.close(60);
}

/// A reference without a version means the oldest one, with the rules of then.
#[test]
fn a_program_that_is_older_than_the_versions_gets_what_it_was_linked_with() {
    let mut matrix = Matrix::new("matrix_grown");
    let script = format!("-Wl,--version-script={}", source("versions.map").display());
    let way = Way {
        name: "linked before there were versions",
        flags: &["-DCALL_OLD_SIZE"],
        library: "",
    };
    for module in [Module::Executable, Module::Linked, Module::Opened] {
        let name = format!("libpool_{module:?}.so");
        matrix.library(&name, &[]);
        let library = matrix.path(&name);
        let command = matrix.build_with(&way, module, &library);
        fs::remove_file(&library).expect("the library as it was");
        matrix.library(&name, &["-DWITH_VERSIONS", &script]);
        for place in PLACES {
            matrix.cell(&format!("{module:?}, {}", way.name), &command, place, 1, 1);
        }
    }
    matrix.close(12);
}

#[test]
fn of_a_hook_with_a_version_only_calls_of_that_version_are_seen() {
    let mut matrix = Matrix::new("matrix_versions");
    matrix.adapter = "versions.toml";
    let ways = WAYS.iter();
    for way in ways.filter(|way| way.library == "libpool_versions.so") {
        let seen = u64::from(way.name != "old version");
        for module in [Module::Executable, Module::Opened] {
            let command = matrix.build(way, module);
            for place in PLACES {
                let what = format!("{module:?}, {}, one version hooked", way.name);
                matrix.cell(&what, &command, place, 1, seen);
            }
        }
    }
    matrix.close(24);
}

/// One hook cannot tell calls of two versions apart; hooks that name their versions can.
#[test]
fn of_a_module_that_is_linked_to_two_versions_it_is_told_that_its_calls_go_to_one() {
    let mut matrix = Matrix::new("matrix_mixed");
    let way = Way {
        name: "two versions",
        flags: &["-DCALL_MIXED_VERSIONS"],
        library: "libpool_versions.so",
    };
    for (adapter, is_told) in [("matrix.toml", true), ("versions.toml", false)] {
        matrix.adapter = adapter;
        for module in [Module::Executable, Module::Opened] {
            let command = matrix.build(&way, module);
            let what = format!("{module:?}, two versions, {adapter}");
            let report = matrix.cell(&what, &command, "main", 1, 1);
            let told = report["coverage"]["unobservable"].to_string();
            for symbol in ["pool_take", "pool_give"] {
                let tells = told.contains(&format!("\"{symbol}\"")) && told.contains("name each");
                assert_eq!(tells, is_told, "{what}: {told}");
            }
        }
    }
    matrix.close(4);
}

#[test]
fn calls_of_an_opened_library_are_seen() {
    let mut matrix = Matrix::new("matrix_opened");
    matrix.all_ways(Module::Opened);
    matrix.close(60);
}

/// How a library may have been built, and whether its own calls of its own functions go by the dynamic linker then.
/// And what is told of those that do not.
const SELF_BOUND: [(&str, &[&str], Option<&str>); 5] = [
    ("as usual", &[], None),
    (
        "-Bsymbolic",
        &["-Wl,-Bsymbolic"],
        Some("-Bsymbolic: 1 call inside its library is bound directly"),
    ),
    (
        "-Bsymbolic-functions",
        &["-Wl,-Bsymbolic-functions"],
        Some("1 call inside its library is bound directly"),
    ),
    (
        "protected",
        &["-DWITH_PROTECTED"],
        Some("protected: its library's own calls would not be seen"),
    ),
    (
        "-fno-semantic-interposition",
        &["-fno-semantic-interposition"],
        Some("inlined into callers inside its library"),
    ),
];

#[test]
fn calls_of_the_defining_library_itself_are_seen_where_the_linker_binds_them() {
    let mut matrix = Matrix::new("matrix_itself");
    for (number, (built, flags, why)) in SELF_BOUND.into_iter().enumerate() {
        let name = format!("libpool_{number}.so");
        matrix.library(&name, flags);
        let library = matrix.path(&name);
        for module in [Module::Linked, Module::Opened] {
            let way = Way {
                name: built,
                flags: &["-DCALL_SELF"],
                library: "",
            };
            let command = matrix.build_with(&way, module, &library);
            for place in PLACES {
                let what = format!("{module:?}, the library's own call, built {built}");
                match why {
                    Some(why) => matrix.unseen(&what, &command, place, why),
                    None => drop(matrix.cell(&what, &command, place, 1, 1)),
                }
            }
        }
    }
    matrix.close(40);
}

#[test]
fn what_is_bound_past_the_hooks_is_left_as_it_was() {
    let mut matrix = Matrix::new("matrix_past");
    let lazily = &WAYS[0];
    matrix.build(lazily, Module::Opened);
    let caller = matrix.path("libcaller.so");
    for (way, what, why) in [
        ("deepbind", "opened with RTLD_DEEPBIND", "RTLD_DEEPBIND"),
        ("namespace", "opened by dlmopen", "dlmopen"),
    ] {
        let command = matrix.opener(way, &[&caller]);
        for place in PLACES {
            matrix.unseen(what, &command, place, why);
        }
    }
    // The executable's own definition comes before all others.
    let flags = [
        "-rdynamic",
        &source("caller.cpp").display().to_string(),
        &source("pool.cpp").display().to_string(),
    ];
    matrix.compile("host.cpp", "host", &flags);
    let command = [matrix.path("host")];
    for place in PLACES {
        let what = "defined by the executable";
        matrix.unseen(what, &command, place, "defined by the program itself");
    }
    matrix.close(12);
}

/// Two libraries that define the same functions and use their own.
fn twins(matrix: &Matrix, flags: &[&str]) -> Vec<String> {
    let caller = source("caller.cpp").display().to_string();
    let mut all = vec![caller.as_str()];
    all.extend(flags);
    let names = ["libplug1.so", "libplug2.so"];
    for name in names {
        matrix.library(name, &all);
    }
    let [first, second] = names.map(|name| matrix.path(name));
    matrix.opener("local", &[&first, &second])
}

#[test]
fn two_libraries_of_the_same_names_get_their_own_calls() {
    let mut matrix = Matrix::new("matrix_twins");
    let command = twins(&matrix, &[]);
    for place in PLACES {
        // Each of them says that one call has reached it.
        matrix.cell("two of the same names", &command, place, 1, 2);
    }
    matrix.close(4);
}

#[test]
fn a_jump_out_of_one_of_two_libraries_of_the_same_names_is_told_to_be_a_guess() {
    let mut matrix = Matrix::new("matrix_jump");
    let command = twins(&matrix, &["-DCALL_BY_JUMP"]);
    let report = matrix.cell("a jump", &command, "main", 1, 2);
    let told = report["coverage"]["unobservable"].to_string();
    assert!(told.contains("pool_give"), "{told}");
    assert!(told.contains("go to the first"), "{told}");
}
