//! Names of a real program that the system's compiler made, with all of its debug information and with less.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use common::Host;
use common::SOURCE;
use common::build_id;
use common::chance;
use common::folder;
use common::host;
use common::module;
use common::run;
use common::trace;
use whofreed_symbols::Resolver;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Module;
use whofreed_trace::NativeFrame;
use whofreed_trace::PythonCode;
use whofreed_trace::PythonFrame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;

fn frame(module: u32, offset: u64) -> NativeFrame {
    NativeFrame {
        module: Some(module),
        offset,
    }
}

/// The frames of one return address of `host`, and what the resolver has to say.
fn resolve(host: &Host, label: &str) -> (Arc<[Frame]>, Vec<String>) {
    resolve_in(module(&host.program), host.offsets[label])
}

fn resolve_in(module: Module, offset: u64) -> (Arc<[Frame]>, Vec<String>) {
    let traces = [trace(vec![module], vec![frame(0, offset)])];
    let resolver = Resolver::new(&traces);
    let frames = resolver.frames(0, StackId(1));
    (frames, resolver.notes())
}

fn functions(frames: &[Frame]) -> Vec<&str> {
    frames
        .iter()
        .map(|frame| frame.function.as_deref().unwrap_or("?"))
        .collect()
}

/// The number of the source line that is marked with `mark`.
fn line(mark: &str) -> u32 {
    let end = format!("line: {mark}");
    let index = SOURCE
        .lines()
        .position(|line| line.ends_with(&end))
        .expect("the mark is in the source");
    u32::try_from(index + 1).expect("a small file")
}

/// `label`'s frame is `function`, at the marked line.
fn assert_place(host: &Host, label: &str, function: &str) {
    let (frames, notes) = resolve(host, label);
    assert_eq!(functions(&frames), [function], "{label}");
    assert_eq!(frames[0].line, line(label), "{label}");
    let file = frames[0].file.as_deref().expect("a file");
    assert!(file.ends_with("/host.cpp"), "{file}");
    assert_eq!(frames[0].language, Language::Native);
    assert_eq!(frames[0].offset, host.offsets[label] - 1);
    assert_eq!(Path::new(&*frames[0].module), host.program);
    assert!(!frames[0].inlined);
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn functions_files_and_lines() {
    for (test, arguments) in [("dwarf5", &["-gdwarf-5"]), ("dwarf4", &["-gdwarf-4"])] {
        let host = host(test, arguments);
        assert_place(&host, "evict", "ns::ProgramCache::evict");
        assert_place(&host, "pick", "ns::pick<int>");
        assert_place(&host, "hidden", "(anonymous namespace)::hidden");
        assert_place(&host, "plain_c", "plain_c");
    }
}

#[test]
fn an_inlined_function_comes_before_the_one_it_is_in() {
    let host = host("inlined", &[]);
    let (frames, _) = resolve(&host, "clear");
    assert_eq!(
        functions(&frames),
        ["ns::ProgramCache::clear", "ns::ProgramCache::reset"]
    );
    assert_eq!(
        [frames[0].line, frames[1].line],
        [line("clear"), line("reset")]
    );
    assert_eq!([frames[0].inlined, frames[1].inlined], [true, false]);
    assert_eq!(frames[0].offset, frames[1].offset);
}

#[test]
fn a_closure_has_the_name_of_its_function() {
    let host = host("closure", &[]);
    let (frames, _) = resolve(&host, "closure");
    let name = frames[0].function.as_deref().expect("a name");
    assert!(name.starts_with("main::{lambda"), "{name}");
    assert_eq!(frames[0].line, line("closure"));
}

#[test]
fn compressed_debug_information() {
    let host = host("compressed", &["-gz=zlib"]);
    assert_place(&host, "evict", "ns::ProgramCache::evict");
}

#[test]
fn split_debug_information() {
    let host = host("split", &["-gsplit-dwarf"]);
    assert_place(&host, "evict", "ns::ProgramCache::evict");
}

#[test]
fn without_debug_information_the_symbol_table_names_functions() {
    let host = host("symbols_only", &[]);
    run(Command::new("strip")
        .arg("--strip-debug")
        .arg(&host.program));
    for (label, function) in [
        ("evict", "ns::ProgramCache::evict"),
        ("clear", "ns::ProgramCache::reset"),
        ("pick", "ns::pick<int>"),
        ("hidden", "(anonymous namespace)::hidden"),
    ] {
        let (frames, notes) = resolve(&host, label);
        assert_eq!(functions(&frames), [function]);
        assert_eq!((frames[0].file.as_deref(), frames[0].line), (None, 0));
        assert_eq!(notes, Vec::<String>::new());
    }
}

#[test]
fn a_stripped_program_that_exports_still_has_its_exported_names() {
    let host = host("exported", &["-rdynamic"]);
    run(Command::new("strip").arg(&host.program));
    assert_eq!(functions(&resolve(&host, "plain_c").0), ["plain_c"]);
    assert_eq!(functions(&resolve(&host, "pick").0), ["ns::pick<int>"]);
    // Not exported; the exported function before it must not be given instead.
    assert_eq!(functions(&resolve(&host, "hidden").0), ["?"]);
}

#[test]
fn a_stripped_program_has_modules_and_offsets() {
    let host = host("stripped", &[]);
    run(Command::new("strip").arg(&host.program));
    let (frames, notes) = resolve(&host, "evict");
    assert_eq!(functions(&frames), ["?"]);
    assert_eq!(Path::new(&*frames[0].module), host.program);
    assert_eq!(frames[0].offset, host.offsets["evict"] - 1);
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn a_separate_debug_file_is_found_by_its_link_and_only_with_the_right_build_id() {
    let host = host("separate", &[]);
    let debug = host.program.with_extension("debug");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&host.program, &debug]));
    run(Command::new("strip").arg(&host.program));
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    run(Command::new("objcopy").arg(link).arg(&host.program));
    assert_place(&host, "evict", "ns::ProgramCache::evict");
    assert_eq!(
        functions(&resolve(&host, "clear").0),
        ["ns::ProgramCache::clear", "ns::ProgramCache::reset"]
    );

    let hidden = host.program.with_file_name(".debug");
    fs::create_dir(&hidden).expect("a folder");
    fs::rename(&debug, hidden.join("host.debug")).expect("the file moves");
    assert_place(&host, "evict", "ns::ProgramCache::evict");

    let other = self::host("separate_other", &["-O1"]);
    fs::copy(&other.program, hidden.join("host.debug")).expect("the file is replaced");
    assert_eq!(functions(&resolve(&host, "evict").0), ["?"]);
}

