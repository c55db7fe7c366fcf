//! The line that would silence a finding: of its call site alone, as exact as a name can be.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt::Write as _;

use whofreed_names::is_hostile;
use whofreed_trace::Frame;

use super::Finding;
use super::parse::matches;
use super::parse::names_of;
use crate::Analysis;
use crate::Culprit;
use crate::Leak;
use crate::Seen;
use crate::Site;

/// A name longer than that is silenced by its beginning.
const MOST: usize = 200;

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
/// how many findings with lines of their own it would silence as well.
#[must_use]
pub fn all_suppressions(analysis: &Analysis) -> String {
    let open = open_findings(analysis);
    let mut bearers: HashMap<(Finding, &str), usize> = HashMap::new();
    let mut named: HashMap<(Finding, &str), usize> = HashMap::new();
    for finding in &open {
        let frames = std::iter::once(&finding.site.frame).chain(finding.stack);
        let names: HashSet<&str> = frames.flat_map(names_of).collect();
        for name in names {
            *bearers.entry((finding.sort, name)).or_default() += 1;
        }
        if let Some(name) = names_of(&finding.site.frame).next() {
            *named.entry((finding.sort, name)).or_default() += 1;
        }
    }
    let mut text = String::new();
    let mut told = HashSet::new();
    for Open {
        sort, what, site, ..
    } in &open
    {
        let (Some(line), Some(name)) = (line(*sort, site), names_of(&site.frame).next()) else {
            continue;
        };
        let name = (*sort, name);
        if told.insert(name) {
            let more = match bearers[&name] - named[&name] {
                0 => String::new(),
                others => {
                    format!("; silences others with this name in their stacks, too: {others}")
                }
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# {what}{more}\n{line}");
        }
    }
    text
}

/// A finding that nothing silences.
struct Open<'a> {
    sort: Finding,
    what: String,
    site: &'a Site,
    stack: &'a [Frame],
}

fn open_findings(analysis: &Analysis) -> Vec<Open<'_>> {
    let culprits = analysis.shown_culprits().map(|(at, culprit)| Open {
        sort: Finding::Excess,
        what: format!("culprit {}, excess frees: {}", at + 1, culprit.explains),
        site: &culprit.site,
        stack: &culprit.example.excess,
    });
    let unexplained = analysis.shown_unexplained().map(|(_, seen)| Open {
        sort: Finding::Excess,
        what: format!("unexplained, excess frees: {}", seen.observed),
        site: &seen.site,
        stack: &seen.stack,
    });
    let leaks = analysis.shown_leaks().map(|(_, leak)| Open {
        sort: Finding::Leak,
        what: format!(
            "never freed, buffers: {}, bytes: {}",
            leak.count, leak.bytes
        ),
        site: &leak.site,
        stack: &leak.stack,
    });
    culprits.chain(unexplained).chain(leaks).collect()
}

fn line(finding: Finding, site: &Site) -> Option<String> {
    let pattern = pattern(&site.frame)?;
    Some(format!("{}:{pattern}", finding.name()))
}

/// A pattern that is the name of the frame, and of no other: its function, else its file, else its module.
fn pattern(frame: &Frame) -> Option<String> {
    let named = names_of(frame).next()?;
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
