//! What can be wrong with adapters, each in one clear sentence.

use core::fmt;
use std::io;
use std::path::PathBuf;

use toml::Spanned;

/// Why hooks could not be prepared.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A name that is neither that of a shipped adapter nor a path.
    Unknown {
        /// The name.
        name: String,
        /// What may have been meant, and what there is.
        hint: String,
    },
    /// An adapter does not say what it should.
    Adapter {
        /// The file, or the name of the shipped adapter.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
        /// What is wrong, and what may have been meant.
        message: String,
    },
    /// A file could not be read or written.
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The library that was made did not pass its own check.
    Library(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, hint } => write!(f, "no adapter is called `{name}`{hint}"),
            Self::Adapter {
                file,
                line,
                column,
                message,
            } => {
                write!(f, "{file}:{line}:{column}: {message}")
            }
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Library(why) => write!(f, "the library of hooks is not right: {why}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Finds lines and columns in one adapter's text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'text> {
    pub(crate) file: &'text str,
    pub(crate) text: &'text str,
}

impl Place<'_> {
    /// An error at a byte of the text.
    pub(crate) fn error(&self, offset: usize, message: impl Into<String>) -> Error {
        let (line, column) = self.line_and_column(offset);
        Error::Adapter {
            file: self.file.to_owned(),
            line,
            column,
            message: message.into(),
        }
    }

    /// Where a byte of a string's value is, if it was written as it is; else where the string begins.
    pub(crate) fn within(&self, string: &Spanned<String>, offset: usize) -> usize {
        let start = string.span().start;
        // The span has the quotes, of which there may be three.
        let written = self.text.get(start + 1..string.span().end);
        match written.and_then(|written| written.find(string.get_ref())) {
            Some(quotes) => start + 1 + quotes + offset,
            None => start,
        }
    }

    /// Where a byte of the text is, both from 1.
    pub(crate) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        line_and_column(self.text.as_bytes(), offset)
    }
}

/// Where a byte is, both from 1.
pub(crate) fn line_and_column(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    (
        1 + before.iter().filter(|byte| **byte == b'\n').count(),
        1 + before.len() - line_start,
    )
}
