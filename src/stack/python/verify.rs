//! One comparison of the private walk with the interpreter's public answers.
//!
//! It is made at the first event of a thread that provably holds the GIL. The event may lie inside
//! an allocation of the interpreter, so only functions that create no object are asked:
//! frame objects are out from 3.11 on (making one allocates and may start a collection). Instead the
//! innermost frame is compared by its globals, and each frame's code and line by the functions that
//! take the interpreter's own frame (3.10, 3.12 on) or the code and only read.

use super::interpreter;
use super::interpreter::Interpreter;
use super::layout::Entry;
use super::peek;
use super::text::Keep;
use super::text::MOST_TEXT;
use super::text::text_of;
use super::walk::Frame;
use super::walk::walk;
use std::ffi::c_int;
use std::ffi::c_void;
use std::ptr::with_exposed_provenance;
use std::ptr::with_exposed_provenance_mut;

/// What can differ.
pub(super) const DIFFERENCES: [&str; 5] = [
    "the innermost frame",
    "the code of a frame",
    "the line of a frame",
    "the length of a name",
    "a frame cannot be read where the interpreter has one",
];
const INNERMOST: usize = 0;
const CODE: usize = 1;
const LINE: usize = 2;
const NAME: usize = 3;
const UNREADABLE: usize = 4;

/// Enough frames to be sure.
const COMPARED: usize = 32;

/// An exported function of the interpreter with one pointer in and one out.
type PointerOf = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
type NumberOf = unsafe extern "C" fn(*mut c_void) -> c_int;
type LineOf = unsafe extern "C" fn(*mut c_void, c_int) -> c_int;
type LengthOf = unsafe extern "C" fn(*mut c_void) -> isize;
type Release = unsafe extern "C" fn(*mut c_void);
type Current = unsafe extern "C" fn() -> *mut c_void;

/// Compares, if the calling thread holds the GIL and nobody has compared before.
#[cold]
pub(super) fn once(interpreter: &Interpreter, thread_state: usize) {
    if !holds_gil(interpreter, thread_state) || !interpreter::begin_verification() {
        return;
    }
    // A function that is missing cannot disagree.
    let difference = compare(interpreter, thread_state).unwrap_or(None);
    interpreter::verified(difference);
}

/// PyGILState_Check answers 1 always once there has been a subinterpreter. The current thread state
/// is per thread since 3.12, so having one is proof; before it is that of whoever holds the
/// GIL, so it has to be our own.
fn holds_gil(interpreter: &Interpreter, thread_state: usize) -> bool {
    let getter = interpreter
        .symbol(b"PyThreadState_GetUnchecked")
        .or_else(|| interpreter.symbol(b"_PyThreadState_UncheckedGet"));
    // SAFETY: either function returns the current thread state, or NULL, and does nothing else.
    getter.is_some_and(|getter| unsafe {
        function::<Current>(getter)().expose_provenance() == thread_state
    })
}

/// # Safety
/// `address` is that of a function of type `F`, a function pointer type.
unsafe fn function<F: Copy>(address: usize) -> F {
    let pointer = with_exposed_provenance::<c_void>(address);
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    // SAFETY: the caller's promise; both are one pointer wide.
    unsafe { std::mem::transmute_copy(&pointer) }
}

