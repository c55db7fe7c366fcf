//! The report stop of an event's way: an analysis becomes text, JSON or HTML, or what the tools of others open; one module a
//! format. A JSON report becomes an analysis again, as far as it goes: one that is kept can be held against a later run.
//!
//! **Architecture Invariant:** pure functions between an analysis and a string; no terminal, no environment, no
//! files, no clock. Whoever prints says how wide the page is and whether it may be coloured.

mod export;
mod html;
mod json;
mod text;

pub use export::CSV_HEADER;
pub use export::EventLine;
pub use export::csv_place;
pub use export::process_to_json_line;
pub use export::stack_to_json_line;
pub use export::to_chrome;
pub use export::to_firefox;
pub use export::to_folded;
pub use export::to_junit;
pub use export::to_pprof;
pub use export::to_sarif;
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
pub use text::bytes;
pub use text::counted;
pub use text::culprit_text;
pub use text::diff_to_text;
pub use text::fit_middle;
pub use text::headline;
pub use text::history_to_text;
pub use text::number;
pub use text::printable;
pub use text::site;
pub use text::to_text;