#[test]
fn a_module_that_changed_gives_no_names_and_a_note() {
    let host = host("changed", &[]);
    let mut changed = module(&host.program);
    changed.build_id[3] ^= 1;
    let path = changed.path.clone();
    let (frames, notes) = resolve_in(changed, host.offsets["evict"]);
    assert_eq!(functions(&frames), ["?"]);
    assert_eq!(&*frames[0].module, path);
    assert_eq!(
        notes,
        [format!(
            "{path} changed since the recording: its names are not used"
        )]
    );
}

#[test]
fn traces_of_one_program_share_its_file_and_its_note() {
    let host = host("shared", &[]);
    let mut changed = module(&host.program);
    changed.build_id.clear();
    let moved = Module {
        load_bias: 0x7f00_0000_0000,
        generation: 2,
        ..changed.clone()
    };
    let evict = host.offsets["evict"];
    let traces = [
        trace(
            vec![changed.clone(), moved],
            vec![frame(0, evict), frame(1, evict)],
        ),
        trace(vec![changed], vec![frame(0, evict)]),
        trace(vec![module(&host.program)], vec![frame(0, evict)]),
    ];
    let resolver = Resolver::new(&traces);
    assert_eq!(
        resolver.notes(),
        Vec::<String>::new(),
        "nothing was asked for"
    );
    assert_eq!(functions(&resolver.frames(0, StackId(1))), ["?", "?"]);
    assert_eq!(functions(&resolver.frames(1, StackId(1))), ["?"]);
    assert_eq!(
        functions(&resolver.frames(2, StackId(1))),
        ["ns::ProgramCache::evict"]
    );
    assert_eq!(resolver.notes().len(), 1, "{:?}", resolver.notes());
}

