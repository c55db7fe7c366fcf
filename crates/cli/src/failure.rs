//! What whofreed itself could not do.

use std::fmt::Display;

/// whofreed itself failed.
pub(crate) const OURS: u8 = 125;
/// The command cannot be executed, or not under whofreed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// There is no such command.
pub(crate) const NOT_FOUND: u8 = 127;

/// The exit code, and what to say on stderr: one line each.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) messages: Vec<String>,
}

impl Failure {
    /// A failure of whofreed itself.
    pub(crate) fn ours(message: impl Display) -> Self {
        Self::with(OURS, message)
    }

    /// A failure with a code of its own.
    pub(crate) fn with(code: u8, message: impl Display) -> Self {
        Self {
            code,
            messages: vec![message.to_string()],
        }
    }
}
