//! The HTML report: one file that opens in a browser, with everything in it, and asks nobody for more.
//!
//! `data` gathers what the page shows, `table` numbers what is said more than once, `page` puts the file together. What
//! is drawn, is drawn by the scripts in `crates/report/html`, which stand in the file as they are.
//!
//! Names come from the host, so a page is handed none as markup: they are escaped as in the text report, stand in a block
//! of JSON, and become text nodes. The policy of the page allows its own script and style by their hashes, and nothing
//! else.

mod data;
mod page;
mod snippets;
mod table;
#[cfg(test)]
mod tests;
mod timeline;
mod views;

use whofreed_analysis::Analysis;
use whofreed_analysis::Timeline;

use crate::TextOptions;

pub use snippets::Snippet;
pub use snippets::Snippets;
pub use snippets::places;

/// What the page is told besides the analysis.
#[derive(Clone, Copy, Debug)]
pub struct HtmlOptions<'a> {
    /// As for the text report; its width and colours do not matter here.
    pub text: &'a TextOptions,
    /// The lines around the [`places`] whose files are there.
    pub snippets: &'a Snippets,
}

/// The report as one HTML file.
#[must_use]
pub fn to_html(analysis: &Analysis, timeline: &Timeline, options: &HtmlOptions<'_>) -> String {
    let data = data::json(analysis, timeline, options);
    let wide = TextOptions {
        // One sentence is one line here; the browser breaks it.
        width: 4000,
        color: false,
        ..options.text.clone()
    };
    page::page(&crate::headline(analysis, &wide), &data)
}
