//! Stacks for people: the frames that tell something, and how many were left out in between.

use whofreed_trace::Frame;
use whofreed_trace::Language;

use super::names::base;
use super::names::columns;
use super::names::printable;
use super::page::Page;
use super::page::Tone;
use super::page::plain;
use super::page::strong;
use super::paths::named_in;
use super::paths::source;

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

/// Whether a reader who looks for a call site looks here: it is neither the interpreter's own code nor the system's.
pub(crate) fn is_telling(frame: &Frame) -> bool {
    sort_of(frame) == Sort::Telling
}

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

/// Parts of paths below which installed Python code lies: somebody else's, as a rule.
const INSTALLED: [&str; 3] = ["/site-packages/", "/dist-packages/", "/lib/python3"];

/// Whether the frame is in Python code of the user's own.
pub(crate) fn is_script(frame: &Frame) -> bool {
    let file = frame.file.as_deref().unwrap_or_default();
    frame.language == Language::Python
        && sort_of(frame) == Sort::Telling
        && !INSTALLED.iter().any(|part| file.contains(part))
}

/// The frames for one line, from the innermost: of the user's own script, where there is one.
pub(crate) fn telling_frames(frames: &[Frame]) -> Vec<&Frame> {
    let scripts: Vec<&Frame> = frames.iter().filter(|frame| is_script(frame)).collect();
    if !scripts.is_empty() {
        return scripts;
    }
    let order = by_weight(frames, None);
    order.into_iter().map(|at| &frames[at]).collect()
}

/// Indices of the frames worth showing, the one that must be seen most first: the innermost; the naming one and its
/// caller; the user's own script; the rest from the innermost.
fn by_weight(frames: &[Frame], site: Option<&Frame>) -> Vec<usize> {
    let mut telling: Vec<usize> = (0..frames.len())
        .filter(|at| sort_of(&frames[*at]) == Sort::Telling)
        .collect();
    if telling.is_empty() {
        telling = (0..frames.len()).collect();
    }
    let site = site.and_then(|site| frames.iter().position(|frame| frame == site));
    let caller = site.and_then(|site| telling.iter().copied().find(|at| *at > site));
    let scripts = telling.iter().copied().filter(|at| is_script(&frames[*at]));
    let candidates = telling
        .first()
        .copied()
        .into_iter()
        .chain(site)
        .chain(caller)
        .chain(scripts)
        .chain(telling.iter().copied());
    let mut order = Vec::with_capacity(telling.len() + 1);
    let mut seen = vec![false; frames.len()];
    for at in candidates {
        if !std::mem::replace(&mut seen[at], true) {
            order.push(at);
        }
    }
    order
}

