//! The text report: one sentence that answers the question, then the culprits in the shape that users of
//! sanitizers can already read, then who only looks guilty, the accounts, and what could not be seen.

mod accounts;
mod culprits;
mod diff;
mod headline;
mod history;
mod names;
mod page;
mod stack;

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;

pub use diff::diff_to_text;
pub use history::history_to_text;
pub use names::printable;

use page::Page;
use page::Tone;
use page::plain;

/// What there was to analyse. Without a trace, nothing is known of what the host did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// At least one trace.
    #[default]
    Traces,
    /// Files, none of which could be read.
    Unreadable,
    /// No file.
    Nothing,
}

/// How a text report is set.
#[derive(Clone, Debug)]
pub struct TextOptions {
    /// Columns of the page.
    pub width: usize,
    /// Whether escape sequences for colours may be written.
    pub color: bool,
    /// Everything: whole stacks, whole names, every culprit, victim, leak and hook.
    pub verbose: bool,
    /// The adapters that the user named; those that bound nothing come first of all. Empty where none was named.
    pub named_adapters: Vec<String>,
    /// What the analysis is about.
    pub found: Found,
    /// The traces by their processes, for the hint at the end.
    pub traces: Vec<(u32, String)>,
    /// The trace to name in the hint at the end where `traces` is empty.
    pub trace_hint: Option<String>,
    /// What else a reader should know, such as modules that changed since the recording.
    pub notes: Vec<String>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            width: 100,
            color: false,
            verbose: false,
            named_adapters: Vec::new(),
            found: Found::default(),
            traces: Vec::new(),
            trace_hint: None,
            notes: Vec::new(),
        }
    }
}

/// The report as text.
#[must_use]
pub fn to_text(analysis: &Analysis, options: &TextOptions) -> String {
    let mut page = Page::new(options.width, options.color);
    headline::set(&mut page, analysis, options);
    culprits::set(&mut page, analysis, options);
    culprits::set_victims(&mut page, analysis, options);
    accounts::set(&mut page, analysis, options);
    notes(&mut page, options);
    hint(&mut page, analysis, options);
    summary(&mut page, analysis, options);
    page.finish()
}

/// What comes first in the report, alone: for a place where one line has to do.
#[must_use]
pub fn headline(analysis: &Analysis, options: &TextOptions) -> String {
    let mut page = Page::new(options.width, options.color);
    headline::set(&mut page, analysis, options);
    page.finish()
}

fn notes(page: &mut Page, options: &TextOptions) {
    let most = if options.verbose { usize::MAX } else { 3 };
    for note in options.notes.iter().take(most) {
        page.prose(0, 2, &[(Tone::Faint, format!("note: {}", printable(note)))]);
    }
    if options.notes.len() > most {
        let text = format!("… and {} more notes", options.notes.len() - most);
        page.line(&[(Tone::Faint, text)]);
    }
}

/// How to learn more of the worst buffer, from the traces of its own process: others know nothing of it.
fn hint(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let Some(worst) = analysis.worst_buffers.first() else {
        return;
    };
    let traces: Vec<String> = if options.traces.is_empty() {
        options.trace_hint.iter().map(|t| printable(t)).collect()
    } else {
        let own = options.traces.iter().filter(|(pid, _)| *pid == worst.pid);
        own.map(|(_, trace)| printable(trace)).collect()
    };
    if traces.is_empty() {
        return;
    }
    let hint = format!(
        "HINT: the worst buffer's whole life: whofreed history {} --device {} --address {:#x}",
        traces.join(" "),
        worst.device,
        worst.address
    );
    // In one line, however long: it is there to be copied.
    page.line(&[(Tone::Faint, hint)]);
}

/// The line that tools look for at the end, as the sanitizers have it.
fn summary(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let excess = analysis.totals.excess;
    if analysis.totals.events == 0 {
        let text = match options.found {
            Found::Traces => "no event was recorded",
            Found::Unreadable => "no trace could be read",
            Found::Nothing => "no trace was found",
        };
        page.line(&[plain(format!("SUMMARY: whofreed: {text}"))]);
        return;
    }
    if excess == 0 {
        page.line(&[plain("SUMMARY: whofreed: no excess frees")]);
        return;
    }
    let start = "SUMMARY: whofreed: ";
    let count = names::counted(excess, "excess free");
    let Some(culprit) = analysis.culprits.first() else {
        page.line(&[plain(start), (Tone::Bad, count), plain(", unexplained")]);
        return;
    };
    let frame = &culprit.site.frame;
    let place = match &frame.file {
        Some(file) if frame.line > 0 => format!("{file}:{}", frame.line),
        Some(file) => file.to_string(),
        None => format!("({}+{:#x})", frame.module, frame.offset),
    };
    let function = frame.function.as_deref().unwrap_or("??");
    let short = names::short_function(function, frame.language);
    let doubt = match culprit.confidence {
        Confidence::Undecided => ", undecided",
        Confidence::Proven | Confidence::Counterfactual => "",
    };
    // One line, as tools expect it.
    let room = page
        .width
        .saturating_sub(start.len() + count.len() + " ".len() + " in ".len() + doubt.len());
    let (most_name, most_place) = if options.verbose {
        (usize::MAX, usize::MAX)
    } else {
        names::share(room, &short, &place)
    };
    let rest = format!(
        " {} in {}{doubt}",
        names::fit_end(&place, most_place),
        names::fit_middle(&short, most_name)
    );
    page.line(&[plain(start), (Tone::Bad, count), plain(rest)]);
}

/// `device 4 (chip 4 DRAM)`.
fn device(analysis: &Analysis, device: u32) -> String {
    match analysis.device_names.get(&device) {
        Some(name) if !name.is_empty() => {
            format!("device {device} ({})", names::fit_middle(name, 32))
        }
        _ => format!("device {device}"),
    }
}
