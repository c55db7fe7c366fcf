//! Functions that a stack no longer shows, told by the debug information of a real program.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use common::chance;
use common::folder;
use common::module;
use common::run;
use common::trace;
use object::Object;
use whofreed_symbols::Resolver;
use whofreed_trace::Coverage;
use whofreed_trace::Frame;
use whofreed_trace::Module;
use whofreed_trace::NativeFrame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

const SOURCE: &str = include_str!("fixture/tail_calls.c");

/// A compiled fixture, and the stacks that it printed.
struct Host {
    program: PathBuf,
    stacks: BTreeMap<String, Vec<u64>>,
}

/// Compiles the fixture with `arguments` in a folder of the test's own, and runs it.
fn host_by(compiler: &str, test: &str, arguments: &[&str]) -> Host {
    let program = compile(compiler, test, arguments);
    let stacks = stacks(&mut Command::new(&program));
    Host { program, stacks }
}

fn compile(compiler: &str, test: &str, arguments: &[&str]) -> PathBuf {
    let folder = folder(&format!("tail_{test}"));
    let source = folder.join("host.c");
    fs::write(&source, SOURCE).expect("the source is written");
    let program = folder.join("host");
    run(Command::new(compiler)
        .args(["-O2", "-g", "-fPIE", "-pie", "-Wl,--build-id=sha1"])
        .args(arguments)
        .arg("-o")
        .args([&program, &source]));
    program
}

fn stacks(host: &mut Command) -> BTreeMap<String, Vec<u64>> {
    run(host)
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            let label = words.next().expect("a word").to_owned();
            let offsets = words.map(|word| u64::from_str_radix(word, 16).expect("a number"));
            (label, offsets.collect())
        })
        .collect()
}

fn host(test: &str, arguments: &[&str]) -> Host {
    host_by("gcc", test, arguments)
}

fn resolve(trace: Trace) -> Arc<[Frame]> {
    let traces = [trace];
    let resolver = Resolver::new(&traces);
    let frames = resolver.frames(0, StackId(1));
    assert_eq!(resolver.notes(), Vec::<String>::new());
    frames
}

fn native(offsets: &[u64]) -> Vec<NativeFrame> {
    let frame = |offset: &u64| NativeFrame {
        module: Some(0),
        offset: *offset,
    };
    offsets.iter().map(frame).collect()
}

fn stack(host: &Host, label: &str) -> Arc<[Frame]> {
    resolve(trace(
        vec![module(&host.program)],
        native(&host.stacks[label]),
    ))
}

/// Function, line, and whether it left by a tail call.
fn told(frames: &[Frame]) -> Vec<(&str, u32, bool)> {
    frames
        .iter()
        .map(|frame| {
            let function = frame.function.as_deref().unwrap_or("?");
            (function, frame.line, frame.tail_called)
        })
        .collect()
}

/// The number of the source line that is marked with `mark`.
fn line(mark: &str) -> u32 {
    let mark = format!("/* line: {mark} */");
    let index = SOURCE.lines().position(|line| line.contains(&mark));
    u32::try_from(index.expect("the mark is in the source") + 1).expect("a small file")
}

/// The line at which `text` stands.
fn line_of(text: &str) -> u32 {
    let index = SOURCE.lines().position(|line| line.contains(text));
    u32::try_from(index.expect("the text is in the source") + 1).expect("a small file")
}

#[test]
fn chains_of_tail_calls_are_told_with_the_lines_of_the_jumps() {
    for (test, arguments) in [
        ("dwarf5", &["-gdwarf-5"][..]),
        ("dwarf4", &["-gdwarf-4"]),
        ("compressed", &["-gz=zlib"]),
        ("whole_program", &["-flto"]),
    ] {
        let host = host(test, arguments);
        let device_free = ("device_free", line("device_free"), true);
        assert_eq!(
            told(&stack(&host, "chain")),
            [
                device_free,
                ("evict", line("evict"), true),
                ("main", line("chain"), false)
            ],
            "{test}"
        );
        assert_eq!(
            told(&stack(&host, "static")),
            [
                device_free,
                ("keep", line("keep"), true),
                ("main", line("static"), false)
            ],
            "{test}"
        );
        assert_eq!(
            told(&stack(&host, "middle")),
            [
                device_free,
                ("evict", line("evict"), true),
                ("release", line("release"), false),
                ("main", line("middle"), false)
            ],
            "{test}"
        );
    }
}

