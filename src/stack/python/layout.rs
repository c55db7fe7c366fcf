//! Where CPython keeps what a walk reads: one row per minor version.
//!
//! The rows of 3.10 to 3.12 are `offsetof` on the internal headers of each version, for 64-bit
//! builds without `Py_TRACE_REFS`; patch releases do not change them. 3.13 describes itself in
//! `_PyRuntime` (`_Py_DebugOffsets`), what is missing there is taken from its row.

use super::peek;

/// Byte offsets into the structures of one interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// `_PyRuntime` to the thread state that finalizes the interpreter.
    pub finalizing: usize,
    /// Thread state to the structure that holds `current_frame`; `None` when it does itself.
    pub cframe: Option<usize>,
    /// To the innermost frame.
    pub current_frame: usize,
    pub frame: FrameLayout,
    pub code: CodeLayout,
    pub text: TextLayout,
    /// `PyBytesObject` to its first byte.
    pub bytes_data: usize,
    pub lines: LineFormat,
    pub identity: Identity,
}

/// A frame of the evaluation loop: `PyFrameObject` in 3.10, `_PyInterpreterFrame` since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameLayout {
    pub code: usize,
    pub previous: usize,
    pub globals: usize,
    /// Index (3.10) or address (since) of the instruction.
    pub position: usize,
    /// Who owns the frame (a byte), since 3.11.
    pub owner: usize,
    pub entry: Entry,
}

/// How to see that a frame is the outermost one of its run of the evaluation loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Each frame has a run of its own, and the line under a trace function at this offset.
    Every { traced_line: usize },
    /// The frame says so itself.
    Flag(usize),
    /// The loop links a frame of its own, owned by the C stack, behind it.
    BehindShim,
}

/// `PyCodeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodeLayout {
    pub file: usize,
    /// `co_qualname`, in 3.10 `co_name`.
    pub name: usize,
    pub first_line: usize,
    pub line_table: usize,
    /// Index of the first instruction at which a frame is complete, since 3.11.
    pub first_traceable: usize,
    /// The instructions themselves, since 3.11.
    pub instructions: usize,
}

/// What tells a code object for sure from every other one that lies where it does, before or after it: a number above 0
/// that is given once in the life of the process. Where the counter has run out, the number is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nothing. 3.10 has no such number; the counter of 3.13 belongs to an interpreter, and begins anew with each one,
    /// and when Python is initialized again.
    Nothing,
    /// 3.11: `func_version` of the function that a frame runs, as long as it is the frame's code that the function has.
    /// The function is given the number when calls of it are specialized, and loses it when its code is replaced.
    OfFunction {
        /// Frame to its function.
        function: usize,
        /// `PyFunctionObject` to its code.
        code: usize,
        version: usize,
    },
    /// 3.12: `co_version`. All interpreters of the process share the counter, and do not guard it, so it is sure while
    /// there has been but one of them: it is they, and not threads, that can have a GIL each.
    OfCode {
        version: usize,
        /// `_PyRuntime` to the number of interpreters that there have been.
        interpreters: usize,
    },
}

/// `PyASCIIObject` and `PyCompactUnicodeObject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextLayout {
    pub length: usize,
    /// The hash of all characters, -1 while nobody has asked for it.
    pub hash: usize,
    pub state: usize,
    /// First character of an ASCII string.
    pub ascii_data: usize,
    /// First character of any other compact string.
    pub wide_data: usize,
}

/// How a code object encodes its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// Pairs of deltas (3.10).
    Pairs,
    /// The location table (since 3.11).
    Locations,
}

/// Object header: the type, after the reference count.
pub(super) const TYPE: usize = 8;
/// Variable-sized object header: the size.
pub(super) const SIZE: usize = 16;

pub(super) const V3_10: Layout = Layout {
    finalizing: 16,
    cframe: None,
    current_frame: 24,
    frame: FrameLayout {
        code: 32,
        previous: 24,
        globals: 48,
        position: 96,
        owner: 0,
        entry: Entry::Every { traced_line: 100 },
    },
    code: CodeLayout {
        file: 104,
        name: 112,
        first_line: 40,
        line_table: 120,
        first_traceable: 0,
        instructions: 0,
    },
    text: TextLayout {
        length: 16,
        hash: 24,
        state: 32,
        ascii_data: 48,
        wide_data: 72,
    },
    bytes_data: 32,
    lines: LineFormat::Pairs,
    identity: Identity::Nothing,
};