#[test]
fn a_file_without_a_build_id_that_is_newer_than_the_recording_is_doubted() {
    let host = host("no_build_id", &["-Wl,--build-id=none"]);
    let mut recorded = trace(
        vec![module(&host.program)],
        vec![frame(0, host.offsets["evict"])],
    );
    recorded.process.started_at_ns = 1_000_000_000;
    let mut later = recorded.clone();
    later.process.started_at_ns = 4_000_000_000_000_000_000;
    for (trace, doubts) in [(recorded, 1), (later, 0)] {
        let traces = [trace];
        let resolver = Resolver::new(&traces);
        let frames = resolver.frames(0, StackId(1));
        assert_eq!(functions(&frames), ["ns::ProgramCache::evict"]);
        assert_eq!(resolver.notes().len(), doubts, "{:?}", resolver.notes());
    }
}

#[test]
fn a_module_that_cannot_be_read_gives_no_names_and_one_note() {
    let folder = folder("unreadable");
    let pipe = folder.join("pipe.so");
    run(Command::new("mkfifo").arg(&pipe));
    let text = folder.join("text.so");
    fs::write(&text, "not an ELF file").expect("a file");
    let recorded = |path: &Path| Module {
        path: path.to_str().expect("text").to_owned(),
        build_id: vec![1; 20],
        load_bias: 0,
        start: 0,
        end: 0x1000,
        generation: 1,
    };
    let modules = vec![
        recorded(&folder.join("gone.so")),
        recorded(&pipe),
        recorded(&text),
        recorded(Path::new("linux-vdso.so.1")),
        recorded(Path::new("/dev/zero")),
        recorded(&folder),
    ];
    let native = (0..6)
        .flat_map(|index| [frame(index, 0x10), frame(index, 0x20)])
        .collect();
    let traces = [trace(modules, native)];
    let resolver = Resolver::new(&traces);
    let frames = resolver.frames(0, StackId(1));
    assert_eq!(frames.len(), 12);
    assert!(frames.iter().all(|frame| frame.function.is_none()));
    assert_eq!((frames[0].offset, frames[1].offset), (0xf, 0x1f));
    assert_eq!(resolver.notes().len(), 5, "{:?}", resolver.notes());
}

#[test]
fn damaged_files_never_panic() {
    let host = host("damaged", &[]);
    let bytes = fs::read(&host.program).expect("the program");
    let id = build_id(&host.program);
    let broken = host.program.with_extension("broken");
    let mut next = chance(7);
    let mut resolved = 0;
    for round in 0..150 {
        let mut damaged = bytes.clone();
        if round % 3 == 0 {
            damaged.truncate(next(bytes.len()));
        } else {
            for _ in 0..200 {
                let at = next(damaged.len());
                damaged[at] = u8::try_from(next(256)).expect("a byte");
            }
        }
        fs::write(&broken, &damaged).expect("a file");
        let recorded = Module {
            path: broken.to_str().expect("text").to_owned(),
            build_id: id.clone(),
            ..module(&host.program)
        };
        let native = host
            .offsets
            .values()
            .map(|offset| frame(0, *offset))
            .collect();
        let traces = [trace(vec![recorded], native)];
        let frames = Resolver::new(&traces).frames(0, StackId(1));
        assert!(frames.len() >= host.offsets.len());
        resolved += frames
            .iter()
            .filter(|frame| frame.function.is_some())
            .count();
    }
    assert!(resolved > 0, "some damage leaves names");
}

#[test]
fn the_recorders_own_frames_are_dropped_from_the_inner_end_only() {
    let host = host("own_frames", &[]);
    let own = |path: &str| Module {
        path: path.to_owned(),
        ..module(&host.program)
    };
    let modules = vec![
        module(&host.program),
        own("/opt/lib/libwhofreed.so"),
        own("/tmp/x/whofreed-hooks-12ab.so"),
    ];
    let evict = frame(0, host.offsets["evict"]);
    let traces = [trace(
        modules,
        vec![
            frame(1, 0x10),
            frame(2, 0x10),
            frame(1, 0x20),
            evict,
            frame(1, 0x30),
        ],
    )];
    let resolver = Resolver::new(&traces);
    let frames = resolver.frames(0, StackId(1));
    assert_eq!(functions(&frames), ["ns::ProgramCache::evict", "?"]);
    assert_eq!(&*frames[1].module, "/opt/lib/libwhofreed.so");
}

