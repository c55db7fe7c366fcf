//! Stacks for people: the frames that tell something, and how many were left out in between.

use whofreed_trace::Frame;
use whofreed_trace::Language;

use super::names::base;
use super::names::columns;
use super::names::fit_end;
use super::names::fit_middle;
use super::names::share;
use super::page::Page;
use super::page::Tone;
use super::page::plain;
use super::page::strong;

/// What a frame is to a reader who looks for a call site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// Code of the host that may be to blame.
    Telling,
    /// Code of the interpreter itself.
    Interpreter,
    /// Code of the language's own library, the C library, the start of process and threads.
    System,
}

/// Beginnings of functions that belong to an interpreter, or glue to it.
const INTERPRETER_FUNCTIONS: [&str; 12] = [
    "_Py",
    "PyEval_",
    "PyObject_",
    "PyRun_",
    "Py_Run",
    "Py_BytesMain",
    "pymain_",
    "cfunction_",
    "method_vectorcall",
    "slot_tp_",
    "nanobind::",
    "pybind11::",
];

/// Functions of an interpreter whose names others might begin with as well.
const INTERPRETER_NAMES: [&str; 3] = ["run_mod", "run_eval_code_obj", "type_call"];

/// Beginnings of modules that belong to an interpreter.
const INTERPRETER_MODULES: [&str; 2] = ["libpython", "python3"];

/// Beginnings of functions of the languages' own libraries.
const SYSTEM_FUNCTIONS: [&str; 14] = [
    "std::",
    "__gnu_cxx::",
    "<std::",
    "<core::",
    "<alloc::",
    "core::ops::",
    "core::ptr::",
    "alloc::boxed::",
    "alloc::sync::",
    "operator delete",
    "operator new",
    "__libc_",
    "__rust_",
    "_dl_",
];

/// Functions at the start of processes and threads.
const SYSTEM_NAMES: [&str; 4] = ["_start", "start_thread", "clone", "clone3"];

/// Beginnings of modules that every program has.
const SYSTEM_MODULES: [&str; 6] = [
    "libc.so",
    "libc-",
    "ld-linux",
    "libstdc++.so",
    "libpthread",
    "libgcc_s",
];

fn sort_of(frame: &Frame) -> Sort {
    let begins = |name: &str, with: &[&str]| with.iter().any(|start| name.starts_with(start));
    if frame.language == Language::Python {
        let file = frame.file.as_deref().unwrap_or_default();
        return if file.starts_with("<frozen ") {
            Sort::Interpreter
        } else {
            Sort::Telling
        };
    }
    let module = base(&frame.module);
    if begins(module, &INTERPRETER_MODULES) {
        return Sort::Interpreter;
    }
    match &frame.function {
        Some(function)
            if begins(function, &INTERPRETER_FUNCTIONS)
                || INTERPRETER_NAMES.contains(&function.as_str()) =>
        {
            Sort::Interpreter
        }
        Some(function)
            if begins(function, &SYSTEM_FUNCTIONS) || SYSTEM_NAMES.contains(&function.as_str()) =>
        {
            Sort::System
        }
        // Where the compiler says that Rust's own library lies.
        _ if frame
            .file
            .as_deref()
            .is_some_and(|file| file.starts_with("/rustc/")) =>
        {
            Sort::System
        }
        _ if begins(module, &SYSTEM_MODULES) => Sort::System,
        _ => Sort::Telling,
    }
}

/// The frames that tell something, from the innermost; all of them where none does.
pub(super) fn telling_frames(frames: &[Frame]) -> Vec<&Frame> {
    let telling: Vec<&Frame> = frames
        .iter()
        .filter(|frame| sort_of(frame) == Sort::Telling)
        .collect();
    if telling.is_empty() {
        frames.iter().collect()
    } else {
        telling
    }
}

