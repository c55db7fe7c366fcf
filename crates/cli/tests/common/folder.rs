//! A folder to write adapters in.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use super::said;

/// An adapter for a library with two functions.
pub const POOL: &str = "name = \"pool\"\nlibrary = \"libpool.so*\"\n\
    [[hook]]\nevent = \"allocate\"\nsymbols = [\"pool_take\"]\naddress = \"ret\"\n\
    [[hook]]\nevent = \"deallocate\"\nsymbols = [\"pool_give\"]\naddress = \"arg0\"\n";

/// A folder to call `whofreed adapters` in, without an adapter of the user's own.
pub struct Folder(TempDir);

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts a file there.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
    }

    /// `whofreed adapters` with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whofreed"));
        command
            .arg("adapters")
            .args(arguments)
            .current_dir(self.path())
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env_remove("WHOFREED_ADAPTERS_PATH");
        command
    }

    /// What came of `whofreed adapters` with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Compiles a library (or a program) of this name.
    pub fn compile(&self, compiler: &str, name: &str, source: &str, flags: &[&str]) {
        let file = format!("{name}.source");
        self.write(&file, source);
        let language = if compiler == "cc" { "c" } else { "c++" };
        let output = Command::new(compiler)
            .args([
                "-O1", "-fPIC", "-o", name, "-x", language, &file, "-x", "none",
            ])
            .args(flags)
            .current_dir(self.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }

    /// A library of C.
    pub fn library(&self, name: &str, source: &str, flags: &[&str]) {
        let flags = [&["-shared"], flags].concat();
        self.compile("cc", name, source, &flags);
    }

    /// What `check` says of libraries with this adapter, as JSON, and its exit code.
    pub fn check(&self, adapter: &str, libraries: &[&str]) -> (Value, i32) {
        self.write("mine.toml", adapter);
        let mut arguments = vec!["check", "--adapters", "./mine.toml", "--format", "json"];
        arguments.extend(libraries);
        let output = self.run(&arguments);
        let json = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
        (json, output.status.code().unwrap())
    }
}
