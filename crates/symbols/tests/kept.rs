//! Names that outlive the resolver that read them, and names that several threads read.
#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use common::Host;
use common::build_id;
use common::host;
use common::module;
use common::run;
use common::trace;
use object::Object;
use object::ObjectSection;
use proptest::prelude::*;
use whofreed_symbols::Resolver;
use whofreed_symbols::Store;
use whofreed_trace::Frame;
use whofreed_trace::Module;
use whofreed_trace::NativeFrame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

/// What is kept, in memory.
#[derive(Debug, Default)]
struct Memory(Mutex<HashMap<Vec<u8>, Vec<u8>>>);

impl Store for Memory {
    fn read(&self, build_id: &[u8]) -> Option<Vec<u8>> {
        self.0.lock().expect("no panic").get(build_id).cloned()
    }

    fn write(&self, build_id: &[u8], bytes: &[u8]) {
        let mut kept = self.0.lock().expect("no panic");
        kept.insert(build_id.to_vec(), bytes.to_vec());
    }
}

impl Memory {
    fn is_empty(&self) -> bool {
        self.0.lock().expect("no panic").is_empty()
    }
}

const EVICT: &str = "ns::ProgramCache::evict";

fn frames_at(offsets: impl IntoIterator<Item = u64>) -> Vec<NativeFrame> {
    let at = |offset| NativeFrame {
        module: Some(0),
        offset,
    };
    offsets.into_iter().map(at).collect()
}

/// The frames of the only stack, and the notes; what is new is kept.
fn resolve(trace: Trace, store: &Memory) -> (Arc<[Frame]>, Vec<String>) {
    let traces = [trace];
    let resolver = Resolver::new(&traces).with_store(store);
    let frames = resolver.frames(0, StackId(1));
    resolver.keep();
    (frames, resolver.notes())
}

/// The same of one address of a module.
fn at(module: &Module, offset: u64, store: &Memory) -> (Arc<[Frame]>, Vec<String>) {
    resolve(trace(vec![module.clone()], frames_at([offset])), store)
}

/// All addresses of `host`.
fn whole(host: &Host) -> Trace {
    let offsets = host.offsets.values().copied();
    trace(vec![module(&host.program)], frames_at(offsets))
}

fn function(frames: &[Frame]) -> &str {
    frames[0].function.as_deref().unwrap_or("?")
}

/// Overwrites all debug information; size and time of the file stay.
fn spoil(program: &Path) {
    let bytes = fs::read(program).expect("the program");
    let parsed = object::File::parse(&*bytes).expect("an object file");
    let written = fs::metadata(program).expect("it is there").modified();
    let file = File::options().write(true).open(program).expect("a file");
    for section in parsed.sections() {
        let name = section.name().expect("a name");
        if let (true, Some((at, size))) = (name.starts_with(".debug_"), section.file_range()) {
            let zeros = vec![0; usize::try_from(size).expect("a small section")];
            file.write_all_at(&zeros, at).expect("a place in the file");
        }
    }
    file.set_modified(written.expect("a time")).expect("a time");
}

fn touch(program: &Path) {
    let file = File::options().write(true).open(program).expect("a file");
    let before = file.metadata().and_then(|about| about.modified());
    let later = before.expect("a time") + Duration::from_secs(1);
    file.set_modified(later).expect("a time");
}

#[test]
fn names_of_a_file_that_is_gone_or_replaced_are_those_that_were_told_before() {
    let host = host("kept_gone", &[]);
    let store = Memory::default();
    let before = resolve(whole(&host), &store);
    assert_eq!(before.1, Vec::<String>::new());
    let (gone, recorded) = (whole(&host), module(&host.program));

    fs::remove_file(&host.program).expect("it was there");
    assert_eq!(resolve(gone.clone(), &store), before);
    fs::write(&host.program, "no program").expect("a file");
    assert_eq!(resolve(gone.clone(), &store), before);
    let other = common::host("kept_gone_other", &["-Devict=renamed"]);
    fs::copy(&other.program, &host.program).expect("a file");
    assert_eq!(resolve(gone.clone(), &store), before);

    // What was not told before is missed once, and only if somebody asks for it.
    let traces = [trace(vec![recorded], frames_at([0x11, 0x21]))];
    let resolver = Resolver::new(&traces).with_store(&store);
    assert_eq!(function(&resolver.frames(0, StackId(1))), "?");
    assert_eq!(resolver.notes().len(), 1, "{:?}", resolver.notes());

    let (frames, notes) = resolve(gone, &Memory::default());
    assert_eq!((function(&frames), notes.len()), ("?", 1));
}

