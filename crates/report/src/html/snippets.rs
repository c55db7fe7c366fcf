//! Lines of source code around the frames of culprits. Whoever has files reads them: this room has none.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use whofreed_analysis::Analysis;
use whofreed_trace::Frame;

use crate::text::stack::is_script;

/// Of so many culprits, those that explain most, source is shown.
const CULPRITS: usize = 200;
/// Of so many frames of each of their stacks, from the innermost.
const FRAMES: usize = 8;
/// And for so many of the user's own scripts, wherever they are in it.
const SCRIPTS: usize = 4;

/// A few lines of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The number of the first of them.
    pub first: u32,
    /// The lines, without their ends.
    pub lines: Vec<String>,
    /// The file was written after the recording began, so the lines may be others than those that ran.
    pub is_newer: bool,
}

/// Snippets by file and line.
pub type Snippets = BTreeMap<(Arc<str>, u32), Snippet>;

/// The places, file and line, around which the page shows source code where it is handed some.
#[must_use]
pub fn places(analysis: &Analysis) -> BTreeSet<(Arc<str>, u32)> {
    let mut places = BTreeSet::new();
    for culprit in analysis.culprits.iter().take(CULPRITS) {
        let example = &culprit.example;
        for stack in [&example.allocated, &example.freed, &example.excess] {
            places.extend(stack.iter().take(FRAMES).filter_map(place));
            // Below the interpreter's frames, and what people look for.
            let scripts = stack.iter().filter(|frame| is_script(frame));
            places.extend(scripts.take(SCRIPTS).filter_map(place));
        }
        places.extend(place(&culprit.site.frame));
    }
    places
}

fn place(frame: &Frame) -> Option<(Arc<str>, u32)> {
    let file = frame.file.as_ref()?;
    (frame.line > 0).then(|| (Arc::clone(file), frame.line))
}
