//! The text report: one sentence that answers the question, then the culprits in the shape that users of
//! sanitizers can already read, then who only looks guilty, the accounts, and what could not be seen.

mod accounts;
mod answer;
pub(crate) mod case;
mod culprits;
mod diff;
pub(crate) mod evidence;
mod headline;
mod history;
pub(crate) mod names;
mod numbers;
mod page;
mod paths;
mod processes;
pub(crate) mod stack;
mod standing;
mod unexplained;

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::ShortStacks;

pub use culprits::culprit_text;
pub use diff::diff_to_text;
pub use history::history_to_text;
pub use names::fit_middle;
pub use names::printable;
pub use names::site;
pub use numbers::bytes;
pub use numbers::counted;
pub use numbers::number;

// What sentences of other forms have in common with this one.
pub(crate) use names::base;
pub(crate) use paths::from_here;
pub(crate) use stack::telling_frames;

use page::NO_BREAK;
use page::Page;
use page::Tone;
use page::plain;

/// So much of a name the last line has room for, however long the path is.
const LEAST_OF_NAME: usize = 40;

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
    /// So many culprits are shown with their stacks, where that was asked for.
    pub culprits: Option<usize>,
    /// The adapters that the user named; those that bound nothing come first of all. Empty where none was named.
    pub named_adapters: Vec<String>,
    /// What the analysis is about.
    pub found: Found,
    /// The traces by their processes, for the hint at the end.
    pub traces: Vec<(u32, String)>,
    /// Whether the run has left these traces, so that the report has to say where they are.
    pub left_traces: bool,
    /// The trace to name in the hint at the end where `traces` is empty.
    pub trace_hint: Option<String>,
    /// How the command is called where the reader stands, for the hint at the end.
    pub program: String,
    /// The folder where the reader stands: paths below it are told from there.
    pub here: Option<String>,
    /// What else a reader should know, such as modules that changed since the recording.
    pub notes: Vec<String>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            width: 100,
            color: false,
            verbose: false,
            culprits: None,
            named_adapters: Vec::new(),
            found: Found::default(),
            traces: Vec::new(),
            left_traces: false,
            trace_hint: None,
            program: "whofreed".to_owned(),
            here: None,
            notes: Vec::new(),
        }
    }
}

/// The report as text.
#[must_use]
pub fn to_text(analysis: &Analysis, options: &TextOptions) -> String {
    let mut page = Page::new(options);
    headline::set(&mut page, analysis, options);
    culprits::set(&mut page, analysis, options);
    culprits::set_victims(&mut page, analysis, options);
    unexplained::set(&mut page, analysis, options);
    accounts::set(&mut page, analysis, options);
    notes(&mut page, short_stacks(analysis), options);
    missing_allocations(&mut page, analysis);
    hint(&mut page, analysis, options);
    summary(&mut page, analysis, options);
    left_traces(&mut page, options);
    page.finish()
}

/// What comes first in the report, alone: for a place where one line has to do.
#[must_use]
pub fn headline(analysis: &Analysis, options: &TextOptions) -> String {
    let mut page = Page::new(options);
    headline::set(&mut page, analysis, options);
    page.finish()
}

fn notes(page: &mut Page, own: Option<String>, options: &TextOptions) {
    let most = if options.verbose { usize::MAX } else { 3 };
    let notes: Vec<&String> = own.iter().chain(&options.notes).collect();
    for note in notes.iter().take(most) {
        page.prose(0, 2, &[(Tone::Faint, format!("note: {}", printable(note)))]);
    }
    if notes.len() > most {
        let text = format!("… and {} more notes", notes.len() - most);
        page.line(&[(Tone::Faint, text)]);
    }
}

/// That a low depth may have taken the names from call sites, where it has cut many stacks and there is blame.
pub(crate) fn short_stacks(analysis: &Analysis) -> Option<String> {
    let ShortStacks { cut, of, depth } = analysis.short_stacks;
    let is_many = cut > 0 && cut * 10 >= of;
    (is_many && analysis.totals.excess > 0).then(|| {
        format!(
            "{} of {} (allocations and first frees) end at the depth of {depth}: call sites further out cannot be \
             told apart (--depth)",
            numbers::number(cut),
            numbers::counted(of, "stack")
        )
    })
}

/// How to learn more of the worst buffer, from the traces of its own process: others know nothing of it.
fn hint(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let Some(worst) = analysis.worst_buffers.first() else {
        return;
    };
    let traces: Vec<String> = if options.traces.is_empty() {
        options.trace_hint.iter().map(|t| to_type(t)).collect()
    } else {
        let own = options.traces.iter().filter(|(pid, _)| *pid == worst.pid);
        own.map(|(_, trace)| to_type(trace)).collect()
    };
    if traces.is_empty() {
        return;
    }
    let hint = format!(
        "HINT: the worst buffer's whole life: {} history {} --device {} --address {:#x}",
        to_type(&options.program),
        traces.join(" "),
        worst.device,
        worst.address
    );
    // In one line, however long: it is there to be copied.
    page.line(&[(Tone::Faint, hint)]);
}