#[test]
fn frames_of_tail_calls_are_like_others() {
    let host = host("like_others", &[]);
    let frames = stack(&host, "chain");
    for frame in frames.iter() {
        assert_eq!(Path::new(&*frame.module), host.program);
        assert_eq!(frame.file, frames[2].file);
        assert!(!frame.inlined);
    }
    assert_ne!(frames[0].offset, frames[1].offset);
}

#[test]
fn a_function_that_was_called_and_is_there_is_not_told_again() {
    let host = host("direct", &[]);
    assert_eq!(
        told(&stack(&host, "direct")),
        [("main", line("direct"), false)]
    );
}

#[test]
fn of_two_ways_only_what_lies_on_both_is_told() {
    let host = host("branch", &[]);
    assert_eq!(
        told(&stack(&host, "branch")),
        [
            ("device_free", line("device_free"), true),
            ("branch", line("two ways"), true),
            ("main", line("branch"), false)
        ]
    );
}

#[test]
fn a_function_with_two_jumps_is_told_with_the_line_of_its_declaration() {
    let host = host("left_twice", &[]);
    assert_eq!(
        told(&stack(&host, "left_twice")),
        [
            ("device_free", line("device_free"), true),
            ("left_twice", line_of("void left_twice("), true),
            ("main", line("left_twice"), false)
        ]
    );
}

#[test]
fn functions_that_tail_call_each_other_are_told_once() {
    let host = host("recursive", &[]);
    assert_eq!(
        told(&stack(&host, "recursive")),
        [
            ("device_free", line("device_free"), true),
            ("odd", line_of("void odd("), true),
            ("even", line("even"), true),
            ("main", line("recursive"), false)
        ]
    );
}

#[test]
fn of_a_call_through_a_pointer_nothing_is_told() {
    let host = host("through", &[]);
    assert_eq!(
        told(&stack(&host, "through")),
        [("main", line("through"), false)]
    );
}

#[test]
fn a_function_that_leaves_through_a_pointer_is_told_and_what_it_left_for_is_not() {
    let host = host("by_pointer", &[]);
    assert_eq!(
        told(&stack(&host, "by_pointer")),
        [
            ("by_pointer", line("by_pointer"), true),
            ("main", line("in main"), false)
        ]
    );
}

#[test]
fn a_tail_call_of_an_inlined_function_has_both_functions() {
    let host = host("inlined", &[]);
    let frames = stack(&host, "holder");
    assert_eq!(
        told(&frames),
        [
            ("device_free", line("device_free"), true),
            ("inlined", line("inlined"), true),
            ("holder", line("holder"), true),
            ("main", line("around"), false)
        ]
    );
    let inlined: Vec<bool> = frames.iter().map(|frame| frame.inlined).collect();
    assert_eq!(inlined, [false, true, false, false]);
}

#[test]
fn two_calls_on_one_line_are_two_stacks() {
    let host = host("one_line", &[]);
    let offsets = [&host.stacks["one"][..1], &host.stacks["other"][..1]];
    let [one, other] = offsets.map(|o| resolve(trace(vec![module(&host.program)], native(o))));
    assert_eq!(told(&one)[2], ("main", line("one and other"), false));
    assert_eq!(told(&other)[2], told(&one)[2]);
    assert_eq!([told(&one)[1].0, told(&other)[1].0], ["evict", "keep"]);
}

#[test]
fn what_is_told_was_there() {
    // The same program without tail calls has the whole stacks.
    let program = compile("gcc", "whole", &["-fno-optimize-sibling-calls"]);
    let stacks = stacks(Command::new(&program).arg("everything"));
    let whole = Host { program, stacks };
    let host = host("in_part", &[]);
    for (label, offsets) in &host.stacks {
        let stack = stack(&whole, label);
        assert!(stack.iter().all(|frame| !frame.tail_called), "{label}");
        let end = stack
            .iter()
            .position(|frame| frame.function.as_deref() == Some("main"));
        let mut there = stack[..=end.expect("main")].iter();
        let frames = resolve(trace(vec![module(&host.program)], native(offsets)));
        for frame in frames.iter() {
            assert!(
                there.any(|other| other.function == frame.function),
                "{label}: {frame:?}"
            );
        }
        if ["chain", "static", "middle", "holder", "direct"].contains(&&**label) {
            assert_eq!(frames.len(), end.expect("main") + 1, "{label}");
        }
    }
    assert_eq!(host.stacks.len(), whole.stacks.len());
}