#[test]
fn python_frames_take_the_place_of_the_loop() {
    let folder = folder("python");
    let source = folder.join("loop.c");
    fs::write(
        &source,
        "int _PyEval_EvalFrameDefault(int n) { return n + 1; }\nint pymain_run(int n) { return n + 2; }\n",
    )
    .expect("a file");
    let library = folder.join("libpython3.12.so.1.0");
    run(Command::new("gcc")
        .args(["-shared", "-fPIC", "-Wl,--build-id=sha1", "-o"])
        .args([&library, &source]));
    let names = run(Command::new("nm").arg("-D").arg(&library));
    let address = |name: &str| {
        let line = names
            .lines()
            .find(|line| line.ends_with(name))
            .expect("the symbol");
        u64::from_str_radix(line.split(' ').next().expect("a word"), 16).expect("a number")
    };
    let eval = frame(0, address("_PyEval_EvalFrameDefault") + 2);
    let main = frame(0, address("pymain_run") + 2);
    let nowhere = NativeFrame {
        module: None,
        offset: 0x7f00_0000_1001,
    };
    let mut recorded = trace(vec![module(&library)], vec![nowhere, eval, main]);
    recorded.codes = vec![PythonCode {
        file: "/home/me/model.py".to_owned(),
        function: "Model.step".to_owned(),
        first_line: 3,
    }];
    recorded.stacks[1].python = vec![
        PythonFrame {
            code: 0,
            line: 12,
            is_entry: false,
        },
        PythonFrame {
            code: 9,
            line: 0,
            is_entry: true,
        },
    ];
    let traces = [recorded];
    let frames = Resolver::new(&traces).frames(0, StackId(1));
    assert_eq!(functions(&frames), ["?", "Model.step", "?", "pymain_run"]);
    assert_eq!(
        (&*frames[0].module, frames[0].offset),
        ("", 0x7f00_0000_1000)
    );
    assert_eq!(
        (frames[1].file.as_deref(), frames[1].line),
        (Some("/home/me/model.py"), 12)
    );
    assert_eq!(frames[1].language, Language::Python);
    assert_eq!(
        (frames[2].file.as_deref(), frames[2].language),
        (None, Language::Python)
    );
}

#[test]
fn rust_functions_have_no_hash() {
    let program = std::env::current_exe().expect("the test's own path");
    let maps = fs::read_to_string("/proc/self/maps").expect("the own mappings");
    let first = maps
        .lines()
        .find(|line| line.ends_with(program.to_str().expect("text")))
        .expect("the own mapping");
    let bias =
        u64::from_str_radix(first.split('-').next().expect("an address"), 16).expect("a number");
    let function: fn(&[u8]) -> u64 = named_by_its_own_test;
    let offset = function as usize as u64 - bias + 1;
    let (frames, notes) = resolve_in(module(&program), offset);
    let last = frames.last().expect("a frame");
    assert_eq!(
        last.function.as_deref(),
        Some("native::named_by_its_own_test")
    );
    assert!(
        last.file
            .as_deref()
            .expect("a file")
            .ends_with("tests/native.rs")
    );
    assert!(
        notes.is_empty() || build_id(&program).is_empty(),
        "{notes:?}"
    );
}

#[inline(never)]
fn named_by_its_own_test(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

#[test]
fn what_is_not_in_the_trace_has_no_frames() {
    let traces = [trace(
        Vec::new(),
        vec![frame(7, 0), frame(u32::MAX, u64::MAX)],
    )];
    let resolver = Resolver::new(&traces);
    assert!(resolver.frames(0, StackId(0)).is_empty());
    assert!(resolver.frames(0, StackId(99)).is_empty());
    assert!(resolver.frames(5, StackId(1)).is_empty());
    let frames = resolver.frames(0, StackId(1));
    assert_eq!((frames.len(), frames[0].offset), (2, 0));
    assert!(
        Arc::ptr_eq(&frames, &resolver.frames(0, StackId(1))),
        "resolved once"
    );
}
