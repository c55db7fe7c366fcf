//! The culprits, each with one case and its three stacks, and apart from them those that only look guilty.

use whofreed_analysis::Analysis;
use whofreed_analysis::Class;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::Victim;

use super::TextOptions;
use super::case;
use super::device;
use super::evidence;
use super::names::fit_middle;
use super::names::printable;
use super::names::site;
use super::numbers::bytes;
use super::numbers::counted;
use super::numbers::number;
use super::page::Page;
use super::page::Tone;
use super::page::plain;
use super::page::strong;

/// With more culprits than this, only so many are shown with their stacks.
const IN_FULL: usize = 3;
/// So many of the others have a line of their own.
const IN_A_LINE: usize = 5;
/// The lines of the stacks of a culprit that is alone: where it was freed again, and what came before.
const ALONE: (Option<usize>, Option<usize>) = (Some(6), Some(4));
/// So many victims are named.
const VICTIMS: usize = 3;

pub(super) fn set(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let shown: Vec<(usize, &Culprit)> = analysis.shown_culprits().collect();
    let count = shown.len();
    // A screen has some fifty lines: the more culprits, the shorter their stacks.
    let (in_full, again, before) = match count {
        _ if options.verbose => (count, None, None),
        _ if options.culprits.is_some() => {
            let (again, before) = ALONE;
            (options.culprits.unwrap_or(0).min(count), again, before)
        }
        0..=1 => (count, ALONE.0, ALONE.1),
        2 => (count, Some(4), Some(2)),
        3 => (count, Some(3), Some(2)),
        _ => (IN_FULL - 1, Some(3), Some(2)),
    };
    for &(index, culprit) in &shown[..in_full] {
        page.blank();
        heading(page, analysis, index, culprit);
        evidence::set(page, analysis, culprit, count > 1 && !options.verbose);
        case::set(page, culprit, again, before);
        suppression(page, culprit);
    }
    let rest = &shown[in_full..];
    if rest.is_empty() {
        return;
    }
    page.blank();
    for &(index, culprit) in rest.iter().take(IN_A_LINE) {
        page.prose(
            0,
            4,
            &[
                plain(lead(analysis, index, culprit)),
                strong(site(&culprit.site.frame, page.width.saturating_sub(16))),
                plain(format!(
                    " {} {}",
                    explains(culprit),
                    number(culprit.explains)
                )),
                plain(match doubt(culprit, page.width) {
                    Some(doubt) => format!("; {doubt}"),
                    None => String::new(),
                }),
            ],
        );
    }
    if rest.len() > IN_A_LINE {
        let more = &rest[IN_A_LINE..];
        let explained = more.iter().map(|(_, culprit)| culprit.explains).sum();
        let text = format!(
            "… and {} that explain {} (--verbose shows them)",
            counted(more.len() as u64, "more culprit"),
            number(explained)
        );
        page.prose(0, 2, &[(Tone::Faint, text)]);
    }
}

/// All that the report says of one culprit, on a page without colours; whole stacks where `options` are verbose.
#[must_use]
pub fn culprit_text(analysis: &Analysis, index: usize, options: &TextOptions) -> String {
    let mut page = Page::new(&TextOptions {
        color: false,
        ..options.clone()
    });
    if let Some(culprit) = analysis.culprits.get(index) {
        heading(&mut page, analysis, index, culprit);
        evidence::set(&mut page, analysis, culprit, false);
        let (again, before) = if options.verbose { (None, None) } else { ALONE };
        case::set(&mut page, culprit, again, before);
        suppression(&mut page, culprit);
    }
    page.finish()
}

