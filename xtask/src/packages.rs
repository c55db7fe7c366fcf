//! What tests need of the system and of Python's registry: runtimes that are hooked, and tools to compare with.
//!
//! Nothing is ever forced on a machine: packages of the system are installed under `CI=true` as root only, Python's go into
//! an environment of their own under `target/`. A test that misses something says so and counts as skipped.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::paths;
use crate::run;
use crate::run::Outcome;

/// Debian's names: valgrind checks the library's memory use and is compared with; PoCL runs OpenCL on the processor, and
/// clpeak is a program of others that uses it; lavapipe does so for Vulkan, and vulkaninfo uses it. Level Zero's loader takes a
/// driver of ours.
const SYSTEM: [&str; 10] = [
    "valgrind",
    "opencl-headers",
    "ocl-icd-opencl-dev",
    "pocl-opencl-icd",
    "clpeak",
    "libvulkan-dev",
    "mesa-vulkan-drivers",
    "vulkan-tools",
    "libze1",
    "gdb",
];

/// What Python programs of the tests import.
const PYTHON: [&str; 2] = ["pyopencl==2026.1.4", "numpy"];

/// Those that there are wheels for, best first.
const VERSIONS: [&str; 2] = ["3.12", "3.10"];

/// Tries to get the packages of the system.
pub fn install_system() {
    let there = |program: &str| run::quiet(Command::new(program).arg("--version")).is_ok();
    let root = run::quiet(Command::new("id").arg("-u")).is_ok_and(|user| user.trim() == "0");
    // Only on a machine made for tests: nobody wants a package installed unasked on their own.
    if !root || env::var_os("CI").is_none() || !there("apt-get") {
        return;
    }
    let missing: Vec<&str> = SYSTEM
        .into_iter()
        .filter(|name| !is_installed(name))
        .collect();
    if missing.is_empty() {
        return;
    }
    let apt = |arguments: &[&str]| {
        run::quiet(
            Command::new("apt-get")
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    eprintln!("xtask: installing {}", missing.join(", "));
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(&missing);
    let install = || apt(&words);
    if let Err(why) = install().or_else(|_| apt(&["update"]).and_then(|_| install())) {
        eprintln!("xtask: packages cannot be installed: {why}");
    }
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]);
    run::quiet(&mut query).is_ok_and(|status| status.trim() == "installed")
}

/// The interpreter of an environment with the packages that tests import. An error is the reason why there is none.
pub fn python() -> Outcome<PathBuf> {
    let venv = paths::cache()?.join("python-venv");
    let python = venv.join("bin/python");
    let stamp = venv.join("installed");
    let wanted = PYTHON.join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
        && run::quiet(Command::new(&python).arg("--version")).is_ok()
    {
        return Ok(python);
    }
    let system =
        crate::ttnn::find_python(&VERSIONS).ok_or("Python 3.12 or 3.10 is not installed")?;
    eprintln!("xtask: installing {wanted} into {}", venv.display());
    run::quiet(
        Command::new(&system)
            .args(["-m", "venv", "--clear"])
            .arg(&venv),
    )?;
    let mut words = vec!["-m", "pip", "install", "--quiet", "--no-input"];
    words.push("--disable-pip-version-check");
    words.extend(PYTHON);
    let install = || run::quiet(Command::new(&python).args(&words));
    // Once more, since what fails most often is the download.
    install().or_else(|_| install())?;
    run::write(&stamp, &wanted)?;
    Ok(python)
}