/// Sets a stack: at most about `most` frames, the one of `site` always among them; all with `most` = `None`.
pub(super) fn stack(page: &mut Page, frames: &[Frame], site: Option<&Frame>, most: Option<usize>) {
    if frames.is_empty() {
        page.line(&[(Tone::Faint, "    (no stack was recorded)".to_owned())]);
        return;
    }
    let shown = match most {
        Some(most) => chosen(frames, site, most),
        None => vec![true; frames.len()],
    };
    let last = shown.iter().rposition(|shown| *shown).unwrap_or(0);
    let mut at = 0;
    while at <= last {
        let run = shown[at..last].iter().take_while(|shown| !**shown).count();
        if run > 1 {
            let rest = &frames[at..at + run];
            page.line(&[(Tone::Faint, format!("    … {run} {}", describe(rest)))]);
            at += run;
        } else {
            // What lies further out takes no line of its own.
            let outer = if at == last {
                frames.len() - 1 - last
            } else {
                0
            };
            frame_line(page, (at, &frames[at]), outer, site, most.is_none());
            at += 1;
        }
    }
}

/// Which frames are shown.
fn chosen(frames: &[Frame], site: Option<&Frame>, most: usize) -> Vec<bool> {
    let mut telling: Vec<usize> = (0..frames.len())
        .filter(|at| sort_of(&frames[*at]) == Sort::Telling)
        .collect();
    let site = site.and_then(|site| frames.iter().position(|frame| frame == site));
    if telling.is_empty() {
        telling = (0..frames.len()).collect();
    }
    if let Some(site) = site
        && let Err(place) = telling.binary_search(&site)
    {
        telling.insert(place, site);
    }
    let place = site.and_then(|site| telling.binary_search(&site).ok());
    let keep: Vec<usize> = match place {
        // The naming frame lies deep: the innermost frames, then the place and its caller.
        Some(place) if place >= most && most > 2 => telling[..most - 2]
            .iter()
            .chain(telling[place..].iter().take(2))
            .copied()
            .collect(),
        Some(place) if place >= most => vec![telling[place]],
        _ => telling.into_iter().take(most).collect(),
    };
    let mut shown = vec![false; frames.len()];
    for at in keep {
        shown[at] = true;
    }
    shown
}

/// What a run of frames that are left out is.
fn describe(run: &[Frame]) -> &'static str {
    let all = |sort| run.iter().all(|frame| sort_of(frame) == sort);
    if all(Sort::Interpreter) {
        "frames of the interpreter"
    } else if all(Sort::System) {
        "frames of the system's libraries"
    } else {
        "more frames"
    }
}

fn frame_line(
    page: &mut Page,
    (number, frame): (usize, &Frame),
    outer: usize,
    site: Option<&Frame>,
    whole: bool,
) {
    let lead = match frame.language {
        Language::Native => format!("    #{number} {:#x} in ", frame.offset),
        Language::Python => format!("    #{number} python in "),
    };
    let place = match &frame.file {
        Some(file) if frame.line > 0 => format!("{file}:{}", frame.line),
        Some(file) => file.to_string(),
        None if frame.module.is_empty() => "(no module)".to_owned(),
        None => format!("({}+{:#x})", frame.module, frame.offset),
    };
    let mut after = if frame.inlined { " (inlined)" } else { "" }.to_owned();
    if outer > 0 {
        after.push_str(&format!(" … {outer} more"));
    }
    let name = frame.function.as_deref().unwrap_or("??");
    let (most_name, most_place) = if whole {
        (usize::MAX, usize::MAX)
    } else {
        share(
            page.width.saturating_sub(lead.len() + columns(&after) + 1),
            name,
            &place,
        )
    };
    let name = fit_middle(name, most_name);
    let name = if site == Some(frame) {
        strong(name)
    } else {
        plain(name)
    };
    let place = fit_end(&place, most_place);
    page.line(&[
        plain(lead),
        name,
        plain(format!(" {place}")),
        (Tone::Faint, after),
    ]);
}
