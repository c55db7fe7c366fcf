//! Pages of documentation as tests: the commands that a page has its reader type, and whether what they print is what it
//! shows.

use std::fs;

use super::root;

/// What a page of documentation has its reader do.
#[derive(Debug)]
pub enum Step {
    /// A command, and what it prints.
    Run(String, String),
    /// This is now the text of a file: the language of the block, and the text.
    Edit(String, String),
}

/// A page by its path in the repository.
pub fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The fenced blocks of a page: language, and text.
pub fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).collect()
}

/// The steps of a page: its `console` blocks, with commands behind `$ `, and blocks in a language that is written to a file.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for (language, text) in blocks(page) {
        match language {
            "toml" | "c" | "cpp" => steps.push(Step::Edit(language.to_owned(), text.to_owned())),
            "console" => {
                let text = format!("\n{text}");
                for command in text.split("\n$ ").skip(1) {
                    let (command, printed) = command.split_once('\n').unwrap_or((command, ""));
                    // The last line of what is printed ends, too, where another command follows.
                    let end = if printed.is_empty() || printed.ends_with('\n') {
                        ""
                    } else {
                        "\n"
                    };
                    steps.push(Step::Run(command.to_owned(), format!("{printed}{end}")));
                }
            }
            _ => {}
        }
    }
    steps
}

/// Whether `text` is what `shown` says, in which `…` stands for anything: as a line of its own for any lines, or none.
pub fn is_as_shown(shown: &str, text: &str) -> bool {
    let shown = shown.replace("\n…\n", "\n…");
    let mut parts = shown.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in between {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A text without what depends on where its lines were broken: reports are broken to the width of a screen, and how long
/// the number of a process is moves their words to the next line.
pub fn unbroken(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}
