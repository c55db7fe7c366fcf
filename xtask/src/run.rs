//! Processes and files, with errors that say what was tried.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::thread;

/// What every step of a task returns: an error is a sentence for the person at the terminal.
pub type Outcome<T> = Result<T, String>;

/// Runs a command whose output everybody may see.
pub fn shown(command: &mut Command) -> Outcome<()> {
    let status = command
        .status()
        .map_err(|error| format!("{}: {error}", text(command)))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{}: {status}", text(command)))
    }
}

/// Runs a command whose output matters only when it fails; returns its standard output.
pub fn quiet(command: &mut Command) -> Outcome<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", text(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(20)..].join("\n");
    Err(format!("{}: {}\n{last}", text(command), output.status))
}

/// Writes a file, and the folders on the way to it.
pub fn write(path: &Path, contents: &str) -> Outcome<()> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    fs::write(path, contents).map_err(|error| format!("{}: {error}", path.display()))
}

/// Creates a folder with all its parents.
pub fn create_folder(path: &Path) -> Outcome<()> {
    fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The command as one would type it, cut to a line.
fn text(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    line.lines()
        .find(|line| !line.is_empty())
        .unwrap_or_default()
        .chars()
        .take(160)
        .collect()
}

/// Reads a text file.
pub fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Runs a command, shows its output line by line as it comes, and returns it with whether the command succeeded.
pub fn tee(command: &mut Command) -> Outcome<(String, bool)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", text(command)))?;
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let (mut lines, errors) = thread::scope(|scope| {
        let errors = scope.spawn(|| copy(stderr, |line| eprintln!("{line}")));
        let lines = copy(stdout, |line| println!("{line}"));
        (lines, errors.join().unwrap_or_default())
    });
    let status = child
        .wait()
        .map_err(|error| format!("{}: {error}", text(command)))?;
    lines.push_str(&errors);
    Ok((lines, status.success()))
}

fn copy(stream: Option<impl Read>, show: impl Fn(&str)) -> String {
    let mut all = String::new();
    let Some(stream) = stream else { return all };
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        show(&line);
        all.push_str(&line);
        all.push('\n');
    }
    all
}
