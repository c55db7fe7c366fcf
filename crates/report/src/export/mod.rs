//! The report in the forms of other tools: what they open, their users need not learn anew. One module a format.
//!
//! **Architecture Invariant:** a name is data in every form. Each module escapes what its form would act on, and all of them
//! what a terminal would, since such files end up there as well.

mod chrome;
mod events;
mod firefox;
mod folded;
mod junit;
mod pprof;
mod protobuf;
mod sarif;

pub use chrome::to_chrome;
pub use events::CSV_HEADER;
pub use events::EventLine;
pub use events::csv_place;
pub use events::process_to_json_line;
pub use events::stack_to_json_line;
pub use firefox::to_firefox;
pub use folded::to_folded;
pub use junit::to_junit;
pub use pprof::to_pprof;
pub use sarif::to_sarif;

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_trace::Frame;

use crate::text::base;
use crate::text::counted;
use crate::text::printable;
use crate::text::site;

/// Names longer than that lose their middle where they stand in a sentence.
const LABEL: usize = 200;

/// How a viewer of stacks calls a frame: `ProgramCache::evict(int) (caches.hpp:40)`, whole.
fn frame_name(frame: &Frame) -> String {
    let place = match &frame.file {
        Some(file) if frame.line > 0 => format!(" ({}:{})", base(file), frame.line),
        Some(file) => format!(" ({})", base(file)),
        None => String::new(),
    };
    let name = match &frame.function {
        Some(function) => format!("{function}{place}"),
        None if frame.module.is_empty() => format!("{:#x}{place}", frame.offset),
        None => format!("{}+{:#x}{place}", base(&frame.module), frame.offset),
    };
    printable(&name)
}

/// How a sentence calls a frame: `ProgramCache::evict (caches.hpp:40)`.
fn label(frame: &Frame) -> String {
    site(frame, LABEL)
}

/// How a viewer calls a process: its program, and which one it is where there are several.
fn process_name(analysis: &Analysis, pid: u32) -> String {
    let of_pid = analysis.processes.iter().find(|process| process.pid == pid);
    let command = of_pid.and_then(|process| process.command.first());
    let name = command.map_or("", |command| base(command));
    match (name, analysis.processes.len()) {
        ("", _) => format!("process {pid}"),
        (name, 0 | 1) => printable(name),
        (name, _) => format!("{} (process {pid})", printable(name)),
    }
}

/// What is said of a culprit in one line, without its name.
fn verdict(culprit: &Culprit) -> String {
    let explains = match culprit.confidence {
        Confidence::Undecided => "would explain",
        Confidence::Proven | Confidence::Counterfactual => "explains",
    };
    let mut text = format!(
        "{explains} {}, {} seen here, in {}",
        counted(culprit.explains, "excess free"),
        culprit.observed,
        counted(culprit.buffers, "buffer"),
    );
    if !culprit.alternatives.is_empty() {
        let others: Vec<String> = culprit
            .alternatives
            .iter()
            .take(3)
            .map(|other| label(&other.frame))
            .collect();
        text.push_str(&format!(
            "; the record fits {} as well",
            others.join(" or ")
        ));
    }
    text
}
