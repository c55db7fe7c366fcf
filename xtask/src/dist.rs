//! `cargo xtask dist`: an archive that works wherever it is unpacked: the command, the library, headers, packages for CMake
//! and pkg-config, adapters, commands for gdb, a manual, completions for shells, and the licences of what is in it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::artifacts;
use crate::paths;
use crate::run;
use crate::run::Outcome;

/// Completions: the shell, and where its package managers put such files.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/whofreed"),
    ("zsh", "share/zsh/site-functions/_whofreed"),
    ("fish", "share/fish/vendor_completions.d/whofreed.fish"),
];

/// What is copied as it is: from the workspace, to the archive.
const COPIED: [(&str, &str); 8] = [
    ("include/whofreed.h", "include"),
    ("include/whofreed.hpp", "include"),
    ("gdb/whofreed.gdb", "share/whofreed/gdb"),
    ("README.md", "share/doc/whofreed"),
    ("CHANGELOG.md", "share/doc/whofreed"),
    ("LICENSE-APACHE", "share/doc/whofreed"),
    ("LICENSE-MIT", "share/doc/whofreed"),
    ("docs", "share/doc/whofreed"),
];

/// Files of which the version is filled in.
const FILLED: [(&str, &str); 3] = [
    ("whofreed-config.cmake", "lib/cmake/whofreed"),
    ("whofreed-config-version.cmake", "lib/cmake/whofreed"),
    ("whofreed.pc", "lib/pkgconfig"),
];

/// The packages whose code is in the two files.
const SHIPPED: [&str; 2] = ["whofreed-cli", "whofreed-shared"];

/// `cargo xtask dist`
pub fn command() -> Outcome<()> {
    artifacts::build()?;
    let archive = make()?;
    println!("{}", paths::from_here(&archive));
    Ok(())
}

/// Makes the archive of what was built.
pub fn make() -> Outcome<PathBuf> {
    let packages = Packages::read()?;
    let version = packages.version(SHIPPED[0])?;
    let machine = std::env::consts::ARCH;
    let name = format!("whofreed-{version}-{machine}-linux-gnu");
    let folder = paths::target().join("dist");
    let root = folder.join(&name);
    if root.exists() {
        fs::remove_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    }
    strip(&paths::binary(), &root.join("bin/whofreed"))?;
    strip(&paths::shim(), &root.join("lib/libwhofreed.so"))?;
    for (from, to) in COPIED {
        copy(&paths::root().join(from), &root.join(to))?;
    }
    for adapter in files_in(&paths::root().join("adapters"), "toml")? {
        copy(&adapter, &root.join("share/whofreed/adapters"))?;
    }
    let series: Vec<&str> = version.split('.').take(2).collect();
    for (file, to) in FILLED {
        let text = run::read(&paths::root().join("xtask/dist").join(file))?;
        let text = text.replace("@VERSION@", version);
        run::write(
            &root.join(to).join(file),
            &text.replace("@SERIES@", &series.join(".")),
        )?;
    }
    for (shell, to) in SHELLS {
        let text = run::quiet(Command::new(paths::binary()).args(["completions", shell]))?;
        run::write(&root.join(to), &text)?;
    }
    let manual = root.join("share/man/man1");
    run::create_folder(&manual)?;
    run::quiet(Command::new(paths::binary()).arg("manual").arg(&manual))?;
    run::write(
        &root.join("share/doc/whofreed/THIRD-PARTY.txt"),
        &packages.notices()?,
    )?;
    let archive = folder.join(format!("{name}.tar.gz"));
    // The same files give the same archive, whoever makes it and when.
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]);
    tar.args(["--mtime=@0", "--use-compress-program=gzip -n9", "-cf"]);
    run::quiet(tar.arg(&archive).arg("-C").arg(&folder).arg(&name))?;
    Ok(archive)
}

/// Without debug information, which is ten times as long; names for stacks stay.
fn strip(from: &Path, to: &Path) -> Outcome<()> {
    run::create_folder(to.parent().unwrap_or(to))?;
    let mut strip = Command::new("strip");
    run::quiet(strip.arg("--strip-debug").arg("-o").arg(to).arg(from)).map(drop)
}