fn heading(page: &mut Page, analysis: &Analysis, index: usize, culprit: &Culprit) {
    let example = &culprit.example;
    let mut buffer = format!(
        "excess free of {:#x} on {}",
        example.address,
        device(analysis, example.device)
    );
    if example.size > 0 {
        buffer.push_str(&format!(", {}", bytes(example.size)));
    }
    if !example.kind.is_empty() {
        buffer.push_str(&format!(", {}", fit_middle(&example.kind, 40)));
    }
    if !example.scope.is_empty() {
        buffer.push_str(&format!(", in {}", fit_middle(&example.scope, 60)));
    }
    page.prose(
        0,
        4,
        &[
            (Tone::Bad, format!("=={}==ERROR: whofreed: ", example.pid)),
            strong(buffer),
        ],
    );
    let devices = match &*culprit.devices {
        [] => String::new(),
        [one] => format!(" on device {one}"),
        many => format!(" on {} devices", many.len()),
    };
    let mut text = format!(
        " {} {}, {} seen here, in {}{devices}; ",
        explains(culprit),
        counted(culprit.explains, "excess free"),
        number(culprit.observed),
        counted(culprit.buffers, "buffer"),
    );
    if let Some(class) = class(culprit.class) {
        text.push_str(class);
        text.push_str("; ");
    }
    let reason = match culprit.confidence {
        Confidence::Proven => Some("proven by the owners"),
        Confidence::Counterfactual => Some("without its surplus frees these vanish"),
        Confidence::Undecided if culprit.alternatives.is_empty() => {
            Some("the record does not decide")
        }
        Confidence::Undecided => None,
    };
    let doubt = doubt(culprit, page.width);
    let reasons: Vec<&str> = reason.into_iter().chain(doubt.as_deref()).collect();
    text.push_str(&reasons.join("; "));
    page.prose(
        0,
        4,
        &[
            plain(lead(analysis, index, culprit)),
            strong(site(&culprit.site.frame, page.width.saturating_sub(16))),
            plain(text),
        ],
    );
}

/// The line that would silence it. Whole, however long: it is there to be copied.
fn suppression(page: &mut Page, culprit: &Culprit) {
    if let Some(line) = culprit.suppression() {
        page.line(&[(Tone::Faint, format!("suppress: {line}"))]);
    }
}

/// `culprit 1: `, and at once whether it is news, and one for certain.
fn lead(analysis: &Analysis, index: usize, culprit: &Culprit) -> String {
    let news = match (
        analysis.standing.has_baseline,
        analysis.culprit_mark(index).known,
    ) {
        (false, _) => "",
        (true, true) => " (known)",
        (true, false) => " (new)",
    };
    let doubt = match culprit.confidence {
        Confidence::Undecided => "undecided: ",
        Confidence::Proven | Confidence::Counterfactual => "",
    };
    format!("culprit {}{news}: {doubt}", index + 1)
}

/// An undecided culprit only would, if it were the one.
const fn explains(culprit: &Culprit) -> &'static str {
    match culprit.confidence {
        Confidence::Undecided => "would explain",
        Confidence::Proven | Confidence::Counterfactual => "explains",
    }
}

/// `the record fits … as well`, where it does.
fn doubt(culprit: &Culprit, width: usize) -> Option<String> {
    let others: Vec<String> = culprit
        .alternatives
        .iter()
        .take(3)
        .map(|other| site(&other.frame, width.saturating_sub(8)))
        .collect();
    (!others.is_empty()).then(|| format!("the record fits {} as well", others.join(" or ")))
}

const fn class(class: Class) -> Option<&'static str> {
    match class {
        Class::Destructor => Some("a destructor"),
        Class::Cache => Some("a cache"),
        Class::ProgramCache => Some("a program cache"),
        Class::Pool => Some("a pool"),
        Class::StaticTeardown => Some("static teardown"),
        Class::Interpreter => Some("the interpreter"),
        Class::Explicit => Some("an explicit call"),
        Class::Other => None,
    }
}

pub(super) fn set_victims(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let is_shown = |victim: &&Victim| {
        let of = victim.culprit.map(|at| analysis.culprit_mark(at));
        of.is_none_or(|mark| mark.suppressed_by.is_none())
    };
    let victims: Vec<&Victim> = analysis.victims.iter().filter(is_shown).collect();
    if victims.is_empty() {
        return;
    }
    page.blank();
    let most = if options.verbose { usize::MAX } else { VICTIMS };
    for victim in victims.iter().take(most) {
        let because = match victim.culprit {
            Some(culprit) => format!(", because of culprit {}", culprit + 1),
            None => ", because of somebody else's free".to_owned(),
        };
        page.prose(
            0,
            2,
            &[
                plain("looks guilty, is not: "),
                strong(site(&victim.site.frame, page.width.saturating_sub(24))),
                plain(format!(" {}{because}", number(victim.observed))),
            ],
        );
    }
    if victims.len() > most {
        let text = format!("… and {} more", victims.len() - most);
        page.line(&[(Tone::Faint, printable(&text))]);
    }
}
