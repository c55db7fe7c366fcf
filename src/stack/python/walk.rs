//! The walk over the frames of one thread.

use super::interpreter::Interpreter;
use super::layout::Entry;
use super::layout::SIZE;
use super::layout::TYPE;
use super::peek;
use super::text::Keep;
use super::text::MOST_TEXT;
use super::text::text_of;
use std::ptr::with_exposed_provenance;

/// Frames that are looked at, reported or not: ends the walk of a chain that is broken.
const MOST_FRAMES: usize = 1 << 20;
/// No code object has a larger line table.
const MOST_TABLE: usize = 1 << 28;

const OWNED_BY_GENERATOR: u8 = 1;
const OWNED_BY_C_STACK: u8 = 3;

/// One complete frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub address: usize,
    pub code: usize,
    pub first_line: u32,
    /// Byte offset of the instruction being run.
    pub offset: i64,
    /// Where the interpreter keeps the line itself.
    pub traced_line: Option<u32>,
    pub is_entry: bool,
}

/// Calls `visit` for the frames of `thread_state`, innermost first, until it returns false.
///
/// Returns false when the chain led to what is no frame.
pub(super) fn walk(
    interpreter: &Interpreter,
    thread_state: usize,
    visit: &mut dyn FnMut(&Frame) -> bool,
) -> bool {
    let mut address = first_frame(interpreter, thread_state);
    for _ in 0..MOST_FRAMES {
        let frame = match address {
            None => return false,
            Some(0) => return true,
            Some(frame) => frame,
        };
        let Some(complete) = read_frame(interpreter, frame) else {
            return false;
        };
        if complete.is_some_and(|frame| !visit(&frame)) {
            return true;
        }
        // SAFETY: `frame` is a frame of this thread's chain (module comment), so its link is
        // readable; `read_frame` has just recognized it.
        address = unsafe { peek(frame, interpreter.layout.frame.previous) };
    }
    false
}

/// What the innermost frame is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Innermost {
    None,
    Complete,
    Incomplete,
    Unreadable,
}

pub(super) fn innermost(interpreter: &Interpreter, thread_state: usize) -> Innermost {
    match first_frame(interpreter, thread_state) {
        None => Innermost::Unreadable,
        Some(0) => Innermost::None,
        Some(address) => match read_frame(interpreter, address) {
            None => Innermost::Unreadable,
            Some(None) => Innermost::Incomplete,
            Some(Some(_)) => Innermost::Complete,
        },
    }
}

fn first_frame(interpreter: &Interpreter, thread_state: usize) -> Option<usize> {
    let layout = &interpreter.layout;
    // SAFETY: the interpreter gave this thread's own state, which lives while the thread is here.
    unsafe {
        let holder = match layout.cframe {
            Some(offset) => peek(thread_state, offset)?,
            None => thread_state,
        };
        peek(holder, layout.current_frame)
    }
}

