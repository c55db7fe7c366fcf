//! A resolved frame: what `symbols` writes, and what `analysis` and `report` read.

use std::sync::Arc;

use crate::StackId;

/// Where the name of a frame came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// Machine code: C, C++, Rust.
    Native,
    /// A frame of the Python interpreter, told by the host itself.
    Python,
}

/// One line of a stack, as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame {
    /// The demangled name; `None` where no symbol covers the address.
    pub function: Option<String>,
    /// The path of the module, as the host loaded it; empty where the address lies in none.
    pub module: Arc<str>,
    /// The offset of the call inside the module (the address itself where there is no module).
    pub offset: u64,
    /// The source file, where debug information tells it.
    pub file: Option<Arc<str>>,
    /// The line in `file`, 0 where it is not known.
    pub line: u32,
    /// Whether the function was inlined into the next frame outwards.
    pub inlined: bool,
    /// Whether the function left the stack by a tail call: debug information tells that it was called and ended in a
    /// jump. Then `offset` is that jump's where it can only be one, else where the function begins; without a
    /// `module`, nothing but its declaration is known.
    pub tail_called: bool,
    /// Who told the name.
    pub language: Language,
}

/// Hands out the resolved frames of a stack, innermost first.
pub trait StackNames {
    /// The frames of `stack` in the trace with number `trace` of those that are analysed together. A stack that
    /// is not there has no frames.
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]>;

    /// Says that the frames of all these stacks will be asked for, so that what they need can be read at once. Nothing
    /// that is handed out depends on it.
    fn prepare(&self, _stacks: &mut dyn Iterator<Item = (usize, StackId)>) {}
}