fn copy(from: &Path, to: &Path) -> Outcome<()> {
    run::create_folder(to)?;
    run::quiet(Command::new("cp").arg("-r").arg(from).arg(to)).map(drop)
}

fn files_in(folder: &Path, extension: &str) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    Ok(files)
}

/// What Cargo says of the packages of this workspace and of those that it needs.
struct Packages {
    /// By id.
    all: BTreeMap<String, Value>,
    /// The packages that the code of another one comes with.
    needs: BTreeMap<String, Vec<String>>,
}

impl Packages {
    fn read() -> Outcome<Self> {
        let host = artifacts::host()?;
        let mut metadata = artifacts::cargo();
        metadata.args(["metadata", "--format-version", "1", "--locked"]);
        let text = run::quiet(metadata.args(["--filter-platform", &host]))?;
        let read: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let id = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let all = array(&read["packages"])
            .into_iter()
            .map(|package| (id(&package, "id"), package))
            .collect();
        let is_normal = |dependency: &Value| {
            let kinds = array(&dependency["dep_kinds"]);
            kinds.iter().any(|kind| kind["kind"].is_null())
        };
        let needs = array(&read["resolve"]["nodes"])
            .into_iter()
            .map(|node| {
                let dependencies = array(&node["deps"]);
                let needed = dependencies.iter().filter(|needed| is_normal(needed));
                let needed = needed.map(|needed| id(needed, "pkg")).collect();
                (id(&node, "id"), needed)
            })
            .collect();
        Ok(Self { all, needs })
    }

    fn named(&self, name: &str) -> Outcome<(&String, &Value)> {
        let mut all = self.all.iter();
        all.find(|(_, package)| package["name"] == name)
            .ok_or_else(|| format!("there is no package {name}"))
    }

    fn version(&self, name: &str) -> Outcome<&str> {
        let (_, package) = self.named(name)?;
        package["version"]
            .as_str()
            .ok_or_else(|| format!("{name} has no version"))
    }

    /// The licences of everybody whose code is shipped, and their texts.
    fn notices(&self) -> Outcome<String> {
        let mut wanted = Vec::new();
        for name in SHIPPED {
            wanted.push(self.named(name)?.0);
        }
        let mut found: BTreeSet<&String> = BTreeSet::new();
        while let Some(id) = wanted.pop() {
            if found.insert(id) {
                wanted.extend(self.needs.get(id).into_iter().flatten());
            }
        }
        let mut text =
            "whofreed contains code of these packages, under these licences.\n".to_owned();
        for package in found.into_iter().filter_map(|id| self.all.get(id)) {
            // Ours have no source, and lie beside this file.
            if package["source"].is_null() {
                continue;
            }
            let field = |key: &str| package[key].as_str().unwrap_or("?");
            let (name, version, licence) = (field("name"), field("version"), field("license"));
            if licence == "?" {
                return Err(format!("{name} {version} names no licence"));
            }
            let line = "=".repeat(80);
            text.push_str(&format!("\n{line}\n{name} {version}: {licence}\n"));
            let folder = Path::new(field("manifest_path")).parent();
            for file in folder.map(licence_files).unwrap_or_default() {
                let bytes =
                    fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
                text.push_str(&format!(
                    "\n{}\n",
                    String::from_utf8_lossy(&bytes).trim_end()
                ));
            }
        }
        Ok(text)
    }
}

/// The texts that a package comes with.
fn licence_files(folder: &Path) -> Vec<PathBuf> {
    let is_licence = |path: &PathBuf| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_uppercase();
        let begins = [
            "LICENSE",
            "LICENCE",
            "COPYING",
            "NOTICE",
            "COPYRIGHT",
            "UNLICENSE",
        ];
        path.is_file() && begins.iter().any(|begin| name.starts_with(begin))
    };
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(is_licence)
        .collect();
    files.sort();
    files
}
