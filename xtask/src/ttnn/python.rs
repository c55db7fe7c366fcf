//! A Python that the runtime's wheel exists for, among those that are installed.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

/// The first candidate that really runs and says that it is one of these versions, of which the first are the best.
///
/// A name is no proof: a version manager's shim can be called `python3.12` and refuse to start.
pub fn find(versions: &[&str]) -> Option<PathBuf> {
    let folders = folders();
    versions.iter().find_map(|version| {
        folders
            .iter()
            .flat_map(|folder| {
                [
                    folder.join(format!("python{version}")),
                    folder.join("python3"),
                ]
            })
            .find(|python| reports(python, version))
    })
}

/// Does this file run, and as this version?
pub fn reports(python: &Path, version: &str) -> bool {
    let Ok(output) = Command::new(python)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
    else {
        return false;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    output.status.success() && said.trim().starts_with(&format!("Python {version}."))
}

/// The folders to look in: those of PATH, then the usual places of other Pythons.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    folders.extend(["/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    if let Some(home) = env::var_os("HOME").map(PathBuf::from) {
        folders.extend(bins_below(&home.join(".pyenv/versions")));
        folders.extend(bins_below(&home.join(".local/share/uv/python")));
    }
    folders.extend(bins_below(Path::new("/opt")));
    folders
}

/// `*/bin` below a folder, in a fixed order.
fn bins_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sorted: BTreeSet<PathBuf> = entries.map(|entry| entry.path().join("bin")).collect();
    sorted.into_iter().filter(|bin| bin.is_dir()).collect()
}
