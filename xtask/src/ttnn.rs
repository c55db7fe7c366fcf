//! The real TT-Metal runtime, without its hardware: released wheels, on a mock cluster.
//!
//! Everything lies in the cache folder under `target/`, nothing is written into a wheel: for each release a virtual
//! environment, a runtime root of symbolic links with the stand-in compiler in it, and the runtime's own cache of compiled
//! programs.

mod compiler;
mod python;
mod release;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use self::release::Release;
use crate::paths;
use crate::run;
use crate::run::Outcome;

pub use self::python::find as find_python;

/// Opens the device, has a program compiled, and closes it again.
const CHECK: &str = "
import os, ttnn
mesh = os.environ['MESH'] == '1'
device = ttnn.open_mesh_device(ttnn.MeshShape(2, 4)) if mesh else ttnn.open_device(device_id=0)
x = ttnn.ones((32, 32), dtype=ttnn.bfloat16, layout=ttnn.TILE_LAYOUT, device=device)
y = ttnn.add(x, x)
assert y.is_allocated()
ttnn.deallocate(y); ttnn.deallocate(x)
(ttnn.close_mesh_device if mesh else ttnn.close_device)(device)
";

/// The boards that the mock cluster can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// One chip.
    N150,
    /// Eight chips, two rows by four columns.
    Mesh,
}

impl Board {
    /// Every board.
    pub const ALL: [Self; 2] = [Self::N150, Self::Mesh];

    fn name(self) -> &'static str {
        match self {
            Self::N150 => "n150",
            Self::Mesh => "mesh",
        }
    }

    fn descriptor(self) -> PathBuf {
        paths::root()
            .join("tests/ttnn/boards")
            .join(format!("{}.yaml", self.name()))
    }
}

/// An installed runtime that opened each of its boards.
#[derive(Debug)]
pub struct Runtime {
    /// The virtual environment's interpreter.
    pub python: PathBuf,
    home: PathBuf,
    release: &'static Release,
}

impl Runtime {
    /// The environment of a process that uses the runtime with this board.
    pub fn variables(&self, board: Board) -> Vec<(&'static str, String)> {
        let path = |path: PathBuf| path.display().to_string();
        let mut variables = vec![
            ("TT_METAL_RUNTIME_ROOT", path(self.home.join("root"))),
            // The runtime appends a name to this text: without the slash its folder would be called after both.
            (
                "TT_METAL_CACHE",
                format!(
                    "{}/",
                    self.home.join("programs").join(board.name()).display()
                ),
            ),
            ("TT_METAL_LOGS_PATH", path(self.home.join("logs"))),
            ("TT_METAL_SLOW_DISPATCH_MODE", "1".to_owned()),
            ("TT_METAL_LOGGER_LEVEL", "FATAL".to_owned()),
            ("TT_METAL_MOCK_CLUSTER_DESC_PATH", path(board.descriptor())),
            // Message passing between processes is not used; it would leave a file in /dev/shm for each one.
            ("OMPI_MCA_btl", "self".to_owned()),
            (
                "MESH",
                if board == Board::Mesh { "1" } else { "0" }.to_owned(),
            ),
        ];
        let own = self.release.variables.iter();
        variables.extend(own.map(|&(name, value)| (name, value.to_owned())));
        variables
    }

    fn describe(&self, lines: &mut String) {
        let release = self.release.version;
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{release} - PYTHON {}", self.python.display());
        for board in Board::ALL {
            for (name, value) in self.variables(board) {
                let _ = writeln!(lines, "{release} {} {name} {value}", board.name());
            }
        }
    }
}

/// What the tests are told of this runtime and of the older releases: a file, by its path, with lines
/// `RELEASE BOARD VARIABLE VALUE` (`-` for what is the same on each board).
///
/// An older release that cannot be had has a line `RELEASE - MISSING WHY`; one that is there and does not work, `BROKEN`.
pub fn write_for_tests(runtime: &Runtime) -> Outcome<PathBuf> {
    let mut lines = String::new();
    runtime.describe(&mut lines);
    for release in &release::OLDER {
        let (word, why) = match release.install().map(|_| set_up_release(release)) {
            Ok(Ok(older)) => {
                older.describe(&mut lines);
                continue;
            }
            Ok(Err(why)) => ("BROKEN", why),
            Err(why) => ("MISSING", why),
        };
        eprintln!("xtask: no TT-Metal runtime {}: {why}", release.version);
        let why = why.lines().collect::<Vec<_>>().join(" ");
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{} - {word} {why}", release.version);
    }
    let file = runtime.home.join("environment");
    run::write(&file, &lines)?;
    Ok(file)
}