/// The frame at `address`; `None` when there is none that can be recognized.
///
/// The inner `None`: one that is not complete. It has not run its first instruction (the
/// interpreter hides these too), or it belongs to the C stack.
fn read_frame(interpreter: &Interpreter, address: usize) -> Option<Option<Frame>> {
    let layout = &interpreter.layout;
    let at = layout.frame;
    // SAFETY: `address` is a frame of the calling thread's chain, which stands still while the
    // thread is in native code; a frame keeps its code alive. Anything else that got here by a
    // wrong layout is refused by `peek` or by the type of the code object.
    unsafe {
        let since_3_11 = !matches!(at.entry, Entry::Every { .. });
        let owner = if since_3_11 {
            peek::<u8>(address, at.owner)?
        } else {
            0
        };
        if owner >= OWNED_BY_C_STACK {
            return (owner == OWNED_BY_C_STACK).then_some(None);
        }
        let code: usize = peek(address, at.code)?;
        if peek::<usize>(code, TYPE)? != interpreter.code_type {
            return None;
        }
        let first_line: i32 = peek(code, layout.code.first_line)?;
        let mut traced_line = None;
        let (offset, is_entry) = match at.entry {
            Entry::Every {
                traced_line: at_line,
            } => {
                let traced: i32 = peek(address, at_line)?;
                traced_line = u32::try_from(traced).ok().filter(|line| *line != 0);
                (
                    Some(i64::from(peek::<i32>(address, at.position)?) * 2),
                    true,
                )
            }
            Entry::Flag(flag) => (
                offset_in(interpreter, address, code, owner),
                peek::<u8>(address, flag)? != 0,
            ),
            Entry::BehindShim => {
                let offset = offset_in(interpreter, address, code, owner);
                let caller: usize = peek(address, at.previous).unwrap_or(0);
                let behind_shim = caller == 0 || peek::<u8>(caller, at.owner)? == OWNED_BY_C_STACK;
                (offset, behind_shim)
            }
        };
        let Some(offset) = offset else {
            return Some(None);
        };
        Some(Some(Frame {
            address,
            code,
            first_line: u32::try_from(first_line).unwrap_or(0),
            offset,
            traced_line,
            is_entry,
        }))
    }
}

/// Byte offset of the instruction in its code (since 3.11); `None` when the frame is not complete.
///
/// # Safety
/// As in [`read_frame`]; `code` is a live code object.
unsafe fn offset_in(
    interpreter: &Interpreter,
    frame: usize,
    code: usize,
    owner: u8,
) -> Option<i64> {
    let layout = &interpreter.layout;
    // SAFETY: the caller's promise.
    let (position, traceable) = unsafe {
        (
            peek::<usize>(frame, layout.frame.position)?,
            peek::<i32>(code, layout.code.first_traceable)?,
        )
    };
    // `position` is only compared; `code` is below 2^47, since it was just read from.
    let offset = (position as i64).checked_sub((code + layout.code.instructions) as i64)?;
    let complete = owner == OWNED_BY_GENERATOR || offset >= i64::from(traceable) * 2;
    complete.then_some(offset)
}

/// The line table of a code object.
///
/// # Safety
/// `code` is a live code object.
pub(super) unsafe fn table_of<'a>(interpreter: &Interpreter, code: usize) -> Option<&'a [u8]> {
    let layout = &interpreter.layout;
    // SAFETY: a code object holds its line table, an immutable bytes object, while it lives; the
    // type is checked before the size is believed.
    unsafe {
        let table: usize = peek(code, layout.code.line_table)?;
        if peek::<usize>(table, TYPE)? != interpreter.bytes_type {
            return None;
        }
        let length: usize = peek(table, SIZE)?;
        let data = with_exposed_provenance(table + layout.bytes_data);
        (length <= MOST_TABLE).then(|| std::slice::from_raw_parts(data, length))
    }
}

/// File and name of the frame's code. `buffers` are for what is not plain ASCII.
pub(super) fn names_of<'a>(
    interpreter: &Interpreter,
    frame: &Frame,
    buffers: &'a mut [[u8; MOST_TEXT]; 2],
) -> (&'a [u8], &'a [u8]) {
    let layout = &interpreter.layout;
    let [file_buffer, name_buffer] = buffers;
    let string = interpreter.string_type;
    // SAFETY: the frame's code is alive (`read_frame`), and holds both strings. Only the import
    // machinery ever replaces a file name, in code that it has just read and nobody runs yet.
    let (file, name) = unsafe {
        let file = peek(frame.code, layout.code.file).unwrap_or(0);
        let name = peek(frame.code, layout.code.name).unwrap_or(0);
        (
            text_of(file, string, &layout.text, Keep::End, file_buffer),
            text_of(name, string, &layout.text, Keep::Start, name_buffer),
        )
    };
    (file.unwrap_or(b"?"), name.unwrap_or(b"?"))
}
