//! The layout of a compiled hook table: what the launcher writes (crates/adapter) and what the shim reads inside
//! the host (src/preload), in one place that depends on nothing.
//!
//! A table is one blob of little-endian `u32` words and bytes, an exported data symbol of the generated library:
//!
//! ```text
//! header    magic, version, length of the blob in bytes, then (offset, count) of each section, in bytes and items
//! adapters  Adapter::WORDS words each
//! hooks     Hook::WORDS words each
//! stubs     Stub::WORDS words each: one per hooked symbol; its place is the number that its stub hands over
//! parts     Part::WORDS words each: how the parts of a device are named
//! lists     words, each the text number of a name (of a kind, of a value of a part, of a symbol of an expression)
//! code      bytes: expressions (see `code`), each ended by code::END; offset 0 means "no expression"
//! texts     a u32 length and that many bytes each; a text's number is its offset in the section
//! names     words, the places of the stubs in the order of their symbols
//! ```
//!
//! The stubs lie side by side from [`STUBS_SYMBOL`] on, [`STUB_LEN`] bytes each. Those of the table's symbols come first;
//! then, for each of [`THUNKS`], [`SPARES`] more that belong to no symbol: what a resolver hands out leads to one of them.
//!
//! **Architecture Invariant:** reading a table never panics and never reads outside of the blob, whatever it holds.

mod builder;
pub mod code;
pub mod glob;
mod records;
mod table;

pub use builder::Builder;
pub use records::Adapter;
pub use records::Event;
pub use records::Hook;
pub use records::MAX_DEVICE_PARTS;
pub use records::Part;
pub use records::Stub;
pub use records::flags;
pub use table::HEADER_LEN;
pub use table::Table;

/// The name of the data symbol under which the generated library exports its table.
pub const TABLE_SYMBOL: &str = "wf_hook_table";

/// The name under which the generated library exports where its stubs begin.
pub const STUBS_SYMBOL: &str = "wf_hook_stubs";

/// How far a stub lies from the next one, on every machine.
pub const STUB_LEN: usize = 16;

/// How many spare stubs there are for each thunk.
pub const SPARES: usize = 1024;

/// The thunk that ends in a jump to the real function.
pub const TAIL_THUNK_SYMBOL: &str = "wf_thunk_tail";

/// The thunk that calls the real function and looks at what it did.
pub const CALL_THUNK_SYMBOL: &str = "wf_thunk_call";

/// As [`TAIL_THUNK_SYMBOL`], for functions with vectors of more than 16 bytes.
pub const WIDE_TAIL_THUNK_SYMBOL: &str = "wf_thunk_tail_wide";

/// As [`CALL_THUNK_SYMBOL`], for functions with vectors of more than 16 bytes.
pub const WIDE_CALL_THUNK_SYMBOL: &str = "wf_thunk_call_wide";

/// The thunks, in the order of their slots and of the spare stubs.
pub const THUNKS: [&str; 4] = [
    TAIL_THUNK_SYMBOL,
    CALL_THUNK_SYMBOL,
    WIDE_TAIL_THUNK_SYMBOL,
    WIDE_CALL_THUNK_SYMBOL,
];