#[test]
fn a_file_whose_answers_are_kept_is_not_read_again_until_it_is_written_again() {
    let host = host("kept_unread", &[]);
    let store = Memory::default();
    let before = resolve(whole(&host), &store);
    let evict = host.offsets["evict"];
    spoil(&host.program);
    assert_eq!(resolve(whole(&host), &store), before);
    assert_ne!(resolve(whole(&host), &Memory::default()), before);

    touch(&host.program);
    let (frames, _) = at(&module(&host.program), evict, &store);
    assert_eq!((function(&frames), frames[0].line), (EVICT, 0));
}

#[test]
fn what_could_not_be_read_is_not_kept() {
    let host = host("kept_broken", &[]);
    let store = Memory::default();
    spoil(&host.program);
    resolve(whole(&host), &store);
    assert!(store.is_empty());
}

#[test]
fn more_addresses_are_added_to_those_that_are_kept() {
    let host = host("kept_more", &[]);
    let (recorded, store) = (module(&host.program), Memory::default());
    let labels = ["evict", "pick"];
    let before = labels.map(|label| at(&recorded, host.offsets[label], &store));
    assert_eq!(function(&before[0].0), EVICT);
    fs::remove_file(&host.program).expect("it was there");
    let after = labels.map(|label| at(&recorded, host.offsets[label], &store));
    assert_eq!(after, before);
}

#[test]
fn a_debug_file_that_came_later_is_read() {
    let host = host("kept_debug", &[]);
    let (evict, store) = (host.offsets["evict"], Memory::default());
    let debug = host.program.with_extension("debug");
    let elsewhere = host.program.with_extension("elsewhere");
    run(Command::new("objcopy")
        .arg("--only-keep-debug")
        .args([&host.program, &debug]));
    let mut link = std::ffi::OsString::from("--add-gnu-debuglink=");
    link.push(&debug);
    run(Command::new("strip").arg(&host.program));
    run(Command::new("objcopy").arg(link).arg(&host.program));
    let recorded = module(&host.program);
    let name = |store| function(&at(&recorded, evict, store).0).to_owned();

    fs::rename(&debug, &elsewhere).expect("the file moves");
    assert_eq!((name(&store), name(&store)), ("?".into(), "?".into()));
    assert!(!store.is_empty());
    fs::rename(&elsewhere, &debug).expect("the file moves");
    assert_eq!(name(&store), EVICT);
    spoil(&debug);
    assert_eq!(name(&store), EVICT, "is kept now");
    fs::remove_file(&debug).expect("it was there");
    assert_eq!(name(&store), "?");
}

#[test]
fn another_build_at_the_same_place_has_its_own_names() {
    for id in ["sha1", "0x0123456789abcdef0123"] {
        let id = format!("-Wl,--build-id={id}");
        let host = host("kept_builds", &[&id]);
        let other = common::host("kept_builds_other", &[&id, "-Devict=renamed"]);
        let store = Memory::default();
        let evict = host.offsets["evict"];
        assert_eq!(
            function(&at(&module(&host.program), evict, &store).0),
            EVICT
        );
        fs::copy(&other.program, &host.program).expect("a file");
        // The same build id may be on it.
        touch(&host.program);
        let (frames, _) = at(&module(&host.program), other.offsets["evict"], &store);
        assert_eq!(function(&frames), "ns::ProgramCache::renamed", "{id}");
    }
}

#[test]
fn what_is_kept_of_another_build_is_not_believed() {
    let other = host("kept_foreign", &["-Devict=renamed"]);
    let store = Memory::default();
    let its_names = resolve(whole(&other), &store).0;
    let foreign = store.read(&build_id(&other.program)).expect("it was kept");
    let mut elsewhere = whole(&other);
    elsewhere.modules[0].path.push_str(".elsewhere");
    // At the same place.
    let host = host("kept_foreign", &[]);
    store.write(&build_id(&host.program), &foreign);
    let expected = resolve(whole(&host), &Memory::default());
    let recorded = whole(&host);
    assert_eq!(resolve(recorded.clone(), &store), expected);

    // Nor is it when there is nothing else; what was read of that build is, wherever its file was.
    store.write(&build_id(&host.program), &foreign);
    fs::remove_file(&host.program).expect("it was there");
    assert_eq!(function(&resolve(recorded, &store).0), "?");
    assert_eq!(
        function(&resolve(elsewhere, &store).0),
        function(&its_names)
    );
    assert_ne!(function(&its_names), "?");
}

