//! One comparison of the private walk with the interpreter's public answers.
//!
//! It is made at the first event of a thread that provably holds the GIL. The event may lie inside
//! an allocation of the interpreter, so only functions that create no object are asked: frame
//! objects are out from 3.11 on (making one allocates and may start a collection). Instead the
//! innermost frame is compared by its globals, and each frame's code, line and names by functions
//! that take the frame as the interpreter has it (3.10, 3.12 on), or the code, and only read.

use super::interpreter;
use super::interpreter::Interpreter;
use super::layout::Entry;
use super::layout::TYPE;
use super::peek;
use super::remembered::line_of;
use super::text::Keep;
use super::text::MOST_TEXT;
use super::text::text_of;
use super::walk::Frame;
use super::walk::Innermost;
use super::walk::innermost;
use super::walk::walk;
use std::ffi::c_int;
use std::ffi::c_void;
use std::ptr::with_exposed_provenance;
use std::ptr::with_exposed_provenance_mut;

/// What can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Innermost = 1,
    Code,
    Line,
    Name,
    Unreadable,
}

impl Difference {
    /// In words, for `self as u32`.
    pub(super) fn describe(number: u32) -> &'static str {
        match number {
            n if n == Difference::Innermost as u32 => "the innermost frame is another one",
            n if n == Difference::Code as u32 => "a frame's code is another one",
            n if n == Difference::Line as u32 => "a frame's line is another one",
            n if n == Difference::Name as u32 => "a name has another length",
            _ => "a frame cannot be read where the interpreter has one",
        }
    }
}

/// Enough frames to be sure.
const COMPARED: usize = 32;

/// Compares, if the calling thread holds the GIL, runs Python code, and nobody has compared before.
/// Returns false when there is a difference.
#[cold]
pub(super) fn once(interpreter: &Interpreter, thread_state: usize) -> bool {
    // PyGILState_Check answers 1 always once there has been a subinterpreter. The current thread
    // state is per thread since 3.12, so having one is proof; before, it is that of whoever holds
    // the GIL, so it has to be our own.
    if interpreter.current_thread_state() != thread_state {
        return true;
    }
    let Some(public) = Public::of(interpreter) else {
        return true;
    };
    // A frame that is not complete is hidden by some of the public functions, not by all.
    let difference = match innermost(interpreter, thread_state) {
        Innermost::None | Innermost::Incomplete => return true,
        Innermost::Complete if !interpreter::begin_verification() => return true,
        Innermost::Complete => compare(interpreter, thread_state, &public),
        Innermost::Unreadable if public.globals() == 0 => return true,
        Innermost::Unreadable => Some(Difference::Unreadable),
    };
    interpreter::end_verification(difference);
    difference.is_none()
}

/// The interpreter's own functions.
struct Public {
    globals: unsafe extern "C" fn() -> *mut c_void,
    line_of_code: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    length: unsafe extern "C" fn(*mut c_void) -> isize,
    release: unsafe extern "C" fn(*mut c_void),
    of_frame: Option<OfFrame>,
}

/// New reference to the code of a frame, and its line.
#[derive(Clone, Copy)]
struct OfFrame {
    code: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    line: unsafe extern "C" fn(*mut c_void) -> c_int,
}

impl Public {
    fn of(interpreter: &Interpreter) -> Option<Public> {
        let symbol = |name: &[u8]| interpreter.symbol(name);
        // In 3.10 every frame is an object already, so asking for its code makes none.
        let of_frame = match interpreter.layout.frame.entry {
            Entry::Every { .. } => symbol(b"PyFrame_GetCode").zip(symbol(b"PyFrame_GetLineNumber")),
            _ => symbol(b"PyUnstable_InterpreterFrame_GetCode")
                .zip(symbol(b"PyUnstable_InterpreterFrame_GetLine")),
        };
        // SAFETY: each function has the type of its field in 3.10 to 3.13, those of a frame where
        // they exist.
        unsafe {
            Some(Public {
                globals: function(symbol(b"PyEval_GetGlobals")?),
                line_of_code: function(symbol(b"PyCode_Addr2Line")?),
                length: function(symbol(b"PyUnicode_GetLength")?),
                release: function(symbol(b"Py_DecRef")?),
                of_frame: of_frame.map(|(code, line)| OfFrame {
                    code: function(code),
                    line: function(line),
                }),
            })
        }
    }