/// Sets a stack: at most about `most` frames, the one of `site` always among them; all with `most` = `None`.
pub(super) fn stack(page: &mut Page, frames: &[Frame], site: Option<&Frame>, most: Option<usize>) {
    if frames.is_empty() {
        page.line(&[(Tone::Faint, "    (no stack was recorded)".to_owned())]);
        return;
    }
    let shown = match most {
        Some(most) => chosen(frames, site, most.max(2)),
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
    let mut shown = vec![false; frames.len()];
    for at in by_weight(frames, site).into_iter().take(most) {
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
        // Of a function that left, nothing but the declaration may be known.
        Language::Native if frame.tail_called && frame.module.is_empty() => {
            format!("    #{number} in ")
        }
        Language::Native => format!("    #{number} {:#x} in ", frame.offset),
        Language::Python => format!("    #{number} python in "),
    };
    let place = match &frame.file {
        Some(file) => source(file, frame.line, page.here.as_deref()),
        None if frame.module.is_empty() => "(no module)".to_owned(),
        None if whole => format!("({}+{:#x})", frame.module, frame.offset),
        // The offset stands before the name already.
        None => format!("({})", base(&frame.module)),
    };
    let mut after = match (frame.inlined, frame.tail_called) {
        (true, _) => " (inlined)",
        (false, true) => " (tail call)",
        (false, false) => "",
    }
    .to_owned();
    if outer > 0 {
        after.push_str(&format!(" … {outer} more"));
    }
    let name = frame.function.as_deref().unwrap_or("??");
    let (name, place) = if whole {
        (printable(name), printable(&place))
    } else {
        let room = page.width.saturating_sub(lead.len() + columns(&after) + 1);
        named_in(room, name, &place)
    };
    let name = if site == Some(frame) {
        strong(name)
    } else {
        plain(name)
    };
    page.line(&[
        plain(lead),
        name,
        plain(format!(" {place}")),
        (Tone::Faint, after),
    ]);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn frame(function: &str, language: Language, file: &str) -> Frame {
        Frame {
            function: Some(function.to_owned()),
            module: Arc::from("/lib/libdevice.so"),
            offset: 16,
            file: (!file.is_empty()).then(|| Arc::from(file)),
            line: 1,
            inlined: false,
            tail_called: false,
            language,
        }
    }

    #[test]
    fn a_frame_says_whether_it_was_inlined_or_left_by_a_tail_call() {
        let mut frames: Vec<Frame> = (0..3)
            .map(|n| frame(&format!("f{n}"), Language::Native, "/src/f.cpp"))
            .collect();
        frames[0].tail_called = true;
        frames[1].tail_called = true;
        frames[1].inlined = true;
        frames[0].module = Arc::from("");
        let mut page = Page::new(&crate::TextOptions::default());
        stack(&mut page, &frames, None, None);
        let text = page.finish();
        let ends = text.lines().map(|line| line.rsplit(".cpp:1").next());
        let ends: Vec<&str> = ends.flatten().collect();
        assert_eq!(ends, [" (tail call)", " (inlined)", ""]);
        let starts: Vec<&str> = text.lines().map(|line| &line[..10]).collect();
        assert_eq!(
            starts,
            ["    #0 in f", "    #1 0x10", "    #2 0x10"].map(|s| &s[..10])
        );
    }

    fn shown(frames: &[Frame], site: Option<usize>, most: usize) -> Vec<usize> {
        let shown = chosen(frames, site.map(|at| &frames[at]), most);
        (0..frames.len()).filter(|at| shown[*at]).collect()
    }

    #[test]
    fn the_innermost_frames_are_shown_and_the_naming_one_however_deep() {
        let frames: Vec<Frame> = (0..9)
            .map(|n| frame(&format!("f{n}"), Language::Native, "/src/f.cpp"))
            .collect();
        assert_eq!(shown(&frames, None, 4), [0, 1, 2, 3]);
        assert_eq!(shown(&frames, Some(1), 4), [0, 1, 2, 3]);
        assert_eq!(shown(&frames, Some(6), 4), [0, 1, 6, 7]);
        assert_eq!(shown(&frames, Some(6), 2), [0, 6]);
        assert_eq!(shown(&frames, Some(8), 20), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn the_user_s_own_script_goes_before_the_runtime_s_inside() {
        let frames = [
            frame("Buffer::free", Language::Native, ""),
            frame("Mesh::free", Language::Native, ""),
            frame("std::shared_ptr<Mesh>::reset", Language::Native, ""),
            frame("_PyEval_EvalFrameDefault", Language::Native, ""),
            frame("wrap", Language::Python, "/v/site-packages/lib/wrap.py"),
            frame("step", Language::Python, "/home/me/model.py"),
            frame("<module>", Language::Python, "/home/me/model.py"),
            frame("main", Language::Native, ""),
        ];
        assert_eq!(shown(&frames, None, 3), [0, 5, 6]);
        assert_eq!(shown(&frames, None, 4), [0, 1, 5, 6]);
        let names: Vec<&str> = telling_frames(&frames)
            .iter()
            .filter_map(|frame| frame.function.as_deref())
            .collect();
        assert_eq!(names, ["step", "<module>"]);
    }

    #[test]
    fn names_that_only_begin_like_machinery_are_told() {
        for name in [
            "run_model",
            "clone_tensor",
            "core::Engine::run",
            "type_caller",
        ] {
            assert_eq!(
                sort_of(&frame(name, Language::Native, "")),
                Sort::Telling,
                "{name}"
            );
        }
        for name in [
            "run_mod",
            "_PyEval_EvalFrameDefault",
            "nanobind::detail::call",
        ] {
            assert_eq!(
                sort_of(&frame(name, Language::Native, "")),
                Sort::Interpreter,
                "{name}"
            );
        }
        for name in ["clone", "std::vector<int>::~vector", "__libc_start_main"] {
            assert_eq!(
                sort_of(&frame(name, Language::Native, "")),
                Sort::System,
                "{name}"
            );
        }
    }
}
