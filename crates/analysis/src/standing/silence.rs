//! The line that would silence a finding: of its call site alone, as exact as a name can be.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use whofreed_names::is_hostile;
use whofreed_trace::Frame;

use super::Finding;
use super::parse::matches;
use super::parse::silences;
use crate::Analysis;
use crate::Culprit;
use crate::Leak;
use crate::Seen;
use crate::Site;

/// A name longer than that is silenced by its beginning.
const MOST: usize = 200;
/// A line is tried on so many findings of a sort.
const MOST_COMPARED: usize = 200;

impl Culprit {
    /// The line that would silence it; `None` where nothing of it has a name.
    #[must_use]
    pub fn suppression(&self) -> Option<String> {
        line(Finding::Excess, &self.site)
    }
}

impl Seen {
    /// The line that would silence what was seen there.
    #[must_use]
    pub fn suppression(&self) -> Option<String> {
        line(Finding::Excess, &self.site)
    }
}

impl Leak {
    /// The line that would silence it.
    #[must_use]
    pub fn suppression(&self) -> Option<String> {
        line(Finding::Leak, &self.site)
    }
}

/// A file of lines that would silence all that is not silenced yet, each with a comment that says what it is about, and
/// what else it would silence.
#[must_use]
pub fn all_suppressions(analysis: &Analysis) -> String {
    let mut text = String::new();
    let mut told = BTreeSet::new();
    let mut tell = |line: Option<String>, is_suppressed: bool, what: String| {
        if let Some(line) = line.filter(|_| !is_suppressed)
            && told.insert(line.clone())
        {
            let more = match silenced_beside(analysis, &line) {
                0 => String::new(),
                1 => ", and another finding: it has this name in its stack".to_owned(),
                more => format!(", and {more} other findings: they have this name in their stacks"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# {what}{more}\n{line}");
        }
    };
    for (at, culprit) in analysis.culprits.iter().enumerate() {
        let mark = analysis.culprit_mark(at);
        let count = counted(culprit.explains, "excess free");
        let what = format!("culprit {}: {count}", at + 1);
        tell(culprit.suppression(), mark.suppressed_by.is_some(), what);
    }
    for (at, seen) in analysis.unexplained.sites.iter().enumerate() {
        let mark = analysis.unexplained_mark(at);
        let what = counted(seen.observed, "unexplained excess free");
        tell(seen.suppression(), mark.suppressed_by.is_some(), what);
    }
    for (at, leak) in analysis.leaks.iter().enumerate() {
        let mark = analysis.leak_mark(at);
        let count = counted(leak.count, "buffer");
        let what = format!("{count} never freed, {} bytes", leak.bytes);
        tell(leak.suppression(), mark.suppressed_by.is_some(), what);
    }
    text
}

fn counted(count: u64, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// How many findings a line would silence that have a line of their own, among the first ones.
fn silenced_beside(analysis: &Analysis, line: &str) -> usize {
    let own = |other: Option<String>| other.as_deref() == Some(line);
    if let Some(pattern) = line.strip_prefix("excess:") {
        let culprits = analysis.culprits.iter().take(MOST_COMPARED);
        let culprits = culprits.filter(|culprit| {
            let stack = &culprit.example.excess;
            !own(culprit.suppression()) && silences(pattern, &culprit.site.frame, stack)
        });
        let seen = analysis.unexplained.sites.iter().take(MOST_COMPARED);
        let seen = seen.filter(|seen| {
            !own(seen.suppression()) && silences(pattern, &seen.site.frame, &seen.stack)
        });
        culprits.count() + seen.count()
    } else if let Some(pattern) = line.strip_prefix("leak:") {
        let leaks = analysis.leaks.iter().take(MOST_COMPARED);
        let leaks = leaks.filter(|leak| {
            !own(leak.suppression()) && silences(pattern, &leak.site.frame, &leak.stack)
        });
        leaks.count()
    } else {
        0
    }
}

fn line(finding: Finding, site: &Site) -> Option<String> {
    let pattern = pattern(&site.frame)?;
    Some(format!("{}:{pattern}", finding.name()))
}

/// A pattern that is the name of the frame, and of no other: its function, else its file, else its module.
fn pattern(frame: &Frame) -> Option<String> {
    let function = frame.function.as_deref();
    let names = [function, frame.file.as_deref(), Some(&*frame.module)];
    let named = names.into_iter().flatten().find(|name| !name.is_empty())?;
    if named
        .chars()
        .all(|character| character == '*' || is_hostile(character))
    {
        // It would stand for everything.
        return None;
    }
    let mut pattern = String::from("^");
    let mut is_whole = true;
    for character in named.chars() {
        if pattern.len() >= MOST {
            is_whole = false;
            break;
        }
        // What cannot stand in a line is stood for.
        pattern.push(match is_hostile(character) {
            true => '*',
            false => character,
        });
    }
    pattern.push(if is_whole { '$' } else { '*' });
    debug_assert!(matches(&pattern, named), "{pattern} {named}");
    Some(pattern)
}