pub(super) const V3_11: Layout = Layout {
    finalizing: 24,
    cframe: Some(56),
    current_frame: 8,
    frame: FrameLayout {
        code: 32,
        previous: 48,
        globals: 8,
        position: 56,
        owner: 69,
        entry: Entry::Flag(68),
    },
    code: CodeLayout {
        file: 112,
        name: 128,
        first_line: 72,
        line_table: 136,
        first_traceable: 168,
        instructions: 184,
    },
    text: TextLayout {
        length: 16,
        hash: 24,
        state: 32,
        ascii_data: 48,
        wide_data: 72,
    },
    bytes_data: 32,
    lines: LineFormat::Locations,
    identity: Identity::OfFunction {
        function: 0,
        code: 48,
        version: 128,
    },
};

pub(super) const V3_12: Layout = Layout {
    finalizing: 24,
    cframe: Some(56),
    current_frame: 0,
    frame: FrameLayout {
        code: 0,
        previous: 8,
        globals: 24,
        position: 56,
        owner: 70,
        entry: Entry::BehindShim,
    },
    code: CodeLayout {
        file: 112,
        name: 128,
        first_line: 68,
        line_table: 136,
        first_traceable: 176,
        instructions: 192,
    },
    text: TextLayout {
        length: 16,
        hash: 24,
        state: 32,
        ascii_data: 40,
        wide_data: 56,
    },
    bytes_data: 32,
    lines: LineFormat::Locations,
    identity: Identity::OfCode {
        version: 92,
        interpreters: 56,
    },
};

pub(super) const V3_13: Layout = Layout {
    finalizing: 608,
    cframe: None,
    current_frame: 72,
    frame: FrameLayout {
        code: 0,
        previous: 8,
        globals: 24,
        position: 56,
        owner: 70,
        entry: Entry::BehindShim,
    },
    code: CodeLayout {
        file: 112,
        name: 128,
        first_line: 68,
        line_table: 136,
        first_traceable: 184,
        instructions: 200,
    },
    text: TextLayout {
        length: 16,
        hash: 24,
        state: 32,
        ascii_data: 40,
        wide_data: 56,
    },
    bytes_data: 32,
    lines: LineFormat::Locations,
    identity: Identity::Nothing,
};

/// No structure that a walk reads is larger.
const MOST_OFFSET: u64 = 1 << 16;

/// The layout that a 3.13 interpreter gives of itself, or why it cannot be used.
pub(super) fn described(runtime: usize, version: u32) -> Result<Layout, &'static str> {
    // `struct _Py_DebugOffsets`, in 8-byte words.
    const WORDS: usize = 71;
    // SAFETY: `runtime` is the address of the exported `_PyRuntime`, which begins with this block;
    // it is constant from the start of the process.
    let words: [u64; WORDS] = unsafe { peek(runtime, 0) }.ok_or("_PyRuntime is misplaced")?;
    if words[0].to_ne_bytes() != *b"xdebugpy" || words[1] != u64::from(version) {
        return Err("no debug offsets");
    }
    if words[2] != 0 {
        return Err("free-threaded build");
    }
    let at = |byte: usize| words[byte / 8];
    let are_plausible = |used: &[usize], align: u64| {
        let is_plausible = |offset: u64| offset < MOST_OFFSET && offset.is_multiple_of(align);
        used.iter().all(|byte| is_plausible(at(*byte)))
    };
    let words_at = [32, 184, 232, 240, 248, 280, 296, 304, 344, 360, 520, 552];
    if !are_plausible(&words_at, 8)
        || !are_plausible(&[312, 544], 4)
        || !are_plausible(&[264, 528, 560], 1)
    {
        return Err("implausible debug offsets");
    }
    if at(360) as usize != TYPE || at(520) as usize != SIZE {
        return Err("another object header");
    }
    let at = |byte: usize| at(byte) as usize;
    let instructions = at(344);
    Ok(Layout {
        finalizing: at(32),
        cframe: None,
        current_frame: at(184),
        frame: FrameLayout {
            previous: at(232),
            code: at(240),
            position: at(248),
            owner: at(264),
            ..V3_13.frame
        },
        code: CodeLayout {
            file: at(280),
            name: at(296),
            line_table: at(304),
            first_line: at(312),
            instructions,
            // Its two neighbours before the instructions: `_co_firsttraceable`, `co_extra`.
            first_traceable: instructions.saturating_sub(16),
        },
        bytes_data: at(528),
        text: TextLayout {
            state: at(544),
            length: at(552),
            ascii_data: at(560),
            wide_data: at(560) + 16,
            ..V3_13.text
        },
        lines: LineFormat::Locations,
        identity: Identity::Nothing,
    })
}
