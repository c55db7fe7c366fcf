//! Rules about stacks that the user brings: files of `--rules`, and what adapters carry.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use whofreed_adapter::Machinery;
use whofreed_analysis::RuleError;
use whofreed_analysis::Rules;

use crate::failure::Failure;
use crate::output::shown;

/// The longest file of rules, in bytes.
const LONGEST: u64 = 16 << 20;

/// Reads the files; the later ones go first. An adapter counts as one, with the rules that it carries.
pub(crate) fn of_files(paths: &[PathBuf]) -> Result<Rules, Failure> {
    let mut all = Rules::default();
    for path in paths {
        let rules = if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let path = path.to_string_lossy();
            of_adapters(&path)?
        } else {
            of_file(path)?
        };
        all = all.and(rules);
    }
    Ok(all)
}

/// The rules of adapters that are the user's own. Those that come along are known to the analysis.
pub(crate) fn of_adapters(adapters: &str) -> Result<Rules, Failure> {
    let mut all = Rules::default();
    let own = adapters.split(',').map(str::trim);
    for adapter in own.filter(|name| *name != "auto" && whofreed_adapter::source(name).is_none()) {
        for carried in whofreed_adapter::machinery(adapter).map_err(Failure::ours)? {
            all = all.and(of_adapter(&carried)?);
        }
    }
    Ok(all)
}

fn of_adapter(carried: &Machinery) -> Result<Rules, Failure> {
    let mut text = String::new();
    for rule in &carried.rules {
        Rules::parse(&rule.text).map_err(|error| {
            // A text of several lines is told by its beginning.
            let within = if error.line == 1 { error.column - 1 } else { 0 };
            let column = rule.column + within;
            Failure::ours(told(&carried.file, rule.line, column, &error))
        })?;
        text.push_str(&rule.text);
        text.push('\n');
    }
    Rules::parse(&text).map_err(Failure::ours)
}

fn of_file(path: &Path) -> Result<Rules, Failure> {
    let text = read(path).map_err(|why| Failure::ours(format!("{}: {why}", shown(path))))?;
    Rules::parse(&text).map_err(|error| {
        let (line, column) = (error.line, error.column);
        Failure::ours(told(&shown(path), line, column, &error))
    })
}

/// A text file of the user's, of some size.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let metadata = fs::metadata(path).map_err(unreadable)?;
    // A pipe would keep us waiting.
    if !metadata.is_file() {
        return Err("is no regular file".to_owned());
    }
    if metadata.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| "is no text in UTF-8".to_owned())
}

/// The sentence for an error, with what may have been meant.
fn told(file: &str, line: usize, column: usize, error: &RuleError) -> String {
    let mut text = format!("{file}:{line}:{column}: {}", error.message);
    if let Some(word) = &error.word {
        text.push_str(&whofreed_adapter::suggestion(
            word,
            error.known.iter().copied(),
        ));
        text.push_str(&format!(" (known: {})", error.known.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use whofreed_analysis::Rules;

    #[test]
    fn rules_of_shipped_adapters_are_found_alike_by_both_readers() {
        for name in whofreed_adapter::names() {
            let carried = whofreed_adapter::machinery(name).expect("it is an adapter");
            let texts: Vec<&str> = carried[0].rules.iter().map(|rule| &*rule.text).collect();
            assert_eq!(Rules::carried_by(name), texts, "{name}");
        }
    }
}
