//! Compiling a host with the system's compiler.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use super::Scratch;
use super::root;
use super::shim;

/// How a host is to be compiled: warnings are errors, debug information is there.
pub struct Host {
    compiler: OsString,
    sources: Vec<PathBuf>,
    flags: Vec<String>,
    linked: bool,
}

impl Host {
    /// A C11 host, linked with the library. The path is relative to the repository's root.
    pub fn c(source: &str) -> Self {
        Self::new("CC", "cc", &[source], "-std=c11")
    }

    /// A C++17 host, linked with the library.
    pub fn cxx(sources: &[&str]) -> Self {
        Self::new("CXX", "c++", sources, "-std=c++17")
    }

    /// C or C++ by the file's name.
    pub fn of(source: &str) -> Self {
        if source.ends_with(".c") {
            Self::c(source)
        } else {
            Self::cxx(&[source])
        }
    }

    fn new(variable: &str, compiler: &str, sources: &[&str], standard: &str) -> Self {
        Self {
            compiler: env::var_os(variable).unwrap_or_else(|| compiler.into()),
            sources: sources.iter().map(|source| root().join(source)).collect(),
            flags: vec![
                standard.to_owned(),
                "-O2".to_owned(),
                "-g".to_owned(),
                "-pthread".to_owned(),
                "-Wall".to_owned(),
                "-Wextra".to_owned(),
                "-Werror".to_owned(),
                "-pedantic".to_owned(),
            ],
            linked: true,
        }
    }

    /// More flags.
    pub fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    /// Not linked with the library.
    pub fn unlinked(mut self) -> Self {
        self.linked = false;
        self
    }

    /// Compiles it to a file of this name in the folder.
    pub fn compile(self, scratch: &Scratch, name: &str) -> PathBuf {
        let program = scratch.file(name);
        let mut command = Command::new(&self.compiler);
        command.args(&self.flags);
        command.arg("-I").arg(root().join("include"));
        command.args(&self.sources).arg("-o").arg(&program);
        if self.linked {
            let shim = shim();
            let folder = shim.parent().expect("the library lies in a folder");
            command.arg(&shim);
            command.arg(format!("-Wl,-rpath,{}", folder.display()));
        }
        let output = command.output().expect("a C compiler (cc, c++)");
        assert!(
            output.status.success(),
            "{command:?}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        program
    }
}
