//! The walk over the frames of one thread.

use super::Place;
use super::interpreter::Interpreter;
use super::layout::Entry;
use super::layout::Identity;
use super::layout::Layout;
use super::layout::SIZE;
use super::layout::TYPE;
use super::peek;
use super::text::Keep;
use super::text::MOST_TEXT;
use super::text::hash_of;
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
    pub at: Place,
    pub code: Place,
    /// Byte offset of the instruction being run.
    pub offset: i64,
    /// Where the interpreter keeps the line itself.
    pub traced_line: Option<u32>,
    pub is_entry: bool,
}

/// Calls `visit` for the frames of `thread_state`, innermost first, until it returns false.
///
/// Returns false when the chain led to what is no frame.
#[inline]
pub(super) fn walk(
    interpreter: &Interpreter,
    thread_state: usize,
    mut visit: impl FnMut(&Frame) -> bool,
) -> bool {
    let Some(mut address) = first_frame(interpreter, thread_state) else {
        return false;
    };
    for _ in 0..MOST_FRAMES {
        if address == 0 {
            return true;
        }
        let Some(link) = read_link(interpreter, address) else {
            return false;
        };
        if link.complete.is_some_and(|frame| !visit(&frame)) {
            return true;
        }
        address = link.previous;
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
        Some(address) => match read_link(interpreter, address) {
            None => Innermost::Unreadable,
            Some(Link { complete: None, .. }) => Innermost::Incomplete,
            Some(Link {
                complete: Some(_), ..
            }) => Innermost::Complete,
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

/// One link of the chain.
struct Link {
    /// The next one outwards; 0 at the end.
    previous: usize,
    /// `None` where the frame is not complete: it has not run its first instruction (the interpreter hides these too),
    /// or it belongs to the C stack.
    complete: Option<Frame>,
}

/// The frame at `address`; `None` when there is none that can be recognized.
#[inline(always)] // Else what it returns goes through memory, for each frame.
fn read_link(interpreter: &Interpreter, address: usize) -> Option<Link> {
    let layout = &interpreter.layout;
    let of = &layout.frame;
    let at = Place::at(address)?;
    // SAFETY: `address` is a frame of the calling thread's chain, which stands still while the
    // thread is in native code; a frame keeps its code alive. Anything else that got here by a
    // wrong layout is refused by `Place` or by the type of the code object.
    unsafe {
        let previous = at.read(of.previous);
        let owner = match of.entry {
            Entry::Every { .. } => 0,
            _ => at.read::<u8>(of.owner),
        };
        if owner >= OWNED_BY_C_STACK {
            let complete = None;
            return (owner == OWNED_BY_C_STACK).then_some(Link { previous, complete });
        }
        let code = Place::at(at.read(of.code))?;
        if code.read::<usize>(TYPE) != interpreter.code_type {
            return None;
        }
        let mut traced_line = None;
        let (offset, is_entry) = match of.entry {
            Entry::Every {
                traced_line: at_line,
            } => {
                traced_line = u32::try_from(at.read::<i32>(at_line))
                    .ok()
                    .filter(|line| *line != 0);
                (Some(i64::from(at.read::<i32>(of.position)) * 2), true)
            }
            Entry::Flag(flag) => (offset_in(layout, at, code, owner), at.read::<u8>(flag) != 0),
            Entry::BehindShim => {
                let is_entry =
                    previous == 0 || Place::at(previous)?.read::<u8>(of.owner) == OWNED_BY_C_STACK;
                (offset_in(layout, at, code, owner), is_entry)
            }
        };
        let complete = offset.map(|offset| Frame {
            at,
            code,
            offset,
            traced_line,
            is_entry,
        });
        Some(Link { previous, complete })
    }
}

/// Byte offset of the instruction in its code (since 3.11); `None` when the frame is not complete.
///
/// # Safety
/// As in [`read_link`]; `code` is a live code object.
#[inline]
unsafe fn offset_in(layout: &Layout, frame: Place, code: Place, owner: u8) -> Option<i64> {
    // SAFETY: the caller's promise.
    let (position, traceable) = unsafe {
        (
            frame.read::<usize>(layout.frame.position),
            code.read::<i32>(layout.code.first_traceable),
        )
    };
    // `position` is only compared; `code` is below 2^47.
    let offset = (position as i64).wrapping_sub((code.0 + layout.code.instructions) as i64);
    let complete = owner == OWNED_BY_GENERATOR || offset >= i64::from(traceable) * 2;
    complete.then_some(offset)
}

/// A number that no other code object is given, as long as the process lives; 0 where there is none.
#[inline]
pub(super) fn identity_of(interpreter: &Interpreter, identity: Identity, frame: &Frame) -> u32 {
    // SAFETY: a live frame of this thread, and its code. What is taken for a function is one, by its type, and the
    // frame keeps it alive.
    unsafe {
        match identity {
            Identity::Nothing => 0,
            Identity::OfCode { version, .. } => frame.code.read(version),
            Identity::OfFunction {
                function,
                code,
                version,
            } => match Place::at(frame.at.read(function)) {
                Some(function)
                    if function.read::<usize>(TYPE) == interpreter.function_type
                        && function.read::<usize>(code) == frame.code.0 =>
                {
                    function.read(version)
                }
                _ => 0,
            },
        }
    }
}

/// The line at which a code object begins.
pub(super) fn first_line_of(interpreter: &Interpreter, code: Place) -> u32 {
    // SAFETY: the code object of a live frame.
    let first_line: i32 = unsafe { code.read(interpreter.layout.code.first_line) };
    u32::try_from(first_line).unwrap_or(0)
}

/// The object that holds the name of a code object's file.
#[inline]
pub(super) fn file_of(interpreter: &Interpreter, code: Place) -> usize {
    // SAFETY: as above.
    unsafe { code.read(interpreter.layout.code.file) }
}

/// The line table of a code object.
///
/// # Safety
/// `code` is a live code object.
pub(super) unsafe fn table_of<'a>(interpreter: &Interpreter, code: Place) -> Option<&'a [u8]> {
    let layout = &interpreter.layout;
    // SAFETY: a code object holds its line table, an immutable bytes object, while it lives; the
    // type is checked before the size is believed.
    unsafe {
        let table: usize = code.read(layout.code.line_table);
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
    let text = &interpreter.layout.text;
    let [file_buffer, name_buffer] = buffers;
    let string = interpreter.string_type;
    // SAFETY: the frame's code is alive (`read_link`), and holds both strings. Only the import
    // machinery ever replaces a file name, in code that it has just read and nobody runs yet.
    let (file, name) = unsafe {
        let file = frame.code.read(interpreter.layout.code.file);
        let name = frame.code.read(interpreter.layout.code.name);
        (
            text_of(file, string, text, Keep::End, file_buffer),
            text_of(name, string, text, Keep::Start, name_buffer),
        )
    };
    (file.unwrap_or(b"?"), name.unwrap_or(b"?"))
}

/// What the interpreter itself keeps of both names: the hashes of all their characters. `None` where it has not made
/// them.
#[inline]
pub(super) fn hashes_of(interpreter: &Interpreter, frame: &Frame) -> Option<[u64; 2]> {
    let layout = &interpreter.layout;
    // SAFETY: as in `names_of`.
    unsafe {
        Some([
            hash_of(
                frame.code.read(layout.code.file),
                interpreter.string_type,
                &layout.text,
            )?,
            hash_of(
                frame.code.read(layout.code.name),
                interpreter.string_type,
                &layout.text,
            )?,
        ])
    }
}
