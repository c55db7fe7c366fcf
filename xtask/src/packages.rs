//! What tests need of the system, of Python's registry and of npm: runtimes that are hooked, tools to compare with, and
//! what drives a browser.
//!
//! Nothing is ever forced on a machine: packages of the system are installed under `CI=true` as root only, Python's
//! and npm's go into folders of their own under `target/`. A test that misses something says so and counts as skipped.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::paths;
use crate::run;
use crate::run::Outcome;

/// Debian's names: valgrind checks the library's memory use and is compared with; PoCL runs OpenCL on the processor,
/// and clpeak is a program of others that uses it; lavapipe does so for Vulkan, and vulkaninfo uses it. Level Zero's
/// loader takes a driver of ours. Users of our archive build with cmake and pkg-config. Chromium opens the HTML report.
const SYSTEM: [&str; 19] = [
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
    "cmake",
    "pkg-config",
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
    /// A folder of this repository with a package that is installed where it is, so that changes are seen.
    own: Option<&'static str>,
}

/// What Python programs of the tests import.
const TESTS: Environment = Environment {
    folder: "python-venv",
    packages: &["pyopencl==2026.1.4", "numpy"],
    pythons: &["3.12", "3.10"],
    own: None,
};

/// Readers of the forms that reports are exported to, and of the recipes for CI.
const READERS: Environment = Environment {
    folder: "exports-venv",
    packages: &["junitparser==5.0.3", "duckdb", "PyYAML==6.0.4"],
    pythons: &["3.12", "3.11", "3.10", "3.13"],
    own: None,
};

/// Programs for Node that read the forms that reports are exported to: speedscope; the readers of Firefox Profiler and of
/// Datadog's profiles; and the validator of SARIF's editors, of which npm has the program itself.
const NODE_READERS: [&str; 4] = [
    "speedscope@1.25.0",
    "@firefox-devtools/profiler-cli@0.10.0",
    "pprof-format@2.3.2",
    "@microsoft/sarif-multitool-linux@5.7.0",
];

/// A recorder that `cargo xtask bench` compares with.
const MEMRAY: Environment = Environment {
    folder: "memray-venv",
    packages: &["memray==1.20.0"],
    pythons: &["3.11", "3.12", "3.10"],
    own: None,
};

/// pytest with the plugin of `python/`, and what builds that. The Pythons are those of the newest ttnn, whose packages tests
/// lend to this interpreter.
const PYTEST: Environment = Environment {
    folder: "pytest-venv",
    packages: &[
        "pytest==9.2.0",
        "pytest-xdist==3.8.0",
        "hatchling==1.33.0",
        "editables==0.6",
        "ruff==0.17.6",
        "mypy==2.4.1",
    ],
    pythons: &["3.12", "3.10"],
    own: Some("python"),
};

/// The interpreter of an environment with the packages that tests import. An error is the reason why there is none.
pub fn python() -> Outcome<PathBuf> {
    TESTS.install()
}

/// The interpreter of an environment with readers of exports. An error is the reason why there is none.
pub fn readers() -> Outcome<PathBuf> {
    READERS.install()
}

/// The folder with readers of exports for Node. An error is the reason why there is none.
pub fn node_readers() -> Outcome<PathBuf> {
    let folder = paths::cache()?.join("exports-node");
    let stamp = folder.join("installed");
    let wanted = NODE_READERS.join(" ");
    run::quiet(Command::new("node").arg("--version"))
        .map_err(|_| "Node is not installed".to_owned())?;
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    run::create_folder(&folder)?;
    run::write(&folder.join("package.json"), "{\"private\": true}\n")?;
    eprintln!("xtask: installing {wanted} into {}", folder.display());
    let install = || {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]);
        run::quiet(npm.args(NODE_READERS).current_dir(&folder))
    };
    // Once more, since what fails most often is the download.
    install().or_else(|_| install())?;
    let validator = folder.join("node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool");
    // The archive does not say that it is a program.
    fs::set_permissions(&validator, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", validator.display()))?;
    run::write(&stamp, &wanted)?;
    Ok(folder)
}

/// The interpreter of an environment with memray. An error is the reason why there is none.
pub fn memray() -> Outcome<PathBuf> {
    MEMRAY.install()
}

/// The interpreter of an environment with pytest and the plugin. An error is the reason why there is none.
pub fn pytest() -> Outcome<PathBuf> {
    PYTEST.install()
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
        let mut wanted = self.packages.join(" ");
        let own = self.own.map(|own| paths::root().join(own));
        if let Some(own) = &own {
            // What it is called and where its parts begin is in there.
            wanted += &format!("\n{}\n", own.display());
            wanted += &run::read(&own.join("pyproject.toml"))?;
        }
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
            && run::quiet(Command::new(&python).arg("--version")).is_ok()
        {
            return Ok(python);
        }
        let system = crate::ttnn::find_python(self.pythons)
            .ok_or_else(|| format!("Python {} is not installed", self.pythons.join(" or ")))?;
        eprintln!(
            "xtask: installing {} into {}",
            self.packages.join(" "),
            venv.display()
        );
        run::quiet(
            Command::new(&system)
                .args(["-m", "venv", "--clear"])
                .arg(&venv),
        )?;
        let pip = |words: &[&str]| {
            let mut command = Command::new(&python);
            command.args(["-m", "pip", "install", "--quiet", "--no-input"]);
            run::quiet(command.arg("--disable-pip-version-check").args(words))
        };
        let install = || pip(self.packages);
        // Once more, since what fails most often is the download.
        install().or_else(|_| install())?;
        if let Some(own) = &own {
            let own = own.display().to_string();
            pip(&["--no-deps", "--no-build-isolation", "--editable", &own])?;
        }
        run::write(&stamp, &wanted)?;
        Ok(python)
    }
}