/// Whether there were frees, and of none it is known what it freed.
fn judged_nothing(analysis: &Analysis) -> bool {
    let totals = &analysis.totals;
    totals.allocations == 0 && totals.deallocations > 0 && totals.ok + totals.excess == 0
}

/// That the allocations are missing: nothing else says so in a run that looks clean.
fn missing_allocations(page: &mut Page, analysis: &Analysis) {
    if judged_nothing(analysis) {
        let hint = "HINT: not one allocation was recorded, so of no free is it known what it freed: is what allocates hooked, and \
                    is its `ok` right? `whofreed adapters check` tells what an adapter would see";
        page.prose(0, 2, &[(Tone::Faint, hint.to_owned())]);
    }
}

/// A word of a command, to be typed in a shell.
fn to_type(word: &str) -> String {
    paths::quoted(&printable(word))
}

/// Where the traces are that the run has left.
fn left_traces(page: &mut Page, options: &TextOptions) {
    let most = if options.verbose { usize::MAX } else { 3 };
    // A path is not broken, however long: it is there to be copied.
    let whole = |trace: &str| to_type(trace).replace(' ', &NO_BREAK.to_string());
    let names: Vec<String> = options.traces.iter().map(|(_, t)| whole(t)).collect();
    if !options.left_traces || names.is_empty() {
        return;
    }
    let noun = if names.len() == 1 { "trace" } else { "traces" };
    let shown = &names[..names.len().min(most)];
    let mut text = format!("{noun}: {}", shown.join(", "));
    if names.len() > most {
        text.push_str(&format!(" and {} more", names.len() - most));
    }
    page.prose(0, 2, &[plain(text)]);
}

/// The line that tools look for at the end, as the sanitizers have it.
fn summary(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let excess = analysis.totals.excess;
    if analysis.totals.events == 0 {
        let text = match options.found {
            Found::Traces if !analysis.damage.is_empty() => "no event could be read",
            Found::Traces => "no event was recorded",
            Found::Unreadable => "no trace could be read",
            Found::Nothing => "no trace was found",
        };
        page.line(&[plain(format!("SUMMARY: whofreed: {text}"))]);
        return;
    }
    if excess == 0 {
        let text = match judged_nothing(analysis) {
            true => "no free could be judged",
            false => "no excess frees",
        };
        page.line(&[plain(format!("SUMMARY: whofreed: {text}"))]);
        return;
    }
    let start = "SUMMARY: whofreed: ";
    let suppressed = analysis.suppressed();
    if suppressed >= excess {
        let count = numbers::counted(suppressed, "excess free");
        page.line(&[plain(format!("{start}{count}, all suppressed"))]);
        return;
    }
    let count = numbers::counted(excess - suppressed, "excess free");
    let Some((_, culprit)) = analysis.shown_culprits().next() else {
        page.line(&[plain(start), (Tone::Bad, count), plain(", unexplained")]);
        return;
    };
    let frame = &culprit.site.frame;
    let place = match &frame.file {
        Some(file) => paths::source(file, frame.line, page.here.as_deref()),
        None => format!("({}+{:#x})", frame.module, frame.offset),
    };
    let function = frame.function.as_deref().unwrap_or("??");
    let short = names::short_function(function, frame.language);
    let doubt = match (culprit.confidence, culprit.alternatives.as_slice()) {
        (Confidence::Proven | Confidence::Counterfactual, _) => String::new(),
        (Confidence::Undecided, []) => ", undecided".to_owned(),
        (Confidence::Undecided, [other]) => {
            let other = other.frame.function.as_deref().unwrap_or("??");
            let short = names::short_function(other, frame.language);
            format!(" or {}, undecided", names::fit_middle(&short, 40))
        }
        (Confidence::Undecided, others) => format!(" or {} others, undecided", others.len()),
    };
    // One line, as tools expect it, with a path that they can open, however long.
    let place = printable(&place);
    let name = if options.verbose {
        printable(&short)
    } else {
        let before = [start, &count, " ", &place, " in ", &doubt];
        let taken: usize = before.iter().map(|text| names::columns(text)).sum();
        names::fit_middle(&short, page.width.saturating_sub(taken).max(LEAST_OF_NAME))
    };
    let rest = format!(" {place} in {name}{doubt}");
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
