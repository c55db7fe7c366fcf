//! What tests need of the system, of Python's registry and of npm: runtimes that are hooked, tools to compare with, and
//! what drives a browser.
//!
//! Nothing is ever forced on a machine: packages of the system are installed under `CI=true` as root only, Python's
//! and npm's go into folders of their own under `target/`. A test that misses something says so and counts as skipped.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::paths;
use crate::run;
use crate::run::Outcome;

/// Debian's names: valgrind checks the library's memory use and is compared with; PoCL runs OpenCL on the processor,
/// and clpeak is a program of others that uses it; lavapipe does so for Vulkan, and vulkaninfo uses it. Level Zero's
/// loader takes a driver of ours. Chromium opens the HTML report.
const SYSTEM: [&str; 17] = [
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
    "sqlite3",
    "jq",
    "redis-server",
    "nginx-light",
    "tmux",
    "strace",
    "chromium",
];

/// Recorders that `cargo xtask bench` compares with, beside valgrind.
const PEERS: [&str; 3] = ["heaptrack", "lttng-tools", "liblttng-ust1"];

/// Tries to get the packages of the system.
pub fn install_system() {
    install(&SYSTEM);
    // Where Node is not Debian's, it is a newer one.
    if run::quiet(Command::new("npm").arg("--version")).is_err() {
        install(&["nodejs", "npm"]);
    }
}

/// Tries to get the recorders that others have.
pub fn install_peers() {
    // Where one is not known, the others can be had all the same.
    for name in PEERS {
        install(&[name]);
    }
}

fn install(packages: &[&str]) {
    let there = |program: &str| run::quiet(Command::new(program).arg("--version")).is_ok();
    let root = run::quiet(Command::new("id").arg("-u")).is_ok_and(|user| user.trim() == "0");
    // Only on a machine made for tests: nobody wants a package installed unasked on their own.
    if !root || env::var_os("CI").is_none() || !there("apt-get") {
        return;
    }
    let missing: Vec<&str> = packages
        .iter()
        .copied()
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

/// Packages of Python in a virtual environment of their own.
struct Environment {
    /// Its folder in the cache.
    folder: &'static str,
    packages: &'static [&'static str],
    /// The Pythons that there are wheels for, best first.
    pythons: &'static [&'static str],
}

/// What Python programs of the tests import.
const TESTS: Environment = Environment {
    folder: "python-venv",
    packages: &["pyopencl==2026.1.4", "numpy"],
    pythons: &["3.12", "3.10"],
};

/// A recorder that `cargo xtask bench` compares with.
const MEMRAY: Environment = Environment {
    folder: "memray-venv",
    packages: &["memray==1.20.0"],
    pythons: &["3.11", "3.12", "3.10"],
};

/// The interpreter of an environment with the packages that tests import. An error is the reason why there is none.
pub fn python() -> Outcome<PathBuf> {
    TESTS.install()
}

/// The interpreter of an environment with memray. An error is the reason why there is none.
pub fn memray() -> Outcome<PathBuf> {
    MEMRAY.install()
}

/// What drives a browser, and what looks for what keeps people out of a page; from npm.
const BROWSER: [&str; 2] = ["playwright-core@1.65.1", "axe-core@4.14.1"];

/// The folder of the packages that drive a browser, where there is one to be driven. An error is the reason why not.
pub fn browser() -> Outcome<PathBuf> {
    for program in ["chromium", "node", "npm"] {
        run::quiet(Command::new(program).arg("--version"))
            .map_err(|_| format!("{program} is not installed"))?;
    }
    let folder = paths::cache()?.join("browser");
    let stamp = folder.join("installed");
    let wanted = BROWSER.join(" ");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    run::create_folder(&folder)?;
    eprintln!("xtask: installing {wanted} into {}", folder.display());
    let words = [
        "install",
        "--no-audit",
        "--no-fund",
        "--no-save",
        // Neither needs one, and none runs unasked.
        "--ignore-scripts",
        "--prefix",
    ];
    let install = || {
        let mut npm = Command::new("npm");
        run::quiet(npm.args(words).arg(&folder).args(BROWSER))
    };
    // Once more, since what fails most often is the download.
    install().or_else(|_| install())?;
    run::write(&stamp, &wanted)?;
    Ok(folder)
}

impl Environment {
    /// The interpreter, with the packages.
    fn install(&self) -> Outcome<PathBuf> {
        let venv = paths::cache()?.join(self.folder);
        let python = venv.join("bin/python");
        let stamp = venv.join("installed");
        let wanted = self.packages.join(" ");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
            && run::quiet(Command::new(&python).arg("--version")).is_ok()
        {
            return Ok(python);
        }
        let system = crate::ttnn::find_python(self.pythons)
            .ok_or_else(|| format!("Python {} is not installed", self.pythons.join(" or ")))?;
        eprintln!("xtask: installing {wanted} into {}", venv.display());
        run::quiet(
            Command::new(&system)
                .args(["-m", "venv", "--clear"])
                .arg(&venv),
        )?;
        let mut words = vec!["-m", "pip", "install", "--quiet", "--no-input"];
        words.push("--disable-pip-version-check");
        words.extend(self.packages);
        let install = || run::quiet(Command::new(&python).args(&words));
        // Once more, since what fails most often is the download.
        install().or_else(|_| install())?;
        run::write(&stamp, &wanted)?;
        Ok(python)
    }
}
