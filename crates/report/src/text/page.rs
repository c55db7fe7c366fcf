//! The page that a text report is set on: lines of at most so many columns, in tones that become colours only
//! where colours are wanted.

use std::fmt::Write as _;

use anstyle::AnsiColor;
use anstyle::Style;

use super::TextOptions;
use super::names::columns;

/// A space at which no line is broken. Shown as an ordinary one.
pub(super) const NO_BREAK: char = '\u{a0}';

/// How a piece of text sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// What the eye should find first.
    Strong,
    /// Something is wrong.
    Bad,
    /// Nothing is wrong.
    Good,
    /// Of less weight.
    Faint,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Faint => Style::new().dimmed(),
        }
    }
}

/// A piece of text and its tone. The text is printable already.
pub(super) type Piece = (Tone, String);

/// A piece in plain tone.
pub(super) fn plain(text: impl Into<String>) -> Piece {
    (Tone::Plain, text.into())
}

/// A piece that the eye should find first.
pub(super) fn strong(text: impl Into<String>) -> Piece {
    (Tone::Strong, text.into())
}

/// Lines of a report. Colours never span the end of a line.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) width: usize,
    /// The folder that paths are told from.
    pub(super) here: Option<String>,
    color: bool,
    text: String,
    line: Vec<Piece>,
}

impl Page {
    pub(super) fn new(options: &TextOptions) -> Self {
        Self {
            // Below this, nothing can be told any more; the terminal may wrap then.
            width: options.width.max(40),
            // In full, names are whole.
            here: options.here.clone().filter(|_| !options.verbose),
            color: options.color,
            text: String::new(),
            line: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// One line as it is. The caller has seen to its width.
    pub(super) fn line(&mut self, pieces: &[Piece]) {
        for (tone, text) in pieces {
            self.put(*tone, text);
        }
        self.end_line();
    }

    pub(super) fn blank(&mut self) {
        self.end_line();
    }

    /// A sentence, broken between words: its first line is indented by `first`, those behind it by `hanging`.
    pub(super) fn prose(&mut self, first: usize, hanging: usize, pieces: &[Piece]) {
        self.put(Tone::Plain, &" ".repeat(first));
        let mut column = first;
        let mut before = Tone::Plain;
        for word in words(pieces) {
            let wide: usize = word.iter().map(|(_, text)| columns(text)).sum();
            if column > first && column + 1 + wide > self.width {
                self.end_line();
                self.put(Tone::Plain, &" ".repeat(hanging));
                column = hanging;
            } else if column > first {
                // A space between two words of one tone is of that tone.
                let after = word.first().map_or(Tone::Plain, |(tone, _)| *tone);
                let tone = if before == after { after } else { Tone::Plain };
                self.put(tone, " ");
                column += 1;
            }
            for (tone, text) in word {
                self.put(tone, &text.replace(NO_BREAK, " "));
                before = tone;
            }
            column += wide;
        }
        self.end_line();
    }

    /// Adds to the line that is being set.
    fn put(&mut self, tone: Tone, text: &str) {
        match self.line.last_mut() {
            Some((last, before)) if *last == tone => before.push_str(text),
            _ => self.line.push((tone, text.to_owned())),
        }
    }

    fn end_line(&mut self) {
        for (tone, text) in self.line.drain(..) {
            if self.color && tone != Tone::Plain && !text.is_empty() {
                let style = tone.style();
                let _ = write!(self.text, "{style}{text}{style:#}");
            } else {
                self.text.push_str(&text);
            }
        }
        self.text.push('\n');
    }
}

/// The words of a sentence; one word may lie in several pieces.
fn words(pieces: &[Piece]) -> Vec<Vec<(Tone, &str)>> {
    let mut words: Vec<Vec<(Tone, &str)>> = vec![Vec::new()];
    for (tone, text) in pieces {
        for (position, part) in text.split(' ').enumerate() {
            if position > 0 {
                words.push(Vec::new());
            }
            if !part.is_empty()
                && let Some(word) = words.last_mut()
            {
                word.push((*tone, part));
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(color: bool) -> Page {
        Page::new(&TextOptions {
            width: 40,
            color,
            ..TextOptions::default()
        })
    }

    #[test]
    fn sentences_break_between_words() {
        let mut page = page(false);
        page.prose(
            0,
            2,
            &[
                plain("one two three four five six seven "),
                strong("eight nine ten"),
            ],
        );
        assert_eq!(
            page.finish(),
            "one two three four five six seven eight\n  nine ten\n"
        );
    }

    #[test]
    fn colour_never_spans_a_line_end() {
        let mut page = page(true);
        page.prose(0, 0, &[(Tone::Bad, "word ".repeat(30))]);
        let text = page.finish();
        assert!(text.lines().count() > 3);
        for line in text.lines() {
            assert!(line.starts_with("\u{1b}[1m\u{1b}[31mword"), "{line:?}");
            assert!(line.ends_with("word\u{1b}[0m"), "{line:?}");
            assert_eq!(line.matches('\u{1b}').count(), 3, "{line:?}");
        }
    }
}
