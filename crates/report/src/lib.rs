//! The report stop of an event's way: an analysis becomes text, JSON or HTML; one module a format. A JSON report becomes an
//! analysis again, as far as it goes: one that is kept can be held against a later run.
//!
//! **Architecture Invariant:** pure functions between an analysis and a string; no terminal, no environment, no
//! files, no clock. Whoever prints says how wide the page is and whether it may be coloured.

mod html;
mod json;
mod text;

pub use html::HtmlOptions;
pub use html::Snippet;
pub use html::Snippets;
pub use html::places;
pub use html::to_html;
pub use json::diff_to_json;
pub use json::from_json;
pub use json::history_to_json;
pub use json::inert;
pub use json::to_json;
pub use text::Found;
pub use text::TextOptions;
pub use text::diff_to_text;
pub use text::headline;
pub use text::history_to_text;
pub use text::printable;
pub use text::to_text;