    /// The globals of the innermost frame, 0 when there is none. The caller holds the GIL.
    fn globals(&self) -> usize {
        // SAFETY: the GIL is held; the result is a borrowed reference, only compared.
        unsafe { (self.globals)() }.expose_provenance()
    }
}

/// # Safety
/// `address` is that of a function of type `F`, a function pointer type.
unsafe fn function<F: Copy>(address: usize) -> F {
    const { assert!(size_of::<F>() == size_of::<usize>()) };
    let pointer = with_exposed_provenance::<c_void>(address);
    // SAFETY: the caller's promise; both are one pointer wide.
    unsafe { std::mem::transmute_copy(&pointer) }
}

/// The first difference. The caller holds the GIL.
fn compare(interpreter: &Interpreter, thread_state: usize, public: &Public) -> Option<Difference> {
    let globals = public.globals();
    let mut count = 0;
    let mut difference = None;
    let ended = walk(interpreter, thread_state, |frame| {
        if count == 0 && globals_of(interpreter, frame) != Some(globals) {
            difference = Some(Difference::Innermost);
        }
        difference = difference.or_else(|| compare_frame(interpreter, frame, public));
        count += 1;
        difference.is_none() && count < COMPARED
    });
    difference.or((!ended).then_some(Difference::Unreadable))
}

fn globals_of(interpreter: &Interpreter, frame: &Frame) -> Option<usize> {
    // SAFETY: a live frame of this thread.
    unsafe { peek(frame.at.0, interpreter.layout.frame.globals) }
}

fn compare_frame(interpreter: &Interpreter, frame: &Frame, public: &Public) -> Option<Difference> {
    let same_line = |line: c_int| u32::try_from(line).unwrap_or(0) == line_of(interpreter, frame);
    // SAFETY: the GIL is held. The walk gives live frames and codes of this thread, or, were the
    // layout wrong, none at all, by the type of the code. Only the new reference is released.
    let (code, line) = unsafe {
        match public.of_frame {
            Some(of_frame) => {
                let address = with_exposed_provenance_mut(frame.at.0);
                let code = (of_frame.code)(address);
                (public.release)(code);
                (code.expose_provenance(), (of_frame.line)(address))
            }
            None => {
                let code = with_exposed_provenance_mut(frame.code.0);
                let offset = c_int::try_from(frame.offset).unwrap_or(-1);
                (frame.code.0, (public.line_of_code)(code, offset))
            }
        }
    };
    if code != frame.code.0 {
        return Some(Difference::Code);
    }
    if !same_line(line) {
        return Some(Difference::Line);
    }
    let code = &interpreter.layout.code;
    let differs = |offset| !name_agrees(interpreter, frame.code.0, offset, public);
    (differs(code.file) || differs(code.name)).then_some(Difference::Name)
}

/// Whether there is a string whose length the interpreter tells alike.
fn name_agrees(interpreter: &Interpreter, code: usize, offset: usize, public: &Public) -> bool {
    let mut buffer = [0; MOST_TEXT];
    // SAFETY: the code is alive and holds the string; the GIL is held. The type is checked before
    // the interpreter is asked.
    unsafe {
        let Some(object) = peek::<usize>(code, offset) else {
            return false;
        };
        if peek(object, TYPE) != Some(interpreter.string_type) {
            return false;
        }
        let layout = &interpreter.layout.text;
        let text = text_of(
            object,
            interpreter.string_type,
            layout,
            Keep::Start,
            &mut buffer,
        );
        let length = (public.length)(with_exposed_provenance_mut(object)).cast_unsigned();
        text.is_some_and(|text| !text.is_ascii() || text.len() == length.min(MOST_TEXT))
    }
}
