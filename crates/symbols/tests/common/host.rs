//! A program of C++ that tells where its functions were called.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::folder;
use super::run;

/// The fixture.
pub const SOURCE: &str = include_str!("../fixture/host.cpp");

/// The fixture, compiled into its own folder, and what it recorded about itself.
pub struct Host {
    /// Its file.
    pub program: PathBuf,
    /// The return addresses in the file, by their labels.
    pub offsets: BTreeMap<String, u64>,
}

/// Compiles the fixture with `arguments` in a folder of the test's own.
pub fn host(test: &str, arguments: &[&str]) -> Host {
    let folder = folder(test);
    let source = folder.join("host.cpp");
    fs::write(&source, SOURCE).expect("the source is written");
    let program = folder.join("host");
    run(Command::new("g++")
        .args([
            "-std=c++17",
            "-O2",
            "-g",
            "-fPIE",
            "-pie",
            "-Wl,--build-id=sha1",
        ])
        .args(arguments)
        .arg("-o")
        .arg(&program)
        .arg(&source));
    let offsets = run(&mut Command::new(&program))
        .lines()
        .map(|line| {
            let (label, offset) = line.split_once(' ').expect("two words");
            let offset = u64::from_str_radix(offset, 16).expect("a number");
            (label.to_owned(), offset)
        })
        .collect();
    Host { program, offsets }
}