#[test]
fn without_a_build_id_or_with_files_of_others_nothing_is_kept() {
    for (test, argument) in [
        ("kept_nameless", "-Wl,--build-id=none"),
        ("kept_short", "-Wl,--build-id=0x0123"),
        ("kept_split4", "-gsplit-dwarf -gdwarf-4"),
        ("kept_split5", "-gsplit-dwarf -gdwarf-5"),
    ] {
        let arguments: Vec<&str> = argument.split(' ').collect();
        let host = host(test, &arguments);
        let store = Memory::default();
        let (frames, _) = at(&module(&host.program), host.offsets["evict"], &store);
        assert_eq!(function(&frames), EVICT, "{test}");
        assert!(store.is_empty(), "{test}");
    }
}

#[test]
fn damaged_keepings_are_read_anew_and_replaced() {
    let host = host("kept_damaged", &[]);
    let (store, id) = (Memory::default(), build_id(&host.program));
    let expected = resolve(whole(&host), &store);
    let good = store.read(&id).expect("it was kept");
    let length = good.len();
    let places = proptest::collection::vec((0..length, 1..=255u8), 1..40);
    let cut = prop_oneof![Just(length), 0..length, Just(length + 7)];
    let mut runner = proptest::test_runner::TestRunner::default();
    let checked = runner.run(
        &(places, cut, any::<bool>()),
        |(places, cut, is_flipped)| {
            let mut damaged = good.clone();
            damaged.resize(cut, 0x5a);
            if is_flipped {
                for (place, change) in places {
                    if let Some(byte) = damaged.get_mut(place) {
                        *byte ^= change;
                    }
                }
            }
            store.write(&id, &damaged);
            prop_assert_eq!(&resolve(whole(&host), &store), &expected);
            prop_assert_eq!(store.read(&id), Some(good.clone()));
            Ok(())
        },
    );
    checked.expect("whatever the damage");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let host = host("kept_threads", &[]);
    let dwarf4 = common::host("kept_threads4", &["-gdwarf-4", "-O1"]);
    let own = std::env::current_exe().expect("the test's own path");
    let libc = Path::new("/lib/x86_64-linux-gnu/libc.so.6");
    let modules: Vec<Module> = [&host.program, &dwarf4.program, &own, libc]
        .into_iter()
        .filter(|path| path.exists())
        .map(module)
        .collect();
    let mut stacks = Vec::new();
    for (number, of) in (0..).zip([&host, &dwarf4]) {
        let module = Some(number);
        stacks.extend(of.offsets.values().map(|offset| NativeFrame {
            module,
            offset: *offset,
        }));
    }
    for number in 2..modules.len() {
        let module = u32::try_from(number).ok();
        stacks.extend((0..40).map(|step| NativeFrame {
            module,
            offset: 0x3_0000 + 0x123 * step,
        }));
    }
    let mut recorded = trace(modules, Vec::new());
    for pair in stacks.windows(3) {
        recorded.stacks.push(whofreed_trace::Stack {
            native: pair.to_vec(),
            ..whofreed_trace::Stack::default()
        });
    }
    let count = u32::try_from(recorded.stacks.len()).expect("few stacks");
    let traces = [recorded];
    let told = |threads, store: Option<&Memory>| {
        let mut resolver = Resolver::new(&traces).with_threads(threads);
        if let Some(store) = store {
            resolver = resolver.with_store(store);
        }
        resolver.prepare(&mut (0..count + 2).map(|stack| (0, StackId(stack))));
        let all = (0..count).map(|stack| resolver.frames(0, StackId(stack)));
        let all: Vec<Arc<[Frame]>> = all.collect();
        resolver.keep();
        (all, resolver.notes())
    };
    let expected = told(1, None);
    let named = expected.0.iter().flat_map(|frames| frames.iter());
    assert!(named.filter(|frame| frame.function.is_some()).count() > 50);
    let store = Memory::default();
    for threads in [2, 3, 16] {
        assert_eq!(told(threads, None), expected, "{threads}");
        assert_eq!(told(threads, Some(&store)), expected, "{threads}");
    }
    assert!(!store.is_empty());
}
