//! One stack out of two: the interpreter's evaluation loop makes way for the Python functions it was running.

use std::sync::Arc;

use whofreed_trace::Frame;
use whofreed_trace::Language;

/// A Python frame, ready to be shown.
#[derive(Clone, Debug)]
pub(crate) struct PythonLine {
    pub(crate) frame: Frame,
    /// The outermost frame of one run of the evaluation loop.
    pub(crate) is_entry: bool,
}

/// Puts the frames of `python` where the loop that ran them is in `native`. Both are innermost first; an
/// element of `native` is one return address: its inlined functions, and last the one they were inlined into.
pub(crate) fn mix(native: &[Arc<[Frame]>], python: Vec<PythonLine>) -> Vec<Frame> {
    if python.is_empty() {
        return native
            .iter()
            .flat_map(|group| group.iter().cloned())
            .collect();
    }
    let loops: Vec<Option<usize>> = native.iter().map(|group| loop_position(group)).collect();
    let mut frames = Vec::new();
    let mut python = python.into_iter().peekable();

    let Some(outermost) = loops.iter().rposition(Option::is_some) else {
        // The loop has no name here, so all that is known is which module it must be in.
        let at = native.iter().position(|group| is_interpreter(group));
        for (index, group) in native.iter().enumerate() {
            if Some(index) == at {
                frames.extend(python.by_ref().map(|line| line.frame));
            }
            frames.extend(group.iter().cloned());
        }
        frames.extend(python.map(|line| line.frame));
        return frames;
    };

    for (index, (group, position)) in native.iter().zip(&loops).enumerate() {
        let Some(position) = *position else {
            frames.extend(group.iter().cloned());
            continue;
        };
        if python.peek().is_none() {
            // Fewer Python frames than loops: rather the loop than nothing.
            frames.extend(group.iter().cloned());
            continue;
        }
        for line in python.by_ref() {
            let last = line.is_entry && index != outermost;
            frames.push(line.frame);
            if last {
                break;
            }
        }
        // What the loop itself was inlined into stays.
        frames.extend(group.iter().skip(position + 1).cloned());
    }
    frames
}

/// Where in `group` the evaluation loop is.
fn loop_position(group: &[Frame]) -> Option<usize> {
    group.iter().rposition(|frame| {
        // One that left the stack runs nothing any more.
        !frame.tail_called && frame.function.as_deref().is_some_and(is_evaluation_loop)
    })
}

/// The evaluation loop, or a part or copy of it that the compiler split off.
fn is_evaluation_loop(function: &str) -> bool {
    function
        .strip_prefix("_PyEval_EvalFrameDefault")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ' ', '@']))
}

/// Whether the frames are in `libpython3.12.so.1.0`, `/usr/bin/python3.10` or the like.
fn is_interpreter(group: &[Frame]) -> bool {
    let Some(frame) = group.last() else {
        return false;
    };
    let name = crate::found::file_name(&frame.module);
    name.starts_with("libpython")
        || name.strip_prefix("python").is_some_and(|version| {
            version
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b't')
        })
        || (name.starts_with("python3") && !name.contains(".so"))
}

