//! Folded stacks: one line a stack, outermost frame first, with semicolons in between and its weight behind. flamegraph.pl,
//! inferno and speedscope read them.
//!
//! The weight of a culprit's stack is what the culprit explains, so that the widths are the blame and not where the excess
//! was seen; all weights together are the excess frees of the run.

use std::fmt::Write as _;

use whofreed_analysis::Analysis;
use whofreed_trace::Frame;

use super::frame_name;
use super::process_name;

/// Stands at the root of what nobody is blamed for.
const UNEXPLAINED: &str = "(unexplained)";

/// The excess frees as folded stacks.
#[must_use]
pub fn to_folded(analysis: &Analysis) -> String {
    let mut text = String::new();
    for (_, culprit) in analysis.shown_culprits() {
        let example = &culprit.example;
        let root = process_name(analysis, example.pid);
        let stack = stack(&example.excess, &culprit.site.frame);
        line(&mut text, &[root], &stack, culprit.explains);
    }
    let unexplained = &analysis.unexplained;
    for (_, seen) in analysis.shown_unexplained() {
        let stack = stack(&seen.stack, &seen.site.frame);
        line(&mut text, &[UNEXPLAINED.to_owned()], &stack, seen.observed);
    }
    if unexplained.more_observed > 0 {
        let rest = ["(more call sites)".to_owned()];
        let root = [UNEXPLAINED.to_owned()];
        line(&mut text, &root, &rest, unexplained.more_observed);
    }
    text
}

/// The names of a stack from the outermost frame, of its call site alone where no stack was recorded.
fn stack(frames: &[Frame], site: &Frame) -> Vec<String> {
    match frames {
        [] => vec![frame_name(site)],
        frames => frames.iter().rev().map(frame_name).collect(),
    }
}

fn line(text: &mut String, root: &[String], stack: &[String], weight: u64) {
    if weight == 0 {
        return;
    }
    let names: Vec<String> = root.iter().chain(stack).map(|name| escaped(name)).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{} {weight}", names.join(";"));
}

/// A name that ends where its frame ends: without the character between frames, and without a number at its end, which
/// readers would take for a second weight.
fn escaped(name: &str) -> String {
    let name = name.replace(';', "\\x3b");
    let name = name.trim();
    match name.rsplit_once(' ') {
        Some((start, end)) if end.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{start}\\x20{end}")
        }
        _ if name.is_empty() => "(no name)".to_owned(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_does_not_end_its_frame_or_its_line() {
        for (name, expected) in [
            ("evict (cache.cpp:4)", "evict (cache.cpp:4)"),
            ("<[u8; 4] as Drop>::drop", "<[u8\\x3b 4] as Drop>::drop"),
            ("evil 17", "evil\\x2017"),
            ("evil 17.5 ", "evil\\x2017.5"),
            ("  ", "(no name)"),
        ] {
            assert_eq!(escaped(name), expected);
        }
    }
}
