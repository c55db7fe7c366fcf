//! What the tests on real programs have in common: folders, commands, and traces of one stack.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test file uses its own part of it"
)]

mod host;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

pub use host::Host;
pub use host::SOURCE;
pub use host::host;
use object::Object;
use whofreed_trace::Module;
use whofreed_trace::NativeFrame;
use whofreed_trace::Stack;
use whofreed_trace::Trace;

/// What the command prints, which succeeds.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("the output is text")
}

/// An empty folder for the test.
pub fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The build id of a file, empty where it has none.
pub fn build_id(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("the file is there");
    let file = object::File::parse(&*bytes).expect("it is an object file");
    file.build_id().expect("notes").unwrap_or_default().to_vec()
}

/// The file as a trace tells of it.
pub fn module(path: &Path) -> Module {
    Module {
        path: path.to_str().expect("text").to_owned(),
        build_id: build_id(path),
        load_bias: 0x5555_0000_0000,
        start: 0x5555_0000_0000,
        end: 0x5555_0010_0000,
        generation: 1,
    }
}

/// A trace with one stack of `native` frames.
pub fn trace(modules: Vec<Module>, native: Vec<NativeFrame>) -> Trace {
    let stack = Stack {
        native,
        ..Stack::default()
    };
    Trace {
        modules,
        stacks: vec![Stack::default(), stack],
        ..Trace::default()
    }
}

/// Numbers below a bound, by chance, and the same ones every time.
pub fn chance(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).expect("31 bits") % below
    }
}
