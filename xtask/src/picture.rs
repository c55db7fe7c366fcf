//! `cargo xtask picture`: the HTML report of the embedded example as the README shows it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::artifacts;
use crate::demo;
use crate::packages;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// What it writes below `docs/`, for light pages and for dark ones.
const PICTURES: [&str; 2] = ["report-light.png", "report-dark.png"];
/// A README is read over slow lines, too.
const LARGEST: u64 = 300 << 10;

/// `cargo xtask picture`
pub fn command() -> Outcome<()> {
    artifacts::build()?;
    let packages = packages::browser()?;
    let folder = paths::target().join("whofreed-demo");
    run::create_folder(&folder)?;
    let program = demo::compile(&folder)?;
    let page = folder.join("report.html");
    let mut watched = Command::new(paths::binary());
    watched
        .args(["run", "--format", "html", "--report"])
        .arg(&page);
    watched
        .arg("--trace")
        .arg(folder.join("picture.wft"))
        .arg("--");
    run::quiet(watched.arg(&program))?;
    let files = PICTURES.map(|name| paths::root().join("docs").join(name));
    run::quiet(
        Command::new("node")
            .arg(paths::root().join("tests/html/picture.mjs"))
            .arg(&packages)
            .arg(&page)
            // Where this repository lies is nobody's business.
            .arg(paths::root())
            .args(&files),
    )?;
    for file in &files {
        println!("{}: {} KiB", paths::from_here(file), size(file)? >> 10);
    }
    Ok(())
}

/// The size of a picture that is small enough.
fn size(file: &Path) -> Outcome<u64> {
    let metadata = fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match metadata.len() {
        size if size > LARGEST => Err(format!(
            "{}: {} KiB are more than a README is worth",
            file.display(),
            size >> 10
        )),
        size => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_that_the_readme_shows_are_there_and_small() {
        let readme = run::read(&paths::root().join("README.md")).expect("the README");
        for name in PICTURES {
            assert!(readme.contains(&format!("docs/{name}")), "{name}");
            assert!(size(&paths::root().join("docs").join(name)).is_ok());
        }
    }
}
