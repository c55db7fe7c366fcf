//! Where things are.

use std::env;
use std::path::Path;
use std::path::PathBuf;

use crate::run;
use crate::run::Outcome;

/// The folder of the workspace.
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// A path to be typed where the user stands.
pub fn from_here(path: &Path) -> String {
    let here = env::current_dir().ok();
    let short = here.and_then(|here| path.strip_prefix(here).ok());
    short.unwrap_or(path).display().to_string()
}

/// What is dear to fetch or make, and stays from one run to the next.
pub fn cache() -> Outcome<PathBuf> {
    let folder = match env::var_os("WHOFREED_TEST_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => target().join("whofreed-cache"),
    };
    run::create_folder(&folder)?;
    Ok(folder)
}

/// The command.
pub fn binary() -> PathBuf {
    target().join("release/whofreed")
}

/// The shared library.
pub fn shim() -> PathBuf {
    target().join("release/libwhofreed.so")
}
