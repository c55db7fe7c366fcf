//! What whofreed itself could not do.

use std::fmt::Display;

/// whofreed itself failed.
pub(crate) const OURS: u8 = 125;

/// The exit code, and what to say on stderr: one line each.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) messages: Vec<String>,
}

impl Failure {
    /// A failure of whofreed itself.
    pub(crate) fn ours(message: impl Display) -> Self {
        Self {
            code: OURS,
            messages: vec![message.to_string()],
        }
    }
}
