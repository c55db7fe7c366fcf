//! What the tests of the command have in common: what it says, traces without an event, and a folder to run in.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test file uses its own part of it"
)]

mod folder;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

pub use folder::Folder;
pub use folder::POOL;
use tempfile::TempDir;
use whofreed_trace::layout::BYTE_ORDER_MARK;
use whofreed_trace::layout::CHUNK_SIZE;
use whofreed_trace::layout::EVENT_SIZE;
use whofreed_trace::layout::FileHeader;
use whofreed_trace::layout::HEADER_SIZE;
use whofreed_trace::layout::MAGIC;
use whofreed_trace::layout::VERSION;
use zerocopy::FromZeros;
use zerocopy::IntoBytes;

/// What the command wrote to stderr.
pub fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What it wrote to stdout.
pub fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A trace without an event.
pub fn header(trace_id: u64, session: u64) -> Vec<u8> {
    let mut header = FileHeader::new_zeroed();
    header.magic = MAGIC;
    header.version = VERSION;
    header.byte_order = BYTE_ORDER_MARK;
    header.header_size = HEADER_SIZE as u32;
    header.chunk_size = CHUNK_SIZE as u32;
    header.event_size = EVENT_SIZE as u32;
    header.pid = 77;
    header.trace_id = trace_id;
    header.session = session;
    let mut bytes = header.as_bytes().to_vec();
    bytes.resize(HEADER_SIZE, 0);
    bytes
}

/// A folder to run commands in, with a library in the place of the shim that does nothing.
pub struct Place {
    folder: TempDir,
    pub shim: PathBuf,
}

impl Place {
    /// A fresh folder with a shim in it.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shim = folder.path().join("libwhofreed.so");
        let source = folder.path().join("empty.c");
        fs::write(&source, "const char *wf_version(void) { return \"0\"; }\n").unwrap();
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&shim, &source])
            .status()
            .unwrap();
        assert!(status.success());
        Self { folder, shim }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where the hooks are kept.
    pub fn cache(&self) -> PathBuf {
        self.path().join("cache")
    }

    /// `whofreed run` with these arguments, in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whofreed"));
        command
            .arg("run")
            .arg("--shim")
            .arg(&self.shim)
            .args(arguments)
            .current_dir(self.path())
            .env("XDG_CACHE_HOME", self.cache())
            .env_remove("WHOFREED_OPTIONS")
            .env_remove("LD_PRELOAD")
            .env_remove("COLUMNS");
        command
    }

    /// What came of `whofreed run` with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A program with this text.
    pub fn script(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}