/// The Python frame for a function and a line.
pub(crate) fn python_frame(function: &str, file: Arc<str>, line: u32, nowhere: &Arc<str>) -> Frame {
    Frame {
        function: (!function.is_empty()).then(|| function.to_owned()),
        module: Arc::clone(nowhere),
        offset: 0,
        file: (!file.is_empty()).then_some(file),
        line,
        inlined: false,
        tail_called: false,
        language: Language::Python,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(module: &str, functions: &[&str]) -> Arc<[Frame]> {
        functions
            .iter()
            .enumerate()
            .map(|(index, function)| Frame {
                function: (!function.is_empty()).then(|| (*function).to_owned()),
                module: Arc::from(module),
                offset: 1,
                file: None,
                line: 0,
                inlined: index + 1 < functions.len(),
                tail_called: false,
                language: Language::Native,
            })
            .collect()
    }

    fn native(functions: &[&str]) -> Vec<Arc<[Frame]>> {
        functions
            .iter()
            .map(|function| at("/usr/bin/python3.10", &[function]))
            .collect()
    }

    fn python(lines: &[(&str, bool)]) -> Vec<PythonLine> {
        lines
            .iter()
            .map(|(function, is_entry)| PythonLine {
                frame: python_frame(function, Arc::from("model.py"), 7, &Arc::from("")),
                is_entry: *is_entry,
            })
            .collect()
    }

    fn names(frames: &[Frame]) -> Vec<&str> {
        frames
            .iter()
            .map(|frame| frame.function.as_deref().unwrap_or("?"))
            .collect()
    }

    const LOOP: &str = "_PyEval_EvalFrameDefault";

    #[test]
    fn every_python_frame_has_its_own_loop_in_3_10() {
        let stack = native(&[
            "free",
            "cfunction_call",
            LOOP,
            "_PyFunction_Vectorcall",
            LOOP,
            "run_mod",
            "main",
        ]);
        let mixed = mix(&stack, python(&[("evict", true), ("<module>", true)]));
        assert_eq!(
            names(&mixed),
            [
                "free",
                "cfunction_call",
                "evict",
                "_PyFunction_Vectorcall",
                "<module>",
                "run_mod",
                "main"
            ]
        );
        assert_eq!(mixed[2].language, Language::Python);
        assert_eq!(mixed[2].file.as_deref(), Some("model.py"));
        assert_eq!(
            (mixed[2].line, mixed[2].offset, &*mixed[2].module),
            (7, 0, "")
        );
    }

    #[test]
    fn one_loop_runs_several_frames_in_3_12() {
        let stack = native(&[
            "free",
            "_PyEval_EvalFrameDefault.cold",
            "slot_tp_call",
            LOOP,
            "main",
        ]);
        let mixed = mix(
            &stack,
            python(&[
                ("inner", false),
                ("middle", true),
                ("outer", false),
                ("<module>", true),
            ]),
        );
        assert_eq!(
            names(&mixed),
            [
                "free",
                "inner",
                "middle",
                "slot_tp_call",
                "outer",
                "<module>",
                "main"
            ]
        );
    }

    #[test]
    fn frames_left_over_follow_the_outermost_loop() {
        let stack = native(&["free", LOOP, "main"]);
        let mixed = mix(&stack, python(&[("a", true), ("b", true), ("c", true)]));
        assert_eq!(names(&mixed), ["free", "a", "b", "c", "main"]);
    }

    #[test]
    fn a_loop_without_python_frames_stays() {
        let stack = native(&["free", LOOP, "call", LOOP, "main"]);
        let mixed = mix(&stack, python(&[("a", true)]));
        assert_eq!(names(&mixed), ["free", "a", "call", LOOP, "main"]);
        assert_eq!(
            names(&mix(&stack, Vec::new())),
            ["free", LOOP, "call", LOOP, "main"]
        );
    }

    #[test]
    fn inlined_functions_of_the_loop_go_with_it_and_its_callers_stay() {
        let stack = vec![
            at("/a/libdev.so", &["free"]),
            at(
                "/usr/lib/libpython3.12.so.1.0",
                &["do_call", LOOP, "_PyEval_Vector"],
            ),
        ];
        let mixed = mix(&stack, python(&[("evict", true)]));
        assert_eq!(names(&mixed), ["free", "evict", "_PyEval_Vector"]);
    }

    #[test]
    fn without_a_named_loop_the_interpreters_module_tells_the_place() {
        for module in [
            "/usr/bin/python3.10",
            "/usr/lib/libpython3.12.so.1.0",
            "/opt/bin/python",
        ] {
            let stack = vec![
                at("/a/libdev.so", &["free"]),
                at(module, &[""]),
                at(module, &[""]),
                at("/lib/libc.so.6", &["__libc_start_main"]),
            ];
            let mixed = mix(&stack, python(&[("evict", true), ("<module>", true)]));
            assert_eq!(
                names(&mixed),
                ["free", "evict", "<module>", "?", "?", "__libc_start_main"]
            );
        }
        for module in ["/a/python3-dev.so", "/a/pythonic", "", "/usr/bin/perl"] {
            let stack = vec![at("/a/libdev.so", &["free"]), at(module, &["run"])];
            let mixed = mix(&stack, python(&[("evict", true)]));
            assert_eq!(names(&mixed), ["free", "run", "evict"], "{module}");
        }
    }

    #[test]
    fn a_name_that_only_begins_like_the_loop_is_not_it() {
        assert!(is_evaluation_loop("_PyEval_EvalFrameDefault.lto_priv.0"));
        assert!(is_evaluation_loop("_PyEval_EvalFrameDefault.part.0"));
        assert!(!is_evaluation_loop("_PyEval_EvalFrameDefaultish"));
        assert!(!is_evaluation_loop("_PyEval_EvalFrame"));
    }
}
