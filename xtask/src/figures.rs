//! Documents of figures that commands measured, section by section.

use std::fs;
use std::process::Command;

use crate::paths;
use crate::run;
use crate::run::Outcome;

/// A document under `docs/` whose sections are written by a command.
#[derive(Debug)]
pub struct Document {
    /// Its name under `docs/`.
    pub name: &'static str,
    /// What it begins with where it is not there yet.
    pub head: &'static str,
}

impl Document {
    /// Puts what was found in place of the section of this name, or behind the others, with commit, date and machine.
    pub fn write_section(&self, section: &str, about: &str, table: &str) -> Outcome<()> {
        let commit = commit()?;
        let date = said("date", &["--utc", "+%Y-%m-%d"])?;
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let body = format!(
            "{about}\n\nCommit {commit}, {}, {cores} cores.\n\n{table}",
            date.trim()
        );
        let file = paths::root().join("docs").join(self.name);
        let old = fs::read_to_string(&file).unwrap_or_else(|_| self.head.to_owned());
        run::write(&file, &replace_section(&old, section, &body))
    }
}

fn said(program: &str, arguments: &[&str]) -> Outcome<String> {
    run::quiet(
        Command::new(program)
            .args(arguments)
            .current_dir(paths::root()),
    )
}

/// The commit that is measured.
pub fn commit() -> Outcome<String> {
    let commit = said("git", &["describe", "--always", "--dirty", "--abbrev=10"])?;
    Ok(commit.trim().to_owned())
}

fn replace_section(document: &str, name: &str, body: &str) -> String {
    let mut parts: Vec<String> = document
        .split("\n## ")
        .map(|part| part.trim_end().to_owned())
        .collect();
    let new = format!("{name}\n\n{}", body.trim_end());
    match parts
        .iter_mut()
        .skip(1)
        .find(|part| part.lines().next() == Some(name))
    {
        Some(part) => *part = new,
        None => parts.push(new),
    }
    parts.join("\n\n## ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_in_its_place_and_a_new_one_goes_last() {
        let document = "# Soak\n\nAbout.\n\n## a\n\nold\n\n## b\n\nkept\n";
        assert_eq!(
            replace_section(document, "a", "new\n"),
            "# Soak\n\nAbout.\n\n## a\n\nnew\n\n## b\n\nkept\n"
        );
        assert_eq!(
            replace_section("# Soak\n", "a", "new"),
            "# Soak\n\n## a\n\nnew\n"
        );
    }
}
