//! `cargo xtask sanitize`: the tests of the core and of what reads what others wrote, under AddressSanitizer, with the
//! toolchain that is there.
//!
//! The compiler knows the flag, and brings the runtime; only to say it takes the word that this toolchain may. The standard
//! library stays as it is: what it reads and writes is seen where it calls the C library, and where it is generic.

use std::fs;
use std::process::Command;

use crate::artifacts;
use crate::paths;
use crate::run;
use crate::run::Outcome;
use crate::test::Tally;

/// What is tested, by what it is called in the matrix.
struct Part {
    name: &'static str,
    promises: &'static str,
    packages: &'static [&'static str],
    /// Their libraries alone: the other tests start processes, which would be sanitized no further.
    only_libraries: bool,
}

const PARTS: [Part; 2] = [
    Part {
        name: "the core",
        promises: "P1",
        packages: &["whofreed"],
        only_libraries: true,
    },
    Part {
        name: "readers of traces, symbols and libraries, given broken ones too",
        promises: "P5",
        packages: &["whofreed-trace", "whofreed-symbols", "whofreed-adapter"],
        only_libraries: false,
    },
];

/// What cannot run so, and why.
const SKIPPED: [(&str, &str); 1] = [(
    "linkmap::bindings::tests::a_reference_leads_to_what_the_linker_has_bound",
    "that only the C library defines malloc is not so under AddressSanitizer",
)];

/// What came of a part.
#[derive(Debug)]
pub struct Tested {
    /// What it is.
    pub name: &'static str,
    /// Those that it is about.
    pub promises: &'static str,
    /// Its tests.
    pub tally: Tally,
    /// Whether each passed, and nothing was told of memory.
    pub is_sound: bool,
}

/// `cargo xtask sanitize`
pub fn command() -> Outcome<()> {
    let tested = test()?;
    for (name, why) in SKIPPED {
        println!("skipped: {name}: {why}");
    }
    for part in &tested {
        println!("xtask: sanitize: {}: {}", part.name, part.tally);
    }
    match tested.iter().all(|part| part.is_sound) {
        true => Ok(()),
        false => Err("sanitize: not every test passed".to_owned()),
    }
}

/// Runs all of it, to its end; nothing where the toolchain brings no runtime.
pub fn test() -> Outcome<Vec<Tested>> {
    if !has_runtime()? {
        println!("skipped: AddressSanitizer: this toolchain does not bring its runtime");
        return Ok(Vec::new());
    }
    // Where it is named, build scripts and macros are built without the flag.
    let host = artifacts::host()?;
    PARTS.iter().map(|part| part.test(&host)).collect()
}

fn has_runtime() -> Outcome<bool> {
    let folder = run::quiet(Command::new("rustc").args(["--print", "target-libdir"]))?;
    let entries =
        fs::read_dir(folder.trim()).map_err(|error| format!("{}: {error}", folder.trim()))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    Ok(names
        .into_iter()
        .any(|name| name.to_string_lossy().contains("rt.asan")))
}

impl Part {
    fn test(&self, host: &str) -> Outcome<Tested> {
        eprintln!("xtask: sanitize: {}", self.name);
        let mut command = artifacts::cargo();
        command.args(["test", "--no-fail-fast", "--color=never", "--target", host]);
        command
            .arg("--target-dir")
            .arg(paths::target().join("asan"));
        command.arg("--lib");
        if !self.only_libraries {
            command.arg("--tests");
        }
        for package in self.packages {
            command.args(["--package", package]);
        }
        command.arg("--");
        for (name, _) in SKIPPED {
            command.args(["--skip", name]);
        }
        // Tests leak tables on purpose: what the core is given lives as long as the process.
        command
            .env("ASAN_OPTIONS", "detect_leaks=0")
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address");
        let (output, success) = run::tee(&mut command)?;
        let tally = Tally::of_output(&output);
        if !success && tally.failed() == 0 && !output.contains("AddressSanitizer") {
            return Err(format!("sanitize: {} did not run to its end", self.name));
        }
        Ok(Tested {
            name: self.name,
            promises: self.promises,
            tally,
            is_sound: success,
        })
    }
}