/// Installs what is not there yet of the newest release, and checks it by opening both boards. An error is the reason why it
/// cannot be had.
pub fn set_up() -> Outcome<Runtime> {
    set_up_release(&release::NEWEST)
}

fn set_up_release(release: &'static Release) -> Outcome<Runtime> {
    let runtime = Runtime {
        python: release.install()?,
        home: release.home()?,
        release,
    };
    let compiler = lay_root(&package_folder(&release.environment()?)?, &runtime.home)?;
    check(&runtime, &compiler)?;
    Ok(runtime)
}

/// The folder of the installed package.
fn package_folder(venv: &Path) -> Outcome<PathBuf> {
    let lib = venv.join("lib");
    let entries = fs::read_dir(&lib).map_err(|error| format!("{}: {error}", lib.display()))?;
    entries
        .flatten()
        .map(|entry| entry.path().join("site-packages/ttnn"))
        .find(|package| package.is_dir())
        .ok_or_else(|| format!("no ttnn package in {}", lib.display()))
}

/// Lays the runtime root: links to the package's own files, but with our compiler. Returns the compiler's text.
fn lay_root(package: &Path, home: &Path) -> Outcome<String> {
    let root = home.join("root");
    let bin = root.join("runtime/sfpi/compiler/bin");
    run::create_folder(&bin)?;
    run::create_folder(&home.join("logs"))?;
    let entries =
        fs::read_dir(package).map_err(|error| format!("{}: {error}", package.display()))?;
    for entry in entries.flatten() {
        if entry.file_name() != "runtime" {
            link(&entry.path(), &root.join(entry.file_name()))?;
        }
    }
    link(&package.join("runtime/hw"), &root.join("runtime/hw"))?;

    let script = compiler::script();
    let compiler = bin.join("riscv-tt-elf-g++");
    if fs::read_to_string(&compiler).is_ok_and(|text| text == script) {
        return Ok(script);
    }
    run::write(&compiler, &script)?;
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("{}: {error}", compiler.display()))?;
    Ok(script)
}

/// A symbolic link, made anew when it points elsewhere.
fn link(target: &Path, at: &Path) -> Outcome<()> {
    if fs::read_link(at).is_ok_and(|now| now == target) {
        return Ok(());
    }
    // It may not be there at all; a failure that matters shows in the next line.
    let _ = fs::remove_file(at);
    symlink(target, at).map_err(|error| format!("{}: {error}", at.display()))
}

/// Opens each board, unless that has worked with this very set-up. Compiles the firmware on the way, so that tests find it done.
fn check(runtime: &Runtime, compiler: &str) -> Outcome<()> {
    for board in Board::ALL {
        let descriptor = fs::read_to_string(board.descriptor())
            .map_err(|error| format!("{}: {error}", board.descriptor().display()))?;
        let stamp = runtime.home.join(format!("opened-{}", board.name()));
        let this = format!("{}\n{compiler}{descriptor}", runtime.release.requirement());
        if fs::read_to_string(&stamp).is_ok_and(|text| text == this) {
            continue;
        }
        eprintln!(
            "xtask: opening the mock {} board with ttnn {}",
            board.name(),
            runtime.release.version
        );
        let mut command = Command::new(&runtime.python);
        command
            .args(["-c", CHECK])
            .envs(runtime.variables(board))
            .stdin(Stdio::null());
        run::quiet(&mut command)?;
        run::write(&stamp, &this)?;
    }
    Ok(())
}

/// `cargo xtask ttnn-setup [VERSION]`: prints the environment as shell exports.
pub fn command(version: Option<&str>) -> Outcome<()> {
    let mut known = [&release::NEWEST].into_iter().chain(&release::OLDER);
    let release = match version {
        None => &release::NEWEST,
        Some(version) => known
            .find(|release| release.version == version)
            .ok_or_else(|| format!("ttnn-setup: there is no set-up for ttnn {version}"))?,
    };
    let runtime = set_up_release(release)?;
    println!("# One chip (N150).");
    println!("export PYTHON='{}'", runtime.python.display());
    for (name, value) in runtime.variables(Board::N150) {
        println!("export {name}='{value}'");
    }
    println!("# For eight chips (2x4 mesh), these in addition:");
    for (name, value) in runtime.variables(Board::Mesh) {
        if name == "MESH" || value.contains(Board::Mesh.name()) {
            println!("# export {name}='{value}'");
        }
    }
    Ok(())
}
