//! The releases of the runtime that tests run on, and how each is installed.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::python;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// A released wheel.
#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// Its version.
    pub version: &'static str,
    /// Folders in the cache begin with this.
    folder: &'static str,
    /// The Pythons that there is a wheel for, best first.
    pythons: &'static [&'static str],
    /// What is installed with it. With `only`, nothing else: the wheel declares far more than its import needs.
    with: &'static [&'static str],
    only: bool,
    /// What it needs in the environment beside what every release does.
    pub variables: &'static [(&'static str, &'static str)],
}

/// What the import of the older releases needs, of much that they declare.
const NEEDED: &[&str] = &["numpy<2", "loguru", "networkx", "graphviz", "ml_dtypes"];

/// The release that the tests' expectations were written for.
pub const NEWEST: Release = Release {
    version: "0.81.1",
    folder: "ttnn",
    pythons: &["3.12", "3.10"],
    with: &["numpy"],
    only: false,
    variables: &[],
};

/// One of each older generation of classes.
pub const OLDER: [Release; 2] = [
    Release {
        version: "0.73.1",
        folder: "ttnn-0.73.1",
        pythons: &["3.10"],
        with: NEEDED,
        only: true,
        variables: &[],
    },
    Release {
        version: "0.67.4",
        folder: "ttnn-0.67.4",
        pythons: &["3.10"],
        with: NEEDED,
        only: true,
        // Its inspector asks the mock cluster for what it does not have.
        variables: &[("TT_METAL_INSPECTOR", "0")],
    },
];

impl Release {
    /// As pip knows it.
    pub fn requirement(&self) -> String {
        format!("ttnn=={}", self.version)
    }

    /// Where everything of it lies but the wheel.
    pub fn home(&self) -> Outcome<PathBuf> {
        Ok(paths::cache()?.join(self.folder))
    }

    /// Its virtual environment.
    pub fn environment(&self) -> Outcome<PathBuf> {
        Ok(paths::cache()?.join(format!("{}-venv", self.folder)))
    }

    /// The virtual environment's interpreter, with the wheel installed.
    pub fn install(&self) -> Outcome<PathBuf> {
        let folder = self.environment()?;
        let python = folder.join("bin/python");
        let stamp = folder.join("installed");
        let mut this = self.requirement();
        if self.only {
            this.push_str(&format!(" with only {}", self.with.join(" ")));
        }
        if fs::read_to_string(&stamp).is_ok_and(|text| text == this)
            && run::quiet(Command::new(&python).arg("--version")).is_ok()
        {
            return Ok(python);
        }
        let system = python::find(self.pythons)
            .ok_or_else(|| format!("Python {} is not installed", self.pythons.join(" or ")))?;
        eprintln!(
            "xtask: installing {} for {} into {}",
            self.requirement(),
            system.display(),
            folder.display()
        );
        run::quiet(
            Command::new(&system)
                .args(["-m", "venv", "--clear"])
                .arg(&folder),
        )?;
        // Once more, since what fails most often is the download.
        self.fetch(&python).or_else(|_| self.fetch(&python))?;
        run::write(&stamp, &this)?;
        Ok(python)
    }

    fn fetch(&self, python: &Path) -> Outcome<String> {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--no-input"])
            .arg("--disable-pip-version-check")
            .arg(self.requirement())
            .args(self.with);
        if self.only {
            pip.arg("--no-deps");
        }
        run::quiet(&mut pip)
    }
}
