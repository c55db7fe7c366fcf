//! The language of suppressions, which is that of the sanitizers: one line `excess:PATTERN` or `leak:PATTERN` for each.

use core::fmt;

use whofreed_trace::Frame;

use super::Finding;
use super::Mark;
use super::SuppressionLine;
use crate::Analysis;
use crate::rules::fits;

/// The longest pattern, in bytes.
const LONGEST: usize = 1000;

/// A line that silences nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuppressionError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for SuppressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.message)
    }
}

impl std::error::Error for SuppressionError {}

/// Lines that silence findings, of one file or several.
#[derive(Clone, Debug, Default)]
pub struct Suppressions {
    lines: Vec<SuppressionLine>,
}

impl Suppressions {
    /// Reads the text of a file; `file` is what reports are to call it.
    ///
    /// # Errors
    /// [`SuppressionError`], at the first line that is none.
    pub fn parse(text: &str, file: &str) -> Result<Self, SuppressionError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (finding, pattern) =
                one(text).map_err(|message| SuppressionError { line, message })?;
            lines.push(SuppressionLine {
                file: file.to_owned(),
                line,
                finding,
                pattern: pattern.to_owned(),
                silences: 0,
            });
        }
        Ok(Self { lines })
    }

    /// These, and behind them `others`.
    #[must_use]
    pub fn and(mut self, mut others: Self) -> Self {
        self.lines.append(&mut others.lines);
        self
    }

    /// Marks what these lines silence. Where several match, the first one counts.
    pub fn apply(&self, analysis: &mut Analysis) {
        let mut lines = self.lines.clone();
        let culprits = analysis.culprits.iter().map(|culprit| {
            let stack = &culprit.example.excess;
            (culprit.explains, &culprit.site.frame, &**stack)
        });
        let seen = analysis.unexplained.sites.iter();
        let seen = seen.map(|seen| (seen.observed, &seen.site.frame, &*seen.stack));
        let leaks = analysis.leaks.iter();
        let leaks = leaks.map(|leak| (leak.count, &leak.site.frame, &*leak.stack));
        let standing = &mut analysis.standing;
        mark(
            &mut lines,
            Finding::Excess,
            culprits,
            &mut standing.culprits,
        );
        mark(&mut lines, Finding::Excess, seen, &mut standing.unexplained);
        mark(&mut lines, Finding::Leak, leaks, &mut standing.leaks);
        standing.lines = lines;
    }
}

/// Notes of each finding the first line that matches, and of each line how much it silences.
fn mark<'a>(
    lines: &mut [SuppressionLine],
    finding: Finding,
    findings: impl Iterator<Item = (u64, &'a Frame, &'a [Frame])>,
    marks: &mut Vec<Mark>,
) {
    for (at, (count, site, stack)) in findings.enumerate() {
        if marks.len() == at {
            marks.push(Mark::default());
        }
        let frames = || std::iter::once(site).chain(stack);
        let first = lines.iter().position(|line| {
            line.finding == finding && frames().any(|frame| is_in(&line.pattern, frame))
        });
        if let Some(line) = first {
            lines[line].silences += count;
        }
        marks[at].suppressed_by = first;
    }
}

fn one(text: &str) -> Result<(Finding, &str), String> {
    if text.contains(char::is_control) {
        return Err("there is a control character in this line".to_owned());
    }
    let Some((kind, pattern)) = text.split_once(':') else {
        return Err("is neither excess:PATTERN nor leak:PATTERN, nor a comment with #".to_owned());
    };
    let finding = [Finding::Excess, Finding::Leak]
        .into_iter()
        .find(|finding| finding.name() == kind)
        .ok_or_else(|| format!("`{kind}` is not known here (known: excess, leak)"))?;
    if pattern.is_empty() {
        return Err("the pattern is missing".to_owned());
    }
    if pattern.len() > LONGEST {
        return Err(format!("a pattern has at most {LONGEST} bytes"));
    }
    Ok((finding, pattern))
}

/// Whether a function, file or module of the frame is what the pattern stands for.
fn is_in(pattern: &str, frame: &Frame) -> bool {
    names_of(frame).any(|name| matches(pattern, name))
}

/// What a frame can be known by: its function, its file, its module.
pub(super) fn names_of(frame: &Frame) -> impl Iterator<Item = &str> {
    let names = [
        frame.function.as_deref(),
        frame.file.as_deref(),
        Some(&*frame.module),
    ];
    names.into_iter().flatten().filter(|name| !name.is_empty())
}

/// Whether `pattern` is somewhere in `name`: at its beginning with `^`, up to its end with `$`; `*` stands for anything.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let (before, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => ("", rest),
        None => ("*", pattern),
    };
    let (pattern, behind) = match pattern.strip_suffix('$') {
        Some(rest) => (rest, ""),
        None => (pattern, "*"),
    };
    fits(&format!("{before}{pattern}{behind}"), name)
}
