//! The sentence of a run with excess frees: how many, and who is to blame for how many of them.

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::Site;

use super::names::site;
use super::numbers::counted;
use super::numbers::number;
use super::page::NO_BREAK;
use super::page::Piece;
use super::page::Tone;
use super::page::plain;
use super::page::strong;
use super::processes;

/// So many culprits of a sort are named in the sentence.
const NAMED: usize = 2;
/// So many call sites are named of which any can be the culprit.
const SUSPECTS: usize = 3;

/// `4 excess frees in 2 of 9 buffers, 3 explained by 1 culprit: a (x.c:1); 1 unexplained`.
pub(super) fn guilty(pieces: &mut Vec<Piece>, analysis: &Analysis, width: usize) {
    let totals = &analysis.totals;
    pieces.push((Tone::Bad, counted(totals.excess, "excess free")));
    let processes = of_processes(analysis);
    // Leaks can outweigh the excess of a buffer: then none was freed more often than it was allocated.
    pieces.push(plain(match analysis.buffers.over_freed {
        0 => format!("{}, ", processes.replacen(" of ", " in ", 1)),
        over => format!(
            " in {} of {}{processes}, ",
            number(over),
            counted(analysis.buffers.unique, "buffer")
        ),
    }));
    let (undecided, decided): (Vec<&Culprit>, Vec<&Culprit>) = analysis
        .shown_culprits()
        .map(|(_, culprit)| culprit)
        .partition(|culprit| culprit.confidence == Confidence::Undecided);
    let mut parts: Vec<Vec<Piece>> = Vec::new();
    let is_all = |culprits: &[&Culprit]| {
        culprits.len() == analysis.culprits.len() && totals.unexplained == 0
    };
    if !decided.is_empty() {
        let amount = amount(&decided, is_all(&decided), totals.excess);
        parts.push(explained(&decided, &amount, width));
    }
    if !undecided.is_empty() {
        let amount = amount(&undecided, is_all(&undecided), totals.excess);
        parts.push(narrowed(&undecided, &amount, width));
    }
    let suppressed = analysis.suppressed();
    // What is silenced of the unexplained is told with all that is.
    let explained: u64 = analysis.culprits.iter().map(|c| c.explains).sum();
    let told = sum(&decided) + sum(&undecided);
    let silenced = suppressed.saturating_sub(explained - told);
    let unexplained = totals.unexplained.saturating_sub(silenced);
    if suppressed >= totals.excess {
        parts.push(vec![plain("all suppressed")]);
    } else if analysis.culprits.is_empty() && suppressed == 0 {
        let none = if totals.excess == 1 { "not" } else { "none" };
        let text = format!("{none} explained: the record does not tell who is to blame");
        parts.push(vec![plain(text)]);
    } else if unexplained > 0 {
        let text = format!("{} unexplained", number(unexplained));
        parts.push(vec![plain(text)]);
    }
    if suppressed > 0 && suppressed < totals.excess {
        let text = format!("{} suppressed", number(suppressed));
        parts.push(vec![plain(text)]);
    }
    if totals.blocked > 0 {
        let text = format!(
            "the guard blocked {} (in a linked host it only counts)",
            number(totals.blocked)
        );
        parts.push(vec![plain(text)]);
    }
    for (position, part) in parts.into_iter().enumerate() {
        if position > 0 {
            pieces.push(plain("; "));
        }
        pieces.extend(part);
    }
}

/// ` of 3 processes`, where several were recorded.
pub(super) fn of_processes(analysis: &Analysis) -> String {
    match processes::count(analysis) {
        0 | 1 => String::new(),
        several => format!(" of {} processes", number(several as u64)),
    }
}

/// How many excess frees the culprits stand for, with a space behind; nothing where there is but one.
fn amount(culprits: &[&Culprit], is_all: bool, excess: u64) -> String {
    match (is_all, excess) {
        (true, 1) => String::new(),
        (true, _) => "all ".to_owned(),
        (false, _) => format!("{} ", number(sum(culprits))),
    }
}

fn sum(culprits: &[&Culprit]) -> u64 {
    culprits.iter().map(|culprit| culprit.explains).sum()
}

/// `all explained by 3 culprits: 12 by a (x.c:1), 3 by b (y.c:2) and 1 by 1 more`.
fn explained(culprits: &[&Culprit], amount: &str, width: usize) -> Vec<Piece> {
    let count = counted(culprits.len() as u64, "culprit");
    let mut pieces = vec![plain(format!("{amount}explained by {count}: "))];
    if let [one] = culprits {
        pieces.push(name(&one.site, width));
        return pieces;
    }
    each(&mut pieces, culprits, "by", " and ", |culprit| {
        vec![name(&culprit.site, width)]
    });
    pieces
}

/// `all narrowed down to a (x.c:1) or b (y.c:2)`, and the same for several.
fn narrowed(culprits: &[&Culprit], amount: &str, width: usize) -> Vec<Piece> {
    if let [one] = culprits {
        let how = if one.alternatives.is_empty() {
            "perhaps explained by"
        } else {
            "narrowed down to"
        };
        let mut pieces = vec![plain(format!("{amount}{how} "))];
        pieces.extend(suspects(one, width));
        return pieces;
    }
    let groups = number(culprits.len() as u64);
    let text = format!("{amount}narrowed down to {groups} groups of call sites: ");
    let mut pieces = vec![plain(text)];
    each(&mut pieces, culprits, "to", ", and ", |culprit| {
        suspects(culprit, width)
    });
    pieces
}

/// Each with its number: the first by name, the others together.
fn each(
    pieces: &mut Vec<Piece>,
    culprits: &[&Culprit],
    preposition: &str,
    and: &str,
    told: impl Fn(&Culprit) -> Vec<Piece>,
) {
    let named = culprits.len().min(NAMED);
    for (position, culprit) in culprits[..named].iter().enumerate() {
        if position > 0 {
            let is_last = position + 1 == culprits.len();
            pieces.push(plain(if is_last { and } else { ", " }));
        }
        let count = number(culprit.explains);
        pieces.push(plain(format!("{count}{NO_BREAK}{preposition} ")));
        pieces.extend(told(culprit));
    }
    let rest = &culprits[named..];
    if !rest.is_empty() {
        pieces.push(plain(format!(
            "{and}{}{NO_BREAK}{preposition} {} more",
            number(sum(rest)),
            number(rest.len() as u64)
        )));
    }
}

/// `a (x.c:1), b (y.c:2) or c (z.c:3)`: all that the record fits.
fn suspects(culprit: &Culprit, width: usize) -> Vec<Piece> {
    let all: Vec<&Site> = std::iter::once(&culprit.site)
        .chain(&culprit.alternatives)
        .collect();
    let named = if all.len() > SUSPECTS {
        SUSPECTS - 1
    } else {
        all.len()
    };
    let mut pieces = Vec::new();
    for (position, suspect) in all[..named].iter().enumerate() {
        if position > 0 {
            let is_last = position + 1 == all.len();
            pieces.push(plain(if is_last { " or " } else { ", " }));
        }
        pieces.push(name(suspect, width));
    }
    if named < all.len() {
        pieces.push(plain(format!(" or {} others", all.len() - named)));
    }
    pieces
}

fn name(place: &Site, width: usize) -> Piece {
    strong(site(&place.frame, width.saturating_sub(12)))
}
