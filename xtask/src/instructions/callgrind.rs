//! Runs of a host under callgrind, and what it counted for one of the host's threads.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::bench::host;
use crate::run;
use crate::run::Outcome;

/// callgrind, its output and a host's traces in a folder of their own, which goes with this.
pub struct Callgrind {
    folder: PathBuf,
}

impl Callgrind {
    /// For one run.
    pub fn new(folder: &Path) -> Outcome<Self> {
        let folder = folder.join("callgrind");
        let _ = fs::remove_dir_all(&folder);
        run::create_folder(&folder)?;
        Ok(Self { folder })
    }

    /// A host alone.
    pub fn of(&self, host: &Path) -> Command {
        let mut command = Command::new("valgrind");
        command.args(self.words()).arg(host);
        command
    }

    /// A host that has the library in it.
    pub fn of_api(&self, host: &Path) -> Command {
        let mut command = self.of(host);
        let options = host::api_options(&self.folder.join("api.wft"));
        command.env("WHOFREED_OPTIONS", options);
        command
    }

    /// A host whose hooks are put before it by the launcher, whose own instructions are not counted.
    pub fn under_whofreed(&self, host: &Path, stacks: &str) -> Command {
        let mut command = host::whofreed(Path::new("valgrind"), &self.folder, stacks, &[]);
        command.args(self.words()).arg(host);
        command
    }

    fn words(&self) -> [String; 4] {
        let at = |name: &str| self.folder.join(name).display().to_string();
        [
            "--tool=callgrind".to_owned(),
            "--separate-threads=yes".to_owned(),
            format!("--callgrind-out-file={}", at("out")),
            format!("--log-file={}", at("log")),
        ]
    }

    /// What was counted for the thread that was in this function.
    pub fn total_of_thread(&self, function: &str) -> Outcome<u64> {
        let entries = fs::read_dir(&self.folder)
            .map_err(|error| format!("{}: {error}", self.folder.display()))?;
        for entry in entries.flatten() {
            // `out-03` is the third thread's.
            if !entry.file_name().to_string_lossy().starts_with("out-") {
                continue;
            }
            if let Some(total) = total_of(&run::read(&entry.path())?, function) {
                return Ok(total);
            }
        }
        Err(format!("callgrind saw no thread in {function}"))
    }
}

impl Drop for Callgrind {
    fn drop(&mut self) {
        // What is left of a failed removal lies under target/.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What a thread's part of callgrind's output counts, when the thread was in this function.
fn total_of(part: &str, function: &str) -> Option<u64> {
    // Names stand once, behind their numbers: `fn=(12) own_blocks`.
    let is_named = |line: &str| {
        let call = line.strip_prefix('c').unwrap_or(line);
        let named = call
            .strip_prefix("fn=(")
            .and_then(|name| name.split_once(") "));
        named.is_some_and(|(_, name)| name == function)
    };
    part.lines().any(is_named).then_some(())?;
    let totals = part.lines().find_map(|line| line.strip_prefix("totals:"))?;
    totals.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_callgrind_is_the_thread_whose_function_it_names() {
        let part = "thread: 3\nevents: Ir\nfn=(7) start_thread\ncfn=(12) own_blocks\ncalls=1 0\n\
                    fn=(12)\n16 5\ntotals: 4711\n";
        assert_eq!(total_of(part, "own_blocks"), Some(4711));
        assert_eq!(total_of(part, "start_thread"), Some(4711));
        assert_eq!(total_of(part, "own_block"), None);
    }
}