/// The index of the first difference; the outer `None`: the interpreter lacks a function.
fn compare(interpreter: &Interpreter, thread_state: usize) -> Option<Option<usize>> {
    // SAFETY: types as documented for these functions in 3.10 to 3.13.
    let (current_globals, line_of, length_of) = unsafe {
        (
            function::<Current>(interpreter.symbol(b"PyEval_GetGlobals")?),
            function::<LineOf>(interpreter.symbol(b"PyCode_Addr2Line")?),
            function::<LengthOf>(interpreter.symbol(b"PyUnicode_GetLength")?),
        )
    };
    // In 3.10 every frame is an object already, so asking for its code and line makes none.
    let frame_objects = matches!(interpreter.layout.frame.entry, Entry::Every { .. });
    let (code_name, line_name): (&[u8], &[u8]) = if frame_objects {
        (b"PyFrame_GetCode", b"PyFrame_GetLineNumber")
    } else {
        (
            b"PyUnstable_InterpreterFrame_GetCode",
            b"PyUnstable_InterpreterFrame_GetLine",
        )
    };
    // SAFETY: they take a frame as this version has it (the latter two since 3.12), and return a
    // new reference to its code, and its line.
    let frame_functions = unsafe {
        interpreter
            .symbol(code_name)
            .zip(interpreter.symbol(line_name))
            .map(|(code, line)| (function::<PointerOf>(code), function::<NumberOf>(line)))
    };
    // SAFETY: takes any object; the references dropped here are only those just taken.
    let release = unsafe { function::<Release>(interpreter.symbol(b"Py_DecRef")?) };

    // SAFETY: the GIL is held; the function returns a borrowed reference, NULL without a frame.
    let globals = unsafe { current_globals() }.expose_provenance();
    let mut count = 0;
    let mut difference = None;
    walk(interpreter, thread_state, &mut |frame| {
        if count == 0 && globals_of(interpreter, frame) != Some(globals) {
            difference = Some(INNERMOST);
        }
        // SAFETY: the GIL is held, and the walk gives live frames and codes or, if the layout were
        // wrong, none at all, by the type of the code.
        let (line, frame_answers) = unsafe {
            let code = with_exposed_provenance_mut(frame.code);
            let line = line_of(code, c_int::try_from(frame.offset).unwrap_or(-1));
            let frame_answers = frame_functions.map(|(code_of, line_of)| {
                let frame = with_exposed_provenance_mut(frame.address);
                let code = code_of(frame);
                release(code);
                (code.expose_provenance(), line_of(frame))
            });
            (line, frame_answers)
        };
        // Under a trace function a 3.10 frame has a line of its own.
        if u32::try_from(line).unwrap_or(0) != frame.line && !frame_objects {
            difference = difference.or(Some(LINE));
        }
        if let Some((code, line)) = frame_answers {
            if code != frame.code {
                difference = difference.or(Some(CODE));
            }
            if u32::try_from(line).unwrap_or(0) != frame.line {
                difference = difference.or(Some(LINE));
            }
        }
        if !names_agree(interpreter, frame, length_of) {
            difference = difference.or(Some(NAME));
        }
        count += 1;
        difference.is_none() && count < COMPARED
    });
    if count == 0 && globals != 0 {
        difference = Some(UNREADABLE);
    }
    Some(difference)
}

fn globals_of(interpreter: &Interpreter, frame: &Frame) -> Option<usize> {
    // SAFETY: a live frame of this thread.
    unsafe { peek(frame.address + interpreter.layout.frame.globals) }
}

/// Whether both names are strings whose length the interpreter tells alike.
fn names_agree(interpreter: &Interpreter, frame: &Frame, length_of: LengthOf) -> bool {
    let code = &interpreter.layout.code;
    [code.file, code.name].iter().all(|offset| {
        let mut buffer = [0; MOST_TEXT];
        // SAFETY: the frame's code is alive and holds the string; the GIL is held.
        unsafe {
            let Some(object) = peek::<usize>(frame.code + offset) else {
                return false;
            };
            let (string, text) = (interpreter.string_type, &interpreter.layout.text);
            let Some(text) = text_of(object, string, text, Keep::Start, &mut buffer) else {
                return false;
            };
            let length = length_of(with_exposed_provenance_mut(object));
            let characters = text
                .iter()
                .filter(|byte| **byte & 0xc0 != 0x80)
                .count()
                .cast_signed();
            characters == length || text.len() + 3 >= MOST_TEXT || !text.is_ascii()
        }
    })
}