#[test]
fn without_debug_information_of_calls_nothing_changes() {
    for (test, arguments) in [("lines_only", &["-g1"][..]), ("no_debug", &["-g0"])] {
        let host = host(test, arguments);
        let frames = stack(&host, "chain");
        assert_eq!(frames.len(), 1, "{test}: {frames:?}");
        assert_eq!(frames[0].function.as_deref(), Some("main"));
        assert!(!frames[0].tail_called);
    }
}

#[test]
fn debug_information_in_a_file_of_its_own() {
    let host = host("separate", &[]);
    let debug = host.program.with_extension("debug");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&host.program, &debug]));
    run(Command::new("strip").arg(&host.program));
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    run(Command::new("objcopy").arg(link).arg(&host.program));
    let frames = stack(&host, "chain");
    assert_eq!(told(&frames)[1], ("evict", line("evict"), true));
}

/// The device is a library; what frees twice is in another one, and calls it by a jump.
const LIBRARY: &str = "void wf_deallocate(unsigned long);
__attribute__((noinline)) void device_free(unsigned long handle) { wf_deallocate(handle + 1); }
";
const CACHE: &str = "void device_free(unsigned long);
void evict(unsigned long handle) { device_free(handle + 2); }
";

#[test]
fn tail_calls_from_library_to_library() {
    let folder = folder("tail_libraries");
    let main = "#include <execinfo.h>\n#include <stdio.h>\nextern const char __ehdr_start;
void evict(unsigned long);
void wf_deallocate(unsigned long handle) {
    void *frames[9];
    backtrace(frames, 9);
    printf(\"%lx\\n\", (unsigned long)((const char *)frames[1] - &__ehdr_start));
}
int main(void) { evict(1); return 0; }\n";
    let library = |name: &str, text: &str, with: &[&str]| {
        let source = folder.join(format!("{name}.c"));
        fs::write(&source, text).expect("the source is written");
        let library = folder.join(format!("lib{name}.so"));
        run(Command::new("gcc")
            .args(["-O2", "-g", "-shared", "-fPIC", "-Wl,--build-id=sha1", "-o"])
            .args([&library, &source])
            .arg("-L")
            .arg(&folder)
            .args(with)
            .arg(format!("-Wl,-rpath,{}", folder.display())));
        library
    };
    let device = library("device", LIBRARY, &[]);
    let cache = library("cache", CACHE, &["-ldevice"]);
    let source = folder.join("main.c");
    fs::write(&source, main).expect("the source is written");
    let program = folder.join("main");
    run(Command::new("gcc")
        .args(["-O2", "-g", "-rdynamic", "-Wl,--build-id=sha1", "-o"])
        .args([&program, &source])
        .arg("-L")
        .arg(&folder)
        .args(["-lcache", "-ldevice"])
        .arg(format!("-Wl,-rpath,{}", folder.display())));
    let offset = run(&mut Command::new(&program));
    let offset = u64::from_str_radix(offset.trim(), 16).expect("a number");

    let modules = vec![module(&program), module(&device), module(&cache)];
    let frames = resolve(trace(modules.clone(), native(&[offset])));
    assert_eq!(
        told(&frames),
        [
            ("device_free", 2, true),
            ("evict", 2, true),
            ("main", 10, false)
        ]
    );
    assert_eq!(Path::new(&*frames[0].module), device);
    assert_eq!(Path::new(&*frames[1].module), cache);

    // A hook stands in for the function that it is called like: `evict` was left, but device_free is where we are.
    let mut hooked = trace(modules.clone(), native(&[offset]));
    hooked.coverage.push(Coverage::Bound {
        adapter: "device".to_owned(),
        symbol: "device_free".to_owned(),
        library: "libdevice.so".to_owned(),
    });
    assert_eq!(
        told(&resolve(hooked)),
        [("evict", 2, true), ("main", 10, false)]
    );

    // What is only looked into gives no notes.
    let mut more = modules.clone();
    more.push(Module {
        path: folder.join("gone.so").to_str().expect("text").to_owned(),
        ..more[0].clone()
    });
    more.swap(1, 3);
    assert_eq!(told(&resolve(trace(more, native(&[offset])))).len(), 3);

    // A library that is in no stack at all is not known: what was called is, from its declaration.
    let frames = resolve(trace(modules[..1].to_vec(), native(&[offset])));
    assert_eq!(told(&frames), [("evict", 4, true), ("main", 10, false)]);
    let file = frames[0].file.as_deref().expect("a file");
    assert_eq!(Path::new(file), source);
    assert_eq!((&*frames[0].module, frames[0].offset), ("", 0));

    // Called by anything else, it may be called differently there.
    let beyond = resolve(trace(modules[..1].to_vec(), native(&[offset + 1, offset])));
    assert!(beyond.iter().all(|frame| !frame.tail_called));
}

#[test]
fn destructors_are_not_taken_for_their_copies() {
    let folder = folder("tail_destructors");
    let source = folder.join("host.cpp");
    let text = "#include <execinfo.h>\n#include <cstdio>\nextern \"C\" const char __ehdr_start;
#define KEPT __attribute__((noinline, noclone))
static const char *label;
extern \"C\" KEPT void wf_deallocate(unsigned long) noexcept {
    void *frames[9];
    backtrace(frames, 9);
    std::printf(\"%s %lx %lx\\n\", label, (unsigned long)((const char *)frames[1] - &__ehdr_start),
        (unsigned long)((const char *)frames[2] - &__ehdr_start));
}
struct Buffer { virtual KEPT ~Buffer(); unsigned long handle = 1; };
Buffer::~Buffer() { wf_deallocate(handle); }
struct Holder { Buffer buffer; KEPT ~Holder() { std::printf(\"\"); } };
int main() {
    label = \"plain\"; { Buffer buffer; }
    label = \"held\"; { Holder holder; }
    label = \"deleted\"; Buffer *buffer = new Buffer; asm volatile(\"\" : \"+r\"(buffer)); delete buffer;
}\n";
    fs::write(&source, text).expect("the source is written");
    let program = folder.join("host");
    run(Command::new("g++")
        .args(["-O2", "-g", "-Wl,--build-id=sha1", "-o"])
        .args([&program, &source]));
    let mut told = BTreeMap::new();
    for line in run(&mut Command::new(&program)).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let offsets = words[1..]
            .iter()
            .map(|word| u64::from_str_radix(word, 16).expect("a number"));
        let offsets: Vec<u64> = offsets
            .take(if words[0] == "deleted" { 2 } else { 1 })
            .collect();
        let frames = resolve(trace(vec![module(&program)], native(&offsets)));
        let functions: Vec<String> = frames
            .iter()
            .map(|frame| {
                let name = frame.function.as_deref().unwrap_or("?");
                format!("{name}{}", if frame.tail_called { " (left)" } else { "" })
            })
            .collect();
        told.insert(words[0].to_owned(), functions);
    }
    assert_eq!(told["plain"], ["Buffer::~Buffer (left)", "main"]);
    // Its holder's destructor ends in a jump, too.
    assert_eq!(
        told["held"],
        ["Buffer::~Buffer (left)", "Holder::~Holder (left)", "main"]
    );
    assert_eq!(
        told["deleted"],
        ["Buffer::~Buffer (left)", "Buffer::~Buffer", "main"]
    );
}

#[test]
fn damaged_files_never_panic() {
    let host = host("damaged", &[]);
    let bytes = fs::read(&host.program).expect("the program");
    let known = module(&host.program);
    let broken = host.program.with_extension("broken");
    let mut next = chance(11);
    // The debug information alone: the rest is another test's.
    let file = object::File::parse(&*bytes).expect("it is an object file");
    let debug: Vec<(usize, usize)> = [".debug_info", ".debug_abbrev", ".debug_rnglists"]
        .iter()
        .filter_map(|name| {
            use object::ObjectSection;
            let (offset, size) = file.section_by_name(name)?.file_range()?;
            Some((usize::try_from(offset).ok()?, usize::try_from(size).ok()?))
        })
        .collect();
    let mut told = 0;
    for _ in 0..200 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + next(20) {
            let (offset, size) = debug[next(debug.len())];
            damaged[offset + next(size)] = u8::try_from(next(256)).expect("a byte");
        }
        fs::write(&broken, &damaged).expect("a file");
        let recorded = Module {
            path: broken.to_str().expect("text").to_owned(),
            ..known.clone()
        };
        for offsets in host.stacks.values() {
            let frames = resolve(trace(vec![recorded.clone()], native(offsets)));
            told += frames.iter().filter(|frame| frame.tail_called).count();
        }
    }
    assert!(told > 0, "some damage leaves call sites");
}

#[test]
fn clang_tells_tail_calls_too() {
    if Command::new("clang").arg("--version").output().is_err() {
        eprintln!("skipped: there is no clang");
        return;
    }
    let host = host_by("clang", "clang", &[]);
    let frames = stack(&host, "chain");
    assert_eq!(told(&frames)[1].0, "evict");
}
